package gossip

// maxGaps is how many deltas that came before their predecessors are kept; the oldest is dropped.
const maxGaps = 256

// mergePayload applies what a rumor carries.
func (c *Core) mergePayload(p *payload) {
	for _, d := range p.own {
		switch c.mergeOwner(d) {
		case gap:
			c.metrics.Gaps++
			if len(c.gaps) == maxGaps {
				c.metrics.GapsDropped++
				c.gaps = c.gaps[1:]
			}
			c.gaps = append(c.gaps, d)
		case applied:
			c.mergeGaps()
		case stale, refused:
		}
	}
	for _, s := range p.shared {
		c.mergeShared(s)
	}
}
