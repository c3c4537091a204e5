package gossip

// receivePacket drops what is not meant for this process in its cluster, and hands the rest to its handler.
func (c *Core) receivePacket(from Peer, p Packet) {
	sender, known := c.owners.find(p.Sender)
	toAnybody := p.ReceiverBoot == 0
	switch {
	case c.left:
		return
	case p.Sender == c.cfg.ID, p.Sender.IsZero(), p.Boot == 0:
		c.metrics.DroppedUnexpected++
		return
	case !toAnybody && p.ReceiverBoot != c.cfg.Boot:
		c.metrics.DroppedBoot++
		return
	}
	if request, ok := p.body.(joinRequest); ok { // of an earlier process, too: the answer tells it so
		c.receiveJoin(from, p, request)
		return
	}
	if known && (sender.generation > p.Generation ||
		sender.generation == p.Generation && sender.about != nil && sender.about.boot != p.Boot) {
		c.metrics.DroppedStale++
		return
	}
	switch b := p.body.(type) {
	case joinRefusal:
		c.receiveRefusal(from, b.reason)
		return
	case probe:
		toAnybody = false // a probe may be for whoever is there
	}
	switch {
	case p.Cluster.IsZero():
		c.metrics.DroppedUnexpected++
	case toAnybody:
		c.metrics.DroppedBoot++
	case c.cluster.IsZero():
		c.receiveEarly(from, p)
	case p.Cluster != c.cluster:
		c.metrics.DroppedCluster++
	default:
		c.dispatch(from, p)
	}
}

// receiveEarly deals with packets of a cluster that we are not in. Its state is the answer to our request; rumors
// that overtake it wait for it.
func (c *Core) receiveEarly(from Peer, p Packet) {
	chunk, isState := p.body.(stateChunk)
	_, isRumor := p.body.(rumor)
	switch {
	case isState && !c.joining.at.IsZero():
		c.receiveState(from, p, chunk)
	case isRumor && len(c.joining.early) < maxEarly:
		c.joining.early = append(c.joining.early, addressed{from, p})
	default:
		c.metrics.DroppedCluster++
	}
}

func (c *Core) dispatch(from Peer, p Packet) {
	switch b := p.body.(type) {
	case probe:
		c.send(from, p.Boot, ack{sequence: b.sequence, root: c.root(), wall: c.now.UnixMicro()})
		c.nudge(p.Sender, c.cfg.RefusedInterval)
	case ack:
		c.receiveAck(from, p, b)
	case rumor:
		c.receiveRumor(b)
	case stateChunk:
		c.receiveState(from, p, b)
	case roots:
		c.receiveRoots(partner{p.Sender, from, p.Boot}, b)
	case sums:
		c.receiveSums(partner{p.Sender, from, p.Boot}, b)
	case digests:
		c.receiveDigests(partner{p.Sender, from, p.Boot}, b)
	case fill:
		c.receiveFill(partner{p.Sender, from, p.Boot}, b)
	}
}
