package fabric

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// report adds the median and the 99th percentile of some durations to a benchmark's result.
func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkFormation measures from the start of the first fabric until all three show three members Up.
func BenchmarkFormation(b *testing.B) {
	for _, memory := range []bool{false, true} {
		b.Run(fmt.Sprintf("nodes=3/memory=%t", memory), func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				c := newCluster(b, memory)
				begin := time.Now()
				c.add(3)
				until(b, "three members up", allUp(3), c.nodes...)
				took = append(took, time.Since(begin))
				for _, n := range c.nodes {
					c.kill(n)
				}
			}
			report(b, took)
		})
	}
}

// BenchmarkUpdate measures from a write to a shared key until all three nodes show it.
func BenchmarkUpdate(b *testing.B) {
	c := newCluster(b, false)
	c.add(3)
	c.converged(3, c.nodes...)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		writer, value := c.nodes[i%3], fmt.Sprint(i)
		begin := time.Now()
		must(b, writer.SetShared(b.Context(), "x", []byte(value)))
		until(b, "the write", func(v *gossip.View) bool { return shows("x", value)(v) }, c.nodes...)
		took = append(took, time.Since(begin))
		pause(b.Context(), 10*time.Millisecond) // writes that follow closely are coalesced: that is another measure
	}
	report(b, took)
}

// BenchmarkStart measures opening a fresh node on a disk in memory, until Start returns.
func BenchmarkStart(b *testing.B) {
	var took []time.Duration
	for b.Loop() {
		c := newCluster(b, true)
		begin := time.Now()
		c.add(1)
		took = append(took, time.Since(begin))
		c.kill(c.nodes[0])
	}
	report(b, took)
}
