package gossip

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

// Invariants of members' lives that need a story: what must happen, and what two clusters must never do.

// somewhat is a link that loses a little: not so much that members seem unreachable.
func somewhat(choose *rand.Rand) sim.Link {
	return sim.Link{
		Latency: time.Duration(choose.IntN(2000)) * time.Microsecond, Jitter: time.Duration(choose.IntN(5000)) * time.Microsecond,
		Loss: choose.Float64() * 0.02,
	}
}

// joinBesideTheLost lets a node join while a minority cannot be reached: it is in after WeakAfter at the latest.
func joinBesideTheLost(t complainer, seed uint64, change func(*Config)) {
	t.Helper()
	choose := rand.New(rand.NewPCG(seed, 5))
	c := newCluster(t, seed, somewhat(choose))
	c.config.DownPolicy.StableAfter = time.Hour // the policy would clear the way
	if change != nil {
		change(&c.config)
	}
	size := 4 + choose.IntN(8)
	c.form(size)
	c.converge(10 * time.Second)
	lost := 1 + choose.IntN((size-1)/2)
	for _, n := range c.nodes[size-lost:] {
		c.crash(n)
	}
	c.run(3 * time.Second)
	joiner := c.start(size+1, nil)
	c.tell(joiner, Join{Seeds: []Peer{c.nodes[0].addr}})
	c.run(7*time.Second + 3*time.Second)
	for _, n := range c.running() {
		if m, ok := n.core.View().Member(joiner.core.cfg.ID); !ok || m.Status != StatusUp || !m.Weak || m.UpNumber != 0 {
			t.Fatalf("seed %d: n%d shows who joins as %+v", seed, n.number, m)
		}
		if b, ok := n.core.View().Blockage(); !ok || b.Cause != CauseUnreachable || len(b.Members) != lost {
			t.Fatalf("seed %d: n%d is told of %+v in the way, want %d", seed, n.number, b, lost)
		}
	}
}

func TestUnreachableMembersDoNotKeepAnybodyOut(t *testing.T) {
	for seed := range uint64(30) {
		joinBesideTheLost(t, seed, nil)
	}
}

// partitionAndHeal cuts a cluster in two that has removed a member. Each side agrees by itself, and sees that the
// other one is unreachable, and later that it is down, or that this side lost. Then all is as before by itself.
func partitionAndHeal(t complainer, seed uint64, alter func(Message) Message) {
	t.Helper()
	choose := rand.New(rand.NewPCG(seed, 6))
	c := newCluster(t, seed, somewhat(choose))
	c.alter = alter
	var counted swarm
	c.events = counted.live
	size := 4 + choose.IntN(7)
	c.form(size)
	c.converge(10 * time.Second)
	gone := c.nodes[size-1]
	c.tell(gone, Leave{})
	c.run(2 * time.Second)
	c.crash(gone)
	cut := 1 + choose.IntN(size-2)
	c.partition(cut)
	stay := 3*time.Second + time.Duration(choose.IntN(2))*15*time.Second
	c.run(stay)
	for side := range 2 {
		var nodes []*simNode
		for i, n := range c.nodes[:size-1] {
			if (i < cut) == (side == 0) {
				nodes = append(nodes, n)
			}
		}
		for _, n := range nodes {
			v := n.core.View()
			if v.Hash() != nodes[0].core.View().Hash() || v.Root() != nodes[0].core.View().Root() {
				t.Fatalf("seed %d: n%d does not agree with its side", seed, n.number)
			}
			for i, other := range c.nodes[:size-1] {
				if m, ok := v.Member(nodeID(other.number)); !ok || m.Reachable != ((i < cut) == (side == 0)) {
					t.Fatalf("seed %d: n%d sees n%d as %+v", seed, n.number, other.number, m)
				}
			}
		}
	}
	c.world.Heal()
	c.converge(15 * time.Second)
	c.checkAgreement()
	c.checker.lives.atEnd()
	if _, ok := c.nodes[0].core.View().Member(nodeID(size)); ok {
		t.Fatalf("seed %d: the removed member is back", seed)
	}
	if long := stay > defaultStableAfter; long != (counted.Downs > 0) || long != (counted.Outvotes > 0) {
		t.Fatalf("seed %d: after %v %d nodes were down, %d outvoted", seed, stay, counted.Downs, counted.Outvotes)
	}
}

func TestAPartitionHealsByItself(t *testing.T) {
	for seed := range uint64(40) {
		partitionAndHeal(t, seed, nil)
	}
}

// strangers lets two clusters know each other's addresses, in every way there is: nobody holds state of the other.
func strangers(t complainer, seed uint64, alter func(Message) Message) {
	t.Helper()
	choose := rand.New(rand.NewPCG(seed, 7))
	c := newCluster(t, seed, somewhat(choose))
	c.alter = alter
	size := 2 + choose.IntN(3)
	for i := range 2 * size {
		n := c.start(i+1, nil)
		if i%size == 0 {
			c.tell(n, Found{ClusterID{1, byte(i)}})
		} else {
			c.tell(n, Join{Seeds: []Peer{c.nodes[i/size*size].addr}})
		}
	}
	c.run(2 * time.Second)
	others := func(i int) []*simNode { return c.nodes[(1-i/size)*size:][:size] }
	for i, n := range c.nodes {
		c.tell(n, Join{Seeds: []Peer{others(i)[0].addr, others(i)[1].addr}})
	}
	for range 10 {
		i := choose.IntN(len(c.nodes))
		c.crash(c.nodes[i])
		c.run(time.Second)
		snapshot := c.nodes[i].snapshot
		c.start(i+1, func(cfg *Config) { cfg.Snapshot = snapshot })
		c.tell(c.nodes[i], Join{Seeds: []Peer{others(i)[0].addr}})
		c.run(time.Second)
	}
	for i, n := range c.nodes {
		for _, other := range others(i) {
			if n.core.holds(nodeID(other.number)) || n.core.cluster == other.core.cluster {
				t.Fatalf("seed %d: n%d holds state of n%d, which is in another cluster", seed, n.number, other.number)
			}
		}
	}
}

func TestClustersNeverMix(t *testing.T) {
	for seed := range uint64(20) {
		strangers(t, seed, nil)
	}
}

// TestOnlyOneSideGoesOn tries every policy on every partition of up to six members into two sides.
func TestOnlyOneSideGoesOn(t *testing.T) {
	policies := []DownPolicy{
		{Kind: DownMajority},
		{Kind: DownOldest},
		{Kind: DownStaticQuorum, Quorum: 1},
		{Kind: DownStaticQuorum, Quorum: 2},
		{Kind: DownStaticQuorum, Quorum: 3},
		{Kind: DownStaticQuorum, Quorum: 4},
	}
	for size := 2; size <= 6; size++ {
		for sides := 1; sides < 1<<size-1; sides++ {
			for weak := range 1 << size {
				for _, p := range policies {
					view := func(here int) (members []Member) {
						for i := range size {
							m := Member{ID: nodeID(i + 1), Status: StatusUp, UpNumber: uint64(size - i), Reachable: sides>>i&1 == here}
							if weak>>i&1 == 1 {
								m.Weak, m.UpNumber = true, 0
							}
							members = append(members, m)
						}
						return members
					}
					if p.survives(view(0)) && p.survives(view(1)) {
						t.Fatalf("%v: both sides of %b of %d members go on, weak ones %b", p, sides, size, weak)
					}
				}
			}
		}
	}
}

func TestWhichSideGoesOn(t *testing.T) {
	for _, tc := range []struct {
		policy    DownPolicy
		here, all int // the first of all are here; the first is the oldest
		on        bool
	}{
		{DownPolicy{Kind: DownMajority}, 3, 5, true},
		{DownPolicy{Kind: DownMajority}, 2, 5, false},
		{DownPolicy{Kind: DownStaticQuorum, Quorum: 3}, 3, 5, true},
		{DownPolicy{Kind: DownStaticQuorum, Quorum: 3}, 2, 5, false},
		{DownPolicy{Kind: DownStaticQuorum, Quorum: 3}, 4, 6, false}, // so large a cluster could have two sides of three
		{DownPolicy{Kind: DownOldest}, 2, 5, true},
		{DownPolicy{Kind: DownOldest}, 1, 5, false}, // alone
		{DownPolicy{Kind: DownOldest}, 1, 2, true},
	} {
		var members []Member
		for i := range tc.all {
			members = append(members, Member{ID: nodeID(i), Status: StatusUp, UpNumber: uint64(i + 1), Reachable: i < tc.here})
		}
		if on := tc.policy.survives(members); on != tc.on {
			t.Errorf("%v: %d of %d go on: %v", tc.policy, tc.here, tc.all, on)
		}
	}
}
