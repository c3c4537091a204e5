package quorum

import (
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// The voter: what a node has promised and accepted in a group. Everything but the lease is in the log before it is
// answered.

// register is a voter's record of a group.
type register struct {
	group    GroupID
	promised Ballot         // its Step is 0
	accepted Ballot         // of state, or of left; zero: nothing
	state    *State         // nil: nothing accepted, or dropped since the node left
	left     *Configuration // chosen without this node, and nothing was accepted since; nil: the node votes
	changed  bool           // since the last Ready
	lease    grant
}

func (c *Core) touch(g *register) {
	if !g.changed {
		g.changed = true
		c.changed = append(c.changed, g)
	}
}

// admit finds the record by which the node may vote in a configuration, and makes an empty one only where the
// configuration itself says that the node has never voted. A node that has left votes again in a later configuration
// that invites it. It has dropped what it had accepted, so it promises with the ballot at which it left: whoever
// counts the promise has to find a state that is as new.
func (c *Core) admit(group GroupID, at Ballot, f *Configuration) (*register, reason) {
	g := c.registers[group]
	if g != nil && g.left == nil {
		return g, 0
	}
	self, named := f.find(c.cfg.ID)
	switch {
	case !named, g != nil && (f.Epoch <= g.left.Epoch || at.compareRound(&g.accepted) <= 0):
		return g, reasonNoVoter
	case g != nil && (self.Joining || g.promised.compareRound(&g.accepted) > 0): // invited now, or already
		return g, 0
	case !self.Joining:
		if f.Epoch > 0 { // somebody has seen this node's record
			c.tell(StateLost{group})
		}
		return g, reasonNoRecord
	case len(c.registers) >= MaxGroups:
		return nil, reasonFull
	}
	g = &register{group: group}
	c.registers[group] = g
	return g, 0
}

func (c *Core) onPrepare(from gossip.NodeID, m prepare) {
	g, why := c.admit(m.group, m.ballot, &m.configuration)
	if why == 0 && m.ballot.compareRound(&g.promised) < 0 {
		why = reasonOutbid
	}
	if why != 0 {
		c.refuse(from, refuse{group: m.group, ballot: m.ballot, reason: why}, g)
		return
	}
	if m.ballot.compareRound(&g.promised) > 0 {
		g.promised = m.ballot.round()
		c.touch(g)
	}
	c.to(from, promise{m.group, m.ballot, g.accepted, g.state})
}

func (c *Core) onAccept(from gossip.NodeID, m accept) {
	g, why := c.admit(m.group, m.ballot, &m.state.Configuration)
	if why == 0 {
		if _, named := m.state.find(c.cfg.ID); !named {
			why = reasonNoVoter
		} else if m.ballot.compareRound(&g.promised) < 0 {
			why = reasonOutbid
		}
	}
	if why != 0 {
		c.refuse(from, refuse{group: m.group, ballot: m.ballot, reason: why}, g)
		return
	}
	switch m.ballot.Compare(g.accepted) {
	case -1:
		return // a late copy of an earlier step
	case 1:
		g.promised, g.accepted, g.state, g.left = m.ballot.round(), m.ballot, m.state, nil
		c.touch(g)
	}
	c.to(from, accepted{m.group, m.ballot})
}

func (c *Core) onQuery(from gossip.NodeID, m query) {
	g := c.registers[m.group]
	switch {
	case g == nil:
		c.refuse(from, refuse{group: m.group, turn: m.turn, reason: reasonNoRecord}, nil)
	case g.left != nil:
		c.refuse(from, refuse{group: m.group, turn: m.turn, reason: reasonNoVoter}, g)
	default:
		c.to(from, report{m.group, m.turn, g.accepted, g.state})
	}
}

// refuse adds what the voter knows.
func (c *Core) refuse(to gossip.NodeID, m refuse, g *register) {
	if g != nil {
		m.promised, m.accepted, m.configuration = g.promised, g.accepted, g.known()
	}
	c.to(to, m)
}

// known is the configuration at accepted; nil: none.
func (g *register) known() *Configuration {
	if g.left != nil {
		return g.left
	}
	if g.state != nil {
		return &g.state.Configuration
	}
	return nil
}

// onRetire drops the value: the configuration was chosen, so the new voters have it. A node that has promised a higher
// ballot may be invited again already; it keeps what it has, which does no harm.
func (c *Core) onRetire(m retire) {
	g := c.registers[m.group]
	if g == nil || m.ballot.Compare(g.accepted) <= 0 || m.ballot.compareRound(&g.promised) < 0 {
		return
	}
	if _, named := m.configuration.find(c.cfg.ID); named || m.configuration.Joint() {
		c.metrics.Invalid++
		return
	}
	g.left, g.accepted, g.state = &m.configuration, m.ballot, nil
	c.touch(g)
}

// grant is a lease that a voter has given. It is not in the log: a voter that began anew grants nothing for one
// lease.
type grant struct {
	holder gossip.NodeID
	turn   turn      // the latest
	until  time.Time // by this voter's clock
}

// onRenew grants or refuses the lease. A voter refuses everybody but the holder until the lease has run out by its own
// clock; nothing shortens that but the holder's surrender.
func (c *Core) onRenew(now time.Time, from gossip.NodeID, m renew) {
	g := c.registers[m.group]
	answer := granted{group: m.group, turn: m.turn, refused: true}
	if g == nil || g.known() == nil {
		c.to(from, answer)
		return
	}
	answer.accepted = g.accepted
	if f := g.known(); f.digest() != m.digest {
		answer.configuration = f
	}
	lease := g.known().Lease
	switch {
	case g.left != nil || lease == 0:
	case c.restarted && now.Before(c.began.Add(lease)):
		answer.wait = c.began.Add(lease).Sub(now)
	case g.lease.holder != from && now.Before(g.lease.until):
		answer.wait, answer.holder = g.lease.until.Sub(now), g.lease.holder
	default:
		if g.lease.holder != from || g.lease.turn.boot != m.turn.boot || g.lease.turn.number < m.turn.number {
			g.lease.holder, g.lease.turn = from, m.turn
		}
		g.lease.until = now.Add(lease)
		answer.refused = false
	}
	c.to(from, answer)
}

// onSurrender ends the lease, unless it was granted again since.
func (c *Core) onSurrender(from gossip.NodeID, m surrender) {
	if g := c.registers[m.group]; g != nil && g.lease.holder == from && g.lease.turn.boot == m.turn.boot && g.lease.turn.number <= m.turn.number {
		g.lease.until = time.Time{}
	}
}
