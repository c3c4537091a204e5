package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/hlc"
	"github.com/egalcluster/egal/internal/sim"
)

// sent are the bodies that a core has to send, of one type.
func sent[B body](c *Core) (list []B) {
	for _, out := range c.Ready().Send {
		for _, b := range out.Message.(Packet).bodies {
			if wanted, ok := b.(B); ok {
				list = append(list, wanted)
			}
		}
	}
	return list
}

// other is a partner that the core knows nothing about.
func other(n int) partner { return partner{nodeID(n), addrOf(n, 0), 7} }

func TestComparisonsAreBounded(t *testing.T) {
	c := founded(t)
	c.Ready()
	for i := range maxOpen {
		if !c.compare(other(i + 2)) {
			t.Fatalf("comparison %d was not begun", i)
		}
	}
	if c.compare(other(maxOpen + 2)) {
		t.Fatal("one too many")
	}
	c.now = c.now.Add(comparing - 1)
	if c.compare(other(2)) {
		t.Fatal("a second one with the same member")
	}
	c.now = c.now.Add(1)
	if !c.compare(other(2)) || len(c.entropy.open) != 1 {
		t.Fatal("those that have taken too long still count")
	}
	if got := len(sent[roots](c)); got != maxOpen+1 {
		t.Fatalf("%d packets", got)
	}
	if c.compare(partner{c.cfg.ID, c.cfg.Addr, c.cfg.Boot}) {
		t.Fatal("compares with itself")
	}
}

func TestBytesArePaced(t *testing.T) {
	c := founded(t)
	if !c.allow(paceBytes-1) || !c.allow(1) || c.allow(1) || c.metrics.Paced != 1 {
		t.Fatalf("%+v", c.entropy)
	}
	c.now = c.now.Add(paceInterval - 1)
	if c.allow(1) {
		t.Fatal("before the time is over")
	}
	c.now = c.now.Add(1)
	if !c.allow(paceBytes) || c.allow(1) {
		t.Fatal("afterwards")
	}
}

// The digests of a small part are the answer to unequal roots, of a large one its sums are.
func TestSumsAreSentOnlyWhereDigestsDoNotFitADatagram(t *testing.T) {
	var table table[NodeID, *owner]
	fits := (datagramRoom - digestsBytes) / (ownerDigest{nodeID(1), 1, 1}).size()
	for i := range fits {
		table.put(&owner{id: nodeID(i), generation: 1, version: 1})
	}
	m, ok := offer(&table, sectionOwners, 7).(digests)
	if !ok || len(m.owners) != fits || m.more || m.partial || m.covered.count() != buckets {
		t.Fatalf("%T %v", offer(&table, sectionOwners, 7), m)
	}
	if p := (Packet{bodies: []body{m}}); p.Reliable() {
		t.Fatal("needs a stream")
	}
	table.put(&owner{id: nodeID(fits), generation: 1, version: 1})
	s, ok := offer(&table, sectionOwners, 7).(sums)
	if !ok || s.salt != 7 || (Packet{bodies: []body{s}}).Reliable() {
		t.Fatalf("%T", offer(&table, sectionOwners, 7))
	}
	if differ := differing(&table, s); differ.count() != 0 {
		t.Fatal("differs from itself")
	}
	table.put(&owner{id: nodeID(0), generation: 1, version: 2})
	if differ := differing(&table, s); differ.count() != 1 || !differ.has(nodeID(0).bucket()) {
		t.Fatalf("%d buckets differ", differ.count())
	}
}

// Digests are whole buckets up to the limit, and a part of one that is too large alone.
func TestDigestsAreBounded(t *testing.T) {
	var table table[NodeID, *owner]
	var wanted bucketSet
	size := (ownerDigest{nodeID(1), 1, 1}).size()
	perBucket := [buckets]int{}
	for i := range 2000 {
		o := &owner{id: nodeID(i), generation: 1, version: 1}
		table.put(o)
		perBucket[o.id.bucket()]++
	}
	wanted.add(3)
	wanted.add(9)
	both, first := perBucket[3]+perBucket[9], perBucket[3]
	for _, tc := range []struct {
		name          string
		limit, rows   int
		covered       int
		partial, more bool
	}{
		{"both", both * size, both, 2, false, false},
		{"a byte too little", both*size - 1, first, 1, false, true},
		{"one bucket", first * size, first, 1, false, true},
		{"not even one", first*size - 1, -1, 1, true, true},
	} {
		m := digestsIn(&table, sectionOwners, wanted, 3, tc.limit, 0.5)
		if tc.rows >= 0 && len(m.owners) != tc.rows || len(m.owners) == 0 || m.covered.count() != tc.covered || m.partial != tc.partial || m.more != tc.more {
			t.Errorf("%s: %d rows of %d and %d, %+v", tc.name, len(m.owners), perBucket[3], perBucket[9], m.covered)
		}
		if bytes := len(m.owners) * size; bytes > tc.limit {
			t.Errorf("%s: %d bytes", tc.name, bytes)
		}
	}
}

// Everybody comes once before anybody comes again, while members join and leave.
func TestPartnersAreNotRepeated(t *testing.T) {
	const n = 60
	w, cores := standing(t, n, 4, 100_000*time.Hour)
	c := cores[7]
	w.RunUntil(simStart.Add(time.Millisecond))
	turn := func() NodeID {
		c.entropy.open = nil
		c.compareNext()
		i, ok := c.view.byPoint(c.entropy.cursor)
		if !ok {
			t.Fatal("the cursor stands at nobody")
		}
		return c.view.members[i].ID
	}
	for round := range 3 {
		seen := map[NodeID]bool{}
		for range n - 1 {
			seen[turn()] = true
		}
		if len(seen) != n-1 || seen[c.cfg.ID] {
			t.Fatalf("round %d: %d partners", round, len(seen))
		}
	}
	// Half a round, then another member joins: the rest of the round meets whoever has not been met.
	seen := map[NodeID]bool{}
	for range n / 2 {
		seen[turn()] = true
	}
	described := about{boot: 1, addr: addrOf(n, 0)}
	c.mergeOwner(delta{owner: nodeID(n), generation: 1, upto: 1, entries: []entry{{key: keyNode, value: described.encode(), version: 1}}})
	c.settle()
	for len(seen) < n-1 {
		id := turn()
		if seen[id] {
			t.Fatalf("%v comes again after %d", id, len(seen))
		}
		seen[id] = true
	}
}

// byPoint is the member at a point of the ring.
func (r *roster) byPoint(point uint64) (index int, ok bool) {
	for i, p := range r.points {
		if p == point {
			return i, true
		}
	}
	return 0, false
}

func TestOwnTombstonesLiveADay(t *testing.T) {
	c := founded(t)
	c.Receive(simStart, c.cfg.Addr, SetOwn{"k", []byte("v")})
	c.Receive(simStart, c.cfg.Addr, DeleteOwn{"k"})
	version := c.self().version
	c.now = simStart.Add(TombstoneLife)
	c.forgetTombstones()
	if o := c.self(); o.tombstones != 1 || o.version != version {
		t.Fatal("forgotten too early")
	}
	c.now = simStart.Add(TombstoneLife + time.Nanosecond)
	c.forgetTombstones()
	if o := c.self(); o.tombstones != 0 || o.version != version+1 || o.collected != version {
		t.Fatalf("%+v", c.self())
	}
	// What was written again since is not touched.
	c.Receive(c.now, c.cfg.Addr, SetOwn{"k", []byte("w")})
	if _, ok := c.self().find("k"); !ok || len(c.writes.graves) != 0 {
		t.Fatal("gone")
	}
	for i := range MaxOwnKeys + 1 {
		c.Receive(c.now, c.cfg.Addr, SetOwn{fmt.Sprint(i), nil})
		c.Receive(c.now, c.cfg.Addr, DeleteOwn{fmt.Sprint(i)})
	}
	if len(c.writes.graves) != MaxOwnKeys {
		t.Fatal(len(c.writes.graves))
	}
}

// Tombstones of the shared map go at the same full minute everywhere, so that nobody has to compare.
func TestTombstonesGoEverywhereAtOnce(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.config = Config{ProbeInterval: time.Minute, ExchangeInterval: time.Minute}
	c.form(3)
	c.converge(time.Second)
	c.tell(c.nodes[0], SetShared{"k", []byte("v")})
	c.tell(c.nodes[0], DeleteShared{"k"})
	c.run(TombstoneLife - time.Minute)
	if got := c.nodes[2].core.shared.count; got != 6 {
		t.Fatal(got)
	}
	var before uint64
	for _, n := range c.nodes {
		before += n.core.metrics.Exchanges
	}
	c.run(3 * time.Minute)
	var after uint64
	for _, n := range c.nodes {
		after += n.core.metrics.Exchanges
		if got := n.core.shared.count; got != 5 {
			t.Fatalf("n%d still has %d keys", n.number, got)
		}
	}
	if before != after {
		t.Fatalf("%d comparisons found a difference", after-before)
	}
}

// Ten megabytes that one half of a cluster lacks come in bounded packets, at a bounded rate.
func TestALargeDifferenceComesInSteps(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.form(4)
	c.converge(time.Second)
	c.partition(2)
	c.run(time.Second)
	for i := range 1000 {
		c.nodes[i%2].core.mergeShared(newShared(fmt.Sprintf("k%d", i), make([]byte, 10_000), false, hlc.New(simStart, uint16(i)), nodeID(1)))
	}
	c.run(5 * time.Second)
	largest, fills := 0, 0
	rate := map[int64]int{}
	c.world.OnSend(func(now time.Time, from, _ Peer, m Message) {
		p := m.(Packet)
		for _, b := range p.bodies {
			if f, ok := b.(fill); ok {
				fills++
				bytes := headerBytes + f.size()
				largest = max(largest, bytes)
				if from == c.nodes[0].addr {
					rate[now.UnixMilli()/100] += bytes
				}
			}
		}
	})
	c.world.Heal()
	took := c.converge(time.Minute)
	busiest := 0
	for _, bytes := range rate {
		busiest = max(busiest, bytes)
	}
	t.Logf("%v, %d packets of up to %d bytes, at most %d in 100 ms by one node", took, fills, largest, busiest)
	if largest > maxStep+11_000 || busiest > 2*paceBytes || fills < 100 {
		t.Fatal("not bounded")
	}
}

// A large state reaches a joining node in parts, each of which it asks for; a small one comes at once.
func TestAJoiningNodeAsksForEachPart(t *testing.T) {
	for _, tc := range []struct {
		name         string
		keys, chunks int
	}{{"a small state", 10, 1}, {"a large state", 120, 5}} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, 1, sim.Link{Latency: 400 * time.Microsecond}) // the first answer comes before the first repetition
			c.form(1)
			c.run(time.Second)
			for i := range tc.keys {
				c.nodes[0].core.mergeShared(newShared(fmt.Sprintf("k%d", i), make([]byte, 10_000), false, hlc.New(simStart, uint16(i)), nodeID(1)))
			}
			c.tell(c.nodes[0], SetOwn{"now", nil})
			c.run(time.Second)
			underWay, chunks := 0, 0
			c.world.OnSend(func(_ time.Time, _, _ Peer, m Message) {
				for _, b := range m.(Packet).bodies {
					switch b := b.(type) {
					case joinRequest:
						underWay = 0
					case stateChunk:
						underWay++
						chunks++
						if underWay > 1 || b.size() > maxChunk+11_000 {
							t.Fatalf("%d parts at once, %d bytes", underWay, b.size())
						}
					}
				}
			})
			n := c.start(2, nil)
			c.tell(n, Join{Seeds: []Peer{c.nodes[0].addr}})
			took := c.converge(time.Second)
			t.Logf("%d parts, %v", chunks, took)
			if chunks != tc.chunks || n.core.shared.count != tc.keys+4 {
				t.Fatalf("%d parts, %d keys", chunks, n.core.shared.count)
			}
		})
	}
}

// A member that gives the state in parts and dies leaves the joining node to the others.
func TestAJoiningNodeGoesOnWithAnotherSeed(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.form(2)
	c.converge(time.Second)
	for _, n := range c.nodes {
		for i := range 100 {
			n.core.mergeShared(newShared(fmt.Sprintf("k%d", i), make([]byte, 10_000), false, hlc.New(simStart, uint16(i)), nodeID(1)))
		}
	}
	c.run(time.Second)
	n := c.start(3, nil)
	c.tell(n, Join{Seeds: []Peer{c.nodes[0].addr, c.nodes[1].addr}})
	c.run(3 * time.Millisecond)
	source := n.core.joining.source
	for _, seed := range c.nodes[:2] {
		if seed.core.cfg.ID == source {
			c.crash(seed)
		}
	}
	c.run(2 * time.Second)
	if !n.core.synced || n.core.shared.count < 100 {
		t.Fatalf("synced %v, %d keys", n.core.synced, n.core.shared.count)
	}
}

// An equal state is compared by one small packet, and no answer.
func TestEqualRootsAreNotAnswered(t *testing.T) {
	c := founded(t)
	c.Ready()
	from := other(2)
	c.receiveRoots(from, roots{c.owners.sum, c.shared.sum})
	if send := c.Ready().Send; len(send) != 0 {
		t.Fatalf("answered by %v", send)
	}
	c.receiveRoots(from, roots{c.owners.sum + 1, c.shared.sum})
	if got := sent[digests](c); len(got) != 1 || got[0].section != sectionOwners {
		t.Fatalf("%v", got)
	}
	c.receiveRoots(from, roots{c.owners.sum + 1, c.shared.sum + 1})
	if got := sent[digests](c); len(got) != 2 {
		t.Fatalf("%v", got)
	}
}
