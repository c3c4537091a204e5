package gossip

import (
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

func TestThreeNodesAgreeWithinAFewLatencies(t *testing.T) {
	for seed := range uint64(50) {
		c := newCluster(t, seed, sim.Link{Latency: 100 * time.Microsecond, Jitter: 100 * time.Microsecond})
		c.form(3)
		if took := c.converge(10 * time.Millisecond); took > 2*time.Millisecond {
			t.Errorf("seed %d: %v", seed, took)
		}
	}
}
