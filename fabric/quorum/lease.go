package quorum

import (
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// The holder's side of leases. A round asks all voters; when a quorum grants, the lease holds until one lease, less
// twice the drift of clocks, after the round was sent: no voter's lease can have run out by then, whichever clock is
// wrong in which direction. The answers' own way does not matter: an answer that a pause held up counts from before
// the pause.

// holding is a lease that the shell wants.
type holding struct {
	turn     turn      // of the round
	sent     time.Time // when the round began
	open     bool      // the round has no result yet
	asked    Configuration
	granted  []gossip.NodeID
	answered []gossip.NodeID
	wait     time.Duration // the longest that a voter refuses
	holder   gossip.NodeID // whom a voter names

	next  time.Time // when to send again
	held  bool
	until time.Time
}

// validity is how long a lease counts for the holder, from when it was asked for. With drift d the voter's lease
// lasts lease/(1+d) at least; the holder's clock must show the end before that, though it may be slow: lease·(1-d)/(1+d),
// which is more than lease·(1-2d).
func validity(lease time.Duration) time.Duration { return lease - 2*lease/DriftDivisor }

func (c *Core) hold(now time.Time, from gossip.NodeID, m Hold) {
	if from != c.cfg.ID {
		c.metrics.Invalid++
		return
	}
	p := c.proposer(now, m.Group, m.Voters, true)
	if p == nil || len(p.known.Voters) == 0 {
		c.tell(LeaseDenied{Group: m.Group})
		return
	}
	if p.lease == nil {
		p.lease = &holding{}
		c.renew(now, p)
	}
	c.schedule(p)
}

func (c *Core) release(now time.Time, from gossip.NodeID, m Release) {
	p := c.proposers[m.Group]
	if from != c.cfg.ID || p == nil || p.lease == nil {
		return
	}
	c.toVoters(&p.known, nil, surrender{p.group, p.lease.turn})
	if p.lease.held {
		c.tell(LeaseLost{p.group})
	}
	p.lease = nil
	p.idle = now.Add(IdleAfter)
	c.schedule(p)
}

// renew begins a round.
func (c *Core) renew(now time.Time, p *proposer) {
	l := p.lease
	l.turn, l.sent, l.open, l.asked = c.turn(), now, true, p.known
	l.granted, l.answered, l.wait, l.holder = l.granted[:0], l.answered[:0], 0, gossip.NodeID{}
	c.sendRenew(now, p)
}

func (c *Core) sendRenew(now time.Time, p *proposer) {
	l := p.lease
	l.next = now.Add(c.cfg.RenewInterval)
	c.toVoters(&p.known, l.answered, renew{p.group, l.turn, l.asked.digest()})
}

func (c *Core) onGranted(now time.Time, from gossip.NodeID, m granted) {
	p := c.proposers[m.group]
	if p == nil || p.lease == nil || m.turn != p.lease.turn {
		return
	}
	l := p.lease
	if !l.open {
		if !l.held && !m.refused { // too late to help, early enough to block others
			c.to(from, surrender{p.group, l.turn})
		}
		return
	}
	known := m.configuration
	if known == nil {
		known = &l.asked
	}
	l.answered = add(l.answered, from)
	if p.learn(m.accepted, known) {
		c.sendRenew(now, p) // to those who are named besides
	}
	if m.refused {
		if m.wait > l.wait {
			l.wait, l.holder = m.wait, m.holder
		}
	} else {
		l.granted = add(l.granted, from)
	}
	switch {
	case p.known.quorum(l.granted):
		c.holds(now, p)
	case c.hopeless(p):
		c.denied(now, p)
	}
	c.schedule(p)
}

// holds takes the lease for as long as it counts.
func (c *Core) holds(now time.Time, p *proposer) {
	l := p.lease
	l.open = false
	c.lapse(now, p)
	if until := l.sent.Add(validity(p.known.Lease)); now.Before(until) {
		l.held, l.until = true, until
		c.tell(LeaseHeld{p.group, until})
	}
}

// lapse notices that the lease has run out. Somebody else may have held it since, even when it is granted again.
func (c *Core) lapse(now time.Time, p *proposer) {
	if l := p.lease; l.held && !now.Before(l.until) {
		l.held = false
		c.tell(LeaseLost{p.group})
	}
}

// hopeless reports whether so many have refused that no quorum is left.
func (c *Core) hopeless(p *proposer) bool {
	l := p.lease
	left := make([]gossip.NodeID, 0, 2*MaxVoters)
	for _, set := range [][]Voter{p.known.Voters, p.known.Next} {
		for _, v := range set {
			if slices.Contains(l.granted, v.ID) || !slices.Contains(l.answered, v.ID) {
				left = append(left, v.ID)
			}
		}
	}
	return !p.known.quorum(left)
}

// denied gives back what a minority has granted, so that competitors do not block each other for a lease, and asks
// again when the voters may grant.
func (c *Core) denied(now time.Time, p *proposer) {
	l := p.lease
	l.open = false
	c.lapse(now, p)
	c.tell(LeaseDenied{p.group, l.holder, l.wait})
	if !l.held {
		for _, id := range l.granted {
			c.to(id, surrender{p.group, l.turn})
		}
	}
	wait := min(l.wait, c.cfg.RenewInterval)
	if wait == 0 || len(l.granted) > 0 {
		wait = time.Duration(c.random.Int64N(int64(c.cfg.RenewInterval)))
	}
	l.next = now.Add(wait + time.Millisecond)
}

// expireLease lets a lease run out, and begins or repeats a round. A round that half a lease did not complete is given
// up, since what it could still bring would soon be over.
func (c *Core) expireLease(now time.Time, p *proposer) {
	l := p.lease
	if l == nil {
		return
	}
	c.lapse(now, p)
	if now.Before(l.next) {
		return
	}
	switch {
	case l.open && !l.held && l.wait > 0: // the others are silent, and one refuses
		c.denied(now, p)
	case l.open && now.Before(l.sent.Add(p.known.Lease/2)):
		c.metrics.Resent++
		c.sendRenew(now, p)
	default:
		c.consult(p)
		c.renew(now, p)
	}
}
