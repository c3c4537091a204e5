package gossip

import (
	"fmt"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

// Small worlds, enumerated completely: up to four nodes, one update, and at every message that is ever sent either
// this message is lost, or its sender or receiver crashes.

// fault is what happens at one message.
type fault struct {
	at   int
	what string
}

// smallWorld plays one fault and gives the count of messages; it complains when the outcome is wrong.
func smallWorld(t complainer, n, k int, faults []fault) (messages int) {
	t.Helper()
	w, cores := standingWith(t, 1, n, sim.Link{Latency: time.Millisecond}, func(cfg *Config) {
		cfg.Fanout, cfg.ProbeInterval = k, 1000*time.Hour
	})
	name := fmt.Sprintf("n=%d k=%d %v", n, k, faults)
	crash := func(p Peer) {
		w.Remove(p)
		for i := range cores {
			if addrOf(i, 0) == p {
				cores[i] = nil
			}
		}
	}
	lose := false
	var doomed []Peer
	w.OnSend(func(_ time.Time, from, to Peer, _ Message) {
		for _, f := range faults {
			if f.at != messages {
				continue
			}
			switch f.what {
			case "lost":
				lose = true
			case "sender crashes":
				lose, doomed = true, append(doomed, from)
			case "receiver crashes":
				doomed = append(doomed, to)
			}
		}
		messages++
	})
	w.Transcode(func(m Message) Message {
		if p, ok := m.(Packet); ok && lose {
			p.bodies = nil
			m, lose = p, false
		}
		return m
	})
	var results []Converged
	w.OnNotify(func(_ time.Time, _ Peer, e Event) {
		if c, ok := e.(Converged); ok {
			results = append(results, c)
		}
	})
	w.Inject(addrOf(0, 0), SetOwn{Key: "x", Value: []byte("2")})
	for end := simStart.Add(20 * time.Second); w.Now().Before(end) && w.Step(); {
		for _, p := range doomed {
			crash(p)
		}
		doomed = nil
		if len(results) == 0 {
			continue
		}
		missing := map[NodeID]bool{}
		for _, id := range results[0].Missing {
			missing[id] = true
		}
		for i, c := range cores {
			if c == nil || missing[nodeID(i)] {
				continue
			}
			if _, ok := c.View().Own(nodeID(0), "x"); !ok {
				t.Fatalf("%s: node %d is said to have it", name, i)
			}
		}
	}
	alive := 0
	for _, c := range cores {
		if c != nil {
			alive++
		}
	}
	if cores[0] != nil {
		switch {
		case len(results) != 1:
			t.Fatalf("%s: results %v", name, results)
		case results[0].Count+len(results[0].Missing) != n, len(results[0].Missing) > n-alive, alive == n && results[0].Count != n:
			t.Fatalf("%s: %v, missing %v, %d are alive", name, results[0], results[0].Missing, alive)
		}
		for i, c := range cores {
			if c != nil {
				if _, ok := c.View().Own(nodeID(0), "x"); !ok {
					t.Fatalf("%s: node %d has it not", name, i)
				}
			}
		}
	}
	atRest(t, cores)
	return messages
}

func TestSmallWorlds(t *testing.T) {
	played := 0
	kinds := []string{"lost", "sender crashes", "receiver crashes"}
	for n := 2; n <= 4; n++ {
		for k := 1; k <= 3; k++ {
			for at := 0; at < smallWorld(t, n, k, nil); at++ {
				for _, what := range kinds {
					first := fault{at, what}
					messages := smallWorld(t, n, k, []fault{first})
					played++
					for second := at + 1; what == "lost" && second < messages; second++ {
						smallWorld(t, n, k, []fault{first, {second, "lost"}})
						played++
					}
				}
			}
		}
	}
	t.Logf("%d worlds", played)
}
