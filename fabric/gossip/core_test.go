package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/egalcluster/egal/internal/sim"
)

var calm = sim.Link{Latency: time.Millisecond}

// founded is a core that has founded a cluster.
func founded(t complainer) *Core {
	t.Helper()
	c := replica(t)
	c.Receive(simStart, c.cfg.Addr, Found{testCluster})
	return c
}

func TestAWriteIsInTheViewAtOnce(t *testing.T) {
	c := founded(t)
	c.Receive(simStart, c.cfg.Addr, SetShared{"X", []byte("1")})
	if value, stamp, ok := c.View().Shared("X"); !ok || string(value) != "1" || !stamp.Wall().Equal(simStart) {
		t.Fatal(string(value), stamp, ok)
	}
	c.Receive(simStart, c.cfg.Addr, SetOwn{"Y", []byte("2")})
	if value, ok := c.View().Own(c.cfg.ID, "Y"); !ok || string(value) != "2" {
		t.Fatal(string(value), ok)
	}
	c.Receive(simStart, c.cfg.Addr, DeleteShared{"X"})
	if _, _, ok := c.View().Shared("X"); ok {
		t.Fatal("still there")
	}
}

// Whoever writes what he has read supersedes it, however far ahead the clock of its writer was.
func TestAWriteSupersedesWhatItsWriterSees(t *testing.T) {
	c := founded(t)
	ahead := newShared("X", []byte("future"), false, maxStamp-3, nodeID(7))
	c.mergeShared(ahead)
	c.Receive(simStart, c.cfg.Addr, SetShared{"X", []byte("mine")})
	if value, stamp, _ := c.View().Shared("X"); string(value) != "mine" || stamp != ahead.stamp+1 {
		t.Fatal(string(value), stamp)
	}
	if c.Metrics().StampsAhead == 0 {
		t.Fatal("the stamp was not counted")
	}
	c.Receive(simStart, c.cfg.Addr, SetShared{"other", []byte("mine")})
	if _, stamp, _ := c.View().Shared("other"); stamp.Wall().After(simStart.Add(time.Second)) {
		t.Fatalf("the stamp has dragged the clock to %v", stamp.Wall())
	}
}

func TestManyWritesOfOneInstantMakeOneRumor(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.form(4)
	c.converge(time.Second)
	c.run(time.Second)
	clear(c.sends)
	for i := range 20 {
		c.tell(c.nodes[1], SetOwn{Key: fmt.Sprint(i), Value: []byte("v")})
		c.tell(c.nodes[1], SetShared{Key: fmt.Sprint(i), Value: []byte("v")})
	}
	c.run(2 * time.Millisecond)
	if c.unequal() != "" || c.sends["gossip.rumor"] != 3 {
		t.Fatal(c.unequal(), c.sends)
	}
}

func TestAFloodOfWritesIsCoalesced(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.form(3)
	c.converge(time.Second)
	before := c.nodes[0].core.Metrics().RumorsStarted
	for i := range 1000 { // one second
		c.tell(c.nodes[0], SetOwn{Key: "k", Value: fmt.Append(nil, i)})
		c.run(time.Millisecond)
	}
	rumors := c.nodes[0].core.Metrics().RumorsStarted - before
	if most := uint64(time.Second/(5*time.Millisecond)) + burst; rumors > most || rumors < most/2 {
		t.Fatalf("%d rumors, at most %d", rumors, most)
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name string
		m    Message
		want error
	}{
		{"an own key", SetOwn{"k", nil}, nil},
		{"the core's own key", SetOwn{keyNode, nil}, ErrReserved},
		{"the key of the clock", DeleteOwn{keyReport}, ErrReserved},
		{"a verdict", SetShared{verdictKey(nodeID(1)), nil}, ErrReserved},
		{"a verdict's withdrawal", DeleteShared{verdictKey(nodeID(1))}, ErrReserved},
		{"a member's key", SetShared{admissionKey(nodeID(1)), nil}, ErrReserved},
		{"the longest shared key", SetShared{strings.Repeat("k", MaxKey), nil}, nil},
		{"a longer shared key", SetShared{strings.Repeat("k", MaxKey+1), nil}, ErrTooLarge},
		{"no key", SetShared{"", nil}, ErrTooLarge},
		{"the longest shared value", SetShared{"k", make([]byte, MaxValue)}, nil},
		{"a longer shared value", SetShared{"k", make([]byte, MaxValue+1)}, ErrTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := founded(t)
			c.Ready()
			c.Receive(simStart, c.cfg.Addr, tc.m)
			var got error
			for _, e := range c.Ready().Notify {
				if refusal, ok := e.(Refused); ok {
					got = refusal.Err
				}
			}
			if !errors.Is(got, tc.want) {
				t.Fatalf("%v, want %v", got, tc.want)
			}
		})
	}
	c := replica(t)
	c.Receive(simStart, c.cfg.Addr, SetShared{"k", nil})
	if !slices.Contains(c.Ready().Notify, Event(Refused{"k", ErrNoCluster})) {
		t.Fatal("a shared write outside of a cluster was not refused")
	}
}

// The shared map at its limits: full at the origin, twice as much on a replica.
func TestTheSharedMapIsBounded(t *testing.T) {
	c := founded(t)
	fill := func(upTo int) {
		for i := c.shared.count; i < upTo; i++ {
			c.mergeShared(newShared(fmt.Sprint("fill", i), nil, false, 1, nodeID(2)))
		}
	}
	fill(MaxShared - 1)
	if err := c.writeShared("last", nil, false); err != nil {
		t.Fatal(err)
	}
	if err := c.writeShared("one more", nil, false); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if err := c.writeShared("last", []byte("again"), false); err != nil {
		t.Fatal(err)
	}
	fill(2 * MaxShared)
	if c.shared.count != 2*MaxShared || c.metrics.RefusedShared != 0 {
		t.Fatal(c.shared.count, c.metrics.RefusedShared)
	}
	c.mergeShared(newShared("too much", nil, false, 1, nodeID(2)))
	if c.shared.count != 2*MaxShared || c.metrics.RefusedShared != 1 {
		t.Fatal(c.shared.count, c.metrics.RefusedShared)
	}
}

func TestTheSharedMapIsBoundedInBytes(t *testing.T) {
	c := founded(t)
	value := make([]byte, MaxValue)
	for i := 0; c.sharedBytes+MaxValue+100 <= MaxSharedBytes; i++ {
		if err := c.writeShared(fmt.Sprint(i), value, false); err != nil {
			t.Fatal(err)
		}
	}
	rest := MaxSharedBytes - c.sharedBytes - 1
	if err := c.writeShared("k", make([]byte, rest+1), false); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if err := c.writeShared("k", make([]byte, rest), false); err != nil {
		t.Fatal(err)
	}
}

// Every packet twice, in any order: the state is the same.
func TestReceivingTwiceIsReceivingOnce(t *testing.T) {
	c := newCluster(t, 1, calm)
	var packets []Packet
	c.form(3)
	c.converge(time.Second)
	target := c.nodes[2]
	snapshot := EncodeSnapshot(target.core.View())
	c.world.OnSend(func(_ time.Time, _, to Peer, m Message) {
		if p, ok := m.(Packet); ok && to == target.addr && (carries(p, kindRumor) || carries(p, kindStateChunk)) {
			packets = append(packets, p)
		}
	})
	for i := range 6 {
		c.tell(c.nodes[i%2], SetOwn{Key: fmt.Sprint("k", i%4), Value: fmt.Append(nil, i)})
		c.tell(c.nodes[i%2], SetShared{Key: fmt.Sprint("k", i%3), Value: fmt.Append(nil, i)})
		c.run(10 * time.Millisecond)
	}
	if len(packets) < 6 {
		t.Fatal(packets)
	}
	want := target.core.View()
	rapid.Check(t, func(t *rapid.T) {
		decoded, err := DecodeSnapshot(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		cfg := target.core.cfg
		cfg.Snapshot = decoded
		replay, err := New(cfg, c.world.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range rapid.Permutation(slices.Concat(packets, packets)).Draw(t, "order") {
			replay.Receive(c.world.Now(), c.nodes[0].addr, p)
		}
		got := replay.View()
		if fmt.Sprint(got.SharedKeys("")) != fmt.Sprint(want.SharedKeys("")) {
			t.Fatal("other shared keys")
		}
		for _, source := range c.nodes[:2] {
			id := source.core.cfg.ID
			a, _ := got.owners.find(id)
			b, _ := want.owners.find(id)
			if a.digest() != b.digest() || fmt.Sprint(a.entries) != fmt.Sprint(b.entries) {
				t.Fatalf("other state of n%d", source.number)
			}
		}
	})
}

// Packets for an earlier process, of an earlier process, of another cluster, or without any: dropped and counted.
func TestWhatIsNotMeantForUsIsDropped(t *testing.T) {
	list := []*shared{newShared("X", []byte("1"), false, 9, nodeID(2))}
	batch := rumor{id: RumorID{Origin: nodeID(2), Generation: 1, Sequence: 1}, span: wholeSpan, payload: &payload{shared: list}}
	good := Packet{Cluster: testCluster, Sender: nodeID(2), Generation: 5, Boot: 7, ReceiverBoot: 1, bodies: []body{batch}}
	described := about{boot: 7, addr: addrOf(2, 0)}
	for _, tc := range []struct {
		name   string
		change func(p *Packet)
		count  func(m Metrics) uint64
	}{
		{"meant for us", func(*Packet) {}, func(m Metrics) uint64 { return m.RumorsReceived }},
		{"for an earlier process", func(p *Packet) { p.ReceiverBoot = 9 }, func(m Metrics) uint64 { return m.DroppedBoot }},
		{"for whoever is there", func(p *Packet) { p.ReceiverBoot = 0 }, func(m Metrics) uint64 { return m.DroppedBoot }},
		{"of an earlier process", func(p *Packet) { p.Generation = 4 }, func(m Metrics) uint64 { return m.DroppedStale }},
		{"of a copy of the process", func(p *Packet) { p.Boot = 8 }, func(m Metrics) uint64 { return m.DroppedStale }},
		{"of another cluster", func(p *Packet) { p.Cluster = ClusterID{2} }, func(m Metrics) uint64 { return m.DroppedCluster }},
		{"of no cluster", func(p *Packet) { p.Cluster = ClusterID{} }, func(m Metrics) uint64 { return m.DroppedUnexpected }},
		{"of ourselves", func(p *Packet) { p.Sender = nodeID(1) }, func(m Metrics) uint64 { return m.DroppedUnexpected }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := founded(t)
			c.mergeOwner(delta{owner: nodeID(2), generation: 5, upto: 1, entries: []entry{{key: keyNode, value: described.encode(), version: 1}}})
			c.settle()
			c.Ready()
			p := good
			handed := batch
			handed.id.Generation = 5
			own := place(handed.slot, c.cfg.ID.point())
			handed.span = span{own, own}
			p.bodies = []body{handed}
			tc.change(&p)
			c.Receive(simStart, addrOf(2, 0), p)
			if _, _, ok := c.View().Shared("X"); ok != (tc.name == "meant for us") {
				t.Fatalf("taken over: %v", ok)
			}
			if tc.count(c.Metrics()) != 1 {
				t.Fatalf("%+v", c.Metrics())
			}
			if send := c.Ready().Send; len(send) > 0 && tc.name != "meant for us" {
				t.Fatalf("answered by %v", send)
			}
		})
	}
}

// A process whose generation is lower than what peers hold of an earlier one goes above it.
func TestALostGenerationIsMadeUpFor(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.form(2)
	c.converge(time.Second)
	c.tell(c.nodes[1], SetOwn{"k", []byte("old")})
	c.run(10 * time.Millisecond)
	c.crash(c.nodes[1])
	c.checker.off = true // two processes write under one generation
	n := c.start(2, func(cfg *Config) { cfg.Generation = 1 })
	c.tell(n, Join{Seeds: []Peer{c.nodes[0].addr}})
	c.converge(5 * time.Second)
	if m, _ := c.nodes[0].core.View().Member(nodeID(2)); m.Generation < 2 || m.UpNumber != 2 {
		t.Fatal(m)
	}
}

// Of two processes with one id, the later one stays.
func TestTheEarlierOfTwoProcessesStepsAside(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.form(3)
	c.converge(time.Second)
	earlier := c.nodes[2]
	var superseded bool
	c.events = func(n *simNode, e Event) {
		if _, ok := e.(Superseded); ok {
			superseded = true
		}
	}
	old := earlier.core
	earlier.addr = addrOf(3, 9) // the later process has another address; the earlier goes on at its own
	later := c.start(3, func(cfg *Config) { cfg.Addr = addrOf(3, 9) })
	c.tell(later, Join{Seeds: []Peer{c.nodes[0].addr}})
	c.run(3 * time.Second)
	if !old.left || later.core.left {
		t.Fatalf("the earlier stepped aside: %v, the later: %v; reported: %v", old.left, later.core.left, superseded)
	}
	c.converge(time.Second)
}

func TestSnapshotsKeepTheState(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.form(3)
	c.converge(time.Second)
	c.tell(c.nodes[0], SetShared{"X", []byte("1")})
	c.tell(c.nodes[0], DeleteShared{"X"})
	c.run(10 * time.Millisecond)
	v := c.nodes[0].core.View()
	record := EncodeSnapshot(v)
	s, err := DecodeSnapshot(record)
	if err != nil {
		t.Fatal(err)
	}
	if s.Cluster() != testCluster || len(s.owners) != 3 || len(s.shared) != 6 {
		t.Fatalf("%+v", s)
	}
	record[len(record)/2] ^= 1
	if _, err := DecodeSnapshot(record); err == nil {
		t.Fatal("a flipped bit went unnoticed")
	}
}

func TestConfigIsValidated(t *testing.T) {
	good := Config{ID: nodeID(1), Boot: 1, Generation: 1, Addr: addrOf(1, 0)}
	for _, tc := range []struct {
		fault  string
		change func(*Config)
	}{
		{"", func(c *Config) {
			c.Fanout = MaxFanout
			c.Roles = make([]string, MaxRoles)
			c.Name = strings.Repeat("n", MaxName)
		}},
		{"node id", func(c *Config) { c.ID = NodeID{} }},
		{"boot id", func(c *Config) { c.Boot = 0 }},
		{"generation", func(c *Config) { c.Generation = 0 }},
		{"address", func(c *Config) { c.Addr = Peer{} }},
		{"name", func(c *Config) { c.Name = strings.Repeat("n", MaxName+1) }},
		{"roles", func(c *Config) { c.Roles = make([]string, MaxRoles+1) }},
		{"fanout", func(c *Config) { c.Fanout = MaxFanout + 1 }},
		{"negative", func(c *Config) { c.Settle = -1 }},
		{"snapshot", func(c *Config) { c.Snapshot, c.View = &Snapshot{}, &View{} }},
	} {
		cfg := good
		tc.change(&cfg)
		_, err := New(cfg, simStart)
		if (err == nil) != (tc.fault == "") || err != nil && !strings.Contains(err.Error(), tc.fault) {
			t.Errorf("%q: %v", tc.fault, err)
		}
	}
}

func TestIDsAreParsed(t *testing.T) {
	id := nodeID(5)
	if parsed, err := ParseNodeID(id.String()); err != nil || parsed != id || len(id.String()) != 32 {
		t.Fatal(parsed, err)
	}
	if parsed, err := ParseClusterID(testCluster.String()); err != nil || parsed != testCluster {
		t.Fatal(parsed, err)
	}
	for _, bad := range []string{"", id.String()[1:], id.String() + "0", strings.Repeat("x", 32)} {
		if _, err := ParseNodeID(bad); err == nil {
			t.Errorf("%q was parsed", bad)
		}
	}
}

// Among n > 9 members each probes eight; a crash is reported by its monitors and seen by all.
func TestMonitorsReportACrash(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.form(20)
	c.converge(5 * time.Second)
	for _, n := range c.nodes {
		if len(n.core.peers) != watched {
			t.Fatalf("n%d probes %d members", n.number, len(n.core.peers))
		}
	}
	gone := c.nodes[7]
	c.crash(gone)
	c.run(2 * time.Second)
	for _, n := range c.running() {
		if m, ok := n.core.View().Member(nodeID(gone.number)); !ok || m.Reachable {
			t.Fatalf("n%d sees %+v", n.number, m)
		}
	}
}

// A refused connection is a verdict within a tenth of a second; silence takes three probes.
func TestARefusedConnectionIsFasterThanSilence(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.form(3)
	c.converge(time.Second)
	c.run(time.Second)
	c.crash(c.nodes[2])
	c.world.Inject(c.nodes[0].addr, PeerRefused{}) // from itself: nothing happens
	for _, n := range c.running() {
		n.core.Receive(c.world.Now(), c.nodes[2].addr, PeerRefused{})
	}
	c.run(300 * time.Millisecond)
	for _, n := range c.running() {
		if m, _ := n.core.View().Member(nodeID(3)); m.Reachable {
			t.Fatalf("n%d still sees n3", n.number)
		}
	}
}

func TestViewsShareWhatDidNotChange(t *testing.T) {
	c := founded(t)
	before := c.View()
	c.Receive(simStart, c.cfg.Addr, SetShared{"X", []byte("1")})
	after := c.View()
	if before.roster != after.roster || after.Version() != before.Version()+1 {
		t.Fatal("the member list was made anew")
	}
	if _, _, ok := before.Shared("X"); ok {
		t.Fatal("an old view has changed")
	}
}

func TestNewViewShowsWhatItIsMadeOf(t *testing.T) {
	v := NewView(Contents{
		Version: 4, Self: nodeID(1), Cluster: testCluster, Stamp: 9,
		Members: []Member{
			{ID: nodeID(1), UpNumber: 2, Status: StatusUp, Reachable: true, Name: "a", Roles: []string{"data"}},
			{ID: nodeID(2), UpNumber: 1, Status: StatusUp},
			{ID: nodeID(3), Status: StatusJoining, Reachable: true},
			{ID: nodeID(4), Status: StatusRemoved},
		},
		Own:    map[NodeID]map[string][]byte{nodeID(2): {"k": []byte("v")}},
		Shared: map[string][]byte{"b": nil, "a": []byte("1")},
	})
	leader, ok := v.Leader()
	own, _ := v.Own(nodeID(2), "k")
	m, _ := v.Member(nodeID(2))
	if len(v.Members()) != 3 || !ok || leader != nodeID(1) || !bytes.Equal(own, []byte("v")) || m.Reachable || v.Version() != 4 {
		t.Fatalf("%+v, leader %v", v.Members(), leader)
	}
	if keys := v.SharedKeys(""); fmt.Sprint(keys[:2]) != "[a b]" {
		t.Fatal(keys)
	}
}
