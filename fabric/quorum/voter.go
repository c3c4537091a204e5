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
	accepted Ballot         // of state; without one it is where the node left or was admitted: older notices are void
	state    *State         // as accepted; nil: nothing yet, or the node has left
	left     *Configuration // chosen at accepted, without this node; nil: the node votes
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
// configuration itself says that the node has never voted.
func (c *Core) admit(group GroupID, at Ballot, f *Configuration) (*register, reason) {
	g := c.registers[group]
	if g != nil && g.left == nil {
		return g, 0
	}
	self, named := f.find(c.cfg.ID)
	switch {
	case !named, g != nil && f.Epoch <= g.left.Epoch:
		return g, reasonNoVoter
	case !self.Joining:
		if f.Epoch > 0 { // somebody has seen this node's record
			c.tell(StateLost{group})
		}
		return g, reasonNoRecord
	case g != nil: // it comes back; what it promised still binds it
		g.left, g.accepted = nil, at
		c.touch(g)
		return g, 0
	case len(c.registers) >= MaxGroups:
		return nil, reasonFull
	}
	g = &register{group: group, accepted: at}
	c.registers[group] = g
	c.touch(g)
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
	switch order := m.ballot.Compare(g.accepted); {
	case order < 0:
		return // a late copy of an earlier step
	case order > 0 || g.state == nil:
		g.promised, g.accepted, g.state = m.ballot.round(), m.ballot, m.state
		c.touch(g)
	}
	c.to(from, accepted{m.group, m.ballot})
}

func (c *Core) onQuery(from gossip.NodeID, m query) {
	g := c.registers[m.group]
	switch {
	case g == nil:
		c.refuse(from, refuse{group: m.group, number: m.number, reason: reasonNoRecord}, nil)
	case g.left != nil:
		c.refuse(from, refuse{group: m.group, number: m.number, reason: reasonNoVoter}, g)
	default:
		c.to(from, report{m.group, m.number, g.accepted, g.state})
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

// onRetire drops the value: the configuration was chosen, so the new voters have it. What was promised is kept for
// the case that the node comes back.
func (c *Core) onRetire(m retire) {
	g := c.registers[m.group]
	if g == nil || g.left != nil || m.ballot.Compare(g.accepted) <= 0 {
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
	boot   gossip.BootID
	number uint64
	until  time.Time // by this voter's clock
}

// onRenew grants or refuses the lease. A voter refuses everybody but the holder until the lease has run out by its own
// clock; nothing shortens that but the holder's surrender.
func (c *Core) onRenew(now time.Time, from gossip.NodeID, m renew) {
	g := c.registers[m.group]
	answer := granted{group: m.group, boot: m.boot, number: m.number, refused: true}
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
		g.lease = grant{holder: from, boot: m.boot, number: max(m.number, g.lease.of(from, m.boot)), until: now.Add(lease)}
		answer.refused = false
	}
	c.to(from, answer)
}

// of is the number of the lease if it is of that process.
func (g grant) of(holder gossip.NodeID, boot gossip.BootID) uint64 {
	if g.holder == holder && g.boot == boot {
		return g.number
	}
	return 0
}

// onSurrender ends the lease, unless it was granted again since.
func (c *Core) onSurrender(from gossip.NodeID, m surrender) {
	if g := c.registers[m.group]; g != nil && g.lease.holder == from && g.lease.boot == m.boot && g.lease.number <= m.number {
		g.lease.until = time.Time{}
	}
}
