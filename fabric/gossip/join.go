package gossip

import (
	"slices"
	"time"
)

// Limits of joining.
const (
	// MaxSeeds is how many seeds a node asks.
	MaxSeeds = 64
	// maxAsked is how many members a restarted node asks per round, next to its seeds.
	maxAsked = 8
	// maxWaiting is how many requests to join are kept while this node is itself in no cluster.
	maxWaiting = 64
	// maxEarly is how many packets of the cluster are kept until its state arrives; later ones are dropped.
	maxEarly = 256
	// firstRetry is the time after which seeds are asked for the second time; it doubles up to Config.JoinRetry.
	firstRetry = 2 * time.Millisecond
)

// joining is the way into a cluster.
type joining struct {
	seeds   []Peer
	at      time.Time // when to ask next; zero: not asking
	backoff time.Duration
	cursor  int         // the next member to ask
	source  NodeID      // who is handing us the cluster's state, part by part
	waiting []addressed // requests to join that came before we were in a cluster
	early   []addressed // packets of the cluster that came before its state
}

type addressed struct {
	from   Peer
	packet Packet
}

// found carries out Found.
func (c *Core) found(cluster ClusterID) {
	if !c.cluster.IsZero() || cluster.IsZero() {
		return
	}
	c.cluster = cluster
	c.touch(true)
	first := admission{status: StatusUp, upNumber: 1, generation: c.generation}
	// Our own first keys: nothing to refuse.
	_ = c.writeShared(admissionKey(c.cfg.ID), first.encode(), false)
	_ = c.writeShared(protocolKey, encodeProtocol(c.cfg.Protocols.Max), false)
	_ = c.writeShared(policyKey, c.cfg.DownPolicy.encode(), false)
	c.arrive()
}

// join carries out Join.
func (c *Core) join(seeds []Peer) {
	c.joining.seeds = slices.Clone(seeds[:min(len(seeds), MaxSeeds)])
	if !c.synced {
		c.joining.backoff = 0
		c.ask()
	}
}

// ask asks the seeds, and members known from a snapshot, for the cluster's state.
func (c *Core) ask() {
	if c.isLast() {
		c.arrive()
		return
	}
	targets := slices.Clone(c.joining.seeds)
	if members := c.view.members; !c.cluster.IsZero() {
		for range min(len(members), maxAsked) {
			c.joining.cursor = (c.joining.cursor + 1) % len(members)
			targets = append(targets, members[c.joining.cursor].Addr)
		}
	}
	slices.SortFunc(targets, Peer.Compare)
	for _, to := range slices.Compact(targets) {
		if to != c.cfg.Addr {
			c.send(to, 0, joinRequest{own: c.self().whole(), whole: !c.synced && (!c.restored || c.owners.count == 1)})
		}
	}
	c.joining.source = NodeID{}
	c.joining.backoff = min(max(2*c.joining.backoff, firstRetry), c.cfg.JoinRetry)
	c.joining.at = c.now.Add(c.joining.backoff/2 + c.spread(c.joining.backoff/2))
}

// isLast reports whether this node comes back into a cluster in which nobody else counts: there is nothing to learn.
func (c *Core) isLast() bool {
	self, ok := c.view.Member(c.cfg.ID)
	required, blockers := c.required()
	return c.restored && !c.synced && ok && self.counts() && len(required)+len(blockers) == 0
}

// arrive tells everybody that we are here, and answers who asked us too early.
func (c *Core) arrive() {
	c.synced = true
	c.joining.at = time.Time{}
	if !c.restored {
		c.report(Joined{c.cluster})
	}
	c.checkPolicy()
	for _, p := range c.peers {
		p.proven = true
	}
	c.writes.flushed = 0
	c.touch(true)
	c.settle()
	c.schedule()
	c.probeAt = c.now
	waiting, early := c.joining.waiting, c.joining.early
	c.joining.waiting, c.joining.early = nil, nil
	for _, packets := range [][]addressed{early, waiting} {
		for _, a := range packets {
			c.receivePacket(a.from, a.packet)
		}
	}
}

// receiveJoin answers a request to join.
func (c *Core) receiveJoin(from Peer, p Packet, request joinRequest) {
	own := request.own
	c.metrics.JoinRequests++
	switch {
	case own.owner != p.Sender || own.since != 0 || own.generation != p.Generation:
		c.metrics.DroppedUnexpected++
		return
	case c.cluster.IsZero():
		c.joining.waiting = slices.DeleteFunc(c.joining.waiting, func(a addressed) bool { return a.packet.Sender == p.Sender })
		if len(c.joining.waiting) < maxWaiting {
			c.joining.waiting = append(c.joining.waiting, addressed{from, p})
		}
		c.send(from, p.Boot, joinRefusal{ReasonNoCluster})
		return
	case !p.Cluster.IsZero() && p.Cluster != c.cluster:
		c.metrics.DroppedCluster++
		c.send(from, p.Boot, joinRefusal{ReasonOtherCluster})
		return
	}
	asking := newOwner(own.owner, own.generation, own.upto, own.collected, own.entries)
	if asking.about == nil {
		c.metrics.DroppedUnexpected++
		return
	}
	if reason := c.unfit(asking.about.protocols); reason != "" {
		c.send(from, p.Boot, joinRefusal{reason})
		return
	}
	switch c.mergeOwner(own) {
	case refused:
		c.send(from, p.Boot, joinRefusal{ReasonFull})
		return
	case applied: // a new process: it has not been probed yet, whenever that was
		c.nudge(p.Sender, 0)
	case gap, stale:
		c.nudge(p.Sender, c.cfg.RefusedInterval)
	}
	c.settle() // a leader admits the node here, so that the answer says so
	from = asking.about.addr
	if request.whole {
		c.sendState(from, p.Boot, request.next)
		return
	}
	// A node that comes back with a state finds out by comparing what it lacks. But if we know of a later process
	// with its id, it must hear of that before it acts.
	known, _ := c.owners.find(p.Sender) // own has just been merged
	c.send(from, p.Boot, stateChunk{root: c.root(), last: true, owners: []delta{known.whole()}})
}

func (c *Core) receiveRefusal(from Peer, reason string) {
	if (!c.synced || c.alone()) && (c.cluster.IsZero() || reason != ReasonRefused) {
		c.report(JoinRefused{From: from, Reason: reason})
	}
}

// position is a place in the order in which a whole state is handed over: owners first, then the shared map.
type position struct {
	section section
	bucket  uint8
	after   string // the key after which to go on in this bucket; "": from its beginning
}

// sendState sends a joining node the next part of the state. The node asks for the one after it, so that one part
// at a time is under way, however large the state is.
func (c *Core) sendState(to Peer, receiver BootID, at position) {
	chunk, size := stateChunk{root: c.root(), last: true}, 0
	fits := func(bytes int, next position) bool {
		if size > 0 && size+bytes > maxChunk {
			chunk.last = false
			return false
		}
		size += bytes
		chunk.next = next
		return true
	}
	if at.section == sectionOwners {
		for o := range c.owners.from(int(at.bucket), at.ownerAfter()) {
			if o.version == 0 {
				continue
			}
			if !fits(deltaSize(o.whole()), position{bucket: o.id.bucket(), after: string(o.id[:])}) {
				break
			}
			chunk.owners = append(chunk.owners, o.whole())
		}
		at = position{section: sectionShared}
	}
	if chunk.last {
		for s := range c.shared.from(int(at.bucket), at.keyAfter()) {
			if !fits(sharedSize(s), position{section: sectionShared, bucket: s.key.bucket(), after: string(s.key)}) {
				break
			}
			chunk.shared = append(chunk.shared, s)
		}
	}
	if c.allow(size) {
		c.send(to, receiver, chunk)
		c.metrics.StateChunks++
	}
}

func (p position) ownerAfter() *NodeID {
	if len(p.after) != len(NodeID{}) {
		return nil
	}
	id := NodeID([]byte(p.after))
	return &id
}

func (p position) keyAfter() *sharedKey {
	if p.after == "" {
		return nil
	}
	key := sharedKey(p.after)
	return &key
}

// receiveState merges a part of a peer's state.
func (c *Core) receiveState(from Peer, p Packet, chunk stateChunk) {
	if c.cluster.IsZero() {
		c.cluster = p.Cluster
		c.touch(true)
	}
	before := c.root()
	for _, d := range chunk.owners {
		c.mergeOwner(d)
	}
	for _, s := range chunk.shared {
		c.mergeShared(s)
	}
	c.mergeGaps()
	switch {
	case c.left:
		return
	case !chunk.last && !c.synced:
		c.askForMore(from, p, chunk.next)
		return
	case !c.synced:
		c.arrive()
		c.settle()
	case c.root() != before:
		c.haveNews()
	}
	if chunk.last && c.root() != chunk.root {
		c.compare(partner{p.Sender, from, p.Boot})
	}
}

// askForMore asks for the next part of the state, of the node that was the first to send one.
func (c *Core) askForMore(from Peer, p Packet, next position) {
	if c.joining.source.IsZero() {
		c.joining.source = p.Sender
	}
	if c.joining.source == p.Sender {
		c.send(from, 0, joinRequest{own: c.self().whole(), whole: true, next: next})
		c.joining.at = c.now.Add(c.cfg.JoinRetry)
	}
}
