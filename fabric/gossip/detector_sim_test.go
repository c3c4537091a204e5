package gossip

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

// The failure detector under its own faults, against invariants 16 to 20 of the design:
//
//	16  a crashed member is unreachable everywhere within (m+2) rounds, and the time news takes
//	17  fewer faulty monitors than a majority convict nobody
//	18  after a pause a node accuses nobody for m rounds
//	19  a cut link alone convicts nobody
//	20  the sides of a partition call each other unreachable, and nobody else; healed, they are one again
//
// Every episode is one fault, or two of a kind, on a network that loses up to a fifth of its packets. What views show,
// and what monitors say, is checked at every event.

// detectorCheck holds what is true at the moment.
type detectorCheck struct {
	*cluster
	excused map[NodeID]bool      // may be called unreachable
	blind   map[NodeID]bool      // their own views do not count
	mute    map[NodeID]bool      // must not accuse anybody
	woken   map[NodeID]time.Time // when they woke from a pause
	side    map[NodeID]int       // where they were in a partition that is healing: a side keeps its own
	bend    func(*rules)         // a planted bug
	// outOfSight is since when a node does not see another one of its side.
	outOfSight map[[2]NodeID]time.Time
}

func newDetectorCheck(t complainer, seed uint64, link sim.Link) *detectorCheck {
	d := &detectorCheck{cluster: newCluster(t, seed, link)}
	d.config = Config{}
	d.checker.off = true // TestSim checks the state
	d.calm()
	d.outOfSight = map[[2]NodeID]time.Time{}
	d.events = d.look
	d.woken = map[NodeID]time.Time{}
	d.world.OnSend(func(now time.Time, from, _ Peer, m Message) {
		if p, ok := m.(Packet); ok {
			d.hear(now, p)
		}
	})
	return d
}

// calm expects nothing to be wrong.
func (d *detectorCheck) calm() {
	d.excused, d.blind, d.mute, d.side = map[NodeID]bool{}, map[NodeID]bool{}, map[NodeID]bool{}, map[NodeID]int{}
}

// begin starts a process with the planted bug.
func (d *detectorCheck) begin(number int, how func(*Config)) *simNode {
	n := d.start(number, how)
	if d.bend != nil {
		d.bend(&n.core.monitors.rules)
	}
	return n
}

// look checks what a node sees.
func (d *detectorCheck) look(n *simNode, e Event) {
	changed, ok := e.(ViewChanged)
	if !ok {
		return
	}
	d.keepsItsSide(n, changed.View)
	if d.blind[changed.View.self] {
		return
	}
	for _, m := range changed.View.Members() {
		if !m.Reachable && !d.excused[m.ID] {
			d.t.Fatalf("seed %d: %v: n%d shows %s as unreachable (isolated: %v)", d.seed, d.world.Now().Sub(simStart), n.number, m.Name, changed.View.Isolated())
		}
	}
}

// keepsItsSide: when a partition heals, no side loses sight of its own, but for the moment that a verdict of the other
// side takes to be answered, when much is lost and the answer comes late.
func (d *detectorCheck) keepsItsSide(n *simNode, v *View) {
	now := d.world.Now()
	for _, m := range v.Members() {
		mine, ok := d.side[v.self]
		pair := [2]NodeID{v.self, m.ID}
		since, lost := d.outOfSight[pair]
		switch gone := ok && mine == d.side[m.ID] && !m.Reachable; {
		case gone && !lost:
			d.outOfSight[pair] = now
		case lost && now.Sub(since) > time.Second:
			d.t.Fatalf("seed %d: %v: 20: healing, n%d loses %s of its own side for %v", d.seed, now.Sub(simStart), n.number, m.Name, now.Sub(since))
		case lost && !gone:
			delete(d.outOfSight, pair)
		}
	}
}

// hear checks what a monitor says.
func (d *detectorCheck) hear(now time.Time, p Packet) {
	for _, b := range p.bodies {
		a, ok := b.(alerts)
		if !ok {
			continue
		}
		for _, one := range a.list {
			if one.found != evidenceSilent {
				continue
			}
			if d.mute[p.Sender] {
				d.t.Fatalf("seed %d: %v hears nobody, and accuses", d.seed, p.Sender)
			}
			if woke, ok := d.woken[p.Sender]; ok && now.Sub(woke) < 2*time.Second {
				d.t.Fatalf("seed %d: %v accuses %v after it woke", d.seed, p.Sender, now.Sub(woke))
			}
		}
	}
}

// shown waits until all whose views count show these nodes as unreachable, or fails.
func (d *detectorCheck) shown(what string, limit time.Duration, gone ...*simNode) {
	d.t.Helper()
	end := d.world.Now().Add(limit)
	lacking := func() string {
		for _, n := range d.running() {
			v := n.core.View()
			for _, g := range gone {
				if m, _ := v.Member(nodeID(g.number)); m.Reachable && !d.blind[v.self] {
					return fmt.Sprintf("n%d still reaches %s", n.number, m.Name)
				}
			}
		}
		return ""
	}
	for lacking() != "" {
		if d.world.Now().After(end) {
			d.t.Fatalf("seed %d: %s: after %v: %s", d.seed, what, limit, lacking())
		}
		d.run(50 * time.Millisecond)
	}
}

// recovered heals the network; within the limit all are one again.
func (d *detectorCheck) recovered(limit time.Duration) {
	d.t.Helper()
	d.world.Heal()
	for _, n := range d.nodes {
		d.excused[nodeID(n.number)], d.blind[nodeID(n.number)] = true, true
	}
	clear(d.mute)
	d.converge(limit)
	d.run(2 * time.Second) // what was on its way
	d.converge(limit)
	d.calm()
}

// detection is how long it may take until a member that is gone is called unreachable: m rounds, the one under way,
// one for lost packets, and those in which the monitors' own health makes them slower: one where some packets are lost,
// three at a fifth of loss.
func detection(loss float64) time.Duration {
	limit := 5*time.Second + 500*time.Millisecond
	switch {
	case loss > 0.05:
		limit += 3 * time.Second
	case loss > 0:
		limit += 1100 * time.Millisecond
	}
	return limit
}

// detectorPlayed counts episodes.
type detectorPlayed struct {
	Crashes, Restarts, Pauses, Deaf, Mute, Links, Partitions, Refused int
	Verdicts, Withdrawals, Alerts, Forgiven                           uint64
	trace                                                             uint64
}

func (p *detectorPlayed) add(o detectorPlayed) {
	p.Crashes, p.Restarts, p.Pauses, p.Deaf = p.Crashes+o.Crashes, p.Restarts+o.Restarts, p.Pauses+o.Pauses, p.Deaf+o.Deaf
	p.Mute, p.Links, p.Partitions, p.Refused = p.Mute+o.Mute, p.Links+o.Links, p.Partitions+o.Partitions, p.Refused+o.Refused
	p.Verdicts, p.Withdrawals, p.Alerts, p.Forgiven = p.Verdicts+o.Verdicts, p.Withdrawals+o.Withdrawals, p.Alerts+o.Alerts, p.Forgiven+o.Forgiven
}

// standingDetectors is a cluster in which nothing is wrong but the links.
func standingDetectors(t complainer, seed uint64, size int, link sim.Link, bend func(*rules), alter func(*detectorCheck, Message) Message) *detectorCheck {
	t.Helper()
	d := newDetectorCheck(t, seed, sim.Link{Latency: link.Latency, Jitter: link.Jitter})
	d.bend = bend
	if alter != nil {
		d.alter = func(m Message) Message { return alter(d, m) }
	}
	for i := range size {
		n := d.begin(i+1, nil)
		d.blind[nodeID(i+1)] = true
		if i == 0 {
			d.tell(n, Found{testCluster})
		} else {
			d.tell(n, Join{Seeds: []Peer{d.nodes[0].addr}})
		}
	}
	d.converge(5 * time.Second)
	d.run(2 * time.Second)
	d.calm()
	d.world.SetLink(link)
	d.run(5 * time.Second)
	return d
}

// badLink cuts one of three links, when the others lose a lot: now and then the third node cannot help either.
func badLink(t complainer, bend func(*rules)) {
	d := standingDetectors(t, 1, 3, sim.Link{Latency: time.Millisecond, Loss: 0.2}, bend, nil)
	d.world.Cut(d.nodes[0].addr, d.nodes[1].addr)
	d.world.Cut(d.nodes[1].addr, d.nodes[0].addr)
	for _, n := range d.nodes[:2] { // the one link that is left may lose all of three rounds: then they are isolated for a moment
		d.blind[nodeID(n.number)] = true
	}
	d.run(5 * time.Minute)
	if alerts := d.nodes[0].core.Metrics().Alerts; alerts == 0 {
		d.t.Fatal("not even an alert")
	}
}

func TestOneVoteOfTwoConvictsNobody(t *testing.T) { badLink(t, nil) }

// playDetector plays one seed.
func playDetector(t complainer, seed uint64, bend func(*rules), alter func(*detectorCheck, Message) Message) (played detectorPlayed) {
	t.Helper()
	choose := rand.New(rand.NewPCG(seed, 79))
	link := sim.Link{Latency: time.Duration(choose.IntN(2000)) * time.Microsecond, Jitter: time.Duration(choose.IntN(10_000)) * time.Microsecond}
	size := 3 + choose.IntN(7)
	if choose.IntN(3) == 0 {
		size = 10 + choose.IntN(20)
	}
	if choose.IntN(2) == 0 {
		link.Loss = choose.Float64() * 0.2
	}
	d := standingDetectors(t, seed, size, link, bend, alter)
	for range 3 {
		d.episode(choose, link.Loss, &played)
	}
	for _, n := range d.running() {
		m := n.core.Metrics()
		played.Verdicts, played.Withdrawals = played.Verdicts+m.Verdicts, played.Withdrawals+m.Withdrawals
		played.Alerts, played.Forgiven = played.Alerts+m.Alerts, played.Forgiven+m.Forgiven
	}
	played.trace = d.world.Trace()
	return played
}

// episode does one thing, and looks at what comes of it.
func (d *detectorCheck) episode(choose *rand.Rand, loss float64, played *detectorPlayed) {
	d.t.Helper()
	n := d.nodes[choose.IntN(len(d.nodes))]
	id := nodeID(n.number)
	switch choose.IntN(8) {
	case 0:
		played.Crashes++
		d.excused[id] = true
		d.crash(n)
		d.shown("16: a crash", detection(loss), n)
		d.run(time.Duration(choose.IntN(5000)) * time.Millisecond)
		d.comeBack(n, choose, played)
	case 1:
		played.Refused++
		d.excused[id] = true
		d.crash(n)
		d.run(15 * time.Millisecond) // its last answers arrive; its host refuses those that ask again
		for _, other := range d.running() {
			other.core.Receive(d.world.Now(), n.addr, PeerRefused{})
			d.tell(other, PeerRefused{})
		}
		d.shown("16: a crash, refused", 300*time.Millisecond+time.Duration(loss*float64(time.Second)), n)
		d.comeBack(n, choose, played)
	case 2:
		played.Pauses++
		d.pause(n, time.Duration(choose.IntN(12_000))*time.Millisecond)
	case 3, 4:
		d.halfDead(n, choose, loss, played)
	case 5:
		played.Links++
		other := d.nodes[(n.number+choose.IntN(len(d.nodes)-1))%len(d.nodes)]
		d.world.Cut(n.addr, other.addr)
		if choose.IntN(2) == 0 {
			d.world.Cut(other.addr, n.addr)
		}
		d.run(20 * time.Second) // 19: nobody is called unreachable
	case 6:
		played.Partitions++
		d.split(choose, loss)
	case 7:
		played.Crashes, played.Pauses = played.Crashes+1, played.Pauses+1
		other := d.nodes[n.number%len(d.nodes)]
		d.excused[nodeID(other.number)] = true
		d.crash(other)
		d.run(time.Duration(1800+choose.IntN(1000)) * time.Millisecond) // about to be called unreachable
		d.pause(n, time.Second+time.Duration(choose.IntN(1000))*time.Millisecond)
		delete(d.blind, id)
		d.shown("16: a crash and a pause", detection(loss)+3*time.Second, other)
		d.comeBack(other, choose, played)
	}
	d.recovered(8 * time.Second)
}

// comeBack starts a new process of a node; as soon as it is there it is reachable, whatever was said of the one before.
func (d *detectorCheck) comeBack(n *simNode, choose *rand.Rand, played *detectorPlayed) {
	d.t.Helper()
	played.Restarts++
	d.blind[nodeID(n.number)] = true
	snapshot := n.snapshot
	if choose.IntN(2) == 0 && n.number != 1 {
		snapshot = nil
	}
	d.begin(n.number, func(cfg *Config) { cfg.Snapshot = snapshot })
	d.tell(n, Join{Seeds: []Peer{d.nodes[0].addr, d.nodes[1].addr}})
	d.converge(3 * time.Second)
	delete(d.excused, nodeID(n.number))
	d.run(5 * time.Second)
}

// pause stops a node; a short pause convicts nobody.
func (d *detectorCheck) pause(n *simNode, length time.Duration) {
	d.t.Helper()
	id := nodeID(n.number)
	if length > 1500*time.Millisecond {
		d.excused[id] = true
	}
	d.blind[id] = true
	d.world.Pause(n.addr, length)
	wakes := d.world.Now().Add(length)
	if length > time.Second {
		d.woken[id] = wakes
	}
	if length > 10*time.Second {
		d.shown("16: a pause", 9*time.Second, n)
	}
	d.world.RunUntil(wakes)
	d.run(4 * time.Second)
	delete(d.woken, id)
}

// halfDead makes one node, or two of many, hear nobody, or be heard by nobody: they are found, and nobody else is.
func (d *detectorCheck) halfDead(n *simNode, choose *rand.Rand, loss float64, played *detectorPlayed) {
	d.t.Helper()
	deaf := choose.IntN(2) == 0
	affected := []*simNode{n}
	if len(d.nodes) >= 8 && choose.IntN(2) == 0 {
		affected = append(affected, d.nodes[n.number%len(d.nodes)])
	}
	for _, x := range affected {
		id := nodeID(x.number)
		d.excused[id], d.blind[id] = true, true
		for _, other := range d.nodes {
			if other == x {
				continue
			}
			if deaf {
				d.world.Cut(other.addr, x.addr)
			} else {
				d.world.Cut(x.addr, other.addr)
			}
		}
	}
	if deaf {
		played.Deaf++
	} else {
		played.Mute++
	}
	d.run(1500 * time.Millisecond) // the round under way
	for _, x := range affected {
		d.mute[nodeID(x.number)] = true
	}
	d.shown("16: a deaf or mute node", detection(loss), affected...)
	d.run(10 * time.Second)
	for _, x := range affected {
		if !x.core.View().Isolated() {
			d.t.Fatalf("seed %d: n%d does not know that it is isolated", d.seed, x.number)
		}
	}
}

// split cuts the network in two. A large cluster's smaller side is a quarter at least: its members must find each
// other among their successors.
func (d *detectorCheck) split(choose *rand.Rand, loss float64) {
	d.t.Helper()
	size := len(d.nodes)
	least := 1
	if size > watched+1 {
		least = (size + 3) / 4
	}
	left := least + choose.IntN(size/2-least+1)
	members := slices.Clone(d.nodes)
	choose.Shuffle(size, func(i, j int) { members[i], members[j] = members[j], members[i] })
	for i, a := range members {
		for j, b := range members {
			if (i < left) != (j < left) {
				d.world.Cut(a.addr, b.addr)
			}
		}
	}
	for _, side := range [][]*simNode{members[:left], members[left:]} {
		for _, n := range side {
			d.excused[nodeID(n.number)], d.blind[nodeID(n.number)] = true, true
		}
	}
	d.run(2*detection(loss) + 3*time.Second)
	for i, a := range members {
		v := a.core.View()
		for j, b := range members {
			m, _ := v.Member(nodeID(b.number))
			if same := (i < left) == (j < left); m.Reachable != same {
				d.t.Fatalf("seed %d: 20: %d|%d: n%d sees n%d reachable: %v", d.seed, left, size-left, a.number, b.number, m.Reachable)
			}
		}
		d.side[nodeID(a.number)] = 1
		if i < left {
			d.side[nodeID(a.number)] = 2
		}
		if lone := left == 1 && i == 0; v.Isolated() != lone {
			d.t.Fatalf("seed %d: 20: %d|%d: n%d takes itself for isolated: %v", d.seed, left, size-left, a.number, v.Isolated())
		}
	}
}

// TestDetectorSim plays the failure detector's faults, each seed twice, with equal traces.
func TestDetectorSim(t *testing.T) {
	count := *simCount
	if testing.Short() || raceEnabled {
		count = min(count, 10)
	}
	var total detectorPlayed
	for i := range count {
		seed := *simSeed + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("replay: go test ./fabric/gossip -run '^TestDetectorSim$' -sim.seed=%d -sim.count=1", seed)
				}
			})
			first := playDetector(t, seed, nil, nil)
			if second := playDetector(t, seed, nil, nil); first.trace != second.trace {
				t.Fatalf("two runs differ: %x and %x", first.trace, second.trace)
			}
			total.add(first)
		})
	}
	t.Logf("%d seeds: %+v", count, total)
	if count >= 50 && (total.Crashes == 0 || total.Refused == 0 || total.Pauses == 0 || total.Deaf == 0 || total.Mute == 0 || total.Links == 0 || total.Partitions == 0 || total.Withdrawals == 0) {
		t.Fatal("a fault was never played")
	}
}
