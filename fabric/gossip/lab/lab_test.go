package lab

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// measure plays an experiment with some seeds.
func measure(t *testing.T, e Experiment, seeds int) Row {
	t.Helper()
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		seeds = 1
	}
	var outcomes []Outcome
	for seed := range uint64(seeds) {
		o, ok := Run(e, seed+1, Watch{})
		if !ok {
			t.Fatal("interrupted by nobody")
		}
		outcomes = append(outcomes, o)
	}
	return Summarize(e, outcomes)
}

func TestEqualSeedsGiveEqualOutcomes(t *testing.T) {
	for _, scheme := range Schemes() {
		e := Experiment{Scheme: scheme, N: 60, K: 3, Loss: 10, Dead: 10, Missing: 3, Updates: 2}
		first, _ := Run(e, 7, Watch{})
		second, _ := Run(e, 7, Watch{})
		if !reflect.DeepEqual(first, second) {
			t.Errorf("%v: %+v and %+v", scheme, first, second)
		}
		if other, _ := Run(e, 8, Watch{}); reflect.DeepEqual(first, other) {
			t.Errorf("%v: two seeds have one outcome", scheme)
		}
	}
}

// What is known of the schemes from their papers and from arithmetic.
func TestTheSchemesDoWhatIsKnownOfThem(t *testing.T) {
	const n = 1000
	at := func(s Scheme, k int, loss float64) Row {
		return measure(t, Experiment{Scheme: s, N: n, K: k, Loss: loss, Updates: 1}, 3)
	}
	within := func(what string, got, low, high float64) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s: %g is not within %g…%g", what, got, low, high)
		}
	}
	// Pittel 1987: log2 n + ln n + O(1) rounds of push to one.
	within("rounds of push to one", at(SchemePush, 1, 0).RoundsMedian, math.Log2(n)+math.Log(n)-3, math.Log2(n)+math.Log(n)+3)
	// Everybody sends to everybody once.
	literal := at(SchemeLiteral, 3, 20)
	within("messages of the literal rule", literal.Messages, n-1, n-1)
	within("rounds saved by the literal rule", at(SchemePush, 3, 0).RoundsMedian-at(SchemeLiteral, 3, 0).RoundsMedian, -1, 1)
	// Three messages per call, one call per member and round.
	pull := at(SchemePushPull, 1, 0)
	within("messages of push-pull", pull.Messages, 3*pull.RoundsMedian-3, 3*pull.RoundsMedian+3)
	// memberlist: 4·ceil(log10(n+1)) transmissions.
	within("messages of transmit-limited", at(SchemeTransmit, 3, 20).Messages, 16, 16)
	if seen := at(SchemeSeen, 1, 0); seen.Done != "yes" || seen.Stop != "silent" {
		t.Errorf("seen-sets: %+v", seen)
	}
	// Karp et al. 2000: O(log n) rounds, O(ln ln n) copies per member, everybody reached, silent by itself.
	median := at(SchemeMedian, 1, 0)
	within("copies of median counter", median.Payloads, 5, 20)
	within("rounds of median counter", median.RoundsMedian, 7, 12)
	if median.Stop != "silent" || median.Reached != 1 {
		t.Errorf("median counter: %+v", median)
	}
}

func TestTheDeadKeepSeenSetsFromBeingFull(t *testing.T) {
	row := measure(t, Experiment{Scheme: SchemeSeen, N: 100, K: 1, Dead: 10, Updates: 1}, 2)
	if row.Stop != "oracle" || row.Done != "no" || row.Reached != 1 {
		t.Errorf("%+v", row)
	}
}

// The figures that rumors have to reach, by the production core.
func TestRumorsTakeTheFewestRoundsAndCopies(t *testing.T) {
	tests := []struct {
		n, k                 int
		loss, dead           float64
		rounds               float64
		messages, payloads   float64
		everybodyIsAccounted bool
	}{
		{100, 4, 0, 0, 3, 2.6, 1, true},
		{1000, 1, 0, 0, 10, 3.2, 1, true},
		{1000, 3, 0, 0, 5, 2.6, 1, true},
		{1000, 4, 0, 0, 5, 2.6, 1, true},
		{1000, 4, 5, 0, 6, 3.2, 1.3, true},
		{1000, 4, 20, 0, 6, 5.3, 2.2, false},
		{1000, 4, 0, 10, 6, 4.5, 3, true},
		{1000, 8, 0, 0, 4, 2.6, 1, true},
		{10_000, 4, 0, 0, 6, 2.6, 1, true},
		{10_000, 4, 20, 0, 8, 5.3, 2.3, false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("n=%d/k=%d/loss=%g/dead=%g", test.n, test.k, test.loss, test.dead), func(t *testing.T) {
			if testing.Short() && test.n > 1000 {
				t.Skip("large")
			}
			row := measure(t, Experiment{Scheme: SchemeINR, N: test.n, K: test.k, Loss: test.loss, Dead: test.dead, Updates: 1}, 3)
			if row.Reached != 1 || row.RoundsMedian > test.rounds || row.Messages > test.messages || row.Payloads > test.payloads || row.Stop != "silent" {
				t.Errorf("%+v", row)
			}
			if test.loss == 0 && test.dead == 0 && row.Payloads != round(float64(test.n-1)/float64(test.n)) {
				t.Errorf("%g payloads per member, not n-1 in all", row.Payloads)
			}
			if test.everybodyIsAccounted && row.Done != "yes" {
				t.Errorf("the writer is told wrongly: %+v", row)
			}
		})
	}
}

func TestTheCoresPlayTheOtherStrategies(t *testing.T) {
	literal := measure(t, Experiment{Scheme: SchemeCoreLiteral, N: 100, K: 4, Updates: 1}, 2)
	push := measure(t, Experiment{Scheme: SchemeCorePush, N: 100, K: 4, Updates: 1}, 2)
	if literal.Messages != 99 || literal.Stop != "silent" || literal.Reached != 1 || push.Reached != 1 || push.Stop != "silent" {
		t.Errorf("%+v\n%+v", literal, push)
	}
}

func TestViewsThatLackMembers(t *testing.T) {
	for _, scheme := range []Scheme{SchemePush, SchemeLiteral, SchemeSeen, SchemePushPull, SchemeTransmit, SchemeMedian, SchemeINR} {
		row := measure(t, Experiment{Scheme: scheme, N: 100, K: 3, Missing: 5, Updates: 1}, 2)
		if row.Reached != 1 {
			t.Errorf("%v: %+v", scheme, row)
		}
	}
}

func TestAStreamOfUpdates(t *testing.T) {
	for _, scheme := range Schemes()[:SchemeINR] {
		row := measure(t, Experiment{Scheme: scheme, N: 100, K: 3, Updates: 5}, 1)
		if row.Reached != 1 || row.Packets == 0 {
			t.Errorf("%v: %+v", scheme, row)
		}
	}
}

func TestAnExperimentIsInterrupted(t *testing.T) {
	for _, scheme := range []Scheme{SchemePush, SchemeINR} {
		began := 0
		watch := Watch{Interrupted: func() bool { return began > 0 }, Began: func() { began++ }}
		if _, ok := Run(Experiment{Scheme: scheme, N: 10, K: 1, Updates: 1}, 1, watch); ok || began != 1 {
			t.Errorf("%v: %v, began %d times", scheme, ok, began)
		}
	}
}

func TestLimitsOfExperiments(t *testing.T) {
	good := Experiment{Scheme: SchemePush, N: 2, K: 1, Updates: 1}
	for _, change := range []func(*Experiment){
		func(*Experiment) {},
		func(e *Experiment) { e.N = MaxMembers },
		func(e *Experiment) { e.K = MaxFanout },
		func(e *Experiment) { e.Loss, e.Dead, e.Missing = MaxPercent, MaxPercent, MaxPercent },
		func(e *Experiment) { e.Updates = MaxUpdates },
		func(e *Experiment) { e.Scheme, e.N, e.Updates = SchemeINR, MaxWhole, 2 },
		func(e *Experiment) { e.Scheme, e.N = SchemeINR, MaxMembers },
	} {
		e := good
		if change(&e); e.Validate() != nil {
			t.Errorf("%+v: %v", e, e.Validate())
		}
	}
	for _, change := range []func(*Experiment){
		func(e *Experiment) { e.Scheme = 0 },
		func(e *Experiment) { e.Scheme = SchemeCorePush + 1 },
		func(e *Experiment) { e.N = 1 },
		func(e *Experiment) { e.N = MaxMembers + 1 },
		func(e *Experiment) { e.K = 0 },
		func(e *Experiment) { e.K = MaxFanout + 1 },
		func(e *Experiment) { e.Loss = MaxPercent + 1 },
		func(e *Experiment) { e.Dead = -1 },
		func(e *Experiment) { e.Missing = math.NaN() },
		func(e *Experiment) { e.Updates = 0 },
		func(e *Experiment) { e.Updates = MaxUpdates + 1 },
		func(e *Experiment) { e.N, e.Updates = MaxMembers, MaxUpdates },
		func(e *Experiment) { e.Scheme, e.N, e.Updates = SchemeSeen, MaxMembers, 2 },
		func(e *Experiment) { e.Scheme, e.N, e.Updates = SchemeINR, MaxWhole+1, 2 },
		func(e *Experiment) { e.Scheme, e.N, e.Missing = SchemeINR, MaxWhole+1, 1 },
	} {
		e := good
		if change(&e); e.Validate() == nil {
			t.Errorf("%+v is valid", e)
		}
	}
}

// The comparison schemes are charged what our packets take.
func TestSizesOfComparisonSchemesAreThoseOfOurPackets(t *testing.T) {
	row := measure(t, Experiment{Scheme: SchemeCorePush, N: 100, K: 4, Updates: 1}, 1)
	if size := row.Bytes / row.Messages; math.Abs(size-headerBytes-updateBytes) > 4 {
		t.Errorf("a packet with one update has %g bytes, comparison schemes pay %d", size, headerBytes+updateBytes)
	}
}

func TestEveryMemberIsSentToOnceOnAWalk(t *testing.T) {
	for _, n := range []int{2, 3, 64, 65, 1000} {
		l := newLiteral(Experiment{N: n})
		visited := make(map[int32]bool)
		for place := range int32(n) {
			visited[l.step(&field{e: Experiment{N: n}, views: 3}, &spread{}, 1, place)] = true
		}
		if len(visited) != n {
			t.Errorf("a walk over %d members visits %d", n, len(visited))
		}
	}
}

func TestAnIdleClusterSendsTheSameWhateverItsSize(t *testing.T) {
	rate := func(n int) float64 {
		idle, err := RunIdle(n, 5*time.Second, 1)
		if err != nil {
			t.Fatal(err)
		}
		return idle.Bytes
	}
	small, large := rate(9), rate(300)
	if large < 0.9*small || large > 1.1*small {
		t.Errorf("%g bytes per second and member among 9, %g among 300", small, large)
	}
}

func TestNamesOfSchemes(t *testing.T) {
	for _, s := range Schemes() {
		if parsed, err := ParseScheme(s.String()); err != nil || parsed != s {
			t.Errorf("%v: %v, %v", s, parsed, err)
		}
	}
	if _, err := ParseScheme("pish"); err == nil || Scheme(99).String() != "scheme 99" {
		t.Error("a scheme that is none has a name")
	}
	if id := member(70_000).ID; id == (gossip.NodeID{}) || indexOf(member(70_000).Addr) != 70_000 {
		t.Error("members and addresses do not belong together")
	}
}

// BenchmarkCore simulates clusters of whole cores, encoding and decoding included.
func BenchmarkCore(b *testing.B) {
	for _, n := range []int{3, 100, 1000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			var events uint64
			for b.Loop() {
				idle, err := RunIdle(n, 20*time.Second, 1)
				if err != nil {
					b.Fatal(err)
				}
				events += idle.Events
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
