package gossip

import (
	"math"
	"slices"
	"time"
)

// Answers to rumors. Who was handed an interval acknowledges it at once and owes its result: how many members in it
// have the payload, a hash of their ids, and who is missing. A node that is alone in its interval sends the result
// in place of the receipt. Others send it when all their parts are done, and again until it is settled; or, if it is
// lazy, once, and again when they are reminded. At the origin the results add up to "the cluster has converged on this".

// gapTries is how many retry timeouts a payload waits for its predecessor before this node counts as missing; less
// than delegators wait for the result.
const gapTries = 48

// acknowledge sends a receipt.
func (c *Core) acknowledge(w *walk, d duty) {
	c.metrics.ReceiptsSent++
	c.reply(d.lazy, d.to, answer{id: w.id, span: d.span})
}

// sendResult answers a duty that is fulfilled.
func (c *Core) sendResult(w *walk, d *duty) {
	leaf := !slices.ContainsFunc(w.parts, func(p part) bool { return d.span.overlaps(p.span) })
	d.tries++
	d.due = c.at.add(c.estimate.retry(c.cfg.RetryFloor))
	if leaf || w.flags&flagLazy != 0 || d.tries > maxTries || w.rest != 0 {
		d.settled, d.due = true, 0
	}
	if d.tries > maxTries {
		return
	}
	c.metrics.DoneSent++
	c.reply(d.lazy, d.to, answer{id: w.id, span: d.span, done: true, confirm: !d.settled, result: d.result})
}

// fulfil answers the duties that nothing is open of any more.
func (c *Core) fulfil(w *walk) {
	for i := range w.duties {
		d := &w.duties[i]
		if d.answered {
			continue
		}
		if total, ok := c.sum(w, d.span); ok {
			d.answered, d.result = true, total
			if d.to.boot != 0 {
				c.sendResult(w, d)
				continue
			}
			d.settled = true
			c.conclude(w, total)
		}
	}
}

// sum is the result of an interval; not ok: a part of it is open, or reaches beyond it. Then the delegator will take
// the interval back and ask for less.
func (c *Core) sum(w *walk, s span) (total result, ok bool) {
	total.min = math.MaxUint64
	own := s.holds(w.place)
	for i := range w.parts {
		p := &w.parts[i]
		switch {
		case p.state == partSplit || !s.overlaps(p.span):
			continue
		case p.state != partDone || !s.encloses(p.span):
			return total, false
		}
		own = own && !p.span.holds(w.place)
		total.add(p.result, w.limit())
	}
	if own {
		part, ok := c.ownResult(w)
		if !ok {
			return total, false
		}
		total.add(part, w.limit())
	}
	return total, true
}

// limit is how many missing members a result of the walk names.
func (w *walk) limit() int {
	if w.about != nil {
		return maxNaysayers
	}
	return maxMissing
}

func (r *result) add(part result, limit int) {
	r.count += part.count
	r.xor ^= part.xor
	r.min = min(r.min, part.min)
	r.missing = append(r.missing, part.missing[:min(len(part.missing), limit-len(r.missing))]...)
	r.unequal = r.unequal || part.unequal
}

// ownResult is this node's own part of a result. A payload that waits for its predecessor is given some time.
func (c *Core) ownResult(w *walk) (r result, ok bool) {
	yes := func(version uint64) result { return result{count: 1, xor: c.cfg.ID.point(), min: version} }
	no := func(version uint64) result { return result{min: version, missing: []NodeID{c.cfg.ID}} }
	switch {
	case w.about != nil:
		version, holds := c.answerTo(w.about)
		if !holds {
			return no(version), true
		}
		return yes(version), true
	case w.without:
		return no(math.MaxUint64), true
	case w.payload == nil || c.has(w.payload):
		return yes(1), true
	case w.ownTry >= gapTries:
		w.without = true
		return no(math.MaxUint64), true
	case w.ownDue == 0:
		w.ownTry++
		w.ownDue = c.at.add(c.estimate.retry(c.cfg.RetryFloor))
	}
	return result{}, false
}

// has reports whether this node's state covers all that the payload says.
func (c *Core) has(p *payload) bool {
	for i := range p.own {
		d := &p.own[i]
		o, ok := c.owners.find(d.owner)
		if !ok || o.generation < d.generation || o.generation == d.generation && o.version < d.upto {
			return false
		}
	}
	for _, s := range p.shared {
		if mine, ok := c.shared.find(s.key); ok && newer(s, mine) || !ok && !s.deleted {
			return false
		}
	}
	return true
}

// conclude reports the result of one of this node's own walks.
func (c *Core) conclude(w *walk, total result) {
	after := c.at.since(w.started)
	for i := range w.roster.members { // nobody was asked to reach these
		if m := &w.roster.members[i]; !m.Reachable && m.ID != c.cfg.ID && len(total.missing) < w.limit() {
			total.missing = append(total.missing, m.ID)
		}
	}
	slices.SortFunc(total.missing, NodeID.Compare)
	total.missing = slices.Compact(total.missing) // a delegate may have tried one that we do not
	if w.about != nil {
		c.gathers--
		if w.inquiry != nil {
			c.inquired(w, total)
			return
		}
		c.report(Gathered{
			Request: w.request, Count: total.count, Min: total.min, Xor: total.xor, Missing: total.missing,
			Unequal: total.unequal, After: after,
		})
		return
	}
	for _, rider := range w.riders {
		c.arrived(rider, total)
	}
	w.riders = nil
	c.report(Converged{Rumor: w.id, Count: total.count, Missing: total.missing, Unequal: total.unequal, After: after})
}

// receiveAnswer takes a receipt or a result.
func (c *Core) receiveAnswer(from Peer, p Packet, a answer) {
	if a.confirm {
		c.send(from, p.Boot, settled{id: a.id, span: a.span})
	}
	w := c.rumors.walks[a.id]
	if w == nil || w.rest != 0 {
		return
	}
	i := slices.IndexFunc(w.parts, func(p part) bool { return p.span == a.span })
	if i < 0 {
		return
	}
	open := &w.parts[i]
	sender := w.order.find(place(w.slot, p.Sender.point()))
	switch open.state {
	case partAsked:
		if open.tries == 1 {
			c.estimate.asked(true)
			if w.flags&(flagLazy|flagCollect) != flagLazy {
				c.estimate.sample(c.at.since(open.sentAt))
			}
		}
	case partReceived, partReminded:
	case partWaiting, partRiding, partDone, partSplit:
		return
	}
	w.silent = slices.DeleteFunc(w.silent, func(i int32) bool { return int(i) == sender })
	if !a.done {
		open.state = partReceived
		open.due = c.at.add(c.patienceWith(w, open))
		if sender >= open.from && sender < open.to {
			open.delegate = sender
		}
		c.step(w)
		return
	}
	open.state, open.due, open.result = partDone, 0, a.result
	if !w.agrees(open) {
		open.result.unequal = true
		c.compareWith(p.Sender)
	}
	c.step(w)
}

// patienceWith is how long a delegator waits for a result before it asks how it stands.
func (c *Core) patienceWith(w *walk, p *part) time.Duration {
	eager := part{tries: 2}
	wait := patience * c.retryOf(w, &eager)
	if w.flags&flagLazy != 0 { // every level below takes its time to answer
		levels, _ := rounds(p.to-p.from, c.cfg.Fanout)
		wait += time.Duration(levels) * c.lazyTime()
	}
	return wait
}

// agrees reports whether the delegate saw the members that this node sees in the part.
func (w *walk) agrees(p *part) bool {
	r := &p.result
	if w.about != nil && len(r.missing) == maxNaysayers {
		return true // it cannot be told
	}
	seen := r.xor
	for _, id := range r.missing {
		seen ^= id.point()
	}
	return r.count+len(r.missing) == p.to-p.from && seen == w.order.ids[p.to]^w.order.ids[p.from]
}

// receiveSettled ends the repetition of a result.
func (c *Core) receiveSettled(p Packet, s settled) {
	w := c.rumors.walks[s.id]
	if w == nil {
		return
	}
	for i := range w.duties {
		if d := &w.duties[i]; d.answered && d.span == s.span && d.to.boot == p.Boot {
			d.settled, d.due = true, 0
		}
	}
	c.step(w)
}
