package gossip

// gather carries out Gather.
func (c *Core) gather(g Gather) { c.report(Gathered{Request: g.Request}) }
