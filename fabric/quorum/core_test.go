package quorum

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/sim"
	"github.com/egalcluster/egal/internal/wire"
)

// three is a cluster of three voters with a register that n1 has created, and of more nodes.
func three(t *testing.T, nodes int) *cluster {
	t.Helper()
	c := newCluster(t, 1, sim.Link{Latency: time.Millisecond}, bug{})
	c.form(nodes)
	if o := c.ask(c.machines[0], Create{Group: simGroup, Voters: idsOf(c.machines[:3]), Value: []byte("0")}); !c.runUntil(func() bool { return o.outcome == Done }, time.Second) {
		t.Fatal(o.outcome)
	}
	return c
}

func TestAProposerThatIsAloneTakesOneRoundForAChange(t *testing.T) {
	c := three(t, 3)
	for version := range uint64(5) {
		sent := c.sends
		o := c.ask(c.machines[0], Change{Group: simGroup, Expected: version + 1, Value: []byte("x")})
		c.run(20 * time.Millisecond)
		if o.outcome != Done || c.sends-sent != 4 { // two accepts, two answers
			t.Fatalf("%v with %d messages", o.outcome, c.sends-sent)
		}
	}
}

func TestAReadSavesNothingAndLeavesTheBallotAlone(t *testing.T) {
	c := three(t, 4)
	disk := len(c.machines[1].disk)
	o := c.ask(c.machines[3], Read{Group: simGroup, Voters: idsOf(c.machines[:3])})
	c.run(20 * time.Millisecond)
	if o.outcome != Done || o.found != "0" || len(c.machines[1].disk) != disk {
		t.Fatalf("%v %q, %d records saved", o.outcome, o.found, len(c.machines[1].disk)-disk)
	}
	if p := c.machines[0].process.proposers[simGroup]; !p.kept {
		t.Fatal("the proposer lost its ballot")
	}
}

// Two proposers that do not stop compete for ten seconds. Each request ends, most succeed, and so does the rest once the
// others are done.
func TestTwoProposersForEver(t *testing.T) {
	c := three(t, 3)
	counts := map[Outcome]int{}
	begin := c.world.Now()
	version := uint64(1)
	next := func(m *machine) {
		c.ask(m, Change{Group: simGroup, Expected: version, Value: []byte(fmt.Sprint(len(c.checker.asked))), Timeout: time.Second})
	}
	c.events = func(m *machine, e Event) {
		if r, ok := e.(Result); ok {
			counts[r.Outcome]++
			if r.State != nil {
				version = max(version, r.State.Version)
			}
			if c.now.Sub(begin) < 10*time.Second {
				next(m)
			}
		}
	}
	next(c.machines[0])
	next(c.machines[1])
	c.run(12 * time.Second)
	if !c.checker.closed(simGroup) {
		t.Fatal("a request never ended")
	}
	c.checker.ordered(simGroup)
	t.Log(counts)
	if counts[Done] < 500 || counts[Unknown]+counts[Unavailable] > counts[Done]/20 {
		t.Fatalf("%v", counts)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	me := idOf(1, 0)
	c, err := New(Config{ID: me, Boot: 1, Fresh: true}, nil, simStart)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(m Message) bool {
		c.Receive(simStart, me, m)
		return slices.ContainsFunc(c.Ready().Notify, func(e Event) bool {
			r, ok := e.(Result)
			return ok && r.Outcome == Refused
		})
	}
	others := []gossip.NodeID{idOf(2, 0), idOf(3, 0)}
	var many []gossip.NodeID
	for i := range MaxVoters + 1 {
		many = append(many, idOf(i, 0))
	}
	long := GroupID(strings.Repeat("g", MaxGroupID))
	for _, tc := range []struct {
		name    string
		m       Message
		refused bool
	}{
		{"the longest name", Read{Group: long, Voters: others}, false},
		{"a longer one", Read{Group: long + "g", Voters: others}, true},
		{"no name", Read{Voters: others}, true},
		{"the largest value", Change{Group: "a", Voters: others, Expected: 1, Value: make([]byte, MaxValue)}, false},
		{"a larger one", Change{Group: "a", Voters: others, Expected: 1, Value: make([]byte, MaxValue+1)}, true},
		{"no version", Change{Group: "a", Voters: others}, true},
		{"the most voters", Create{Group: "b", Voters: many[:MaxVoters]}, false},
		{"one more", Create{Group: "b", Voters: many}, true},
		{"no voters", Create{Group: "b"}, true},
		{"nobody", Create{Group: "b", Voters: []gossip.NodeID{{}}}, true},
		{"the longest lease", Create{Group: "c", Voters: others, Lease: MaxLease}, false},
		{"a longer one", Create{Group: "c", Voters: others, Lease: MaxLease + time.Microsecond}, true},
		{"the longest time", Read{Group: "d", Voters: others, Timeout: MaxTimeout}, false},
		{"a longer one", Read{Group: "d", Voters: others, Timeout: MaxTimeout + 1}, true},
		{"no target", Reconfigure{Group: "e", Voters: others, Expected: 1}, true},
		{"too many targets", Reconfigure{Group: "e", Voters: others, Expected: 1, Target: many}, true},
	} {
		if got := refused(tc.m); got != tc.refused {
			t.Errorf("%s: refused %v, want %v", tc.name, got, tc.refused)
		}
	}
	for i := range MaxQueue + 1 {
		if got := refused(Read{Group: "queue", Voters: others}); got != (i == MaxQueue) {
			t.Fatalf("request %d: refused %v", i, got)
		}
	}
	for i := len(c.proposers); i < MaxProposers; i++ {
		c.proposers[GroupID(fmt.Sprint(i))] = &proposer{}
	}
	if !refused(Read{Group: "one too many", Voters: others}) || refused(Read{Group: "d", Voters: others}) {
		t.Fatal("the bound of proposers")
	}
}

func TestGroupsAreBounded(t *testing.T) {
	me := idOf(1, 0)
	c, err := New(Config{ID: me, Boot: 1, Fresh: true}, nil, simStart)
	if err != nil {
		t.Fatal(err)
	}
	f := Configuration{Epoch: 1, Voters: []Voter{{me, true}}}
	for i := range MaxGroups + 1 {
		c.Receive(simStart, idOf(2, 0), prepare{GroupID(fmt.Sprint(i)), Ballot{Counter: 1, Proposer: idOf(2, 0), Boot: 1}, f})
		_, full := c.Ready().Send[0].Message.(refuse)
		if full != (i == MaxGroups) {
			t.Fatalf("group %d: refused %v", i, full)
		}
	}
}

func TestRequestsOfOthersAreIgnored(t *testing.T) {
	c, err := New(Config{ID: idOf(1, 0), Boot: 1, Fresh: true}, nil, simStart)
	if err != nil {
		t.Fatal(err)
	}
	c.Ready()
	for _, m := range []Message{
		Create{Group: "g", Voters: []gossip.NodeID{idOf(1, 0)}}, Change{Group: "g", Expected: 1}, Read{Group: "g"}, Reconfigure{Group: "g"}, Hold{Group: "g"}, Release{Group: "g"},
	} {
		c.Receive(simStart, idOf(2, 0), m)
	}
	if ready := c.Ready(); !ready.Empty() || c.Metrics().Proposers != 0 {
		t.Fatalf("%+v", ready)
	}
}

func TestAnIdleProposerIsForgotten(t *testing.T) {
	c := three(t, 3)
	c.run(IdleAfter + time.Second)
	if m := c.machines[0].process.Metrics(); m.Proposers != 0 || m.Registers != 1 {
		t.Fatalf("%+v", m)
	}
	o := c.ask(c.machines[0], Change{Group: simGroup, Expected: 1, Value: []byte("1")})
	c.run(time.Second)
	if o.outcome != Done {
		t.Fatal(o.outcome)
	}
}

func TestAChangeThatMayHaveHappenedIsUnknown(t *testing.T) {
	c := three(t, 3)
	n := c.machines
	c.split(1)
	cutOff := c.ask(n[0], Change{Group: simGroup, Expected: 1, Value: []byte("proposed, but who accepted it?")})
	read := c.ask(n[0], Read{Group: simGroup})
	c.run(3 * time.Second)
	if cutOff.outcome != Unknown || read.outcome != Unavailable {
		t.Fatalf("%v, %v", cutOff.outcome, read.outcome)
	}
	c.heal()
	later := c.ask(n[0], Read{Group: simGroup})
	c.run(3 * time.Second)
	if later.outcome != Done {
		t.Fatal(later.outcome)
	}
	c.checker.linearizable(simGroup)
}

func TestAllNodesLosePowerAtOnce(t *testing.T) {
	c := three(t, 3)
	o := c.ask(c.machines[0], Change{Group: simGroup, Expected: 1, Value: []byte("1")})
	c.runUntil(func() bool { return o.outcome == Done }, time.Second)
	for _, m := range c.machines {
		c.crash(m)
	}
	for _, m := range c.machines {
		c.start(m)
	}
	read := c.ask(c.machines[2], Read{Group: simGroup})
	c.run(time.Second)
	if read.outcome != Done || read.found != "1" {
		t.Fatalf("%v %q", read.outcome, read.found)
	}
}

func TestVotersGrowShrinkAndMove(t *testing.T) {
	c := newCluster(t, 1, sim.Link{Latency: time.Millisecond}, bug{})
	c.form(7)
	n := c.machines
	c.ask(n[0], Create{Group: simGroup, Voters: idsOf(n[:1]), Value: []byte("0")})
	c.run(100 * time.Millisecond)
	epoch := uint64(1)
	for _, target := range [][]*machine{n[:3], n[:5], n, n[4:], n[:3], n[3:4]} {
		o := c.ask(n[6], Reconfigure{Group: simGroup, Voters: idsOf(n), Expected: epoch, Target: idsOf(target)})
		c.run(3 * time.Second)
		if o.outcome != Done {
			t.Fatalf("to %d voters: %v", len(target), o.outcome)
		}
		epoch += 2
		for _, m := range n {
			if votes := m.process.Accepted(simGroup) != nil; votes != slices.Contains(target, m) {
				t.Fatalf("n%d votes: %v", m.number, votes)
			}
		}
	}
}

func TestWhatAShellMustNotStartWith(t *testing.T) {
	me := idOf(1, 0)
	good, other := Records(saveNode(me))[0], Records(saveNode(idOf(2, 0)))[0]
	for _, tc := range []struct {
		name string
		log  [][]byte
		want error
	}{
		{"an empty log of a node that is not fresh", nil, ErrLost},
		{"another node's log", [][]byte{other}, ErrOtherNode},
		{"two beginnings", [][]byte{good, good}, ErrLost},
		{"a damaged log", [][]byte{append(slices.Clone(good[:len(good)-1]), ^good[len(good)-1])}, ErrLost},
		{"a log of a later version", [][]byte{wire.Seal(recordVersion+1, []byte{1})}, wire.ErrVersion},
		{"a good one", [][]byte{good}, nil},
	} {
		if _, err := New(Config{ID: me, Boot: 1}, tc.log, simStart); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if err := (Config{RetryInterval: -1, RenewInterval: MaxLease + 1}).Validate(); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("%v", err)
	}
}

// What a request does next, where it is easy to say too much.
func TestWhatMayBeSaidOfARequest(t *testing.T) {
	mine, other := ChangeID{Number: 1}, ChangeID{Number: 2}
	at := func(version uint64, change ChangeID) *State { return &State{Version: version, Change: change} }
	for _, tc := range []struct {
		name    string
		request request
		state   *State
		step    step
		outcome Outcome
	}{
		{"nobody created it", request{}, nil, stepFinish, Unavailable},
		{"nobody created it, as far as a quorum knows, but it was proposed on top of what one voter had", request{proposed: true}, nil, stepFinish, Unknown},
		{"the version is not the expected one, perhaps", request{}, at(4, other), stepPropose, 0},
		{"the version is not the expected one", request{confirmed: true}, at(4, other), stepFinish, Conflict},
		{"ours was completed by another", request{confirmed: true, proposed: true}, at(6, mine), stepFinish, Done},
		{"another one was made instead of ours", request{confirmed: true, proposed: true}, at(6, other), stepFinish, Conflict},
		{"others were made, perhaps on top of ours", request{confirmed: true, proposed: true}, at(7, other), stepFinish, Unknown},
		{"others were made, and ours was never proposed", request{confirmed: true}, at(7, other), stepFinish, Conflict},
	} {
		tc.request.kind, tc.request.expected, tc.request.change = requestChange, 5, mine
		if did, _, outcome := tc.request.next(simStart, &proposer{state: tc.state}); did != tc.step || outcome != tc.outcome {
			t.Errorf("%s: step %d, %v; want %d, %v", tc.name, did, outcome, tc.step, tc.outcome)
		}
	}
}
