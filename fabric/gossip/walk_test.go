package gossip

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

// TestWalks plays rumors alone, without anti-entropy and failure detection, under loss, duplication, reordering and
// undetected deaths. What a result says must be true at the moment it is reported; every rumor must come to rest;
// and with everybody alive every result must come.
func TestWalks(t *testing.T) {
	count := *simCount
	if testing.Short() {
		count = min(count, 20)
	}
	var total walked
	for i := range count {
		seed := *simSeed + uint64(i)
		first := walkAround(t, seed, nil)
		if i%4 == 0 {
			if second := walkAround(t, seed, nil); first != second {
				t.Fatalf("seed %d: two runs differ: %+v and %+v", seed, first, second)
			}
		}
		total.Writes += first.Writes
		total.Results += first.Results
		total.Reached += first.Reached
		total.Missing += first.Missing
		total.FalselyMissing += first.FalselyMissing
		total.Dead += first.Dead
		total.Retries += first.Retries
		total.Collected += first.Collected
		total.Unequal += first.Unequal
		total.Events += first.Events
	}
	t.Logf("%d seeds: %+v", count, total)
	// One member that lacks a write lacks what its writer writes after it: a few seeds say little.
	if count >= 50 && total.FalselyMissing*200 > total.Reached {
		t.Error("live members are given up too often")
	}
	if count >= 50 && (total.Dead == 0 || total.Retries == 0 || total.Collected == 0 || total.Missing == 0 || total.Unequal == 0) {
		t.Error("a fault was never played")
	}
}

// walked counts what was played.
type walked struct {
	Writes, Results, Reached, Missing, FalselyMissing, Dead, Collected, Unequal int
	Retries, Events, trace                                                      uint64
}

func walkAround(t complainer, seed uint64, alter func(Message) Message) (played walked) {
	t.Helper()
	choose := rand.New(rand.NewPCG(seed, 78))
	n := 2 + choose.IntN(60)
	link := sim.Link{
		Latency: time.Duration(choose.IntN(5)) * time.Millisecond, Jitter: time.Duration(choose.IntN(10)) * time.Millisecond,
		Loss: choose.Float64() * 0.3, Duplicate: choose.Float64() * 0.3, Reorder: choose.Float64() * 0.3,
	}
	fanout, stepwise := 1+choose.IntN(8), choose.IntN(2) == 0
	w, cores := standingWith(t, seed, n, link, func(cfg *Config) {
		cfg.Fanout, cfg.ProbeInterval, cfg.Stepwise = fanout, 1000*time.Hour, stepwise
	})
	w.Transcode(func(m Message) Message {
		p, ok := m.(Packet)
		if !ok {
			return m
		}
		encoded := Encode(nil, p)
		if !p.Reliable() && len(encoded) > MaxDatagram {
			t.Fatalf("seed %d: %d bytes in a datagram: %v", seed, len(encoded), p)
		}
		decoded, err := Decode(encoded)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if alter != nil {
			return alter(decoded)
		}
		return decoded
	})
	if choose.IntN(4) == 0 { // some do not know of one member
		played.Unequal++
		for i := range cores {
			if i > 0 && choose.IntN(3) == 0 {
				cores[i].owners.remove(nodeID(0))
				cores[i].touch(true)
				cores[i].settle()
			}
		}
	}
	last := slices.Clone(cores)              // the crashed ones included
	writes := map[NodeID]map[uint64]string{} // by origin and sequence: the key
	w.OnNotify(func(_ time.Time, p Peer, e Event) {
		if c, ok := e.(Converged); ok {
			played.Results++
			checkResult(t, seed, last, cores, c, writes[c.Rumor.Origin][c.Rumor.Sequence], &played)
		}
	})
	for i := range 1 + choose.IntN(40) {
		origin := choose.IntN(n)
		c := cores[origin]
		if c == nil {
			continue
		}
		if choose.IntN(20) == 0 && played.Writes > 0 {
			cores[origin] = nil
			w.Remove(addrOf(origin, 0))
			played.Dead++
			continue
		}
		played.Writes++
		key := fmt.Sprint("key", i)
		if writes[nodeID(origin)] == nil {
			writes[nodeID(origin)] = map[uint64]string{}
		}
		w.Inject(addrOf(origin, 0), SetOwn{Key: key, Value: []byte("2")})
		w.RunUntil(w.Now().Add(time.Microsecond))
		writes[nodeID(origin)][c.writes.count] = key
		w.RunUntil(w.Now().Add(time.Duration(choose.IntN(30)) * time.Millisecond))
	}
	w.RunUntil(w.Now().Add(90 * time.Second))
	atRest(t, cores)
	if played.Dead == 0 && played.Results < int(sum(cores).RumorsStarted) {
		t.Fatalf("seed %d: %d of %d rumors have a result", seed, played.Results, sum(cores).RumorsStarted)
	}
	m := sum(cores)
	played.Retries, played.Collected = m.Retries, int(m.RumorsStarted)-played.Writes
	played.Events, played.trace = w.Events(), w.Trace()
	return played
}

// checkResult: every member of the origin's view that is not missing has applied the update, even if it is dead since.
func checkResult(t complainer, seed uint64, last, cores []*Core, c Converged, key string, played *walked) {
	t.Helper()
	played.Missing += len(c.Missing)
	played.Reached += c.Count
	if c.Unequal && played.Unequal == 0 {
		t.Fatalf("seed %d: all views are equal, but %v says that one is not", seed, c.Rumor)
	}
	if c.Unequal || key == "" {
		return
	}
	var view *roster // at the origin, when the rumor began
	for i, core := range cores {
		if nodeID(i) == c.Rumor.Origin {
			view = core.rumors.walks[c.Rumor].roster
		}
	}
	if c.Count+len(c.Missing) != len(view.Members()) {
		t.Fatalf("seed %d: %v among %d", seed, c, len(view.Members()))
	}
	for i, core := range last {
		_, known := view.Member(nodeID(i))
		switch gone := slices.Contains(c.Missing, nodeID(i)); {
		case !known, gone && cores[i] == nil:
		case gone && played.Unequal == 0: // else deltas wait for the owner's state, which only anti-entropy brings
			played.FalselyMissing++
		case gone:
		default:
			if _, ok := core.View().Own(c.Rumor.Origin, key); !ok {
				t.Fatalf("seed %d: %v, but node %d lacks %s", seed, c, i, key)
			}
		}
	}
}
