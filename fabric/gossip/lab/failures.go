package lab

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/sim"
	"github.com/egalcluster/egal/internal/wire"
)

// Fault is what happens to members in a failure experiment.
type Fault uint8

// The faults.
const (
	// FaultNone: nothing, but the loss of packets.
	FaultNone Fault = iota
	// FaultCrash: one member after the other is gone without a word.
	FaultCrash
	// FaultPause: a share of the members stands still again and again, each at its own times.
	FaultPause
	// FaultDeaf: one member hears nobody; what it says arrives.
	FaultDeaf
	// FaultLink: two members that monitor each other do not reach each other, and nobody else notices.
	FaultLink
)

// Failure is an experiment with the failure detector of whole cores, with the defaults of nodes.
type Failure struct {
	// Fault is what happens, N how many members there are, and Loss how many percent of the packets are lost.
	Fault Fault
	N     int
	Loss  float64
	// Share is how many percent of the members pause, for Pause at a time, once per Every.
	Share        float64
	Pause, Every time.Duration
	// Length is how long the cluster is watched. With FaultCrash there is a crash every crashEvery of it.
	Length time.Duration
}

// Bounds of failure experiments.
const (
	// MaxFailureMembers is the largest N.
	MaxFailureMembers = 10_000
	// MaxFailureLength is the longest Length, MinFailureLength the shortest.
	MaxFailureLength = 24 * time.Hour
	MinFailureLength = 30 * time.Second
	crashEvery       = 15 * time.Second
	failureStep      = 20 * time.Millisecond
	warmUp           = 5 * time.Second
)

// Failures are the experiments of the table: what other failure detectors are compared by. The cut link is tried
// with at most ten members, where both are sure to monitor each other.
func Failures(n int, length time.Duration) []Failure {
	pause := func(share float64, pause, every time.Duration) Failure {
		return Failure{Fault: FaultPause, N: n, Share: share, Pause: pause, Every: every, Length: length}
	}
	return []Failure{
		{Fault: FaultNone, N: n, Length: length},
		{Fault: FaultCrash, N: n, Length: length},
		{Fault: FaultCrash, N: n, Loss: 5, Length: length},
		{Fault: FaultNone, N: n, Loss: 5, Length: length},
		{Fault: FaultNone, N: n, Loss: 20, Length: length},
		pause(5, 2*time.Second, 15*time.Second), pause(5, 8*time.Second, 40*time.Second),
		pause(5, 20*time.Second, time.Minute), pause(20, 8*time.Second, 24*time.Second),
		{Fault: FaultDeaf, N: n, Length: length},
		{Fault: FaultLink, N: min(n, 10), Length: length},
	}
}

// String says what happens.
func (f Failure) String() string {
	switch f.Fault {
	case FaultNone:
		return "nothing"
	case FaultCrash:
		return "crash"
	case FaultPause:
		return fmt.Sprintf("%g%% pause %v/%v", f.Share, f.Pause, f.Every)
	case FaultDeaf:
		return "one deaf"
	case FaultLink:
		return "link cut"
	default:
		return fmt.Sprintf("fault %d", uint8(f.Fault))
	}
}

// Validate joins everything that is wrong with the experiment.
func (f Failure) Validate() error {
	var errs []error
	fault := func(bad bool, what string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("lab: "+what, args...))
		}
	}
	fault(f.Fault > FaultLink, "no %v", f)
	fault(f.N < 3 || f.N > MaxFailureMembers, "n %d: want 3 to %d for failures", f.N, MaxFailureMembers)
	fault(!(f.Loss >= 0 && f.Loss <= MaxPercent), "loss %g: want 0 to %d percent", f.Loss, MaxPercent)
	fault(!(f.Share >= 0 && f.Share <= MaxPercent), "share %g: want 0 to %d percent", f.Share, MaxPercent)
	fault(f.Fault == FaultPause && (f.Pause <= 0 || f.Every <= f.Pause), "a pause of %v every %v", f.Pause, f.Every)
	fault(f.Length < MinFailureLength || f.Length > MaxFailureLength, "length %v: want %v to %v", f.Length, MinFailureLength, MaxFailureLength)
	return errors.Join(errs...)
}

// FailureOutcome is what one run has shown. Counts are of the whole cluster.
type FailureOutcome struct {
	// Detected and Known are, for each member that crashed or is deaf, the time until the first verdict and until 99 % of
	// the others knew it.
	Detected, Known []time.Duration
	// Struck is how many crashed or became deaf, early enough to be found.
	Struck int
	// Alerts is how many times a monitor took a member for unreachable, rightly or not; Wrong and Slow are the verdicts on
	// healthy members and on those that pause or are deaf, Pauses how many pauses there were.
	Alerts             uint64
	Wrong, Slow, Pause int
	// Isolated is whether whoever was deaf knew in the end that it hears nobody, and nobody else thought so of itself.
	Isolated Verdict
	// Packets and Bytes are those of the failure detector, headers of IP and UDP not counted.
	Packets, Bytes uint64
	Length         time.Duration
	Events         uint64
}

// ward is a simulated cluster whose members fail.
type ward struct {
	f         Failure
	world     *sim.World[gossip.Peer, gossip.Message, gossip.Event]
	cores     []*gossip.Core // nil: crashed
	ill       []bool         // what is said of it is no mistake
	convicted map[gossip.NodeID]bool
	since     map[gossip.NodeID]time.Time // when it crashed or became deaf; until there is a verdict
	wrongly   map[gossip.NodeID]bool      // isolated
	spreading []spreading
	out       FailureOutcome
	encoded   []byte
	before    uint64 // alerts
}

// spreading is a verdict that not everybody knows.
type spreading struct {
	id    gossip.NodeID
	since time.Time
}

// RunFailure plays one experiment with one seed: equal arguments, equal outcomes. It returns false when it was
// interrupted. The experiment must be valid.
func RunFailure(f Failure, seed uint64, watch Watch) (FailureOutcome, bool) {
	w, err := newWard(f, seed)
	if err != nil {
		return FailureOutcome{}, false
	}
	if watch.Began != nil {
		watch.Began()
	}
	w.world.RunUntil(coreStart.Add(warmUp))
	w.out, w.before = FailureOutcome{Length: f.Length}, w.alerts()
	choose := rand.New(rand.NewPCG(seed, 7))
	begin := w.world.Now()
	for _, ill := range w.schedule(choose) {
		if !w.pass(begin.Add(ill.at), watch) {
			return FailureOutcome{}, false
		}
		w.strike(ill.who)
	}
	if !w.pass(begin.Add(f.Length), watch) {
		return FailureOutcome{}, false
	}
	w.out.Alerts += w.alerts() - w.before
	w.out.Events = w.world.Events()
	if f.Fault == FaultDeaf {
		w.out.Isolated = VerdictNo
		if w.cores[0].View().Isolated() && len(w.wrongly) == 1 {
			w.out.Isolated = VerdictYes
		}
	}
	return w.out, true
}

func newWard(f Failure, seed uint64) (*ward, error) {
	w := &ward{
		f: f, cores: make([]*gossip.Core, f.N), ill: make([]bool, f.N),
		convicted: map[gossip.NodeID]bool{}, since: map[gossip.NodeID]time.Time{}, wrongly: map[gossip.NodeID]bool{},
		world: sim.New[gossip.Peer, gossip.Message, gossip.Event](sim.Options{
			Seed: seed, Start: coreStart, Link: sim.Link{Latency: coreLatency, Jitter: coreLatency, Loss: f.Loss / 100},
		}),
	}
	w.world.Transcode(w.transcode)
	w.world.Reliable(func(m gossip.Message) bool { p, ok := m.(gossip.Packet); return ok && p.Reliable() })
	w.world.OnNotify(w.notice)
	contents := gossip.Contents{Cluster: gossip.ClusterID{1}, Stamp: 1}
	for i := range f.N {
		contents.Members = append(contents.Members, member(i))
	}
	view, orders := gossip.NewView(contents), &gossip.Orders{}
	for i := range f.N {
		m := member(i)
		core, err := gossip.New(gossip.Config{
			ID: m.ID, Boot: m.Boot, Generation: m.Generation, Seed: wire.Mix64(seed ^ uint64(i)<<20), Addr: m.Addr, View: view, Orders: orders,
		}, coreStart)
		if err != nil {
			return nil, err
		}
		w.cores[i] = core
		w.world.Add(m.Addr, core)
	}
	return w, nil
}

// illness is when something happens to a member.
type illness struct {
	at  time.Duration
	who int
}

// schedule is what happens when.
func (w *ward) schedule(choose *rand.Rand) (all []illness) {
	switch w.f.Fault {
	case FaultNone:
	case FaultCrash:
		order := choose.Perm(w.f.N)
		for i := range min(int(w.f.Length/crashEvery), w.f.N/2) {
			all = append(all, illness{time.Duration(i)*crashEvery + time.Duration(choose.Int64N(int64(time.Second))), order[i]})
		}
	case FaultPause:
		order := choose.Perm(w.f.N)
		for _, who := range order[:max(1, int(float64(w.f.N)*w.f.Share/100))] {
			w.ill[who] = true
			for at := time.Duration(choose.Int64N(int64(w.f.Every))); at < w.f.Length; at += w.f.Every {
				all = append(all, illness{at, who})
			}
		}
		slices.SortFunc(all, func(a, b illness) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.who, b.who)) })
	case FaultDeaf, FaultLink:
		all = []illness{{0, 0}}
	}
	return all
}

// strike makes it happen.
func (w *ward) strike(who int) {
	m := member(who)
	switch w.f.Fault {
	case FaultNone:
	case FaultCrash:
		w.out.Alerts += w.alerts() - w.before
		w.out.Struck++
		w.cores[who], w.ill[who], w.since[m.ID] = nil, true, w.world.Now()
		w.world.Remove(m.Addr)
		w.before = w.alerts()
	case FaultPause:
		w.out.Pause++
		w.world.Pause(m.Addr, w.f.Pause)
	case FaultDeaf:
		w.out.Struck++
		w.ill[who], w.since[m.ID] = true, w.world.Now()
		for i := range w.f.N {
			if i != who {
				w.world.Cut(member(i).Addr, m.Addr)
			}
		}
	case FaultLink:
		for i := 1; i < w.f.N; i++ {
			if other := member(i); w.monitors(who, other.ID) && w.monitors(i, m.ID) {
				w.world.Cut(m.Addr, other.Addr)
				w.world.Cut(other.Addr, m.Addr)
				return
			}
		}
	}
}

func (w *ward) monitors(who int, id gossip.NodeID) bool {
	return slices.ContainsFunc(w.cores[who].Edges(w.world.Now()), func(e gossip.Edge) bool { return e.Member == id })
}

// alerts are all until now, of those that run.
func (w *ward) alerts() (count uint64) {
	for _, core := range w.cores {
		if core != nil {
			count += core.Metrics().Alerts
		}
	}
	return count
}

func (w *ward) pass(until time.Time, watch Watch) bool {
	for w.world.Now().Before(until) {
		if watch.interrupted() {
			return false
		}
		next := w.world.Now().Add(time.Second)
		if len(w.spreading)+len(w.since) > 0 {
			next = w.world.Now().Add(failureStep)
		}
		if next.After(until) {
			next = until
		}
		w.world.RunUntil(next)
		w.spreading = slices.DeleteFunc(w.spreading, w.everywhere)
	}
	return true
}

// everywhere notes when 99 % know a verdict.
func (w *ward) everywhere(s spreading) bool {
	know, live := 0, 0
	for i, core := range w.cores {
		if core == nil || w.ill[i] {
			continue
		}
		live++
		if m, ok := core.View().Member(s.id); !ok || !m.Reachable {
			know++
		}
	}
	if 100*know < 99*live {
		return false
	}
	w.out.Known = append(w.out.Known, w.world.Now().Sub(s.since))
	return true
}

// notice takes what cores report.
func (w *ward) notice(now time.Time, at gossip.Peer, e gossip.Event) {
	switch e := e.(type) {
	case gossip.Convicted:
		w.convict(now, e.Member)
	case gossip.Acquitted:
		delete(w.convicted, e.Member)
	case gossip.Isolated:
		w.wrongly[member(int(indexOf(at))).ID] = true
	}
}

func (w *ward) convict(now time.Time, id gossip.NodeID) {
	if w.convicted[id] {
		return
	}
	w.convicted[id] = true
	since, gone := w.since[id]
	switch {
	case gone:
		delete(w.since, id)
		w.out.Detected = append(w.out.Detected, now.Sub(since))
		w.spreading = append(w.spreading, spreading{id, since})
	case w.ill[binary.BigEndian.Uint64(id[8:])-1]:
		w.out.Slow++
	default:
		w.out.Wrong++
	}
}

// transcode counts the detector's packets on the wire and hands on what their encoding says.
func (w *ward) transcode(m gossip.Message) gossip.Message {
	p, ok := m.(gossip.Packet)
	if !ok {
		return m
	}
	w.encoded = gossip.Encode(w.encoded[:0], p)
	if onlyDetection(p) {
		w.out.Packets++
		w.out.Bytes += uint64(len(w.encoded))
	}
	if decoded, err := gossip.Decode(w.encoded); err == nil {
		return decoded
	}
	return m
}

// onlyDetection reports whether a packet belongs to the failure detector alone.
func onlyDetection(p gossip.Packet) bool {
	for text := range strings.SplitSeq(p.String(), "; ") {
		if text != "probe" && text != "ack" && !strings.HasPrefix(text, "help") && !strings.HasPrefix(text, "alerts") {
			return false
		}
	}
	return true
}
