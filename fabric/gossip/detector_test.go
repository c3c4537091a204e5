package gossip

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/hlc"
	"github.com/egalcluster/egal/internal/wire"
)

// edges are all that is monitored: by monitor and subject, what is known.
func edges(c *cluster) map[[2]NodeID]*peer {
	all := map[[2]NodeID]*peer{}
	for _, n := range c.running() {
		for _, p := range n.core.peers {
			all[[2]NodeID{n.core.cfg.ID, p.id}] = p
		}
	}
	return all
}

func TestAJoinMovesFewEdgesAndKeepsWhatIsKnown(t *testing.T) {
	c := formed(t, 1, 40, calm)
	before := edges(c)
	if len(before) != 40*watched {
		t.Fatalf("%d edges", len(before))
	}
	joined := c.start(41, nil)
	c.tell(joined, Join{Seeds: []Peer{c.nodes[0].addr}})
	c.converge(5 * time.Second)
	after := edges(c)
	gone, kept := 0, 0
	for edge, p := range before {
		switch after[edge] {
		case nil:
			gone++
		case p:
			kept++
		}
	}
	if gone > watched || len(after) != 41*watched || gone+kept != len(before) {
		t.Fatalf("%d edges are gone, %d are the same, of %d then and %d now", gone, kept, len(before), len(after))
	}
}

func TestTwoNodes(t *testing.T) {
	type sight struct{ reachable, isolated bool }
	sees := func(c *cluster, i int) sight {
		v := c.nodes[i].core.View()
		m, _ := v.Member(nodeID(2 - i))
		return sight{m.Reachable, v.Isolated()}
	}
	both := func(t *testing.T, c *cluster, want sight) {
		t.Helper()
		for i := range 2 {
			if got := sees(c, i); got != want {
				t.Fatalf("n%d: %+v", i+1, got)
			}
		}
	}
	t.Run("a cut link: each takes itself for isolated, and says nothing of the other", func(t *testing.T) {
		c := formed(t, 1, 2, calm)
		both(t, c, sight{reachable: true})
		c.partition(1)
		c.run(5 * time.Second)
		both(t, c, sight{isolated: true})
		if n := c.nodes[0].core.Metrics(); n.Verdicts != 0 || n.Isolated != 1 {
			t.Fatalf("%+v", n)
		}
		c.world.Heal()
		c.converge(2 * time.Second)
		both(t, c, sight{reachable: true})
	})
	t.Run("a refused connection is a verdict", func(t *testing.T) {
		c := formed(t, 1, 2, calm)
		c.crash(c.nodes[1])
		c.tell(c.nodes[0], PeerRefused{}) // from itself: nothing happens
		c.nodes[0].core.Receive(c.world.Now(), c.nodes[1].addr, PeerRefused{})
		c.tell(c.nodes[0], PeerRefused{})
		c.run(100 * time.Millisecond)
		if got := sees(c, 0); got.reachable || c.nodes[0].core.Metrics().Verdicts != 1 {
			t.Fatalf("%+v, %d verdicts", got, c.nodes[0].core.Metrics().Verdicts)
		}
		c.start(2, func(cfg *Config) { cfg.Snapshot = c.nodes[1].snapshot })
		c.tell(c.nodes[1], Join{Seeds: []Peer{c.nodes[0].addr}})
		c.converge(time.Second)
		c.run(2 * time.Second)
		if c.nodes[0].core.verdictOn(nodeID(2)) != nil {
			t.Fatal("the verdict on the earlier process is still there")
		}
	})
	t.Run("alone from the beginning is not isolated", func(t *testing.T) {
		c := newCluster(t, 1, calm)
		c.form(1)
		c.run(10 * time.Second)
		if c.nodes[0].core.View().Isolated() {
			t.Fatal("isolated from nobody")
		}
	})
}

// A pause of 8 s, as by SIGSTOP: unreachable meanwhile, and back without an operator.
func TestAPausedMemberComesBackByItself(t *testing.T) {
	for _, n := range []int{3, 5, 20} {
		t.Run(fmt.Sprintf("n=%d", n), func(t *testing.T) {
			c := formed(t, 1, n, calm)
			c.world.Pause(c.nodes[1].addr, 8*time.Second)
			c.run(7900 * time.Millisecond)
			for _, o := range c.nodes {
				if m, _ := o.core.View().Member(nodeID(2)); m.Reachable != (o.number == 2) {
					t.Fatalf("n%d: %+v", o.number, m)
				}
			}
			c.run(100 * time.Millisecond)
			if took := c.converge(2 * time.Second); took > time.Second {
				t.Fatalf("it took %v", took)
			}
			if alerts := c.nodes[1].core.Metrics().Alerts; alerts > 0 {
				t.Fatalf("it accused %d members", alerts)
			}
		})
	}
}

// A withdrawn verdict is remembered for a minute, and then swept, by one member.
func TestVerdictsAreSwept(t *testing.T) {
	c := formed(t, 1, 5, calm)
	c.world.Pause(c.nodes[1].addr, 6*time.Second)
	c.run(8 * time.Second)
	for _, n := range c.nodes {
		if v := n.core.verdicts.find(nodeID(2)); v == nil || v.until == 0 {
			t.Fatalf("n%d remembers %+v", n.number, v)
		}
	}
	c.run(3 * time.Minute)
	for _, n := range c.nodes {
		if keys := n.core.View().SharedKeys(verdictPrefix); len(keys) > 0 || len(n.core.verdicts) > 0 {
			t.Fatalf("n%d still has %v", n.number, keys)
		}
	}
	c.world.Pause(c.nodes[1].addr, 6*time.Second)
	c.run(5 * time.Second)
	if len(c.nodes[0].core.standing) != 1 {
		t.Fatal("no second verdict")
	}
	for _, n := range c.nodes { // it is removed while it is away
		n.core.mergeShared(newShared(admissionKey(nodeID(2)), (&admission{status: StatusRemoved, upNumber: 2, generation: 1}).encode(), false, n.core.clock.Now(c.world.Now())+1<<32, nodeID(1)))
		n.core.settle()
	}
	c.crash(c.nodes[1])
	c.run(3 * time.Minute)
	for _, n := range c.running() {
		if len(n.core.verdicts) > 0 {
			t.Fatalf("n%d still has a verdict on who is no member", n.number)
		}
	}
}

func TestAVerdictChangesWhoIsReachableAlone(t *testing.T) {
	c := formed(t, 1, 5, calm)
	core := c.nodes[1].core
	before := core.View()
	first, _ := before.Member(nodeID(1))
	core.convict(&first, []NodeID{core.cfg.ID})
	core.settle()
	after := core.View()
	if &before.points[0] != &after.points[0] || &before.ring[0] != &after.ring[0] || before.Hash() != after.Hash() {
		t.Fatal("the ring was made anew")
	}
	if leader, _ := after.Leader(); leader != nodeID(2) || len(before.lost) != 0 || len(after.lost) != 1 {
		t.Fatalf("leader %v, %d lost, %d before", leader, len(after.lost), len(before.lost))
	}
}

func TestHelpersFindWhomACutLinkHides(t *testing.T) {
	c := formed(t, 1, 4, calm)
	c.world.Cut(c.nodes[0].addr, c.nodes[1].addr)
	c.world.Cut(c.nodes[1].addr, c.nodes[0].addr)
	c.run(time.Minute)
	if m := c.nodes[0].core.Metrics(); m.Alerts > 0 || m.HelpAsked == 0 || m.ProbesMissed > 1 {
		t.Fatalf("%d alerts, help asked %d times, %d rounds missed", m.Alerts, m.HelpAsked, m.ProbesMissed)
	}
}

// What a monitor says dies with it: what it said too long ago, or is lost itself, does not count.
func TestStaleObservationsDieWithTheirObserver(t *testing.T) {
	c := formed(t, 1, 12, calm)
	judge := c.nodes[0].core
	subject := judge.view.members[slices.IndexFunc(judge.view.members, func(m Member) bool { return judge.peer(m.ID) != nil })]
	says := alerts{[]alert{{subject.ID.point(), subject.Boot, evidenceSilent}}}
	from := func(n *simNode) Packet {
		return Packet{Cluster: testCluster, Sender: n.core.cfg.ID, Generation: 1, Boot: n.core.cfg.Boot, ReceiverBoot: judge.cfg.Boot, bodies: []body{says}}
	}
	var accusers []*simNode
	for _, n := range c.nodes {
		if n.core != judge && n.core.cfg.ID != subject.ID && len(accusers) < 3 {
			accusers = append(accusers, n)
			judge.Receive(c.world.Now(), n.addr, from(n))
		}
	}
	if got := judge.accusers(&subject); got != 3 {
		t.Fatalf("%d accusers", got)
	}
	accused := judge.view.members[slices.IndexFunc(judge.view.members, func(m Member) bool { return m.ID == accusers[0].core.cfg.ID })]
	judge.convict(&accused, []NodeID{judge.cfg.ID})
	judge.settle()
	if got := judge.accusers(&subject); got != 2 {
		t.Fatalf("%d accusers, one of them unreachable", got)
	}
	says.list = []alert{{subject.ID.point(), subject.Boot + 1, evidenceSilent}}
	judge.Receive(c.world.Now(), accusers[1].addr, from(accusers[1]))
	if got := judge.accusers(&subject); got != 1 {
		t.Fatalf("%d accusers, one of another process", got)
	}
	judge.now = judge.now.Add(4 * time.Second)
	if got := judge.accusers(&subject); got != 0 {
		t.Fatalf("%d accusers long ago", got)
	}
}

func TestTheDetectorsListsAreBounded(t *testing.T) {
	c := formed(t, 1, 3, calm)
	core, other := c.nodes[0].core, c.nodes[1]
	packet := Packet{Cluster: testCluster, Sender: other.core.cfg.ID, Generation: 1, Boot: other.core.cfg.Boot, ReceiverBoot: core.cfg.Boot}
	core.Ready()
	for i := range maxRelays + 1 {
		packet.bodies = append(packet.bodies, help{uint64(i), nodeID(3)})
	}
	core.Receive(c.world.Now(), other.addr, packet)
	refused := 0
	for _, out := range core.Ready().Send {
		for _, b := range out.Message.(Packet).bodies {
			if h, ok := b.(helped); ok && !h.answered {
				refused++
			}
		}
	}
	if len(core.monitors.relays) != maxRelays || refused != 1 {
		t.Fatalf("%d relays, %d refused", len(core.monitors.relays), refused)
	}
	var h hearing
	for i := range maxProbers + 1 {
		h.probedBy(nodeID(i), simStart)
		h.keep(testimony{nodeID(i), simStart, []alert{{1, 1, evidenceSilent}}})
	}
	if len(h.probers) != maxProbers || h.probers[0].id != nodeID(1) || len(h.testimonies) != maxTestimonies || h.testimonies[0].from != nodeID(1) {
		t.Fatalf("%d probers, %d testimonies", len(h.probers), len(h.testimonies))
	}
	if h.keep(testimony{from: nodeID(5)}); len(h.testimonies) != maxTestimonies-1 {
		t.Fatal("who has nothing to say is kept")
	}
	p := core.peers[0]
	for range maxVoted + 1 {
		core.accuse(p, evidenceSilent)
	}
	if len(core.monitors.voted) != maxVoted {
		t.Fatalf("%d votes", len(core.monitors.voted))
	}
}

func TestVerdictsAreDecoded(t *testing.T) {
	good := verdict{boot: 7, generation: 3, found: evidenceRefused, voters: []NodeID{nodeID(1), nodeID(2)}}
	key := verdictKey(nodeID(9))
	if v := decodeVerdict(key, good.encode(), nodeID(4), 5); v == nil || v.subject != nodeID(9) || v.boot != 7 || v.generation != 3 ||
		v.found != evidenceRefused || !slices.Equal(v.voters, good.voters) || v.publisher != nodeID(4) || v.since != 5 || v.until != 0 {
		t.Fatalf("%+v", v)
	}
	later := append(good.encode(), 1, 2, 3)
	later[0] = 2
	if decodeVerdict(key, later, nodeID(4), 5) == nil {
		t.Fatal("a later version is not understood")
	}
	nobody, vague := good, good
	nobody.voters, vague.found = nil, evidenceLook
	for name, v := range map[string]*verdict{
		"empty": decodeVerdict(key, nil, nodeID(4), 5), "cut short": decodeVerdict(key, good.encode()[:20], nodeID(4), 5),
		"without voters": decodeVerdict(key, nobody.encode(), nodeID(4), 5), "without evidence": decodeVerdict(key, vague.encode(), nodeID(4), 5),
		"on nobody": decodeVerdict(verdictPrefix+"x", good.encode(), nodeID(4), 5),
	} {
		if v != nil {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestAlertsOutOfOrderAreRefused(t *testing.T) {
	for name, list := range map[string][]alert{
		"twice":         {{5, 1, evidenceSilent}, {5, 1, evidenceSilent}},
		"out of order":  {{5, 1, evidenceSilent}, {4, 1, evidenceSilent}},
		"no evidence":   {{5, 1, evidenceNone}},
		"what is that?": {{5, 1, evidenceAnswers + 1}},
		"too many":      slices.Repeat([]alert{{5, 1, evidenceSilent}}, maxAlerts+1),
	} {
		r := wire.NewReader(alerts{list}.append(nil))
		readAlerts(r)
		if r.Err() == nil {
			t.Errorf("%s: was read", name)
		}
	}
	full := alerts{}
	for i := range maxAlerts {
		full.list = append(full.list, alert{uint64(i), math.MaxUint64, evidenceSilent})
	}
	r := wire.NewReader(full.append(nil))
	if readAlerts(r); r.Done() != nil || headerBytes+bodyBytes(full) > MaxDatagram {
		t.Fatalf("as many as there may be: %v, %d bytes", r.Err(), headerBytes+bodyBytes(full))
	}
}

// Two sides that accuse each other were both wrong, also when one of the verdicts is withdrawn; who was found gone only
// later was right.
func TestVerdictsThatAccuseEachOtherDoNotCount(t *testing.T) {
	a, b, c := nodeID(1), nodeID(2), nodeID(3)
	at := func(seconds int) hlc.Timestamp {
		if seconds == 0 {
			return 0
		}
		return hlc.New(simStart.Add(time.Duration(seconds)*time.Second), 0)
	}
	on := func(subject, publisher NodeID, since, until int) *verdict {
		return &verdict{subject: subject, publisher: publisher, boot: 1, since: at(since), until: at(until)}
	}
	for _, tc := range []struct {
		name string
		all  []*verdict
		want []NodeID
	}{
		{"one", []*verdict{on(a, b, 10, 0)}, []NodeID{a}},
		{"withdrawn", []*verdict{on(a, b, 10, 20)}, nil},
		{"its publisher is gone later", []*verdict{on(a, b, 10, 0), on(b, c, 60, 0)}, []NodeID{a, b}},
		{"its publisher was gone before", []*verdict{on(a, b, 20, 0), on(b, c, 10, 0)}, []NodeID{b}},
		{"its publisher was gone before, and is back", []*verdict{on(a, b, 30, 0), on(b, c, 10, 20)}, []NodeID{a}},
		{"its publisher was gone, and is back since", []*verdict{on(a, b, 30, 0), on(b, c, 10, 40)}, nil},
		{"each other", []*verdict{on(a, b, 10, 0), on(b, a, 12, 0)}, nil},
		{"each other, one withdrawn", []*verdict{on(a, b, 10, 0), on(b, a, 12, 70)}, nil},
		{"each other, one long after", []*verdict{on(a, b, 10, 0), on(b, a, 60, 0)}, []NodeID{a}},
		{"an earlier process", []*verdict{{subject: a, publisher: b, boot: 2, since: at(10)}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var vs verdicts
			for _, v := range tc.all {
				vs = vs.with(v.subject, v)
			}
			standing := vs.standing(10*time.Second, func(NodeID) (BootID, bool) { return 1, true })
			var got []NodeID
			for _, v := range standing {
				got = append(got, v.subject)
			}
			slices.SortFunc(tc.want, NodeID.Compare)
			if !slices.Equal(got, tc.want) {
				t.Fatalf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestPhiGrowsWithSilence(t *testing.T) {
	var a arrivals
	now := simStart
	if a.phi(now) != 0 {
		t.Fatal("unusual before anything was heard")
	}
	for i := range 20 {
		now = now.Add(time.Second + time.Duration(i%3-1)*50*time.Millisecond)
		a.add(now)
	}
	last := -1.0
	for _, silence := range []time.Duration{100 * time.Millisecond, time.Second, 1200 * time.Millisecond, 1500 * time.Millisecond, 2 * time.Second} {
		phi := a.phi(now.Add(silence))
		if phi <= last {
			t.Fatalf("%v: %g after %g", silence, phi, last)
		}
		last = phi
	}
	if usual := a.phi(now.Add(time.Second)); usual < 0.1 || usual > 1 {
		t.Fatalf("as usual: %g", usual)
	}
	if long := a.phi(now.Add(time.Hour)); long != maxPhi {
		t.Fatalf("an hour: %g", long)
	}
	c := formed(t, 1, 3, calm)
	c.run(10 * time.Second)
	c.world.Cut(c.nodes[0].addr, c.nodes[1].addr)
	c.run(3 * time.Second)
	core := c.nodes[0].core
	for _, e := range core.Edges(c.world.Now()) {
		if cut := e.Member == nodeID(2); cut != (e.Phi > 3) || e.RoundTrip == 0 || e.Accused {
			t.Errorf("%+v", e)
		}
	}
	if core.Metrics().PhiMilli < 3000 {
		t.Fatalf("%d", core.Metrics().PhiMilli)
	}
}
