package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

// settled is a cluster of n, in which nothing is under way.
func formed(t complainer, seed uint64, n int, link sim.Link) *cluster {
	c := newCluster(t, seed, link)
	c.config = Config{}
	c.form(n)
	c.converge(20 * time.Second)
	c.run(2 * time.Second)
	return c
}

// How long a cluster takes to agree again after half of it was cut off and both halves went on writing.
func TestAHealedPartitionMergesWithinSeconds(t *testing.T) {
	for _, tc := range []struct {
		n     int
		seeds uint64
		limit time.Duration
	}{{3, 10, 1500 * time.Millisecond}, {9, 10, 1500 * time.Millisecond}, {100, 1, 3 * time.Second}} {
		t.Run(fmt.Sprintf("n=%d", tc.n), func(t *testing.T) {
			if tc.n == 100 && (testing.Short() || raceEnabled) {
				t.Skip("takes seconds")
			}
			var slowest, total time.Duration
			for seed := range tc.seeds {
				c := formed(t, seed, tc.n, calm)
				c.partition(tc.n / 2)
				c.run(6 * time.Second)
				for i, n := range c.nodes {
					c.tell(n, SetOwn{"k", fmt.Append(nil, i)})
					c.tell(n, SetShared{fmt.Sprint("k", i%7), fmt.Append(nil, i)})
				}
				c.run(time.Second)
				c.world.Heal()
				took := c.converge(20 * time.Second)
				slowest, total = max(slowest, took), total+took
			}
			t.Logf("mean %v, slowest %v", total/time.Duration(tc.seeds), slowest)
			if slowest > tc.limit {
				t.Fatalf("%v", slowest)
			}
		})
	}
}

// withoutPayload is a planted bug that makes rumors bring nothing: what arrives has come by comparison.
func withoutPayload(m Message) Message {
	return alterRumors(func(r *rumor) { *r.payload = payload{} })(m)
}

// How long it takes without the help of rumors.
func TestWhatRumorsDoNotBringArrivesWithinASecond(t *testing.T) {
	for _, n := range []int{3, 9, 100} {
		t.Run(fmt.Sprintf("n=%d", n), func(t *testing.T) {
			var slowest, total time.Duration
			seeds := uint64(10)
			if n == 100 {
				if raceEnabled {
					t.Skip("takes seconds")
				}
				seeds = 1
			}
			for seed := range seeds {
				c := formed(t, seed, n, calm)
				c.alter = withoutPayload
				c.tell(c.nodes[n/2], SetOwn{"k", []byte("v")})
				c.tell(c.nodes[n/3], SetShared{"k", []byte("v")})
				c.run(5 * time.Millisecond)
				took := c.converge(10 * time.Second)
				slowest, total = max(slowest, took), total+took
			}
			t.Logf("mean %v, slowest %v", total/time.Duration(seeds), slowest)
			if slowest > 1500*time.Millisecond {
				t.Fatalf("%v", slowest)
			}
		})
	}
}
