package gossip

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

// spreading is what one update did among n nodes.
type spreading struct {
	rounds             int     // until every live node has it
	messages, payloads float64 // per node, until silence
	converged          time.Duration
	missing            int
}

// spreadUnder writes at one of n nodes that share a view, some of which are dead without anybody knowing.
func spreadUnder(t complainer, seed uint64, n, k int, loss, dead float64) spreading {
	t.Helper()
	const tick = 100 * time.Millisecond
	link := sim.Link{Latency: 2 * time.Millisecond, Loss: loss}
	w, cores := standingWith(t, seed, n, link, func(cfg *Config) {
		cfg.Fanout, cfg.ProbeInterval, cfg.ExchangeInterval, cfg.Tick, cfg.Stepwise = k, 100_000*time.Hour, 100_000*time.Hour, tick, true
	})
	origin := n / 3
	live := n
	choose := newChooser(seed)
	for i := range cores {
		if i != origin && choose.Float64() < dead {
			w.Remove(addrOf(i, 0))
			cores[i] = nil
			live--
		}
	}
	var s spreading
	has := map[Peer]bool{addrOf(origin, 0): true}
	var last time.Time
	w.OnNotify(func(now time.Time, p Peer, e Event) {
		switch e := e.(type) {
		case ViewChanged:
			if _, ok := e.View.Own(nodeID(origin), "x"); ok && !has[p] {
				has[p], last = true, now
			}
		case Converged:
			s.converged, s.missing = e.After, len(e.Missing)
		}
	})
	w.Inject(addrOf(origin, 0), SetOwn{Key: "x", Value: []byte("12345678")})
	w.RunUntil(simStart.Add(30 * time.Second))
	if len(has) < live {
		s.rounds = 1000
	} else {
		s.rounds = int((last.Sub(simStart) + tick - 1) / tick)
	}
	var m Metrics
	for _, c := range cores {
		if c != nil {
			m.PacketsSent += c.metrics.PacketsSent
			m.PayloadsSent += c.metrics.PayloadsSent
		}
	}
	s.messages, s.payloads = float64(m.PacketsSent)/float64(live), float64(m.PayloadsSent)/float64(live)
	return s
}

func TestRates(t *testing.T) {
	if os.Getenv("RATES") == "" {
		t.Skip()
	}
	var n, seeds int
	fmt.Sscan(os.Getenv("RATES"), &n, &seeds)
	for _, k := range []int{3, 4, 8} {
		for _, tc := range []struct{ loss, dead float64 }{{0, 0}, {.05, 0}, {.2, 0}, {0, .1}} {
			begin := time.Now()
			var rounds []int
			var sum spreading
			for seed := range seeds {
				s := spreadUnder(t, uint64(seed), n, k, tc.loss, tc.dead)
				rounds = append(rounds, s.rounds)
				sum.messages += s.messages / float64(seeds)
				sum.payloads += s.payloads / float64(seeds)
				sum.converged += s.converged / time.Duration(seeds)
				sum.missing += s.missing
			}
			t.Logf("n=%d k=%d loss %.0f%% dead %.0f%%: rounds %v, %.2f messages, %.2f payloads, converged %v, %d missing (%v)", n, k, tc.loss*100, tc.dead*100, rounds, sum.messages, sum.payloads, sum.converged, sum.missing, time.Since(begin).Round(time.Millisecond))
		}
	}
}
