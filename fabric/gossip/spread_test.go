package gossip

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

// standing makes n cores that share one view of one converged cluster.
func standing(t complainer, n, fanout int, probes time.Duration) (*world, []*Core) {
	t.Helper()
	return standingWith(t, 1, n, sim.Link{Latency: time.Millisecond}, func(cfg *Config) {
		cfg.Fanout, cfg.ProbeInterval, cfg.ExchangeInterval = fanout, probes, probes
	})
}

func standingWith(t complainer, seed uint64, n int, link sim.Link, configure func(cfg *Config)) (*world, []*Core) {
	t.Helper()
	w := sim.New[Peer, Message, Event](sim.Options{Seed: seed, Start: simStart, Link: link})
	w.Reliable(func(m Message) bool { p, ok := m.(Packet); return ok && p.Reliable() })
	contents := Contents{Cluster: testCluster, Stamp: 1}
	for i := range n {
		contents.Members = append(contents.Members, Member{
			ID: nodeID(i), Boot: BootID(i + 1), Generation: 1, UpNumber: uint64(i + 1), Status: StatusUp, Reachable: true, Addr: addrOf(i, 0),
		})
	}
	view := NewView(contents)
	orders := &Orders{}
	cores := make([]*Core, n)
	for i := range n {
		cfg := Config{
			ID: nodeID(i), Boot: BootID(i + 1), Generation: 1, Seed: seed<<32 + uint64(i), Addr: addrOf(i, 0), View: view, Orders: orders,
			ExchangeInterval: 1000 * time.Hour, // what arrives, arrives by rumor
		}
		configure(&cfg)
		core, err := New(cfg, simStart)
		if err != nil {
			t.Fatal(err)
		}
		if core.View().roster != view.roster {
			t.Fatal("the core made a member list of its own")
		}
		cores[i] = core
		w.Add(addrOf(i, 0), core)
	}
	return w, cores
}

// The number: at no loss, exactly n-1 payloads in ceil(log_{k+1} n) rounds, and nobody gets one twice.
func TestEveryMemberGetsAnUpdateExactlyOnceInTheFewestRounds(t *testing.T) {
	sizes := []int{1, 2, 3, 5, 9, 10, 17, 64, 100, 243, 1000, 1023, 10_000}
	for _, k := range []int{1, 3, 4, 8} {
		for _, n := range sizes {
			if testing.Short() && n > 1023 || n == 10_000 && k == 1 && raceEnabled {
				continue
			}
			t.Run(fmt.Sprintf("k=%d/n=%d", k, n), func(t *testing.T) { t.Log(spreadOnce(t, n, k, nil)) })
		}
	}
}

// spreadOnce writes at one of n nodes and follows the rumor.
func spreadOnce(t complainer, n, k int, alter func(Message) Message) string {
	t.Helper()
	w, cores := standing(t, n, k, 100_000*time.Hour)
	w.Transcode(func(m Message) Message {
		if alter != nil {
			return alter(m)
		}
		return m
	})
	origin := n / 3
	reached := map[Peer]int{addrOf(origin, 0): 0} // the round a node was told in
	hops := map[Peer]int{}
	sent := map[Peer]int{}
	w.OnSend(func(_ time.Time, from, to Peer, m Message) {
		if !carries(m, kindRumor) {
			return
		}
		if _, twice := reached[to]; twice {
			t.Fatalf("%v is told twice", to)
		}
		reached[to] = reached[from] + 1 + sent[from]/k // k parts per round, in the order of sending
		hops[to] = hops[from] + 1
		sent[from]++
	})
	w.Inject(addrOf(origin, 0), SetOwn{Key: "x", Value: []byte("2")})
	for w.Now().Before(simStart.Add(20*time.Millisecond)) && w.Step() {
	}
	latest, farthest, busiest := 0, 0, 0
	for to := range reached {
		latest, farthest, busiest = max(latest, reached[to]), max(farthest, hops[to]), max(busiest, sent[to])
	}
	want, _ := rounds(n, k)
	if len(reached) != n || latest != want || farthest > want || busiest > k*want {
		t.Fatalf("%d payloads in %d rounds and %d hops, %d by one node; want %d in %d", len(reached)-1, latest, farthest, busiest, n-1, want)
	}
	w.RunUntil(simStart.Add(time.Second))
	for i, core := range cores {
		if value, _ := core.View().Own(nodeID(origin), "x"); string(value) != "2" || core.View().Root() != cores[0].View().Root() {
			t.Fatalf("node %d has %q", i, value)
		}
	}
	return fmt.Sprintf("%d payloads, %d rounds, %d hops, at most %d by one node", len(reached)-1, latest, farthest, busiest)
}

// carries reports whether the message is a packet with a body of the kind.
func carries(m Message, kind uint8) bool {
	p, ok := m.(Packet)
	return ok && slices.ContainsFunc(p.bodies, func(b body) bool { return b.kind() == kind })
}
