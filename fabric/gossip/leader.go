package gossip

import (
	"errors"
	"time"
)

// What the leader does. It is computed, not elected, so that there may be two, or one that sees an old world. What
// it decides is right all the same:
//
//   - It acts on a view that is proven: every member that counts, and that it reaches, agrees on all that was decided
//     before (View.Agreed). A member that counts, is unreachable and not Down stands in the way, so that of two sides
//     of a partition one at most decides anything.
//   - What it decides goes into the record of one process, which moves forward only (recordOrder), together with the
//     view that it rests on. Deciding twice changes nothing.
//   - When it could not act for Config.WeakAfter, it lets in who waits all the same, as weak members.
//
// What stands in the way, and who, it writes into its own state for everybody to see: View.Blockage.

// blockageAfter is how long the leader must be stuck before it says so.
const blockageAfter = time.Second

// leading is what this node knows as a leader.
type leading struct {
	inquiry inquiry
	at      time.Time // when to look again; zero: when something changes
	since   time.Time // when it began to be stuck; zero: it is not
	refused error     // why the last decision could not be written
}

// rewind goes on after the clock was set back: nothing began later than now.
func (l *leading) rewind(now time.Time) {
	if l.since.After(now) {
		l.since = now
	}
}

// decision is a record to be written.
type decision struct {
	id     NodeID
	to     process
	record admission
}

// acts reports whether this node is to decide. Where no member is Up that could lead, the first of the others does.
func (c *Core) acts() bool {
	if c.left || !c.synced || c.cluster.IsZero() || c.clockOff {
		return false
	}
	if leader, ok := c.view.Leader(); ok {
		return leader == c.cfg.ID
	}
	var first *Member
	for i := range c.view.members {
		switch m := &c.view.members[i]; {
		case m.Status == StatusUp:
			return false // it will lead again
		case !m.Reachable || m.Status != StatusJoining && m.Status != StatusLeaving:
		case first == nil || m.olderThan(first):
			first = m
		}
	}
	return first != nil && first.ID == c.cfg.ID
}

// lead decides what is to be decided, if this node is the leader and may.
func (c *Core) lead() {
	if !c.acts() {
		c.unstick()
		return
	}
	decisions, raise := c.decisions(), c.raisable()
	waiting := len(decisions) > 0 || raise > 0
	required, blockers := c.required()
	switch {
	case len(blockers) > 0:
	case !waiting:
		c.unstick()
		return
	case c.proves(&c.leading.inquiry, proof{agreed: c.view.agreed, set: setOf(required)}) && c.enact(decisions, raise):
		c.unstick()
		return
	}
	if c.leading.since.IsZero() {
		c.leading.since = c.now
	}
	if stuck := c.now.Sub(c.leading.since); waiting && stuck >= c.cfg.WeakAfter {
		c.admitWeakly(decisions)
	}
	c.block(waiting, blockers)
}

// unstick notes that nothing waits any more.
func (c *Core) unstick() {
	c.leading.at, c.leading.since, c.leading.refused = time.Time{}, time.Time{}, nil
	c.setBlockage(nil)
}

// decisions are the records to be written, those that end a life first.
func (c *Core) decisions() (list []decision) {
	last := uint64(0)
	add := func(m Member, status Status) {
		list = append(list, decision{m.ID, process{m.Addr, m.Boot}, admission{
			status: status, upNumber: m.UpNumber, generation: m.Generation, weak: m.Weak, based: c.view.agreed,
		}})
	}
	for o := range c.owners.all() {
		a := c.admissionOf(o.id)
		if a != nil {
			last = max(last, a.upNumber)
		}
		if o.about != nil && o.about.phase == phaseGone && !a.over(o.generation) {
			add(memberOf(o, a), StatusRemoved)
			list[len(list)-1].record.based = 0 // it rests on the member's own word
		}
	}
	for i := range c.view.members {
		m := &c.view.members[i]
		o, ok := c.owners.find(m.ID)
		if !ok {
			continue
		}
		switch {
		case m.Status == StatusLeaving && m.Reachable:
			add(*m, StatusExiting)
		case m.Status == StatusExiting && (o.about.phase == phaseExited || !m.Reachable):
			add(*m, StatusRemoved)
		case m.Status == StatusDown && (o.about.phase != phaseHere || m.UpNumber == 0 && !m.Weak):
			add(*m, StatusRemoved) // it wanted to go, or never was in
		}
	}
	for i := range c.view.members {
		if m := c.view.members[i]; m.Reachable && (m.Status == StatusJoining || m.Status == StatusUp && m.Weak) {
			last++
			m.UpNumber, m.Weak = last, false
			add(m, StatusUp)
		}
	}
	return list
}

// enact writes the decisions; false: one of them could not be written.
func (c *Core) enact(list []decision, raise uint16) bool {
	for i := range list {
		if err := c.record(list[i].id, list[i].record); err != nil {
			c.refuse(list[i].id, err)
			return false
		}
		c.tell(&list[i])
	}
	if raise > 0 {
		if err := c.writeShared(protocolKey, encodeProtocol(raise), false); err != nil {
			c.refuse(c.cfg.ID, err)
			return false
		}
	}
	return true
}

// refuse says that a decision could not be written, and sees to it that it is tried again.
func (c *Core) refuse(id NodeID, err error) {
	if !errors.Is(c.leading.refused, err) {
		c.report(LeaderRefused{Member: id, Err: err})
	}
	c.leading.refused, c.leading.at = err, c.now.Add(lastRepeat)
}

// tell hands a process that was removed its record: rumors do not reach it any more.
func (c *Core) tell(d *decision) {
	s, ok := c.shared.find(sharedKey(admissionKey(d.id)))
	if ok && d.record.status == StatusRemoved && d.id != c.cfg.ID {
		c.send(d.to.addr, d.to.boot, stateChunk{root: c.root(), shared: []*shared{s}})
	}
}

// admitWeakly lets in who has waited too long. Such members have no number: they never count.
func (c *Core) admitWeakly(list []decision) {
	for _, d := range list {
		if m, ok := c.view.Member(d.id); !ok || m.Status != StatusJoining || d.record.status != StatusUp {
			continue
		}
		d.record.upNumber, d.record.weak, d.record.based = 0, true, 0
		if err := c.record(d.id, d.record); err != nil {
			c.refuse(d.id, err)
			return
		}
	}
}

// block says what stands in the way, once that takes long, and sees to it that the leader looks again.
func (c *Core) block(waiting bool, blockers []NodeID) {
	if !waiting {
		c.setBlockage(nil)
		return
	}
	for _, after := range []time.Duration{blockageAfter, c.cfg.WeakAfter} {
		if at := c.leading.since.Add(after); at.After(c.now) && (c.leading.at.IsZero() || at.Before(c.leading.at)) {
			c.leading.at = at
		}
	}
	if c.now.Sub(c.leading.since) < blockageAfter {
		return
	}
	switch {
	case c.leading.refused != nil:
		c.setBlockage(&Blockage{Cause: CauseFull})
	case len(blockers) > 0:
		c.setBlockage(&Blockage{Cause: CauseUnreachable, Members: blockers})
	default:
		c.setBlockage(&Blockage{Cause: CauseDisagree, Members: c.leading.inquiry.missing})
	}
}
