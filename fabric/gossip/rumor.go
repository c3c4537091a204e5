package gossip

// maxGaps is how many deltas that came before their predecessors are kept; the oldest is dropped.
const maxGaps = 256

// mergePayload applies what a rumor carries.
func (c *Core) mergePayload(p *payload) {
	for _, d := range p.own {
		c.mergeDelta(d)
	}
	for _, s := range p.shared {
		c.mergeShared(s)
	}
}
