package gossip

import "time"

// Collecting. When many members write at the same time, a rumor for each write would cost every member a packet and
// an answer per write. All members know the first one in the order of the present slot. Under load they hand it their
// writes, as one part that is everybody; it makes one rumor per Tick out of all it was handed, and answers each of
// them with that rumor's result. Answers of such rumors wait for company, because the order, and with it who asks
// and who answers, stays for a whole slot; unless packets get lost, which then shows sooner. News of membership is
// not collected.

const (
	// slotTicks is the length of a slot in Ticks.
	slotTicks = 5
	// directWrites is how many writes per slot, by all members together, are spread each in a rumor of its own.
	directWrites = 4
	// maxCollected is how many bytes of payload a collector puts into one rumor: a datagram.
	maxCollected = MaxDatagram - headerBytes - 96
	// maxRiders is how many batches it puts into one.
	maxRiders = 256
)

// load counts the writes that could be collected.
type load struct {
	slot         uint64
	seen, before int
}

func (l *load) count(slot uint64, p *payload) {
	l.roll(slot)
	l.seen += len(p.own) + len(p.shared)
}

func (l *load) roll(slot uint64) {
	switch {
	case slot == l.slot+1:
		l.before, l.seen = l.seen, 0
	case slot != l.slot:
		l.before, l.seen = 0, 0
	}
	l.slot = slot
}

func (l *load) high(slot uint64) bool {
	l.roll(slot)
	return max(l.seen, l.before) > directWrites
}

// collection is what this node has collected and not sent yet.
type collection struct {
	payload payload
	riders  []*walk
	at      time.Time // when it goes out; zero: there is nothing
}

// urgent reports whether the payload is news of membership.
func (p *payload) urgent() bool {
	for _, d := range p.own {
		for _, e := range d.entries {
			if e.key == keyNode || e.key == keyReport {
				return true
			}
		}
	}
	for _, s := range p.shared {
		if s.admission != nil {
			return true
		}
	}
	return false
}

// collects reports whether a rumor of this node goes to a collector.
func (c *Core) collects(w *walk) bool {
	if c.left || w.payload.size > maxCollected/2 || w.payload.urgent() || len(w.order.members) <= (c.cfg.Fanout+1)*(c.cfg.Fanout+1) {
		return false
	}
	c.load.count(w.slot, w.payload)
	return c.load.high(w.slot)
}

// handToCollector hands a rumor of this node, as one part, to the collector of its slot.
func (c *Core) handToCollector(w *walk) {
	w.held = append(w.held, wholeSpan)
	if w.self == 0 && c.collect(w) {
		return
	}
	if w.self == 0 {
		w.held = nil
		c.cover(w, wholeSpan)
		return
	}
	w.flags |= flagCollect | flagLazy
	w.parts = append(w.parts, part{span: wholeSpan, to: len(w.order.members)})
	c.handOver(w, 0)
}

// takeFromCollector takes a rumor back from a collector that is silent, and spreads it itself.
func (c *Core) takeFromCollector(w *walk, i int) {
	w.parts[i].state, w.parts[i].due = partSplit, 0
	w.silence(w.parts[i].delegate)
	w.flags &^= flagCollect | flagLazy
	w.held = nil
	c.cover(w, wholeSpan)
}

// collect puts a rumor into the collection; false: there is no room.
func (c *Core) collect(w *walk) bool {
	if w.payload == nil || w.payload.size > maxCollected || c.view.roster != w.roster {
		return false
	}
	next := &c.collection
	if len(next.riders) == maxRiders || len(next.riders) > 0 && next.riders[0].slot != w.slot || next.payload.size+w.payload.size > maxCollected {
		c.flushCollection()
	}
	if len(next.riders) == 0 {
		next.at = c.nextCollection(w.slot)
	}
	next.payload.own = append(next.payload.own, w.payload.own...)
	next.payload.shared = append(next.payload.shared, w.payload.shared...)
	next.payload.measure()
	next.riders = append(next.riders, w)
	w.parts = append(w.parts, part{span: wholeSpan, to: len(w.order.members), state: partRiding})
	return true
}

// nextCollection is when the collector of a slot makes its next rumor: when a Tick of the slot has ended, by the
// clock as slots are, and what was handed over in it had time to arrive.
func (c *Core) nextCollection(slot uint64) time.Time {
	tick := c.cfg.Tick
	arrival := tick / 10
	at := c.now.Add(tick - time.Duration((c.now.UnixNano()-arrival.Nanoseconds())%tick.Nanoseconds()))
	if c.slotAt(at.Add(-tick)) < slot && c.slotAt(at) == slot {
		at = at.Add(tick)
	}
	return at
}

// flushCollection sends what was collected as one rumor.
func (c *Core) flushCollection() {
	batch := c.collection
	c.collection = collection{}
	if len(batch.riders) == 0 {
		return
	}
	c.metrics.RumorsStarted++
	flags := flagLazy
	if !c.estimate.calm() {
		flags = 0
	}
	w := c.begin(rumor{id: c.nextRumor(), slot: batch.riders[0].slot, flags: flags, payload: &batch.payload})
	w.riders = batch.riders
	c.cover(w, wholeSpan)
	c.step(w)
}

// arrived ends the part of a rumor that travelled in another one.
func (c *Core) arrived(rider *walk, total result) {
	for i := range rider.parts {
		if p := &rider.parts[i]; p.state == partRiding {
			p.state, p.result = partDone, total
			p.result.unequal = total.unequal || !rider.agrees(p)
		}
	}
	c.step(rider)
}
