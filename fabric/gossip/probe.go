package gossip

import (
	"slices"
	"time"
)

const (
	// watched is how many successors on the hash ring a node probes in a cluster too large to probe everybody.
	watched = 8
	// maxWatched is how many it probes at most, passing over unreachable ones.
	maxWatched = 64
	// maxClockError is how far this node's clock may be off its peers' median before it stops to stamp shared keys.
	maxClockError = 500 * time.Millisecond
	// ackWindow is how many of the latest probes to a member may still be answered.
	ackWindow = 4
)

// peer is a member that this node probes.
type peer struct {
	id          NodeID
	sequence    uint64 // of the latest probe
	sentAt      time.Time
	answered    bool
	misses      int
	unreachable bool
	proven      bool // false for members out of a snapshot until they answer: not reachable, but not accused either
	fast        bool // refused a connection: is probed on a short scale
	boot        BootID

	measured bool
	rtt      time.Duration
	offset   time.Duration // of the peer's clock to ours

	root         uint64 // what the peer last said, if heard
	heard        bool
	unequalSince time.Time // zero: the roots are equal as far as we know
	lookAt       time.Time // when to compare if they still are unequal; zero: not at all
}

// lostProbe is the latest probe to an address where somebody may be whom we have lost.
type lostProbe struct {
	to       Peer
	sequence uint64
	cursor   int
}

// finding is our own opinion of a member.
func (c *Core) finding(id NodeID) (reachable, known bool) {
	if id == c.cfg.ID {
		return true, true
	}
	if p := c.peer(id); p != nil {
		return p.proven && !p.unreachable, true
	}
	return false, false
}

func (c *Core) peer(id NodeID) *peer {
	i, ok := slices.BinarySearchFunc(c.peers, id, func(p *peer, id NodeID) int { return p.id.Compare(id) })
	if !ok {
		return nil
	}
	return c.peers[i]
}

// watch chooses whom to probe: everybody in a small cluster, else the successors on the hash ring. Who stays keeps
// what is known about it.
func (c *Core) watch() {
	var ids []NodeID
	all, good := len(c.view.members) <= watched+1, 0
	c.view.successors(c.cfg.ID, func(m Member) bool {
		ids = append(ids, m.ID)
		if m.Reachable {
			good++
		}
		return all || good < watched && len(ids) < maxWatched
	})
	slices.SortFunc(ids, NodeID.Compare)
	if slices.EqualFunc(ids, c.peers, func(id NodeID, p *peer) bool { return id == p.id }) {
		return
	}
	first := len(c.peers) == 0 && c.synced
	peers := make([]*peer, 0, len(ids))
	for _, id := range ids {
		p := c.peer(id)
		if p == nil {
			m, _ := c.view.Member(id)
			p = &peer{id: id, sequence: c.random.Uint64(), answered: true, proven: c.synced, unreachable: c.synced && !m.Reachable}
		}
		peers = append(peers, p)
	}
	c.peers = peers
	if !first { // the first peers are taken for what the view says of them
		c.judged()
	}
}

// judged publishes what the failure detector has found anew.
func (c *Core) judged() {
	c.touch(true)
	if c.cluster.IsZero() {
		return
	}
	var found report
	found.clockOff = c.clockOff
	for _, p := range c.peers {
		if p.unreachable {
			found.unreachable = append(found.unreachable, p.id)
		}
	}
	// Neither write can be refused: the value is small and the key is ours.
	if before := c.self().report; !found.clockOff && len(found.unreachable) == 0 {
		_ = c.writeOwn(keyReport, nil, true)
	} else if before == nil || !before.equal(&found) {
		_ = c.writeOwn(keyReport, found.encode(), false)
	}
}

// probeRound judges the last round and begins the next.
func (c *Core) probeRound() {
	changed := false
	for _, p := range c.peers {
		if !p.fast {
			changed = c.judge(p, c.cfg.ProbeTimeout) || changed
			c.probe(p)
		}
	}
	if c.synced {
		c.probeLost()
	}
	if off := c.clockIsOff(); off != c.clockOff {
		c.clockOff, changed = off, true
	}
	if changed {
		c.judged()
	}
	if c.synced && c.alone() && len(c.joining.seeds) > 0 && c.joining.at.IsZero() {
		c.joining.at = c.now.Add(c.cfg.JoinRetry) // perhaps the others have new addresses
	} else if c.synced && !c.alone() {
		c.joining.at = time.Time{}
	}
	tenth := c.cfg.ProbeInterval / 10
	c.probeAt = c.now.Add(c.cfg.ProbeInterval - tenth + c.spread(2*tenth))
}

// alone reports whether no other member is reachable.
func (c *Core) alone() bool {
	return !slices.ContainsFunc(c.view.members, func(m Member) bool { return m.Reachable && m.ID != c.cfg.ID })
}

// judge counts the latest probe as missed if it was not answered in time; it reports whether that is the verdict.
func (c *Core) judge(p *peer, timeout time.Duration) bool {
	if p.answered || c.now.Sub(p.sentAt) < timeout {
		return false
	}
	p.misses++
	c.metrics.ProbesMissed++
	if !p.unreachable {
		c.estimate.asked(false)
	}
	if p.misses < c.cfg.ProbeMisses || p.unreachable {
		return false
	}
	p.unreachable, p.fast, p.measured = true, false, false
	return true
}

// probe asks a peer. One that is not known to be there may have another process by now.
func (c *Core) probe(p *peer) {
	m, ok := c.view.Member(p.id)
	if !ok {
		return
	}
	boot := m.Boot
	if p.unreachable || !p.proven || p.misses > 0 {
		boot = 0
	}
	p.sequence++
	p.sentAt, p.answered = c.now, false
	c.metrics.ProbesSent++
	c.send(m.Addr, boot, c.question(p.sequence))
}

// nudge probes a peer at once that we take for unreachable and that has just spoken to us, if the latest probe was
// sent so long ago.
func (c *Core) nudge(id NodeID, after time.Duration) {
	if p := c.peer(id); p != nil && (p.unreachable || !p.proven) && c.now.Sub(p.sentAt) >= after {
		c.probe(p)
	}
}

// confirm probes at once whom another monitor has begun to miss: if that member's process is gone, its host refuses
// us, too.
func (c *Core) confirm(before, after *owner) {
	if after.report == nil {
		return
	}
	for _, id := range after.report.unreachable {
		missedBefore := before != nil && before.report != nil && slices.Contains(before.report.unreachable, id)
		if p := c.peer(id); p != nil && p.answered && !p.unreachable && !missedBefore {
			c.probe(p)
		}
	}
}

func (c *Core) question(sequence uint64) probe {
	return probe{sequence: sequence, root: c.root(), wall: c.now.UnixMicro()}
}

// probeLost asks one unreachable member that is not among our peers, or one seed that is no reachable member's
// address, so that a healed partition is noticed, whoever has moved meanwhile.
func (c *Core) probeLost() {
	members, lost, seeds := c.view.members, c.view.lost, c.joining.seeds
	for range len(lost) + len(seeds) {
		c.lost.cursor = (c.lost.cursor + 1) % (len(lost) + len(seeds))
		var to Peer
		if c.lost.cursor < len(lost) {
			m := &members[lost[c.lost.cursor]]
			if c.peer(m.ID) != nil {
				continue
			}
			to = m.Addr
		} else {
			to = seeds[c.lost.cursor-len(lost)]
			if slices.ContainsFunc(members, func(m Member) bool { return m.Reachable && m.Addr == to }) {
				continue
			}
		}
		c.lost.to, c.lost.sequence = to, c.random.Uint64()
		c.metrics.ProbesSent++
		c.send(to, 0, c.question(c.lost.sequence))
		return
	}
}

// refusedBy carries out PeerRefused.
func (c *Core) refusedBy(from Peer) {
	c.receiveRefusal(from, ReasonRefused)
	for _, p := range c.peers {
		if m, ok := c.view.Member(p.id); ok && m.Addr == from && !p.fast && !p.unreachable {
			p.fast = true
			c.probe(p)
			if c.fastAt.IsZero() {
				c.fastAt = c.now.Add(c.cfg.RefusedInterval)
			}
		}
	}
}

// probeFast goes on with the peers that refused a connection.
func (c *Core) probeFast() {
	c.fastAt = time.Time{}
	changed := false
	for _, p := range c.peers {
		if !p.fast {
			continue
		}
		changed = c.judge(p, c.cfg.RefusedInterval/2) || changed
		if p.fast {
			c.probe(p)
			c.fastAt = c.now.Add(c.cfg.RefusedInterval)
		}
	}
	if changed {
		c.judged()
	}
}

// receiveAck takes the answer to a probe. One answer makes a member reachable again.
func (c *Core) receiveAck(from Peer, packet Packet, a ack) {
	if from == c.lost.to && a.sequence == c.lost.sequence {
		if a.root != c.root() {
			c.compare(partner{packet.Sender, from, packet.Boot})
		}
		return
	}
	p := c.peer(packet.Sender)
	if p == nil {
		return
	}
	if p.sequence-a.sequence >= ackWindow {
		c.metrics.DroppedUnexpected++
		return
	}
	c.metrics.AcksReceived++
	if a.sequence == p.sequence && !p.answered {
		p.answered, p.measured = true, true
		p.rtt = c.now.Sub(p.sentAt)
		c.estimate.sample(p.rtt)
		c.estimate.asked(true)
		p.offset = time.UnixMicro(a.wall).Sub(p.sentAt.Add(p.rtt / 2))
	}
	p.misses, p.fast, p.boot = 0, false, packet.Boot
	back := p.unreachable || !p.proven
	if back {
		p.unreachable, p.proven = false, true
		c.judged()
	}
	c.heardRoot(p, a.root)
	if back && !p.lookAt.IsZero() {
		c.compare(partner{p.id, from, packet.Boot}) // what it has missed is in no rumor under way
	}
}

// forgive forgets what peers seem to have missed while this node itself was not there.
func (c *Core) forgive() {
	c.metrics.Forgiven++
	for _, p := range c.peers {
		p.answered, p.fast, p.misses = true, false, 0
	}
	c.fastAt = time.Time{}
}

// clockIsOff compares our clock with the median of our peers' and our own; with two in the middle, with the nearer.
func (c *Core) clockIsOff() bool {
	offsets := []time.Duration{0}
	for _, p := range c.peers {
		if p.measured && !p.unreachable {
			offsets = append(offsets, p.offset)
		}
	}
	slices.Sort(offsets)
	low, high := offsets[(len(offsets)-1)/2], offsets[len(offsets)/2]
	return min(low.Abs(), high.Abs()) > maxClockError
}
