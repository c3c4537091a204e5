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
		limit time.Duration
	}{{3, 1500 * time.Millisecond}, {9, 1500 * time.Millisecond}, {100, 3 * time.Second}} {
		t.Run(fmt.Sprintf("n=%d", tc.n), func(t *testing.T) {
			var slowest, total time.Duration
			const seeds = 5
			for seed := range uint64(seeds) {
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
			t.Logf("mean %v, slowest %v", total/seeds, slowest)
			if slowest > tc.limit {
				t.Fatalf("%v", slowest)
			}
		})
	}
}

// How long it takes when every rumor of a moment was lost, too short a time for anybody to be missed.
func TestLostRumorsArriveWithinASecond(t *testing.T) {
	for _, n := range []int{3, 9, 100} {
		t.Run(fmt.Sprintf("n=%d", n), func(t *testing.T) {
			var slowest, total time.Duration
			const seeds = 5
			for seed := range uint64(seeds) {
				c := formed(t, seed, n, calm)
				c.world.SetLink(sim.Link{Latency: time.Millisecond, Loss: 1})
				c.tell(c.nodes[n/2], SetOwn{"k", []byte("v")})
				c.tell(c.nodes[n/3], SetShared{"k", []byte("v")})
				c.run(5 * time.Millisecond)
				c.world.SetLink(calm)
				took := c.converge(10 * time.Second)
				slowest, total = max(slowest, took), total+took
			}
			t.Logf("mean %v, slowest %v", total/seeds, slowest)
			if slowest > 1500*time.Millisecond {
				t.Fatalf("%v", slowest)
			}
		})
	}
}
