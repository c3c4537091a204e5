package gossip

// receivePacket drops what is not meant for this process in its cluster, and hands the rest to its handlers.
func (c *Core) receivePacket(from Peer, p Packet) {
	switch {
	case c.left:
		return
	case p.Sender == c.cfg.ID, p.Sender.IsZero(), p.Boot == 0:
		c.metrics.DroppedUnexpected++
		return
	case p.ReceiverBoot != 0 && p.ReceiverBoot != c.cfg.Boot:
		c.metrics.DroppedBoot++
		return
	}
	bodies := p.bodies
	for i := range bodies {
		if !c.left {
			p.bodies = bodies[i : i+1]
			c.receiveBody(from, p, bodies[i])
		}
	}
}

// receiveBody takes one of the things that a packet says; p.bodies holds this one.
func (c *Core) receiveBody(from Peer, p Packet, b body) {
	if request, ok := b.(joinRequest); ok { // of an earlier process, too: the answer tells it so
		c.receiveJoin(from, p, request)
		return
	}
	sender, known := c.owners.find(p.Sender)
	if known && (sender.generation > p.Generation ||
		sender.generation == p.Generation && sender.about != nil && sender.about.boot != p.Boot) {
		c.metrics.DroppedStale++
		return
	}
	if refusal, ok := b.(joinRefusal); ok {
		c.receiveRefusal(from, refusal.reason)
		return
	}
	_, isProbe := b.(probe) // a probe may be for whoever is there
	switch {
	case p.Cluster.IsZero():
		c.metrics.DroppedUnexpected++
	case p.ReceiverBoot == 0 && !isProbe:
		c.metrics.DroppedBoot++
	case c.cluster.IsZero():
		c.receiveEarly(from, p, b)
	case p.Cluster != c.cluster:
		c.metrics.DroppedCluster++
	default:
		c.dispatch(from, p, b)
	}
}

// receiveEarly deals with packets of a cluster that we are not in. Its state is the answer to our request; rumors
// that overtake it wait for it.
func (c *Core) receiveEarly(from Peer, p Packet, b body) {
	chunk, isState := b.(stateChunk)
	_, isRumor := b.(rumor)
	switch {
	case isState && !c.joining.at.IsZero():
		c.receiveState(from, p, chunk)
	case isRumor && len(c.joining.early) < maxEarly:
		c.joining.early = append(c.joining.early, addressed{from, p})
	default:
		c.metrics.DroppedCluster++
	}
}

func (c *Core) dispatch(from Peer, p Packet, b body) {
	switch b := b.(type) {
	case probe:
		c.noticeLater(from, p)
		c.receiveProbe(from, p, b)
	case ack:
		c.noticeLater(from, p)
		c.receiveAck(from, p, b)
	case help:
		c.receiveHelp(from, p, b)
	case helped:
		c.receiveHelped(b)
	case alerts:
		c.receiveAlerts(p, b)
	case rumor:
		c.receiveRumor(from, p, b)
	case answer:
		c.receiveAnswer(from, p, b)
	case settled:
		c.receiveSettled(p, b)
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

// noticeLater compares at once with a process that is a later one than the one known here: what is sent to that does
// not reach it.
func (c *Core) noticeLater(from Peer, p Packet) {
	if known, ok := c.owners.find(p.Sender); ok && known.generation < p.Generation {
		c.compare(partner{p.Sender, from, p.Boot})
	}
}
