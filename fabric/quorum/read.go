package quorum

import (
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// inquiry is a quorum read under way: it asks voters what they have accepted last. When a quorum names the same
// ballot, the state was chosen, and nothing was chosen after it before the read began; nobody had to save anything.
// When they differ, a round of its own completes the highest one, or finds that nobody will.
type inquiry struct {
	turn     turn
	state    *State // at the highest ballot reported
	at       Ballot
	agreed   []gossip.NodeID // who reported it
	answered []gossip.NodeID // who reported anything, or refused
}

func (c *Core) ask(now time.Time, p *proposer) {
	p.phase = asking
	p.inquiry = inquiry{turn: c.turn(), agreed: p.inquiry.agreed[:0], answered: p.inquiry.answered[:0]}
	c.broadcast(now, p)
}

func (c *Core) onReport(now time.Time, from gossip.NodeID, m report) {
	p := c.proposers[m.group]
	if p == nil || m.turn != p.inquiry.turn {
		return
	}
	if m.state != nil && p.learn(m.accepted, &m.state.Configuration) {
		c.learned(now, p)
	}
	if p.phase != asking {
		c.work(now, p)
		return
	}
	q := &p.inquiry
	q.answered = add(q.answered, from)
	if m.state != nil {
		switch m.accepted.Compare(q.at) {
		case 1:
			q.state, q.at, q.agreed = m.state, m.accepted, append(q.agreed[:0], from)
		case 0:
			q.agreed = add(q.agreed, from)
		}
	}
	if q.state != nil && q.state.quorum(q.agreed) {
		c.finish(p, q.state, Done)
	} else {
		c.askedAll(now, p)
	}
	c.work(now, p)
}

// onNoReport counts a refusal as an answer, and learns from it whom to ask.
func (c *Core) onNoReport(now time.Time, from gossip.NodeID, p *proposer, m refuse) {
	if m.turn != p.inquiry.turn {
		return
	}
	if p.learn(m.accepted, m.configuration) {
		c.learned(now, p)
	}
	if p.phase == asking {
		p.inquiry.answered = add(p.inquiry.answered, from)
		c.askedAll(now, p)
	}
	c.work(now, p)
}

// askedAll gives up on agreement when everybody has answered.
func (c *Core) askedAll(now time.Time, p *proposer) {
	for _, set := range [][]Voter{p.known.Voters, p.known.Next} {
		for _, v := range set {
			if !slices.Contains(p.inquiry.answered, v.ID) {
				return
			}
		}
	}
	c.repair(now, p)
}

// repair has the highest state accepted by a quorum.
func (c *Core) repair(now time.Time, p *proposer) {
	if p.kept {
		c.advance(now, p)
		return
	}
	c.prepare(now, p)
}
