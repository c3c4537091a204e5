package gossip

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A goodbye that a node has not said changes nothing: neither one of an earlier process that comes late, nor one that
// somebody else makes up.
func TestForgedAndStaleGoodbyes(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.form(3)
	c.converge(time.Second)
	victim := c.nodes[2]
	earlier := victim.core.self()
	goodbye := *earlier.about
	goodbye.phase = phaseGone
	stale, _ := earlier.write(keyNode, goodbye.encode(), false)
	c.crash(victim)
	c.start(3, nil)
	c.tell(victim, Join{Seeds: []Peer{c.nodes[0].addr}})
	c.converge(10 * time.Second)
	before, _ := c.nodes[0].core.View().Member(nodeID(3))
	deliver := func(o *owner) {
		for _, n := range c.nodes[:2] {
			n.core.mergeOwner(o.whole())
			c.tell(n, SetOwn{"now", nil}) // so that it settles
		}
	}
	deliver(stale)
	c.run(100 * time.Millisecond)
	if after, _ := c.nodes[0].core.View().Member(nodeID(3)); after.Status != StatusUp || after.Generation != before.Generation {
		t.Fatalf("an old goodbye counted: %+v", after)
	}
	c.checker.off = true // somebody writes what the owner did not
	goodbye = *victim.core.self().about
	goodbye.phase = phaseGone
	forged, _ := victim.core.self().write(keyNode, goodbye.encode(), false)
	deliver(forged)
	c.converge(5 * time.Second)
	if victim.core.left {
		t.Fatal("the member has fallen silent over what others say of it")
	}
}

// Records are ordered in one way, whatever leaders write: the greater one holds everywhere.
func TestRecordsAreOrdered(t *testing.T) {
	statuses := []Status{StatusUp, StatusExiting, StatusDown, StatusRemoved}
	record := rapid.Custom(func(t *rapid.T) *admission {
		if rapid.IntRange(0, 9).Draw(t, "none") == 0 {
			return nil
		}
		return &admission{
			status: rapid.SampledFrom(statuses).Draw(t, "status"), weak: rapid.Bool().Draw(t, "weak"),
			upNumber: rapid.Uint64Range(0, 3).Draw(t, "number"), generation: rapid.Uint64Range(1, 3).Draw(t, "generation"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := record.Draw(t, "a"), record.Draw(t, "b"), record.Draw(t, "c")
		if recordOrder(a, b) != -recordOrder(b, a) {
			t.Fatal("not antisymmetric")
		}
		if recordOrder(a, b) >= 0 && recordOrder(b, c) >= 0 && recordOrder(a, c) < 0 {
			t.Fatal("not transitive")
		}
		if a != nil && b != nil && a.generation == b.generation && recordOrder(a, b) > 0 && a.rank() < b.rank() {
			t.Fatal("a process goes back")
		}
	})
}

func TestRecordsSurviveTheirEncoding(t *testing.T) {
	for _, a := range []admission{
		{status: StatusUp, upNumber: 7, generation: 9, based: 11},
		{status: StatusUp, weak: true, generation: 1},
		{status: StatusRemoved, upNumber: 1, generation: 1 << 40},
	} {
		if got := decodeAdmission(a.encode()); got == nil || *got != a {
			t.Errorf("%+v became %+v", a, got)
		}
		for cut := range len(a.encode()) {
			if decodeAdmission(a.encode()[:cut]) != nil {
				t.Errorf("%+v: the first %d bytes are a record", a, cut)
			}
		}
	}
	if decodeAdmission((&admission{status: StatusJoining}).encode()) != nil {
		t.Error("a record of a status that no leader gives")
	}
}

func TestALeaverWaitsForTheOthers(t *testing.T) {
	for size := 2; size <= 12; size += 5 {
		c := newCluster(t, 1, calm)
		left := map[int]Left{}
		c.events = func(n *simNode, e Event) {
			if e, ok := e.(Left); ok {
				left[n.number] = e
			}
		}
		c.form(size)
		c.converge(time.Second)
		begin := c.world.Now()
		leaver := c.nodes[0] // the leader itself
		c.tell(leaver, Leave{})
		for !leaver.core.left && c.world.Step() {
		}
		t.Logf("%d members: %v", size, c.world.Now().Sub(begin))
		if !left[1].Confirmed || c.world.Now().Sub(begin) > time.Second {
			t.Fatalf("%d members: %+v after %v", size, left[1], c.world.Now().Sub(begin))
		}
		for _, n := range c.running() {
			if m, ok := n.core.View().Member(nodeID(1)); ok && m.Status != StatusExiting {
				t.Fatalf("%d members: it is out, and n%d shows it as %v", size, n.number, m.Status)
			}
		}
		c.converge(time.Second)
	}
}

func TestVersionsAreRaisedWhenAllCan(t *testing.T) {
	c := newCluster(t, 1, calm)
	var refused []JoinRefused
	var unfit []int
	c.events = func(n *simNode, e Event) {
		switch e := e.(type) {
		case JoinRefused:
			refused = append(refused, e)
		case Incompatible:
			unfit = append(unfit, n.number)
		}
	}
	speaks := func(low, high uint16) func(*Config) {
		return func(cfg *Config) { cfg.Protocols = Protocols{low, high} }
	}
	protocols := func() (list []uint16) {
		for _, n := range c.running() {
			list = append(list, n.core.View().Protocol())
		}
		return list
	}
	c.start(1, speaks(1, 2))
	c.tell(c.nodes[0], Found{testCluster})
	c.run(time.Second)
	join := func(number int, low, high uint16) {
		n := c.start(number, func(cfg *Config) { speaks(low, high)(cfg); cfg.Snapshot = nil })
		c.tell(n, Join{Seeds: []Peer{c.nodes[0].addr}})
		c.run(time.Second)
	}
	join(2, 2, 3)
	if got := protocols(); !slices.Equal(got, []uint16{2, 2}) {
		t.Fatal(got)
	}
	join(3, 1, 1)
	if len(refused) == 0 || !strings.HasPrefix(refused[0].Reason, ReasonProtocol+": the node speaks 1, the cluster 2") {
		t.Fatal(refused)
	}
	c.crash(c.nodes[2])
	refused = nil
	join(3, 2, 4)
	if got := protocols(); !slices.Equal(got, []uint16{2, 2, 2}) {
		t.Fatal(got)
	}
	// The last one that holds the others back comes with a later version.
	snapshot := func() *Snapshot { return c.nodes[0].snapshot }
	c.crash(c.nodes[0])
	c.start(1, func(cfg *Config) { speaks(2, 3)(cfg); cfg.Snapshot = snapshot() })
	c.run(2 * time.Second)
	if got := protocols(); !slices.Equal(got, []uint16{3, 3, 3}) || len(refused) > 0 || len(unfit) > 0 {
		t.Fatal(got, refused, unfit)
	}
}

func TestAPolicyIsTheClusters(t *testing.T) {
	c := newCluster(t, 1, calm)
	var ignored []PolicyIgnored
	c.events = func(_ *simNode, e Event) {
		if e, ok := e.(PolicyIgnored); ok {
			ignored = append(ignored, e)
		}
	}
	c.config.DownPolicy = DownPolicy{Kind: DownOldest, StableAfter: 3 * time.Second}
	c.form(2)
	c.converge(time.Second)
	if len(ignored) > 0 {
		t.Fatal(ignored)
	}
	c.start(3, func(cfg *Config) { cfg.DownPolicy = DownPolicy{} })
	c.tell(c.nodes[2], Join{Seeds: []Peer{c.nodes[0].addr}})
	c.converge(time.Second)
	if got, ok := c.nodes[2].core.View().DownPolicy(); len(ignored) != 1 || !ok || got != c.config.DownPolicy {
		t.Fatal(got, ignored)
	}
	for _, bad := range [][]byte{nil, {1}, {1, 9, 0, 1}, DownPolicy{Kind: DownMajority, StableAfter: 1}.encode()} {
		if p, ok := decodeDownPolicy(bad); ok {
			t.Errorf("%v is a policy: %+v", bad, p)
		}
	}
}

func TestReservedKeysAreTheClusters(t *testing.T) {
	c := newCluster(t, 1, calm)
	var refused []Refused
	c.events = func(_ *simNode, e Event) {
		if e, ok := e.(Refused); ok {
			refused = append(refused, e)
		}
	}
	c.form(1)
	c.run(time.Second)
	for _, m := range []Message{
		SetShared{Key: policyKey}, SetShared{Key: protocolKey}, DeleteShared{Key: admissionKey(nodeID(1))}, SetOwn{Key: keyBlockage},
	} {
		c.tell(c.nodes[0], m)
	}
	c.run(time.Second)
	if len(refused) != 4 || slices.ContainsFunc(refused, func(r Refused) bool { return !errors.Is(r.Err, ErrReserved) }) {
		t.Fatal(refused)
	}
}

// A question that is dropped to make room is answered, and counts no more: or a leader could never ask again.
func TestADroppedQuestionIsGivenUp(t *testing.T) {
	c := newCluster(t, 1, calm)
	var gathered []Gathered
	c.events = func(_ *simNode, e Event) {
		if e, ok := e.(Gathered); ok {
			gathered = append(gathered, e)
		}
	}
	c.form(2)
	c.converge(time.Second)
	c.run(time.Second)
	c.partition(1)
	core := c.nodes[0].core
	c.tell(c.nodes[0], Gather{Request: 7})
	c.run(time.Microsecond)
	if core.gathers != 1 {
		t.Fatalf("%d questions", core.gathers)
	}
	for i := range maxRumors {
		core.begin(rumor{id: RumorID{Origin: nodeID(2), Generation: 1, Sequence: uint64(1000 + i)}})
	}
	c.tell(c.nodes[0], SetOwn{"now", nil})
	c.run(time.Millisecond)
	if core.gathers != 0 || len(gathered) != 1 || gathered[0].Request != 7 || gathered[0].Count != 0 {
		t.Fatalf("%d questions, %v", core.gathers, gathered)
	}
}

// Who waits for a leader that is stuck is let in after WeakAfter, also when all clocks are set back meanwhile.
func TestAWeakMemberDoesNotWaitForTheClock(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.config.DownPolicy = DownPolicy{Kind: DownStaticQuorum, Quorum: 3} // nobody is taken for down here
	c.form(3)
	c.converge(time.Second)
	c.run(time.Second)
	c.crash(c.nodes[2])
	c.run(2 * time.Second)
	c.tell(c.start(4, nil), Join{Seeds: []Peer{c.nodes[0].addr}})
	c.run(3 * time.Second)
	for _, n := range c.running() {
		c.world.Skew(n.addr, -time.Hour)
	}
	c.run(10 * time.Second)
	if m, ok := c.nodes[0].core.View().Member(nodeID(4)); !ok || m.Status != StatusUp || !m.Weak {
		t.Errorf("it waits: %+v", m)
	}
}

// FuzzLifecycle reads what lifecycles put into values.
func FuzzLifecycle(f *testing.F) {
	f.Add((&admission{status: StatusUp, upNumber: 1, generation: 1}).encode())
	f.Add(Blockage{Cause: CauseDisagree, Members: []NodeID{nodeID(1)}}.encode())
	f.Add(DownPolicy{Kind: DownStaticQuorum, Quorum: 2, StableAfter: time.Second}.encode())
	f.Add(encodeProtocol(3))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a := decodeAdmission(b); a != nil && *decodeAdmission(a.encode()) != *a {
			t.Fatalf("%+v", a)
		}
		if bl, ok := decodeBlockage(b); ok && len(bl.Members) > maxBlockers {
			t.Fatalf("%+v", bl)
		}
		if p, ok := decodeDownPolicy(b); ok {
			if again, ok := decodeDownPolicy(p.encode()); !ok || again != p {
				t.Fatalf("%+v", p)
			}
		}
		if v := decodeProtocol(b); v < ProtocolMin {
			t.Fatal(v)
		}
		decodeAbout(b)
	})
}
