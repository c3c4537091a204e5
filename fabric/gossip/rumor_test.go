package gossip

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

// spreading is what one update did among n nodes.
type spreading struct {
	rounds             int     // until every live node had it; -1: it did not
	messages, payloads float64 // per live node, until silence
	converged          time.Duration
	missing            int
}

const tick = 100 * time.Millisecond

// spreadUnder writes at one of n nodes that share a view, some of which are dead without anybody knowing. Rounds are
// ticks; a round trip is much shorter than that, as is the retry timeout.
func spreadUnder(t complainer, seed uint64, n, k int, loss, dead float64) (s spreading) {
	t.Helper()
	w, cores := standingWith(t, seed, n, sim.Link{Latency: 2 * time.Millisecond, Loss: loss}, func(cfg *Config) {
		cfg.Fanout, cfg.ProbeInterval, cfg.Tick, cfg.Stepwise = k, 1000*time.Hour, tick, true
	})
	origin := n / 3
	live := n
	choose := rand.New(rand.NewPCG(seed, 77))
	for i := range cores {
		if i != origin && choose.Float64() < dead {
			w.Remove(addrOf(i, 0))
			cores[i] = nil
			live--
		}
	}
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
			if e.Count+len(e.Missing) != n || e.Unequal {
				t.Fatalf("%v among %d", e, n)
			}
		}
	})
	w.Inject(addrOf(origin, 0), SetOwn{Key: "x", Value: []byte("12345678")})
	w.RunUntil(simStart.Add(30 * time.Second))
	s.rounds = int((last.Sub(simStart) + tick - 1) / tick)
	if len(has) < live {
		s.rounds = -1
	}
	m := sum(cores)
	s.messages, s.payloads = float64(m.PacketsSent)/float64(live), float64(m.PayloadsSent)/float64(live)
	atRest(t, cores)
	return s
}

// atRest complains of rumors that have not come to rest.
func atRest(t complainer, cores []*Core) {
	t.Helper()
	for i, c := range cores {
		if c != nil && len(c.rumors.timers) > 0 {
			t.Fatalf("node %d still works on %d rumors", i, len(c.rumors.timers))
		}
	}
}

func sum(cores []*Core) (m Metrics) {
	for _, c := range cores {
		if c != nil {
			o := c.Metrics()
			m.PacketsSent += o.PacketsSent
			m.BytesSent += o.BytesSent
			m.PayloadsSent += o.PayloadsSent
			m.Retries += o.Retries
			m.RumorsStarted += o.RumorsStarted
			m.RumorsDropped += o.RumorsDropped
			m.PacketsDropped += o.PacketsDropped
			m.PacketsDelayed += o.PacketsDelayed
		}
	}
	return m
}

// The numbers: rounds and messages of one update, until everybody has it and silence falls.
func TestAnUpdateReachesEverybodyUnderLossAndDeath(t *testing.T) {
	type limit struct {
		loss, dead float64
		rounds     [2]int // n = 1000, n = 10 000
		messages   float64
		payloads   float64
	}
	for _, n := range []int{1000, 10_000} {
		if n > 1000 && testing.Short() {
			continue
		}
		for _, l := range []limit{
			{0, 0, [2]int{5, 6}, 2.6, 1}, {.05, 0, [2]int{6, 7}, 3.2, 1.3}, {.2, 0, [2]int{6, 8}, 5.3, 2.2}, {0, .1, [2]int{6, 8}, 5.3, 2.7},
		} {
			t.Run(fmt.Sprintf("n=%d/loss=%.0f%%/dead=%.0f%%", n, 100*l.loss, 100*l.dead), func(t *testing.T) {
				const seeds = 3
				var messages, payloads float64
				var rounds []int
				limitRounds := l.rounds[0]
				if n > 1000 {
					limitRounds = l.rounds[1]
				}
				for seed := range uint64(seeds) {
					s := spreadUnder(t, seed, n, 4, l.loss, l.dead)
					rounds, messages, payloads = append(rounds, s.rounds), messages+s.messages/seeds, payloads+s.payloads/seeds
					if s.rounds < 0 || s.rounds > limitRounds || s.converged == 0 {
						t.Errorf("seed %d: %+v", seed, s)
					}
					if l.dead == 0 && s.missing > 0 {
						t.Errorf("seed %d: %d counted as missing", seed, s.missing)
					}
				}
				t.Logf("rounds %v, %.2f messages and %.2f payloads per node", rounds, messages, payloads)
				if messages > l.messages || payloads > l.payloads {
					t.Errorf("more than %.2f messages or %.2f payloads", l.messages, l.payloads)
				}
			})
		}
	}
}

// Twenty updates per tick from many origins, among a thousand: once the load is known, a packet with all of them for
// every node and tick, and what little it takes to answer.
func TestManyUpdatesShareTheirPackets(t *testing.T) {
	if testing.Short() {
		t.Skip("ten seconds")
	}
	// Under loss answers do not wait, so a tick costs what one rumor costs by itself; above 10 % the second copies of
	// large parts come on top, about two packets (5.8 with them, 3.8 without).
	for _, tc := range []struct{ loss, packets float64 }{{0, 1.4}, {.05, 3.2}, {.2, 6.4}} {
		t.Run(fmt.Sprintf("loss=%.0f%%", 100*tc.loss), func(t *testing.T) { manyUpdates(t, tc.loss, tc.packets) })
	}
}

func manyUpdates(t *testing.T, loss, limit float64) {
	t.Helper()
	const n, perTick = 1000, 20
	ticks := 30
	if loss > 0 {
		ticks = 15
	}
	w, cores := standingWith(t, 1, n, sim.Link{Latency: time.Millisecond, Jitter: time.Millisecond, Loss: loss}, func(cfg *Config) {
		cfg.ProbeInterval = 1000 * time.Hour
	})
	choose := rand.New(rand.NewPCG(1, 5))
	values := map[int]string{}
	write := func(count int) {
		for i := range count {
			writer := choose.IntN(n)
			values[writer] = fmt.Sprintf("%08d", i)
			w.Inject(addrOf(writer, 0), SetOwn{Key: "x", Value: []byte(values[writer])})
			w.RunUntil(w.Now().Add(tick / perTick))
		}
	}
	converged, givenUp := 0, map[NodeID]bool{}
	w.OnNotify(func(_ time.Time, _ Peer, e Event) {
		if c, ok := e.(Converged); ok {
			converged++
			for _, id := range c.Missing {
				givenUp[id] = true
			}
			if c.Count+len(c.Missing) != n || c.Unequal || len(c.Missing) > 0 && loss == 0 {
				t.Errorf("%v", c)
			}
		}
	})
	write(2 * slotTicks * perTick) // the load becomes known, and what went out before that has come to rest
	before := sum(cores)
	write(ticks * perTick)
	during := sum(cores)
	end := w.Now()
	if w.RunUntil(end.Add(4 * tick)); loss > 0 {
		w.RunUntil(end.Add(30 * tick))
	}
	for i, c := range cores {
		for writer, value := range values {
			if got, _ := c.View().Own(nodeID(writer), "x"); string(got) != value {
				t.Fatalf("node %d lacks what %d wrote", i, writer)
			}
		}
	}
	w.RunUntil(end.Add(20 * time.Second))
	after := sum(cores)
	// The window has as much in flight at its beginning as at its end. Without loss, even all that follows counts.
	per := n * float64(ticks)
	window, silent := float64(during.PacketsSent-before.PacketsSent)/per, float64(after.PacketsSent-before.PacketsSent)/per
	t.Logf("%.2f packets, %.0f bytes per node and tick; until silence %.2f packets", window, float64(during.BytesSent-before.BytesSent)/per, silent)
	if window > limit || loss == 0 && silent > limit {
		t.Error("too many packets")
	}
	// A member gets so many tries that one rumor in a thousand gives up somebody who is there, and estimates scatter.
	// Those that travel in one rumor, or follow it from the same writer, miss the same member.
	if len(givenUp) > 2 && loss < .1 {
		t.Errorf("%d members were given up", len(givenUp))
	}
	if want := int(after.RumorsStarted); converged != want {
		t.Errorf("%d of %d rumors have converged", converged, want)
	}
	atRest(t, cores)
}

// Ten times more than a node may send: it falls behind, bounded, and nothing is lost in silence.
func TestOverloadIsBounded(t *testing.T) {
	const n, rate = 60, 200
	w, cores := standingWith(t, 1, n, sim.Link{Latency: time.Millisecond}, func(cfg *Config) {
		cfg.ProbeInterval, cfg.PacketRate, cfg.Coalesce = 1000*time.Hour, rate, time.Millisecond
	})
	burst := max(int(tick.Seconds()*rate), MaxFanout)
	sent := map[Peer]int{}
	begun := simStart
	w.OnSend(func(now time.Time, from, _ Peer, m Message) {
		if now.Sub(begun) >= tick {
			clear(sent)
			begun = now
		}
		if sent[from]++; sent[from] > burst+int(tick.Seconds()*rate)+1 {
			t.Fatalf("%v sends %d packets in a tick", from, sent[from])
		}
		if p, _ := m.(Packet); !p.Reliable() && len(Encode(nil, p)) > MaxDatagram {
			t.Fatalf("%d bytes in a datagram", len(Encode(nil, p)))
		}
	})
	for i := range 3000 {
		w.Inject(addrOf(i%n, 0), SetShared{Key: fmt.Sprint("k", i%50), Value: make([]byte, 100+i%1500)})
		w.RunUntil(w.Now().Add(100 * time.Microsecond))
		for _, c := range cores[:3] {
			if len(c.outbox.heldBack) > maxHeldBack || len(c.rumors.walks) > maxRumors || c.rumors.bytes > maxRumorBytes || len(c.outbox.late) > maxLate {
				t.Fatal("over a bound")
			}
		}
	}
	if m := sum(cores); m.PacketsDelayed == 0 {
		t.Fatal("pacing held nothing back")
	}
}

func TestRumorsAreRememberedUpToABound(t *testing.T) {
	c := founded(t)
	rumorOf := func(n int, size int) rumor {
		return rumor{id: RumorID{Origin: nodeID(2), Generation: 1, Sequence: uint64(n)}, payload: &payload{size: size}}
	}
	for n := range maxRumors {
		c.begin(rumorOf(n, 1))
	}
	if len(c.rumors.walks) != maxRumors || c.metrics.RumorsDropped != 0 {
		t.Fatal("a rumor within the bound is forgotten")
	}
	c.begin(rumorOf(maxRumors, 1))
	if len(c.rumors.walks) != maxRumors || c.metrics.RumorsDropped != 1 || c.rumors.walks[rumorOf(0, 1).id] != nil {
		t.Fatalf("%d rumors remembered, %d dropped", len(c.rumors.walks), c.metrics.RumorsDropped)
	}
	c.begin(rumorOf(-1, maxRumorBytes-10))
	if len(c.rumors.walks) != 11 || c.rumors.bytes != maxRumorBytes {
		t.Fatalf("%d rumors of %d bytes", len(c.rumors.walks), c.rumors.bytes)
	}
	w := c.begin(rumorOf(-2, 1))
	for i := range uint64(maxDuties + 1) {
		c.take(w, duty{span: span{i, i}, to: process{addrOf(2, 0), BootID(i + 1)}})
	}
	if len(w.duties) != maxDuties {
		t.Fatalf("%d duties", len(w.duties))
	}
}

// Over many slots, everybody sends about the same.
func TestTheWorkIsSharedFairly(t *testing.T) {
	const n, slots = 100, 10_000
	_, cores := standing(t, n, 4, 1000*time.Hour)
	r := cores[0].View().roster
	sends := make([]int, n)
	choose := rand.New(rand.NewPCG(1, 1))
	never := func(span) bool { return false }
	for slot := range uint64(slots) {
		o := newOrder(r, slot)
		var spread func(from, to, self int, s span)
		spread = func(from, to, self int, s span) {
			o.cut(from, to, self, s, 4, never, func(from, to int, s span) {
				sends[o.members[self]]++
				sends[o.members[from]]++ // the answer
				spread(from, to, from, s)
			})
		}
		spread(0, n, choose.IntN(n), wholeSpan)
	}
	most, total := 0, 0
	for _, count := range sends {
		most, total = max(most, count), total+count
	}
	ratio := float64(most) * n / float64(total)
	t.Logf("the busiest sends %.3f of the mean", ratio)
	if ratio >= 1.3 {
		t.Error("not fair")
	}
}

// The cuts of an interval do not depend on who cuts it: all parts ever made lie within each other or apart.
func TestPartsLieWithinEachOtherOrApart(t *testing.T) {
	_, cores := standing(t, 137, 4, 1000*time.Hour)
	for fanout := 1; fanout <= 9; fanout++ {
		o := newOrder(cores[0].View().roster, 7)
		var all []span
		never := func(span) bool { return false }
		for self := -1; self < len(o.members); self += 3 {
			o.cut(0, len(o.members), self, wholeSpan, fanout, never, func(from, to int, s span) {
				if f, u := o.within(s); f != from || u != to {
					t.Fatalf("[%d,%d) lies at %d,%d", from, to, f, u)
				}
				all = append(all, s)
			})
		}
		for _, a := range all {
			for _, b := range all {
				if a.overlaps(b) && !a.encloses(b) && !b.encloses(a) {
					t.Fatalf("%v and %v", a, b)
				}
			}
		}
	}
}

func TestEstimates(t *testing.T) {
	var e estimate
	if e.retry(20*time.Millisecond) != 20*time.Millisecond {
		t.Error("without a measurement: the floor")
	}
	for range 50 {
		e.sample(30 * time.Millisecond)
	}
	if r := e.retry(20 * time.Millisecond); r < 30*time.Millisecond || r > 35*time.Millisecond {
		t.Error("after a steady 30 ms:", r)
	}
	for range 50 {
		e.sample(time.Hour)
	}
	if e.retry(20*time.Millisecond) != maxRetry {
		t.Error("no longest")
	}
	for _, tc := range []struct {
		failed, of int
		n, tries   int
		lossy      bool
	}{{0, 0, 1000, 12, false}, {0, 300, 1000, 4, false}, {0, 10_000, 1000, 3, false}, {30, 300, 1000, 7, false}, {108, 300, 1000, 12, true}, {300, 300, 1000, 12, true}} {
		e = estimate{requests: float64(tc.of), failed: float64(tc.failed)}
		if e.tries(tc.n) != tc.tries || e.lossy() != tc.lossy {
			t.Errorf("%+v: %d tries, lossy %v", tc, e.tries(tc.n), e.lossy())
		}
	}
	for range 10_000 {
		e.asked(false)
	}
	if e.requests > lossWindow+1 {
		t.Error("the past does not fade")
	}
}

// The strategies for comparison: what they cost, and that they reach everybody.
func TestOtherStrategiesReachEverybody(t *testing.T) {
	for _, tc := range []struct {
		strategy Strategy
		payloads float64 // per node
	}{{StrategyLiteral, 49}, {StrategyPush, 4 * 8}} {
		w, cores := standingWith(t, 1, 50, sim.Link{Latency: time.Millisecond}, func(cfg *Config) {
			cfg.ProbeInterval, cfg.Strategy = 1000*time.Hour, tc.strategy
		})
		w.Inject(addrOf(7, 0), SetOwn{Key: "x", Value: []byte("2")})
		w.RunUntil(simStart.Add(10 * time.Second))
		for i, c := range cores {
			if _, ok := c.View().Own(nodeID(7), "x"); !ok {
				t.Errorf("%v: node %d has it not", tc.strategy, i)
			}
		}
		if m := sum(cores); float64(m.PayloadsSent) != 50*tc.payloads {
			t.Errorf("%v: %.1f payloads per node", tc.strategy, float64(m.PayloadsSent)/50)
		}
		atRest(t, cores)
	}
	for s := StrategyINR; s <= StrategyPush; s++ {
		if parsed, err := ParseStrategy(s.String()); err != nil || parsed != s {
			t.Error(parsed, err)
		}
	}
	if _, err := ParseStrategy("rumour"); err == nil {
		t.Error("an unknown strategy was parsed")
	}
}

// Who holds a view, who has a version: counted, and those who do not are named.
func TestGather(t *testing.T) {
	const n = 40
	w, cores := standingWith(t, 1, n, sim.Link{Latency: time.Millisecond, Loss: .1}, func(cfg *Config) { cfg.ProbeInterval = 1000 * time.Hour })
	var got []Gathered
	w.OnNotify(func(_ time.Time, _ Peer, e Event) {
		if g, ok := e.(Gathered); ok {
			got = append(got, g)
		}
	})
	ask := func(g Gather) Gathered {
		got = nil
		w.Inject(addrOf(3, 0), g)
		w.RunUntil(w.Now().Add(3 * time.Second))
		if len(got) != 1 || got[0].Request != g.Request {
			t.Fatal(got)
		}
		return got[0]
	}
	everybody := uint64(0)
	for i := range n {
		everybody ^= nodeID(i).point()
	}
	if g := ask(Gather{Request: 1, View: cores[0].View().Hash()}); g.Count != n || g.Xor != everybody || g.Min != 1 || len(g.Missing) != 0 || g.After > time.Second {
		t.Error(g)
	}
	if g := ask(Gather{Request: 2, View: 1}); g.Count != 0 || len(g.Missing) != n {
		t.Error(g)
	}
	version := cores[5].self().version
	late := cores[9]
	w.Remove(addrOf(9, 0))
	w.Inject(addrOf(5, 0), SetOwn{Key: "x", Value: []byte("2")})
	w.RunUntil(w.Now().Add(3 * time.Second))
	w.Add(addrOf(9, 0), late)
	g := ask(Gather{Request: 3, Owner: nodeID(5), Generation: 1, Version: version + 1})
	if g.Count != n-1 || !slices.Equal(g.Missing, []NodeID{nodeID(9)}) || g.Min != version {
		t.Error(g, g.Missing)
	}
	w.Remove(addrOf(11, 0)) // nobody knows
	if g := ask(Gather{Request: 4, Owner: nodeID(5), Generation: 1, Version: version}); g.Count != n-1 || !slices.Equal(g.Missing, []NodeID{nodeID(11)}) || g.Min != version {
		t.Error(g, g.Missing)
	}
	for i := range maxGathers + 1 {
		cores[3].Receive(w.Now(), addrOf(3, 0), Gather{Request: uint64(i)})
	}
	if e := cores[3].Ready().Notify; len(e) != 1 || e[0].(Gathered).Request != maxGathers {
		t.Error("questions are not bounded", e)
	}
}
