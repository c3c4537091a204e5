package gossip

import (
	"container/heap"
	"slices"
	"time"
)

// Limits of rumors.
const (
	// maxRumors and maxRumorBytes bound the rumors that a node works on or remembers in order to recognise their
	// duplicates. The oldest is dropped; if it was not at rest, anti-entropy delivers it, and it is counted.
	maxRumors     = 4096
	maxRumorBytes = 4 << 20
	// walkLife is how long a rumor is remembered after it has come to rest.
	walkLife = 10 * time.Second
	// maxDuties is how many requests of delegators a node answers for one rumor; others get no answer.
	maxDuties = 16
	// maxSilent is how many members are remembered as silent per rumor.
	maxSilent = 64
	// patience is how many retry timeouts a delegator waits for the result of a part before it asks how it stands,
	// maxReminders how often it asks before it takes the part back.
	patience     = 16
	maxReminders = 4
	// streamRetries is how many retry timeouts a rumor that needs a stream is given.
	streamRetries = 8
)

// walk is a rumor or a question on this node: the intervals it was asked to cover, the parts it has handed over,
// and whom it owes a result.
//
// A part that was handed over is asked for again when no answer comes in time. A member alone gets several tries and
// is then missing. Of more members, a second delegate is asked together with the first one again, and told to avoid
// it; then the part is taken back, and split. So every part ends: it gets done, or smaller, or its only member is
// missing; and it waits for strictly smaller ones only.
type walk struct {
	id      RumorID
	slot    uint64
	flags   uint8
	about   *question
	request uint64   // of the Gather
	inquiry *inquiry // the question is this node's own
	payload *payload // nil: a question, or at rest
	roster  *roster  // by which parts were cut
	order   *order
	place   uint64 // of this node
	self    int    // index of this node in the order; -1: it is not there
	held    []span // at most maxDuties
	parts   []part
	duties  []duty
	silent  []int32 // members that did not answer, indices in the order
	riders  []*walk // whose payloads this one carries, see collect.go
	unsent  []int32 // of the strategies without intervals: whom it was not sent to
	round   int
	started instant
	release instant // when parts that wait go out; zero: none do
	ownDue  instant // when to look again whether the payload could be applied here
	ownTry  int
	without bool    // the payload could not be applied here
	due     instant // earliest deadline; zero: none
	timer   int     // index in the heap; -1: not there
	rest    instant // when it came to rest; zero: it has not
	dropped bool

	// Room for what most members have: one interval, one delegator.
	firstHeld [1]span
	firstDuty [1]duty
}

// duty is an interval whose result this node owes.
type duty struct {
	span     span
	to       process // with boot 0: this node itself wants to know
	answered bool
	settled  bool // the result needs not be sent again
	lazy     bool // answers may wait for company
	tries    int
	due      instant
	result   result
}

// rumorLog holds the walks.
type rumorLog struct {
	walks    map[RumorID]*walk
	queue    []*walk // oldest first
	bytes    int
	timers   timers
	lookedAt instant // when it was last looked for walks to forget
}

// timers is a heap of walks by due.
type timers []*walk

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].due < t[j].due }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i]; t[i].timer, t[j].timer = i, j }
func (t *timers) Push(w any)        { w.(*walk).timer = len(*t); *t = append(*t, w.(*walk)) }
func (t *timers) Pop() any {
	last := len(*t) - 1
	w := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	w.timer = -1
	return w
}

// slot is the present time slot: rumors of one slot share an order.
func (c *Core) slot() uint64 { return c.slotAt(c.now) }

func (c *Core) slotAt(at time.Time) uint64 {
	return uint64(max(at.UnixMilli(), 0)) / uint64(max(slotTicks*c.cfg.Tick.Milliseconds(), 1))
}

// start sends a batch of our own writes to everybody.
func (c *Core) start(batch *payload) {
	c.metrics.RumorsStarted++
	w := c.begin(rumor{id: c.nextRumor(), slot: c.slot(), payload: batch})
	switch {
	case c.cfg.Strategy != StrategyINR && !c.left:
		w.duties = nil // nobody answers
		c.spreadPlainly(w)
	case c.collects(w):
		c.handToCollector(w)
	default:
		c.cover(w, wholeSpan)
	}
	c.step(w)
}

func (c *Core) nextRumor() RumorID {
	c.writes.count++
	return RumorID{Origin: c.cfg.ID, Generation: c.generation, Sequence: c.writes.count}
}

// begin notes a rumor that is new here. That of this node itself is owed to it.
func (c *Core) begin(m rumor) *walk {
	w := &walk{
		id: m.id, slot: m.slot, flags: m.flags &^ flagUrgent, about: m.about, payload: m.payload, started: c.at, timer: -1,
		roster: c.view.roster, order: c.cfg.Orders.of(c.view.roster, m.slot), place: place(m.slot, c.cfg.ID.point()),
	}
	w.self = w.order.find(w.place)
	w.held, w.duties = w.firstHeld[:0], w.firstDuty[:0]
	if m.id.Origin == c.cfg.ID {
		w.duties = append(w.duties, duty{span: wholeSpan})
	}
	c.remember(w)
	return w
}

// remember makes room for a walk and notes it.
func (c *Core) remember(w *walk) {
	log := &c.rumors
	c.forgetWalks(w.payload)
	if log.walks == nil {
		log.walks = map[RumorID]*walk{}
	}
	log.walks[w.id] = w
	log.queue = append(log.queue, w)
}

// forgetWalks drops walks that are long at rest, and the oldest ones until there is room for one more.
func (c *Core) forgetWalks(p *payload) {
	const seldom = walkLife / 10
	log := &c.rumors
	if p != nil {
		log.bytes += p.size
	}
	if len(log.queue) < maxRumors && log.bytes <= maxRumorBytes && c.at.since(log.lookedAt).Abs() < seldom {
		return
	}
	log.lookedAt = c.at
	for len(log.queue) > 0 {
		oldest := log.queue[0]
		old := oldest.rest != 0 && c.at.since(oldest.rest) > walkLife
		if !old && len(log.queue) < maxRumors && log.bytes <= maxRumorBytes {
			return
		}
		log.queue[0] = nil
		log.queue = log.queue[1:]
		c.drop(oldest)
	}
}

// wake makes a walk at rest ready for one more interval.
func (c *Core) wake(w *walk, p *payload) {
	w.payload, w.rest = p, 0
	c.forgetWalks(p)
}

// drop forgets a walk. One that was not at rest is left to anti-entropy.
func (c *Core) drop(w *walk) {
	if w.rest == 0 {
		c.metrics.RumorsDropped++
		c.giveUp(w)
		c.rest(w)
	}
	w.dropped = true
	delete(c.rumors.walks, w.id)
}

// rest gives back what a walk needs only while it is under way.
func (c *Core) rest(w *walk) {
	w.rest, w.due = c.at, 0
	if w.payload != nil {
		c.rumors.bytes -= w.payload.size
	}
	w.payload, w.unsent, w.riders, w.silent = nil, nil, nil, nil
	if w.timer >= 0 {
		heap.Remove(&c.rumors.timers, w.timer)
	}
}

// receiveRumor takes over an interval.
func (c *Core) receiveRumor(from Peer, p Packet, m rumor) {
	origin, known := c.owners.find(m.id.Origin)
	if m.id.Origin == c.cfg.ID || known && origin.generation > m.id.Generation {
		c.metrics.DroppedStale++
		return
	}
	w := c.rumors.walks[m.id]
	switch {
	case w != nil && w.rest != 0 && !w.holds(m.span) && m.flags&flagPlain == 0:
		if m.payload == nil && m.about == nil {
			return
		}
		c.wake(w, m.payload)
	case w != nil && m.flags&flagPlain != 0:
		c.metrics.RumorsDuplicate++
	case w != nil:
		if m.payload != nil {
			c.metrics.RumorsDuplicate++
		}
	case m.payload == nil && m.about == nil:
		return // a reminder of what we do not know: it will be handed to us again
	default:
		if m.payload != nil {
			c.metrics.RumorsReceived++
			c.mergePayload(m.payload)
			c.settle() // the parts are cut by what the rumor says of members, as at its origin
			if c.left {
				return
			}
			if !m.payload.urgent() {
				c.load.count(c.slot(), m.payload)
			}
		}
		w = c.begin(m)
		if m.flags&flagPlain != 0 {
			c.spreadPlainly(w)
		}
	}
	if m.flags&flagPlain == 0 {
		for _, place := range m.avoid {
			w.silence(w.order.find(place))
		}
		lazy := m.flags&(flagLazy|flagUrgent|flagCollect) == flagLazy
		c.take(w, duty{span: m.span, to: process{from, p.Boot}, lazy: lazy})
	}
	c.step(w)
}

// take accepts a duty. An interval that lies in one that is held already is only acknowledged.
func (c *Core) take(w *walk, d duty) {
	at := slices.IndexFunc(w.duties, func(o duty) bool { return o.span == d.span && o.to == d.to })
	if at >= 0 {
		w.duties[at].lazy = w.duties[at].lazy && d.lazy
	}
	switch {
	case at >= 0 && w.duties[at].answered:
		c.sendResult(w, &w.duties[at])
		return
	case at >= 0:
		c.acknowledge(w, d)
		return
	case len(w.duties) == maxDuties:
		return
	}
	w.duties = append(w.duties, d)
	if !w.holds(d.span) {
		if w.flags&flagCollect != 0 && d.span == wholeSpan && c.collect(w) {
			w.held = append(w.held, d.span)
		} else {
			c.cover(w, d.span)
		}
	}
	c.fulfil(w)
	if last := &w.duties[len(w.duties)-1]; !last.answered {
		c.acknowledge(w, d)
	}
}

// holds reports whether an interval lies in one that this node was asked to cover before.
func (w *walk) holds(s span) bool {
	return slices.ContainsFunc(w.held, func(h span) bool { return h.encloses(s) })
}

// step does what is due, sees what is fulfilled, and sets the timer.
func (c *Core) step(w *walk) {
	if w.dropped || w.rest != 0 {
		return
	}
	c.fulfil(w)
	open := len(w.unsent) > 0
	w.due = 0
	until := func(at instant) {
		if at != 0 && (w.due == 0 || at < w.due) {
			w.due = at
		}
	}
	for i := range w.parts {
		if p := &w.parts[i]; p.state != partDone && p.state != partSplit {
			open = true
			until(p.due)
		}
	}
	for i := range w.duties {
		if d := &w.duties[i]; !d.settled {
			open = true
			until(d.due)
		}
	}
	if !open {
		c.rest(w)
		return
	}
	until(w.release)
	until(w.ownDue)
	switch {
	case w.due == 0 && w.timer >= 0:
		heap.Remove(&c.rumors.timers, w.timer)
	case w.due == 0:
	case w.timer >= 0:
		heap.Fix(&c.rumors.timers, w.timer)
	default:
		heap.Push(&c.rumors.timers, w)
	}
}

// walkOn does for every rumor what is due.
func (c *Core) walkOn() {
	due := func(at instant) bool { return at != 0 && at <= c.at }
	for len(c.rumors.timers) > 0 && due(c.rumors.timers[0].due) {
		w := c.rumors.timers[0]
		if due(w.release) {
			if w.unsent != nil {
				c.spreadPlainly(w)
			} else {
				c.hand(w)
			}
		}
		if due(w.ownDue) {
			w.ownDue = 0
		}
		for i := 0; i < len(w.parts); i++ {
			if due(w.parts[i].due) {
				c.overdue(w, i)
			}
		}
		for i := range w.duties {
			if d := &w.duties[i]; !d.settled && due(d.due) {
				c.sendResult(w, d)
			}
		}
		c.step(w)
	}
}

// patient gives all walks a whole retry timeout from now on: this node was away, or its clock was set.
func (c *Core) patient() {
	for _, w := range c.rumors.timers {
		later := c.at.add(c.retryOf(w, &part{}))
		for _, at := range []*instant{&w.release, &w.ownDue, &w.due} {
			if *at != 0 {
				*at = later
			}
		}
		for i := range w.parts {
			if p := &w.parts[i]; p.due != 0 {
				p.due, p.sentAt = later, c.at
				p.tries = max(p.tries, 2) // not to be measured
			}
		}
		for i := range w.duties {
			if d := &w.duties[i]; d.due != 0 {
				d.due = later
			}
		}
	}
	heap.Init(&c.rumors.timers)
	for _, l := range c.outbox.late {
		l.due = c.now
	}
}
