package gossip

import (
	"math"
	"slices"
	"time"
)

// Parts of a rumor: how they are cut, handed over, asked for again and taken back.

// part is a stretch of the order that other members are to cover.
type part struct {
	span      span
	from, to  int
	state     partState
	delegate  int // the latest to be asked alone, or who acknowledged
	tries     int
	reminders int
	sentAt    instant
	due       instant
	result    result
}

type partState uint8

const (
	partWaiting  partState = iota // to be handed over
	partAsked                     // handed over, not acknowledged
	partReceived                  // acknowledged
	partReminded                  // acknowledged, and asked how it stands
	partRiding                    // travels in a rumor of this node that carries others
	partDone
	partSplit // others have taken its place
)

// cover cuts an interval, and hands its parts over.
func (c *Core) cover(w *walk, s span) {
	from, to := w.order.within(s)
	if to-from > 1 {
		levels, _ := rounds(to-from, c.cfg.Fanout)
		w.parts = slices.Grow(w.parts, min(levels*c.cfg.Fanout, to-from))
	}
	w.order.cut(from, to, w.self, s, c.cfg.Fanout, w.holds, func(from, to int, s span) {
		w.parts = append(w.parts, part{span: s, from: from, to: to})
	})
	w.held = append(w.held, s)
	c.hand(w)
}

// hand hands over the parts that wait: all of them, or so many as there are in a round.
func (c *Core) hand(w *walk) {
	allowed := len(w.parts)
	if c.cfg.Stepwise && !c.left {
		if w.release > c.at {
			return
		}
		allowed = c.cfg.Fanout
	}
	w.release = 0
	for i := 0; i < len(w.parts); i++ {
		if w.parts[i].state != partWaiting {
			continue
		}
		if allowed == 0 {
			w.release = c.at.add(c.cfg.Tick)
			return
		}
		allowed--
		c.handOver(w, i)
	}
	if c.cfg.Stepwise && allowed == 0 {
		w.release = c.at.add(c.cfg.Tick) // the next ones wait, even if they come earlier
	}
}

// handOver hands a part to its first member that is not known to be silent; a large one, where much gets lost, to a
// second one as well.
func (c *Core) handOver(w *walk, i int) {
	p := &w.parts[i]
	first := w.pick(p, p.from, -1)
	switch {
	case first < 0 && p.to-p.from > 1:
		c.split(w, i)
		return
	case first < 0:
		first = p.from
	}
	p.state, p.tries, p.delegate, p.sentAt = partAsked, 1, first, c.at
	p.due = c.at.add(c.retryOf(w, p))
	c.pass(w, p, first, true)
	if p.to-p.from > (c.cfg.Fanout+1)*(c.cfg.Fanout+1) && w.flags&flagCollect == 0 && c.estimate.lossy() {
		c.passSecond(w, p)
	}
}

// pick is the first member of the part, from index at on and around, that is neither silent nor the excepted one;
// -1: there is none.
func (w *walk) pick(p *part, at, except int) int {
	for i := range p.to - p.from {
		candidate := p.from + (at-p.from+i)%(p.to-p.from)
		if candidate != except && candidate != w.self && !slices.Contains(w.silent, int32(candidate)) {
			return candidate
		}
	}
	return -1
}

// silence notes a member that does not answer.
func (w *walk) silence(i int) {
	if i >= 0 && len(w.silent) < maxSilent && !slices.Contains(w.silent, int32(i)) {
		w.silent = append(w.silent, int32(i))
	}
}

// passSecond hands the part to a second delegate as well: the one that the first would hand most of it to, so that
// what both of them do meets soon.
func (c *Core) passSecond(w *walk, p *part) {
	list, _ := sizes(p.to-p.from, c.cfg.Fanout)
	if second := w.pick(p, p.from+list[0], p.delegate); second >= 0 {
		c.metrics.Retries++
		c.pass(w, p, second, true)
	}
}

// pass sends the part to one of its members; without payload it is a reminder.
func (c *Core) pass(w *walk, p *part, member int, whole bool) {
	m := &w.roster.members[w.order.members[member]]
	to, boot := m.Addr, m.Boot
	if w.roster != c.view.roster {
		if m, ok := c.view.Member(m.ID); ok {
			to, boot = m.Addr, m.Boot
		}
	}
	body := rumor{id: w.id, slot: w.slot, span: p.span, flags: w.flags}
	if p.tries > 1 {
		body.flags |= flagUrgent
	}
	if whole {
		body.payload, body.about = w.payload, w.about
		c.metrics.PayloadsSent++
	}
	if p.tries > 1 && member != p.delegate {
		body.avoid = append(body.avoid, w.order.places[p.delegate])
	}
	for _, silent := range w.silent {
		if i := int(silent); len(body.avoid) < maxAvoid && p.from <= i && i < p.to && i != member {
			body.avoid = append(body.avoid, w.order.places[i])
		}
	}
	c.send(to, boot, body)
}

// retryOf is how long a part waits for an answer: a first one may be lazy, unless it comes from a collector.
func (c *Core) retryOf(w *walk, p *part) time.Duration {
	lazy := w.flags&(flagLazy|flagCollect) == flagLazy && p.tries <= 1
	retry := c.estimate.retry(c.cfg.RetryFloor)
	if w.payload != nil && w.payload.size > MaxDatagram {
		retry *= streamRetries // a stream loses nothing by itself, and takes longer
	}
	if lazy {
		retry += c.lazyTime()
	}
	return retry
}

// overdue deals with a part that was not heard of in time.
func (c *Core) overdue(w *walk, i int) {
	p := &w.parts[i]
	alone := p.to-p.from == 1
	switch p.state {
	case partAsked:
		if p.tries == 1 {
			c.estimate.asked(false)
		}
		c.askAgain(w, i)
	case partReceived:
		p.reminders++
		switch {
		case p.reminders <= maxReminders:
			p.state, p.tries = partReminded, 2
			p.due = c.at.add(c.retryOf(w, p))
			c.pass(w, p, p.delegate, false)
		case alone:
			c.miss(w, p)
		case w.flags&flagCollect != 0 && w.id.Origin == c.cfg.ID:
			c.takeFromCollector(w, i)
		default:
			c.split(w, i)
		}
	case partReminded:
		if p.tries == 2 {
			p.tries = 3
			p.due = c.at.add(c.retryOf(w, p))
			c.pass(w, p, p.delegate, false)
			return
		}
		p.state = partAsked // it has gone since
		c.askAgain(w, i)
	case partWaiting, partRiding, partDone, partSplit:
		p.due = 0
	}
}

func (c *Core) askAgain(w *walk, i int) {
	p := &w.parts[i]
	switch alone := p.to-p.from == 1; {
	case w.flags&flagCollect != 0 && w.id.Origin == c.cfg.ID && p.tries >= c.estimate.tries(1):
		c.takeFromCollector(w, i)
	case alone && p.tries >= c.estimate.tries(len(w.order.members)):
		c.miss(w, p)
	case alone, p.tries == 1, w.flags&flagCollect != 0 && w.id.Origin == c.cfg.ID:
		p.tries++
		p.due = c.at.add(c.retryOf(w, p))
		c.metrics.Retries++
		c.pass(w, p, p.delegate, true)
		if !alone && w.flags&flagCollect == 0 {
			c.passSecond(w, p)
		}
	default:
		w.silence(p.delegate)
		c.split(w, i)
	}
}

// miss gives up a part's only member.
func (c *Core) miss(w *walk, p *part) {
	p.state, p.due = partDone, 0
	p.result = result{min: math.MaxUint64, missing: []NodeID{w.roster.members[w.order.members[p.from]].ID}}
}

// split takes a part back, and hands it over in smaller ones.
func (c *Core) split(w *walk, i int) {
	taken := w.parts[i]
	w.parts[i].state, w.parts[i].due = partSplit, 0
	w.parts[i].result = result{}
	first := len(w.parts)
	w.order.cut(taken.from, taken.to, -1, taken.span, c.cfg.Fanout, nil, func(from, to int, s span) {
		w.parts = append(w.parts, part{span: s, from: from, to: to})
	})
	for i := first; i < first+min(c.cfg.Fanout+1, taken.to-taken.from); i++ {
		c.metrics.Retries++
		c.handOver(w, i)
	}
}
