package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

// BenchmarkSpread spreads updates among a thousand cores, one after the other, and reports the events that happen:
// messages received and deadlines, simulator included.
func BenchmarkSpread(b *testing.B) {
	const n = 1000
	w, _ := standingWith(b, 1, n, sim.Link{Latency: time.Millisecond}, func(cfg *Config) { cfg.ProbeInterval = 1000 * time.Hour })
	before := w.Events()
	for i := 0; b.Loop(); i++ {
		w.Inject(addrOf(i*7%n, 0), SetOwn{Key: "x", Value: fmt.Append(nil, i)})
		w.RunUntil(w.Now().Add(time.Second))
	}
	b.ReportMetric(float64(w.Events()-before)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkIdle lets a thousand members probe each other and reports the events that happen.
func BenchmarkIdle(b *testing.B) {
	w, _ := standingWith(b, 1, 1000, sim.Link{Latency: time.Millisecond}, func(*Config) {})
	before := w.Events()
	for b.Loop() {
		w.RunUntil(w.Now().Add(200 * time.Millisecond))
	}
	b.ReportMetric(float64(w.Events()-before)/b.Elapsed().Seconds(), "events/s")
}
