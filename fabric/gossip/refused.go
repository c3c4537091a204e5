package gossip

import "time"

// The fast path. A refused connection says that the member's machine answers and its process is gone. Whoever is
// refused looks again at once, on the scale of a retry timeout, and tells the other monitors to look for themselves;
// a quorum of refused monitors is a verdict as one of silent ones is.

// refusedBy carries out PeerRefused.
func (c *Core) refusedBy(from Peer) {
	c.receiveRefusal(from, ReasonRefused)
	begun := false
	for _, p := range c.peers {
		if m, ok := c.view.Member(p.id); ok && m.Addr == from && !p.fast && p.bad == evidenceNone && !c.lost(p.id) {
			p.fast, p.refusals, begun = true, 0, true
			c.probe(p)
		}
	}
	if !begun {
		return
	}
	if c.fastAt.IsZero() {
		c.fastAt = c.now.Add(c.cfg.RefusedInterval)
	}
	c.speak(false)
}

// probeFast goes on with the peers that refused a connection.
func (c *Core) probeFast() {
	c.fastAt = c.now.Add(c.cfg.RefusedInterval)
	going, gone := false, false
	for _, p := range c.peers {
		if !p.fast {
			continue
		}
		if p.refusals++; p.refusals >= refusedProbes {
			c.accuse(p, evidenceRefused)
			gone = true
			continue
		}
		going = true
		c.probe(p)
	}
	if !going {
		c.fastAt = time.Time{}
	}
	if gone {
		c.findings(false)
	}
}
