package gossip

import (
	"slices"
	"time"
)

// Anti-entropy: whatever has become of rumors, nodes find out by comparing hashes what one of them lacks, and hand
// it over.
//
//	A                                        B
//	roots ─────────────────────────────────▶ equal: no answer
//	      ◀───────────────────────────────── sums, of each part that differs
//	digests, of the buckets that differ ───▶
//	      ◀───────────────────────────────── fill: what A lacks, and what B wants
//	fill: what B wants ────────────────────▶
//
// Where all digests fit a datagram, they are B's answer to roots, and the rest changes sides. No packet but the first
// has a state behind it on either side, so any may be lost, doubled or late. Every packet is bounded; where more
// differs than goes into one step, the fill says so and the comparison begins anew with what is left.

const (
	// maxUnequal is how long the state may go on changing before it is compared all the same.
	maxUnequal = time.Second
	// comparing is how long a comparison may take before another one with the same member may begin.
	comparing = 200 * time.Millisecond
	// maxOpen is how many comparisons with different members may begin within comparing; others are left to the
	// next occasion.
	maxOpen = 64
	// maxPartners is how many members are passed over in search of a reachable one.
	maxPartners = 64
	// paceBytes is how many bytes of sums, digests, fills and whole states a node sends per paceInterval. What would
	// be more is not sent: who asked will ask again.
	paceBytes    = 4 << 20
	paceInterval = 100 * time.Millisecond
	// idleShare is which part of the background comparisons take place while all probed members have our root: those
	// members and theirs, and so on, are all.
	idleShare = 10
)

// entropy is what a core knows of its comparisons.
type entropy struct {
	at     time.Time // the next one in the background
	cursor uint64    // where on the hash ring the latest partner is
	lookAt time.Time // the earliest of the peers' own; zero: none
	newsAt time.Time // when to tell others of news that came by comparison; zero: there is none
	toldAt time.Time // when that was done the last time
	idle   uint64    // background comparisons that were due
	moved  time.Time // when our own state last changed
	open   []opened  // oldest first

	spent      int // bytes, until spentUntil
	spentUntil time.Time
}

// opened is a comparison under way.
type opened struct {
	with NodeID
	at   time.Time
}

// partner is whom to compare with.
type partner struct {
	id   NodeID
	addr Peer
	boot BootID
}

// beginEntropy starts somewhere on the ring. The members are partners one after the other around it: nobody comes
// again before everybody has come, whoever joins or leaves meanwhile. All nodes walk the same ring, and by their
// different beginnings news spreads as fast as with random partners (Doerr, Friedrich and Sauerwald, "Quasirandom
// Rumor Spreading", 2008).
func (c *Core) beginEntropy() {
	c.entropy.cursor = c.random.Uint64()
	c.entropy.at = c.now.Add(c.spread(c.cfg.ExchangeInterval))
}

// rewindEntropy forgets times that a clock set back has put into the future.
func (c *Core) rewindEntropy() {
	c.entropy.open, c.entropy.spentUntil, c.entropy.toldAt, c.entropy.moved = nil, c.now, c.now, c.now
}

// tickEntropy does what is due.
func (c *Core) tickEntropy() {
	due := func(at time.Time) bool { return !at.IsZero() && !at.After(c.now) }
	if due(c.entropy.lookAt) {
		c.look()
	}
	if due(c.entropy.newsAt) {
		c.tellNews()
	}
	if due(c.entropy.at) {
		if c.entropy.idle++; !c.inStep() || c.entropy.idle%idleShare == 0 {
			c.compareNext()
		}
		tenth := c.cfg.ExchangeInterval / 10
		c.entropy.at = c.now.Add(c.cfg.ExchangeInterval - tenth + c.spread(2*tenth))
	}
}

// inStep reports whether all members that we probe are known to have our root.
func (c *Core) inStep() bool {
	return !slices.ContainsFunc(c.peers, func(p *peer) bool { return !p.heard || p.root != c.root() })
}

// compare begins a comparison, unless one with this member is under way; it reports whether it did.
func (c *Core) compare(with partner) bool {
	if !c.synced || c.left || with.id == c.cfg.ID {
		return false
	}
	open := slices.DeleteFunc(c.entropy.open, func(o opened) bool { return c.now.Sub(o.at) >= comparing })
	busy := len(open) == maxOpen || slices.ContainsFunc(open, func(o opened) bool { return o.with == with.id })
	if !busy {
		open = append(open, opened{with.id, c.now})
		c.metrics.Comparisons++
		c.send(with.addr, with.boot, roots{c.owners.sum, c.shared.sum})
	}
	c.entropy.open = open
	return !busy
}

// compareWith begins a comparison with a member at once: there is reason to think that its state differs from ours.
func (c *Core) compareWith(id NodeID) {
	if m, ok := c.view.Member(id); ok {
		c.compare(partner{m.ID, m.Addr, m.Boot})
	}
}

// compareNext begins a comparison with the next member around the ring, unless its root is known to be ours.
func (c *Core) compareNext() {
	looked := 0
	c.view.walk(c.entropy.cursor, func(i int32) bool {
		m := &c.view.members[i]
		c.entropy.cursor = c.view.points[i]
		looked++
		if m.ID == c.cfg.ID || !m.Reachable {
			return looked < maxPartners
		}
		if p := c.peer(m.ID); p == nil || !p.heard || p.root != c.root() {
			c.compare(partner{m.ID, m.Addr, m.Boot})
		}
		return false
	})
}

// haveNews makes others hear soon that our state has changed by a comparison, so that what rumors failed to bring
// spreads like one.
func (c *Core) haveNews() {
	if c.entropy.newsAt.IsZero() {
		c.entropy.newsAt = c.now
		if next := c.entropy.toldAt.Add(c.cfg.Settle); !c.entropy.toldAt.IsZero() && next.After(c.now) {
			c.entropy.newsAt = next
		}
	}
}

func (c *Core) tellNews() {
	c.entropy.newsAt, c.entropy.toldAt = time.Time{}, c.now
	for range min(c.cfg.Fanout, len(c.view.Members())-1) {
		c.compareNext()
	}
}

// heardRoot takes note of a probed member's root. If it is unequal to ours, a rumor may be on its way that makes it
// equal: we look again later.
func (c *Core) heardRoot(p *peer, root uint64) {
	p.root, p.heard = root, true
	switch {
	case root == c.root():
		p.unequalSince, p.lookAt = time.Time{}, time.Time{}
	case p.lookAt.IsZero():
		if p.unequalSince.IsZero() {
			p.unequalSince = c.now
		}
		c.lookLater(p, c.now.Add(c.cfg.Settle))
	}
}

func (c *Core) lookLater(p *peer, at time.Time) {
	p.lookAt = at
	if c.entropy.lookAt.IsZero() || at.Before(c.entropy.lookAt) {
		c.entropy.lookAt = at
	}
}

// look compares with the probed members whose roots are still unequal to ours, once ours has stopped to change, or
// has changed for so long that it makes no difference.
func (c *Core) look() {
	c.entropy.lookAt = time.Time{}
	for _, p := range c.peers {
		still := c.entropy.moved.Add(c.cfg.Settle)
		switch {
		case p.lookAt.IsZero():
		case p.lookAt.After(c.now):
			c.lookLater(p, p.lookAt)
		case p.root == c.root():
			p.unequalSince, p.lookAt = time.Time{}, time.Time{}
		case still.After(c.now) && c.now.Sub(p.unequalSince) < maxUnequal:
			c.lookLater(p, still)
		default:
			p.unequalSince, p.lookAt = time.Time{}, time.Time{}
			c.compareWith(p.id)
		}
	}
}

// allow reports whether so many bytes may be sent now, and takes note of them.
func (c *Core) allow(bytes int) bool {
	if !c.now.Before(c.entropy.spentUntil) {
		c.entropy.spent, c.entropy.spentUntil = 0, c.now.Add(paceInterval)
	}
	if c.entropy.spent+bytes > paceBytes {
		c.metrics.Paced++
		return false
	}
	c.entropy.spent += bytes
	return true
}

// sendPaced sends the answer to a packet, if there are bytes left for it.
func (c *Core) sendPaced(to partner, b body) bool {
	if !c.allow(headerBytes + b.size()) {
		return false
	}
	c.send(to.addr, to.boot, b)
	return true
}

// receiveRoots answers what begins a comparison.
func (c *Core) receiveRoots(from partner, theirs roots) {
	if p := c.peer(from.id); p != nil {
		p.root, p.heard = theirs.owners^theirs.shared, true
	}
	if theirs == (roots{c.owners.sum, c.shared.sum}) {
		return
	}
	c.metrics.Exchanges++
	if theirs.owners != c.owners.sum {
		c.sendPaced(from, offer(&c.owners, sectionOwners, c.random.Uint64()))
	}
	if theirs.shared != c.shared.sum {
		c.sendPaced(from, offer(&c.shared, sectionShared, c.random.Uint64()))
	}
}

// receiveSums answers with the digests of the buckets that differ.
func (c *Core) receiveSums(from partner, theirs sums) {
	first, share := uint8(c.random.IntN(buckets)), c.random.Float64()
	var ours digests
	if theirs.section == sectionOwners {
		ours = digestsIn(&c.owners, theirs.section, differing(&c.owners, theirs), first, maxDigests, share)
	} else {
		ours = digestsIn(&c.shared, theirs.section, differing(&c.shared, theirs), first, maxDigests, share)
	}
	if ours.covered.count() > 0 {
		c.sendPaced(from, ours)
	}
}

// receiveDigests hands over what the peer lacks, and asks for what we lack.
func (c *Core) receiveDigests(from partner, theirs digests) {
	s := step{more: theirs.more}
	if theirs.section == sectionOwners {
		c.compareOwners(&s, theirs)
	} else {
		c.compareShared(&s, theirs)
	}
	c.sendStep(from, s)
}

// receiveFill takes what we lacked, and hands over what is wanted of us.
func (c *Core) receiveFill(from partner, m fill) {
	before := c.root()
	for _, d := range m.deltas {
		c.mergeDelta(d)
	}
	for _, s := range m.shared {
		c.mergeShared(s)
	}
	if c.left {
		return
	}
	if c.root() != before {
		c.haveNews()
	}
	c.entropy.open = slices.DeleteFunc(c.entropy.open, func(o opened) bool { return o.with == from.id })
	s := step{more: m.more}
	c.wanted(&s, m)
	if !c.sendStep(from, s) && m.more {
		c.compare(from)
	}
}
