package lab

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/sim"
	"github.com/egalcluster/egal/internal/wire"
)

// Times of the simulated cores. A round is one Tick of theirs; links are much faster, so that a part that is lost is
// handed out again, after the core's own retry timeout, within the round.
const (
	coreTick    = 100 * time.Millisecond
	coreLatency = time.Millisecond
	// quietRounds without a packet are silence: no timeout of a rumor is as long.
	quietRounds = 20
	// restlessRounds is after how many rounds without news a run ends that does not fall silent.
	restlessRounds = 200
	// never is a time between probes that is never over: cores of the lab spread rumors and do nothing else.
	never = 1000 * time.Hour
	// manyViews is how many different views there are at most when views lack members.
	manyViews = 64
)

var coreStart = time.Unix(1_700_000_000, 0)

// coreUpdate is how far one update has come.
type coreUpdate struct {
	key     string
	origin  int32
	written time.Time
	got     []bool // by member
	reached int
	last    time.Time // when the latest member got it
	told    bool      // the writer was told who has it
}

// hall is a simulated cluster of real cores.
type hall struct {
	e       Experiment
	world   *sim.World[gossip.Peer, gossip.Message, gossip.Event]
	alive   []bool
	live    int
	cores   []*gossip.Core // nil: dead
	updates []*coreUpdate
	open    []*coreUpdate // those that somebody lacks
	changed []int32       // members whose view has changed since it was last looked at
	when    []time.Time   // by member: when it has; zero: it has not
	packets uint64
	bytes   uint64
	at      tally // when the last update was everywhere
	wrong   bool  // a writer was told something wrong
	sentAt  time.Time
	newsAt  time.Time
}

// runCores plays an experiment with the cores that run in nodes.
func runCores(e Experiment, seed uint64, interrupted func() bool) (Outcome, bool) {
	h, err := newHall(e, seed)
	if err != nil {
		return Outcome{}, false
	}
	writers := rand.New(rand.NewPCG(seed, 5))
	begin := coreStart.Add(coreTick)
	h.world.RunUntil(begin)
	h.packets, h.bytes = 0, 0
	var before, window uint64
	for round := 1; ; round++ {
		if round == 1 || round <= StreamRounds && e.Updates > 1 {
			h.writeRound(writers)
		}
		before = h.packets
		if !h.run(begin.Add(time.Duration(round)*coreTick), interrupted) {
			return Outcome{}, false
		}
		if round > StreamRounds/2 && round <= StreamRounds {
			window += h.packets - before
		}
		written := e.Updates == 1 || round >= StreamRounds
		silent := h.world.Now().Sub(h.sentAt) >= quietRounds*coreTick
		if written && (silent || len(h.open) == 0 && h.world.Now().Sub(h.newsAt) >= restlessRounds*coreTick) {
			return h.outcome(window, round, silent), true
		}
	}
}

func newHall(e Experiment, seed uint64) (*hall, error) {
	f := newField(e, seed) // the same members are dead as for the other schemes
	h := &hall{
		e: e, alive: f.alive, live: f.live, cores: make([]*gossip.Core, e.N), when: make([]time.Time, e.N), sentAt: coreStart, newsAt: coreStart,
		world: sim.New[gossip.Peer, gossip.Message, gossip.Event](sim.Options{
			Seed: seed, Start: coreStart, Link: sim.Link{Latency: coreLatency, Loss: e.Loss / 100},
		}),
	}
	h.world.Transcode(h.transcode)
	h.world.Reliable(func(m gossip.Message) bool { p, ok := m.(gossip.Packet); return ok && p.Reliable() })
	h.world.OnNotify(h.notice)
	views := h.makeViews(f.views)
	orders := &gossip.Orders{}
	strategy := map[Scheme]gossip.Strategy{SchemeCoreLiteral: gossip.StrategyLiteral, SchemeCorePush: gossip.StrategyPush}[e.Scheme]
	for i := range e.N {
		if !h.alive[i] {
			continue
		}
		m := member(i)
		config := gossip.Config{
			ID: m.ID, Boot: m.Boot, Generation: m.Generation, Seed: wire.Mix64(seed ^ uint64(i)<<20), Addr: m.Addr, Fanout: e.K,
			Strategy: strategy, Tick: coreTick, Stepwise: true, ProbeInterval: never, ExchangeInterval: never, View: views[i%len(views)],
		}
		if len(views) == 1 {
			config.Orders = orders
		}
		core, err := gossip.New(config, coreStart)
		if err != nil {
			return nil, err
		}
		h.cores[i] = core
		h.world.Add(m.Addr, core)
	}
	return h, nil
}

// makeViews makes the views that cores start from: one for all, or several that lack different members.
func (h *hall) makeViews(seed uint64) []*gossip.View {
	count := 1
	if h.e.Missing > 0 {
		count = min(manyViews, h.e.N)
	}
	views := make([]*gossip.View, count)
	for v := range views {
		contents := gossip.Contents{Cluster: gossip.ClusterID{1}, Stamp: 1}
		for i := range h.e.N {
			if h.e.Missing == 0 || i%count == v || viewHas(seed, v, i, h.e.Missing) {
				contents.Members = append(contents.Members, member(i))
			}
		}
		views[v] = gossip.NewView(contents)
	}
	return views
}

// member is the description of a member. Ids are scattered, as random ones are.
func member(i int) gossip.Member {
	var id gossip.NodeID
	binary.BigEndian.PutUint64(id[:], wire.Mix64(uint64(i)+1))
	binary.BigEndian.PutUint64(id[8:], uint64(i)+1)
	return gossip.Member{
		ID: id, Boot: gossip.BootID(i + 1), Generation: 1, UpNumber: uint64(i + 1), Status: gossip.StatusUp, Reachable: true,
		Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 7946),
	}
}

// indexOf is the opposite of member.
func indexOf(p gossip.Peer) int32 {
	ip := p.Addr().As4()
	return int32(ip[1])<<16 | int32(ip[2])<<8 | int32(ip[3])
}

// transcode counts a packet on the wire and hands on what its encoding says.
func (h *hall) transcode(m gossip.Message) gossip.Message {
	p, ok := m.(gossip.Packet)
	if !ok {
		return m
	}
	encoded := gossip.Encode(nil, p)
	h.packets++
	h.bytes += uint64(len(encoded))
	h.sentAt = h.world.Now()
	decoded, err := gossip.Decode(encoded)
	if err != nil {
		return m // a packet that nobody can read: its receiver drops the empty body
	}
	return decoded
}

// writeRound makes the updates of a round: a single one at its beginning, several at random moments of it.
func (h *hall) writeRound(writers *rand.Rand) {
	for range h.e.Updates {
		origin := writers.IntN(h.e.N)
		for !h.alive[origin] {
			origin = writers.IntN(h.e.N)
		}
		at := h.world.Now()
		if h.e.Updates > 1 {
			at = at.Add(time.Duration(writers.Int64N(int64(coreTick))))
		}
		u := &coreUpdate{key: "u" + strconv.Itoa(len(h.updates)), origin: int32(origin), written: at, got: make([]bool, h.e.N)}
		h.updates, h.open = append(h.updates, u), append(h.open, u)
	}
	slices.SortStableFunc(h.updates, func(a, b *coreUpdate) int { return a.written.Compare(b.written) })
}

// run lets time pass, and hands out the writes that are due.
func (h *hall) run(until time.Time, interrupted func() bool) bool {
	for _, u := range h.updates {
		if u.written.Before(h.world.Now()) || !u.written.Before(until) {
			continue
		}
		if !h.pass(u.written, interrupted) {
			return false
		}
		value := binary.LittleEndian.AppendUint64(nil, uint64(u.origin))
		h.world.Inject(member(int(u.origin)).Addr, gossip.SetShared{Key: u.key, Value: value})
	}
	return h.pass(until, interrupted)
}

func (h *hall) pass(until time.Time, interrupted func() bool) bool {
	for h.world.Now().Before(until) {
		if interrupted() {
			return false
		}
		next := h.world.Now().Add(coreTick / 20)
		if next.After(until) {
			next = until
		}
		h.world.RunUntil(next)
		h.look()
	}
	return true
}

// notice takes what cores report.
func (h *hall) notice(now time.Time, at gossip.Peer, e gossip.Event) {
	switch e := e.(type) {
	case gossip.ViewChanged:
		who := indexOf(at)
		if h.when[who].IsZero() {
			h.changed = append(h.changed, who)
		}
		h.when[who] = now
	case gossip.Converged:
		h.look()
		h.judge(now, indexOf(at), e)
	}
}

// look notes which updates have come to the members whose views have changed.
func (h *hall) look() {
	whole := false
	for _, who := range h.changed {
		now, view := h.when[who], h.cores[who].View()
		h.when[who] = time.Time{}
		for _, u := range h.open {
			if u.got[who] || u.written.After(now) {
				continue
			}
			if _, _, ok := view.Shared(u.key); !ok {
				continue
			}
			u.got[who] = true
			u.reached++
			if now.After(u.last) {
				u.last, h.newsAt = now, now
			}
			whole = whole || u.reached == h.live
		}
	}
	h.changed = h.changed[:0]
	if whole {
		h.open = slices.DeleteFunc(h.open, func(u *coreUpdate) bool { return u.reached == h.live })
		h.at = h.sent()
	}
}

// judge compares what a writer is told with what is so: everybody it does not name has what it wrote, and whom it names
// is dead.
func (h *hall) judge(now time.Time, who int32, told gossip.Converged) {
	missing := make(map[int32]bool, len(told.Missing))
	for _, id := range told.Missing {
		i := int32(binary.BigEndian.Uint64(id[8:]) - 1)
		missing[i] = true
		h.wrong = h.wrong || h.alive[i]
	}
	started := now.Add(-told.After)
	view := h.cores[who].View()
	for _, u := range h.updates {
		if u.origin != who || u.told || u.written.After(started) {
			continue
		}
		u.told = true
		for i := range int32(h.e.N) {
			if !u.got[i] && !missing[i] {
				_, known := view.Member(member(int(i)).ID)
				h.wrong = h.wrong || known
			}
		}
	}
}

// sent is what has been sent up to now.
func (h *hall) sent() tally {
	t := tally{packets: h.packets, bytes: h.bytes}
	for _, core := range h.cores {
		if core != nil {
			t.payloads += core.Metrics().PayloadsSent
		}
	}
	return t
}

func (h *hall) outcome(window uint64, rounds int, silent bool) Outcome {
	sent := h.sent()
	if !silent {
		sent = h.at
	}
	o := Outcome{
		Updates: len(h.updates), Live: h.live, Silent: silent, Packets: sent.packets, Payloads: sent.payloads, Bytes: sent.bytes,
		Window: window, Events: h.world.Events(),
	}
	longest := 0
	told := true
	for _, u := range h.updates {
		o.Reached += u.reached
		told = told && u.told
		if u.reached == h.live {
			took := int((u.last.Sub(u.written) + coreTick - 1) / coreTick)
			o.Rounds = append(o.Rounds, took)
			longest = max(longest, took)
		}
	}
	switch {
	case h.e.Updates > 1:
		o.WindowRounds = StreamRounds / 2
	case longest > 0:
		o.Window, o.WindowRounds = h.at.packets, longest
	default:
		o.Window, o.WindowRounds = h.packets, rounds
	}
	if h.e.Scheme == SchemeINR {
		o.Done = VerdictNo
		if told && !h.wrong {
			o.Done = VerdictYes
		}
	}
	return o
}
