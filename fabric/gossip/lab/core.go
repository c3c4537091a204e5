package lab

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/sim"
	"github.com/egalcluster/egal/internal/wire"
)

// Times of the simulated cores. Links are much faster than their Tick, so that a part that is lost is handed out again,
// after the core's own retry timeout, within the Tick.
const (
	coreTick    = 100 * time.Millisecond
	coreLatency = time.Millisecond
	// coreCoalesce is the longest that a write waits for company.
	coreCoalesce = 5 * time.Millisecond
	// quietRounds without a packet are silence; a retry timeout is at most 20 of them, and most are a fifth of one.
	quietRounds = 100
	// restlessRounds is after how many rounds without news a run ends that does not fall silent; one that sends to
	// everybody, K in a round, gets as many more as that takes.
	restlessRounds = 200
	// never is a time between probes that is never over: cores of the lab spread rumors and do nothing else, but when
	// views lack members. Then nobody is unreachable after so few misses.
	never    = 1000 * time.Hour
	unshaken = 1 << 30
	// manyViews is how many different views there are at most when views lack members.
	manyViews = 64
)

var coreStart = time.Unix(1_700_000_000, 0)

// coreUpdate is how far one update has come.
type coreUpdate struct {
	key     string
	origin  int32
	written time.Time
	got     []arrival // by member
	reached int
	rounds  int32 // the most of all members
	told    bool  // the writer was told who has it
}

// arrival is how an update came to a member. A hop takes a round, and so does every Tick for which the sender
// kept the update before it sent it: a member that tells K others per Tick tells the first in the round after its own. This
// is how rounds are counted for the other schemes, whose members pass on at the next round what they got in one.
type arrival struct {
	at    time.Duration // since the start
	round int32         // the writer has round 1; 0: has it not
}

// flight is a packet on its way.
type flight struct {
	from int32
	sent time.Time
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
	flights [][]flight    // by receiver: packets sent in the last coreLatency
	packets uint64
	bytes   uint64
	encoded []byte // the latest packet
	at      tally  // when the last update was everywhere
	wrong   bool   // a writer was told that one has the update who has not
	named   bool   // a writer was told of a live member that it lacks the update
	sentAt  time.Time
	newsAt  time.Time
}

// runCores plays an experiment with the cores that run in nodes.
func runCores(e Experiment, seed uint64, watch Watch) (Outcome, bool) {
	h, err := newHall(e, seed)
	if err != nil {
		return Outcome{}, false
	}
	if watch.Began != nil {
		watch.Began()
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
		if !h.run(begin.Add(time.Duration(round)*coreTick), watch) {
			return Outcome{}, false
		}
		if round > StreamRounds/2 && round <= StreamRounds {
			window += h.packets - before
		}
		written := e.Updates == 1 || round >= StreamRounds
		silent := h.world.Now().Sub(h.sentAt) >= quietRounds*coreTick
		if written && (silent || h.world.Now().Sub(h.newsAt) >= h.patience()) {
			return h.outcome(window, round, silent), true
		}
	}
}

// patience is how long a run may go on without news.
func (h *hall) patience() time.Duration {
	rounds := restlessRounds
	if h.e.Scheme == SchemeCoreLiteral {
		rounds += h.e.N / h.e.K
	}
	return time.Duration(rounds) * coreTick
}

func newHall(e Experiment, seed uint64) (*hall, error) {
	f := newField(e, seed) // the same members are dead as for the other schemes
	h := &hall{
		e: e, alive: f.alive, live: f.live, cores: make([]*gossip.Core, e.N), flights: make([][]flight, e.N), sentAt: coreStart, newsAt: coreStart,
		world: sim.New[gossip.Peer, gossip.Message, gossip.Event](sim.Options{
			Seed: seed, Start: coreStart, Link: sim.Link{Latency: coreLatency, Loss: e.Loss / 100},
		}),
	}
	h.world.Transcode(h.transcode)
	h.world.Reliable(func(m gossip.Message) bool { p, ok := m.(gossip.Packet); return ok && p.Reliable() })
	h.world.OnSend(h.takeOff)
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
			Strategy: strategy, Tick: coreTick, Coalesce: coreCoalesce, Stepwise: true, View: views[i%len(views)], ProbeMisses: unshaken, ProbeInterval: never, ExchangeInterval: never,
		}
		if e.Missing > 0 {
			config.ProbeInterval, config.ExchangeInterval = 0, 0 // anti-entropy finds who is missing
		} else {
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
	h.encoded = gossip.Encode(h.encoded[:0], p)
	if h.e.Missing == 0 || !onlyProbes(p) {
		h.packets++
		h.bytes += uint64(len(h.encoded))
		h.sentAt = h.world.Now()
	}
	decoded, err := gossip.Decode(h.encoded)
	if err != nil {
		return m // a packet that nobody can read: its receiver drops the empty body
	}
	return decoded
}

// onlyProbes reports whether a packet belongs to the failure detector alone.
func onlyProbes(p gossip.Packet) bool {
	for text := range strings.SplitSeq(p.String(), "; ") {
		if text != "probe" && text != "ack" {
			return false
		}
	}
	return true
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
		u := &coreUpdate{key: "u" + strconv.Itoa(len(h.updates)), origin: int32(origin), written: at, got: make([]arrival, h.e.N)}
		h.updates, h.open = append(h.updates, u), append(h.open, u)
	}
	slices.SortStableFunc(h.updates, func(a, b *coreUpdate) int { return a.written.Compare(b.written) })
}

// run lets time pass, and hands out the writes that are due.
func (h *hall) run(until time.Time, watch Watch) bool {
	for _, u := range h.updates {
		if u.written.Before(h.world.Now()) || !u.written.Before(until) {
			continue
		}
		if !h.pass(u.written, watch) {
			return false
		}
		h.world.Inject(member(int(u.origin)).Addr, h.write(u))
	}
	return h.pass(until, watch)
}

// write is the request for an update: a shared key, or where members alone fill the shared map an own one.
func (h *hall) write(u *coreUpdate) gossip.Message {
	value := binary.LittleEndian.AppendUint64(nil, uint64(u.origin))
	if h.e.N > MaxWhole {
		return gossip.SetOwn{Key: u.key, Value: value}
	}
	return gossip.SetShared{Key: u.key, Value: value}
}

// shows reports whether a view has an update.
func (h *hall) shows(view *gossip.View, u *coreUpdate) bool {
	if h.e.N > MaxWhole {
		_, ok := view.Own(member(int(u.origin)).ID, u.key)
		return ok
	}
	_, _, ok := view.Shared(u.key)
	return ok
}

func (h *hall) pass(until time.Time, watch Watch) bool {
	for h.world.Now().Before(until) {
		if watch.interrupted() {
			return false
		}
		next := h.world.Now().Add(coreTick / 20)
		if next.After(until) {
			next = until
		}
		h.world.RunUntil(next)
	}
	return true
}

// takeOff notes a packet.
func (h *hall) takeOff(now time.Time, from, to gossip.Peer, _ gossip.Message) {
	receiver := indexOf(to)
	under := h.flights[receiver]
	for len(under) > 0 && now.Sub(under[0].sent) > coreLatency {
		under = under[1:]
	}
	h.flights[receiver] = append(under, flight{indexOf(from), now})
}

// notice takes what cores report.
func (h *hall) notice(now time.Time, at gossip.Peer, e gossip.Event) {
	switch e := e.(type) {
	case gossip.ViewChanged:
		h.look(now, indexOf(at), e.View)
	case gossip.Converged:
		h.judge(now, indexOf(at), e)
	}
}

// look notes which updates have come to a member.
func (h *hall) look(now time.Time, who int32, view *gossip.View) {
	whole := false
	for _, u := range h.open {
		if u.got[who].round > 0 || u.written.After(now) {
			continue
		}
		if !h.shows(view, u) {
			continue
		}
		u.got[who] = arrival{now.Sub(coreStart), h.round(now, who, u)}
		u.rounds = max(u.rounds, u.got[who].round)
		u.reached++
		h.newsAt = now
		whole = whole || u.reached == h.live
	}
	if whole {
		h.open = slices.DeleteFunc(h.open, func(u *coreUpdate) bool { return u.reached == h.live })
		h.at = h.sent()
	}
}

// round is in which round an update has come to a member: by a packet of somebody who had it that arrives right now, the
// one of the earliest round if there are several. What came by other ways is counted by the time it took.
func (h *hall) round(now time.Time, who int32, u *coreUpdate) int32 {
	if who == u.origin {
		return 1
	}
	best := int32(0)
	for _, f := range h.flights[who] {
		from := u.got[f.from]
		if from.round == 0 || now.Sub(f.sent) != coreLatency || f.sent.Sub(coreStart) < from.at {
			continue
		}
		round := from.round + 1 + int32((f.sent.Sub(coreStart)-from.at)/coreTick)
		if best == 0 || round < best {
			best = round
		}
	}
	if best == 0 {
		best = 2 + int32(now.Sub(u.written)/coreTick)
	}
	return best
}

// judge compares what a writer is told with what is so: everybody it does not name has what it wrote. Whom it names is
// dead, or was given up after so many tries that one rumor in a thousand gives up somebody. A write is in the rumor that starts at its moment, or, when it had to wait for company, soon after; other
// rumors of its writer, even later ones, may end before.
func (h *hall) judge(now time.Time, who int32, told gossip.Converged) {
	missing := make(map[int32]bool, len(told.Missing))
	for _, id := range told.Missing {
		i := int32(binary.BigEndian.Uint64(id[8:]) - 1)
		missing[i] = true
		h.named = h.named || h.alive[i]
	}
	started := now.Add(-told.After)
	view := h.cores[who].View()
	for _, u := range h.updates {
		if waited := started.Sub(u.written); u.origin != who || u.told || waited < 0 || waited > coreCoalesce {
			continue
		}
		u.told = true
		for i := range int32(h.e.N) {
			if u.got[i].round == 0 && !missing[i] {
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
			o.Rounds = append(o.Rounds, int(u.rounds)-1)
			longest = max(longest, int(u.rounds)-1)
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
		switch {
		case !told || h.wrong:
			o.Done = VerdictNo
		case h.named:
			o.Done = VerdictNamed
		default:
			o.Done = VerdictYes
		}
	}
	return o
}
