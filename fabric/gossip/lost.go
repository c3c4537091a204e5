package gossip

import (
	"slices"
	"time"
)

// What probes are good for besides finding who is there: finding whom we have lost, and whether our clock is right.

// maxClockError is how far this node's clock may be off its peers' median before it stops to stamp shared keys.
const maxClockError = 500 * time.Millisecond

// lostProbe is the latest probe to an address where somebody may be whom we have lost.
type lostProbe struct {
	to       Peer
	sequence uint64
	cursor   int
}

// probeLost asks one unreachable member that is not among our peers, or one seed that is no reachable member's
// address, so that a healed partition is noticed, whoever has moved meanwhile. Nobody comes again before everybody
// has come.
func (c *Core) probeLost() {
	members, lost, seeds := c.view.members, c.view.lost, c.joining.seeds
	for range len(lost) + len(seeds) {
		c.lostProbe.cursor = (c.lostProbe.cursor + 1) % (len(lost) + len(seeds))
		var to Peer
		if c.lostProbe.cursor < len(lost) {
			m := &members[lost[c.lostProbe.cursor]]
			if c.peer(m.ID) != nil {
				continue
			}
			to = m.Addr
		} else {
			to = seeds[c.lostProbe.cursor-len(lost)]
			if slices.ContainsFunc(members, func(m Member) bool { return m.Reachable && m.Addr == to }) {
				continue
			}
		}
		c.lostProbe.to, c.lostProbe.sequence = to, c.random.Uint64()
		c.metrics.ProbesSent++
		c.send(to, 0, c.question(c.lostProbe.sequence))
		return
	}
}

// checkClock tells the others when our clock is off, and when it is right again.
func (c *Core) checkClock() {
	off := c.clockIsOff()
	if off == c.clockOff {
		return
	}
	c.clockOff = off
	c.touch(true)
	if c.cluster.IsZero() {
		return
	}
	// Neither write can be refused: the value is small and the key is ours.
	if off {
		_ = c.writeOwn(keyReport, (&report{clockOff: true}).encode(), false)
	} else {
		_ = c.writeOwn(keyReport, nil, true)
	}
}

// clockIsOff compares our clock with the median of our peers' and our own; with two in the middle, with the nearer.
func (c *Core) clockIsOff() bool {
	offsets := []time.Duration{0}
	for _, p := range c.peers {
		if p.measured && p.bad == evidenceNone {
			offsets = append(offsets, p.offset)
		}
	}
	slices.Sort(offsets)
	low, high := offsets[(len(offsets)-1)/2], offsets[len(offsets)/2]
	return min(low.Abs(), high.Abs()) > maxClockError
}
