package gossip

import "bytes"

// checker holds the invariants that must be true at every moment, whatever the network does.
type checker struct {
	cluster *cluster
	off     bool
	seen    map[NodeID]map[NodeID]*owner // by replica and owner: what the replica had last
	written map[write]entry              // what owners wrote
	lives   *lives
}

// write names one write of an owner.
type write struct {
	owner               NodeID
	generation, version uint64
	key                 string
}

func newChecker(c *cluster) *checker {
	return &checker{cluster: c, lives: newLives(c), seen: map[NodeID]map[NodeID]*owner{}, written: map[write]entry{}}
}

// sent notes what owners say of themselves.
func (k *checker) sent(p Packet) {
	k.lives.sent(p)
	var own []delta
	for _, b := range p.bodies {
		switch b := b.(type) {
		case joinRequest:
			own = append(own, b.own)
		case stateChunk:
			own = append(own, b.owners...)
		case fill:
			own = append(own, b.deltas...)
		case rumor:
			if b.payload != nil {
				own = append(own, b.payload.own...)
			}
		}
	}
	for _, d := range own {
		if d.owner == p.Sender {
			k.note(d)
		}
	}
}

func (k *checker) note(d delta) {
	for _, e := range d.entries {
		k.written[write{d.owner, d.generation, e.version, e.key}] = e
	}
}

// see looks at a node after an event.
func (k *checker) see(n *simNode, e Event) {
	changed, ok := e.(ViewChanged)
	if !ok || k.off {
		return
	}
	t, v := k.cluster.t, changed.View
	t.Helper()
	k.lives.see(n, v)
	if own, ok := v.owners.find(v.self); ok {
		k.note(own.whole())
	}
	before := k.seen[v.self]
	after := map[NodeID]*owner{}
	root := uint64(0)
	for o := range v.owners.all() {
		root ^= o.digest()
		after[o.id] = o
		if old := before[o.id]; old != nil && old != o {
			if o.generation < old.generation || o.generation == old.generation && o.version < old.version {
				t.Fatalf("seed %d: n%d: owner %v went back", k.cluster.seed, n.number, o.id)
			}
		}
		if before[o.id] == o {
			continue
		}
		for _, e := range o.entries {
			wrote, ok := k.written[write{o.id, o.generation, e.version, e.key}]
			if !ok || wrote.deleted != e.deleted || !bytes.Equal(wrote.value, e.value) {
				t.Fatalf("seed %d: n%d holds %q version %d of %v, which it did not write", k.cluster.seed, n.number, e.key, e.version, o.id)
			}
		}
		k.prefix(n, o)
	}
	for s := range v.shared.all() {
		root ^= s.digest()
	}
	if root != v.Root() {
		t.Fatalf("seed %d: n%d: the root is not the hash of the state", k.cluster.seed, n.number)
	}
	for id := range before {
		if after[id] == nil && !n.core.buried(id) {
			t.Fatalf("seed %d: n%d forgot %v", k.cluster.seed, n.number, id)
		}
	}
	k.seen[v.self] = after
	k.bounds(n)
}

// prefix: a replica with version v of an owner has all that the owner has live with versions up to v, and nothing
// that the owner has superseded or deleted up to there.
func (k *checker) prefix(n *simNode, o *owner) {
	if o.collected > o.version {
		k.cluster.t.Fatalf("seed %d: n%d has version %d of %v without the tombstones up to %d", k.cluster.seed, n.number, o.version, o.id, o.collected)
	}
	for _, source := range k.cluster.running() {
		if source.core.cfg.ID != o.id {
			continue
		}
		own := source.core.self()
		if own.generation != o.generation {
			continue
		}
		last := map[string]uint64{}
		for _, e := range own.entries {
			last[e.key] = e.version
			if _, ok := o.find(e.key); !ok && !e.deleted && e.version <= o.version {
				k.cluster.t.Fatalf("seed %d: n%d has version %d of %v but lacks %q of version %d", k.cluster.seed, n.number, o.version, o.id, e.key, e.version)
			}
		}
		for _, e := range o.entries {
			newest, known := last[e.key]
			if !e.deleted && (known && newest != e.version && newest <= o.version || !known && own.collected <= o.version) {
				k.cluster.t.Fatalf("seed %d: n%d has version %d of %v and still %q of version %d", k.cluster.seed, n.number, o.version, o.id, e.key, e.version)
			}
		}
	}
}

func (k *checker) bounds(n *simNode) {
	c := n.core
	if len(c.gaps) > maxGaps || len(c.rumors.walks) > maxRumors || len(c.rumors.queue) > maxRumors || c.rumors.bytes > maxRumorBytes ||
		len(c.outbox.late) > maxLate || len(c.outbox.heldBack) > maxHeldBack || c.gathers > maxGathers || len(c.joining.early) > maxEarly ||
		len(c.graves) > maxGraves || len(c.joining.waiting) > maxWaiting || len(c.peers) > maxWatched || len(c.writes.graves) > MaxOwnKeys ||
		len(c.monitors.relays) > maxRelays || len(c.monitors.voted) > maxVoted || len(c.monitors.hearing.probers) > maxProbers ||
		len(c.monitors.hearing.testimonies) > maxTestimonies || len(c.entropy.open) > maxOpen || c.entropy.spent > paceBytes {
		k.cluster.t.Fatalf("seed %d: n%d is over a bound", k.cluster.seed, n.number)
	}
}
