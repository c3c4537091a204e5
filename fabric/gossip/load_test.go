package gossip

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

// loaded lets random members write, perTick of them together per tick, and gives the packets per node and tick.
func loaded(t complainer, n, perTick, ticks int, loss float64) (packets, bytes float64, slowest time.Duration, m Metrics) {
	t.Helper()
	const tick = 100 * time.Millisecond
	w, cores := standingWith(t, 1, n, sim.Link{Latency: time.Millisecond, Jitter: time.Millisecond, Loss: loss}, func(cfg *Config) {
		cfg.ProbeInterval = 1000 * time.Hour
	})
	choose := rand.New(rand.NewPCG(1, 5))
	pending := map[string]int{}
	begun := map[string]time.Time{}
	w.OnNotify(func(now time.Time, _ Peer, e Event) {
		if c, ok := e.(Converged); ok && (c.Count != n || len(c.Missing) > 0) {
			m.Gaps += 1 << 32
		}
	})
	kinds := map[string]int{}
	_ = begun
	_ = pending
	w.OnSend(func(_ time.Time, _, _ Peer, msg Message) {
		p := msg.(Packet)
		text := ""
		for _, b := range p.bodies {
			k := fmt.Sprintf("%T ", b)[7:]
			if r, ok := b.(rumor); ok {
				k = fmt.Sprintf("rumor%d ", r.flags)
				if r.payload == nil {
					k = "reminder "
				} else if len(r.payload.own) > 1 {
					k = "bundle "
				}
			}
			if a, ok := b.(answer); ok && a.done {
				k = "done "
			}
			if len(text) < len(k) || text[len(text)-len(k):] != k {
				text += k
			}
		}
		kinds[text]++
	})
	defer func() { fmt.Println(kinds) }()
	values := map[NodeID]string{}
	for i := range perTick * ticks {
		writer := choose.IntN(n)
		value := fmt.Sprintf("%08d", i)
		values[nodeID(writer)] = value
		w.Inject(addrOf(writer, 0), SetOwn{Key: "x", Value: []byte(value)})
		w.RunUntil(w.Now().Add(tick / time.Duration(perTick)))
	}
	during := sum(cores)
	end := w.Now()
	for slowest = 0; slowest < 10*time.Second; slowest += 10 * time.Millisecond {
		w.RunUntil(end.Add(slowest))
		whole := true
		for _, c := range cores {
			for id, value := range values {
				if got, _ := c.View().Own(id, "x"); string(got) != value {
					whole = false
				}
			}
			if !whole {
				break
			}
		}
		if whole {
			break
		}
	}
	w.RunUntil(end.Add(20 * time.Second))
	all := sum(cores)
	per := float64(n * ticks)
	all.GapsDropped = during.PacketsSent
	return float64(all.PacketsSent) / per, float64(all.BytesSent) / per, slowest, all
}

func sum(cores []*Core) (m Metrics) {
	for _, c := range cores {
		if c == nil {
			continue
		}
		o := c.Metrics()
		m.PacketsSent += o.PacketsSent
		m.BytesSent += o.BytesSent
		m.PayloadsSent += o.PayloadsSent
		m.ReceiptsSent += o.ReceiptsSent
		m.DoneSent += o.DoneSent
		m.Retries += o.Retries
		m.RumorsStarted += o.RumorsStarted
		m.RumorsDropped += o.RumorsDropped
		m.RumorsDuplicate += o.RumorsDuplicate
		m.Gaps += o.Gaps
	}
	return m
}

func TestLoad(t *testing.T) {
	if os.Getenv("LOAD") == "" {
		t.Skip()
	}
	var n, perTick, ticks int
	var loss float64
	fmt.Sscan(os.Getenv("LOAD"), &n, &perTick, &ticks, &loss)
	begin := time.Now()
	packets, bytes, slowest, m := loaded(t, n, perTick, ticks, loss)
	t.Logf("%.2f packets, %.0f bytes per node and tick, all have all %v after the last; %+v (%v)", packets, bytes, slowest, m, time.Since(begin))
}
