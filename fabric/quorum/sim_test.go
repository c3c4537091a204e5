package quorum

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/sim"
)

var (
	simSeed  = flag.Uint64("sim.seed", 1, "first seed of the simulation")
	simCount = flag.Int("sim.count", 300, "how many seeds")
)

// TestSim plays registers under random faults. Whatever happened: what was accepted by a majority is not lost, what
// clients see is linearizable, there is one holder of the lease at most; and when the network is whole again,
// everybody can read, and somebody gets the lease. Each seed is played twice, with equal traces.
func TestSim(t *testing.T) {
	count := *simCount
	if testing.Short() {
		count = min(count, 50)
	}
	var total swarm
	for i := range count {
		seed := *simSeed + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("replay: go test ./fabric/quorum -run '^TestSim$' -sim.seed=%d -sim.count=1", seed)
				}
			})
			first := play(t, seed, bug{})
			if second := play(t, seed, bug{}); first.trace != second.trace {
				t.Fatalf("two runs differ: %x and %x", first.trace, second.trace)
			}
			total.add(first)
		})
	}
	t.Logf("%d seeds: %+v", count, total)
	if count >= 50 && !total.complete() {
		t.Fatal("a fault, a class of operations or a result was never played")
	}
}

// swarm counts what was played.
type swarm struct {
	trace                                                                   uint64
	Machines, Cuts, Crashes, Torn, Slow, Restarts, Losses, Pauses, Released int
	Creates, Changes, Reads, Reconfigures                                   outcomes
	Chosen, Epochs, Leases, Stuck                                           int
	Events                                                                  uint64
}

// outcomes counts results by their outcome; the first is of operations without one.
type outcomes [Refused + 1]int

func (s *swarm) add(o swarm) {
	for _, pair := range [][2]*int{
		{&s.Machines, &o.Machines},
		{&s.Cuts, &o.Cuts},
		{&s.Crashes, &o.Crashes},
		{&s.Torn, &o.Torn},
		{&s.Slow, &o.Slow},
		{&s.Restarts, &o.Restarts},
		{&s.Losses, &o.Losses},
		{&s.Pauses, &o.Pauses},
		{&s.Released, &o.Released},
		{&s.Chosen, &o.Chosen},
		{&s.Epochs, &o.Epochs},
		{&s.Leases, &o.Leases},
		{&s.Stuck, &o.Stuck},
	} {
		*pair[0] += *pair[1]
	}
	for i := range s.Creates {
		s.Creates[i], s.Changes[i] = s.Creates[i]+o.Creates[i], s.Changes[i]+o.Changes[i]
		s.Reads[i], s.Reconfigures[i] = s.Reads[i]+o.Reads[i], s.Reconfigures[i]+o.Reconfigures[i]
	}
	s.Events += o.Events
}

// complete reports whether everything was played that there is.
func (s *swarm) complete() bool {
	for _, of := range []outcomes{s.Changes, s.Reconfigures} {
		for _, o := range []Outcome{Done, Conflict, Unavailable, Unknown} {
			if of[o] == 0 {
				return false
			}
		}
	}
	return s.Creates[Done] > 0 && s.Creates[Conflict] > 0 && s.Reads[Done] > 0 && s.Reads[Unavailable] > 0 && s.Cuts > 0 && s.Crashes > 0 &&
		s.Torn > 0 && s.Slow > 0 && s.Restarts > 0 && s.Losses > 0 && s.Pauses > 0 && s.Released > 0 && s.Epochs > 0 && s.Leases > 0
}

const simGroup = GroupID("g")

// game is one seed being played.
type game struct {
	*cluster
	choose  *rand.Rand
	played  *swarm
	version uint64 // the last one that a client has heard of
	epoch   uint64
	changes int
	wanting []*machine // who was asked to hold the lease
}

// play plays one seed.
func play(t complainer, seed uint64, b bug) (played swarm) {
	t.Helper()
	choose := rand.New(rand.NewPCG(seed, 77))
	link := sim.Link{Latency: time.Duration(choose.IntN(2000)) * time.Microsecond, Jitter: time.Duration(choose.IntN(10_000)) * time.Microsecond}
	bad := link
	bad.Loss, bad.Duplicate, bad.Reorder = choose.Float64()*0.3, choose.Float64()*0.5, choose.Float64()*0.5
	if choose.IntN(4) == 0 {
		bad.Jitter *= 30
	}
	c := newCluster(t, seed, bad, b)
	g := &game{cluster: c, choose: choose, played: &played}
	c.events = g.note
	size := 3 + choose.IntN(4)
	played.Machines = size
	for i := range size {
		m := c.machine(i + 1)
		m.drift, m.offset = int64(choose.IntN(20_001))-10_000, time.Duration(choose.IntN(1000))*time.Hour
		c.start(m)
	}
	dying := choose.IntN(200)
	c.dies = func(*process, int) crashPoint {
		if dying < 100 && choose.IntN(40+dying) == 0 {
			played.Torn++
			return crashPoint(1 + choose.IntN(4))
		}
		return 0
	}
	if choose.IntN(4) == 0 {
		c.slow = func() time.Duration {
			if choose.IntN(10) > 0 {
				return 0
			}
			played.Slow++
			return time.Duration(choose.IntN(200)) * time.Millisecond
		}
	}
	voters := idsOf(c.machines[:1+2*choose.IntN(2)])
	if choose.IntN(4) == 0 {
		voters = idsOf(c.machines[:min(size, 5)])
	}
	lease := time.Duration(choose.IntN(5)) * 100 * time.Millisecond
	for _, m := range c.machines[:2] {
		c.ask(m, Create{Group: simGroup, Voters: voters, Lease: lease, Value: fmt.Append(nil, "created by ", m.number)})
	}
	for range 20 + choose.IntN(40) {
		g.disturb()
		c.run(time.Duration(choose.IntN(150)) * time.Millisecond)
	}
	c.dies = func(*process, int) crashPoint { return 0 }
	c.slow = func() time.Duration { return 0 }
	g.repair(link)
	g.end(lease)
	c.checker.linearizable(simGroup)
	g.count()
	return played
}

// note follows what clients hear.
func (g *game) note(m *machine, e Event) {
	switch e := e.(type) {
	case Result:
		if e.State != nil {
			g.version, g.epoch = e.State.Version, e.State.Epoch
		}
	case LeaseHeld:
		g.played.Leases++
	}
}

// hint is whom a client takes for voters: anybody, since whoever knows the group corrects it.
func (g *game) hint() []gossip.NodeID {
	ids := idsOf(g.machines)
	return ids[:min(len(ids), MaxVoters)]
}

// disturb does one random thing.
func (g *game) disturb() {
	m := pick(g.choose, g.machines)
	other := pick(g.choose, g.machines)
	action := g.choose.IntN(20)
	if m.process == nil && action < 17 {
		action = 17
	}
	timeout := time.Duration(100+g.choose.IntN(2000)) * time.Millisecond
	switch action {
	case 0, 1, 2, 3, 4:
		g.changes++
		expected := max(1, g.version)
		if g.choose.IntN(5) == 0 {
			expected++
		}
		g.ask(m, Change{Group: simGroup, Voters: g.hint(), Expected: expected, Value: fmt.Append(nil, "v", g.changes), Timeout: timeout})
	case 5, 6, 7:
		g.ask(m, Read{Group: simGroup, Voters: g.hint(), Timeout: timeout})
	case 8, 9:
		targets := slices.Clone(g.running())
		g.choose.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
		targets = targets[:min(len(targets), 1+2*g.choose.IntN(3))]
		g.ask(m, Reconfigure{Group: simGroup, Voters: g.hint(), Expected: g.epoch, Target: idsOf(targets), Timeout: timeout})
	case 10, 11:
		g.wanting = append(g.wanting, m)
		g.tell(m, Hold{Group: simGroup, Voters: g.hint()})
	case 12:
		g.played.Released++
		g.tell(m, Release{Group: simGroup})
	case 13:
		g.played.Cuts++
		g.cut(m, other)
	case 14:
		g.played.Cuts++
		var side []int
		for range 1 + g.choose.IntN(len(g.machines)) {
			side = append(side, pick(g.choose, g.machines).number)
		}
		g.split(side...)
	case 15:
		g.played.Pauses++
		g.world.Pause(m.id, time.Duration(g.choose.IntN(1500))*time.Millisecond)
	case 16:
		g.played.Crashes++
		g.crash(m)
	case 17:
		if m.process == nil {
			g.restart(m, g.choose.IntN(4) == 0)
		}
	case 18, 19:
		g.heal()
	}
}

// restart begins a new process, on the old disk or, if the register survives that, as somebody new on an empty one.
func (g *game) restart(m *machine, lose bool) {
	if m.process != nil {
		return
	}
	g.played.Restarts++
	if lose && g.survives(m.id) {
		g.played.Losses++
		g.loseDisk(m)
	}
	if g.choose.IntN(2) == 0 {
		m.offset += time.Duration(g.choose.IntN(100)) * time.Hour // another machine's clock
	}
	g.start(m)
}

// survives reports whether every set of voters that may decide keeps a majority without the id, which nobody will have
// again.
func (g *game) survives(id gossip.NodeID) bool {
	if !g.checker.closed(simGroup) {
		return false // a configuration with it may be on its way
	}
	for _, set := range g.checker.deciding(simGroup) {
		left := 0
		for _, v := range set {
			if v.ID != id && g.present(v.ID) {
				left++
			}
		}
		if 2*left <= len(set) {
			return false
		}
	}
	return true
}

// present reports whether a machine still has the id.
func (g *game) present(id gossip.NodeID) bool {
	return slices.ContainsFunc(g.machines, func(m *machine) bool { return m.id == id })
}

// deciding are the sets of voters of the last state that was chosen, and of those accepted by anybody since.
func (k *checker) deciding(group GroupID) (sets [][]Voter) {
	for _, v := range slices.Backward(k.votes[group]) {
		if len(v.by) == 0 {
			continue
		}
		sets = append(sets, v.state.Voters)
		if v.state.Joint() {
			sets = append(sets, v.state.Next)
		}
		if v.chosen {
			break
		}
	}
	return sets
}

// repair makes the network whole and starts whoever is down.
func (g *game) repair(link sim.Link) {
	g.heal()
	g.world.SetLink(link)
	for _, m := range g.machines {
		g.restart(m, false)
	}
	g.runUntil(func() bool { return g.checker.closed(simGroup) }, 5*time.Second)
}

// end wants the register to serve everybody again.
func (g *game) end(lease time.Duration) {
	g.t.Helper()
	for _, set := range g.checker.deciding(simGroup) {
		left := slices.DeleteFunc(slices.Clone(set), func(v Voter) bool { return !g.present(v.ID) })
		if 2*len(left) <= len(set) {
			g.played.Stuck++ // an empty disk met a configuration on its way
			return
		}
	}
	created := slices.ContainsFunc(g.checker.votes[simGroup], func(v *vote) bool { return v.chosen })
	var reads []*operation
	for _, m := range g.machines {
		reads = append(reads, g.ask(m, Read{Group: simGroup, Voters: g.hint(), Timeout: 20 * time.Second}))
	}
	g.runUntil(func() bool { return g.checker.closed(simGroup) }, 23*time.Second) // a machine may still be paused, and its clock slow
	for _, o := range reads {
		if created && o.outcome != Done || o.outcome == 0 {
			g.checker.fatalf("n%d reads at the end: %v", o.machine.number, o.outcome)
		}
	}
	if !created || lease == 0 {
		return
	}
	for _, m := range g.machines {
		g.tell(m, Hold{Group: simGroup, Voters: g.hint()})
	}
	if !g.runUntil(func() bool {
		return slices.ContainsFunc(g.machines, func(m *machine) bool { return m.local(g.world.Now()).Before(m.until[simGroup]) })
	}, 10*time.Second) {
		g.checker.fatalf("nobody gets the lease")
	}
}

func (g *game) count() {
	for _, o := range g.checker.history[simGroup] {
		switch o.kind {
		case requestCreate:
			g.played.Creates[o.outcome]++
		case requestChange:
			g.played.Changes[o.outcome]++
		case requestRead:
			g.played.Reads[o.outcome]++
		case requestReconfigure:
			g.played.Reconfigures[o.outcome]++
		}
	}
	for _, v := range g.checker.votes[simGroup] {
		if v.chosen {
			g.played.Chosen++
			g.played.Epochs = max(g.played.Epochs, int(v.state.Epoch))
		}
	}
	g.played.trace, g.played.Events = g.world.Trace(), g.world.Events()
}
