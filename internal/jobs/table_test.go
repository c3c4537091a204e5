package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/quorum"
	"github.com/egalcluster/egal/internal/wire"
)

var at = time.UnixMicro(1_700_000_000_000_000).UTC()

// largest is a table with so many jobs, all as large as they may be.
func largest(live, finished int) *table {
	t := &table{last: math.MaxUint64}
	for i := range live + finished {
		j := Job{
			ID: math.MaxUint64 - uint64(live+finished-i), Kind: strings.Repeat("k", MaxKindBytes), Arguments: bytes.Repeat([]byte("a"), MaxArguments),
			State: Running, Owner: gossip.NodeID{1}, Boot: math.MaxUint64, Epoch: math.MaxUint64, Done: math.MaxUint64, Total: math.MaxUint64,
			Unit: strings.Repeat("u", MaxUnit), Note: strings.Repeat("n", MaxNote), Created: at, Started: at, Updated: at,
		}
		if i < live {
			j.Checkpoint = bytes.Repeat([]byte("c"), MaxCheckpoint)
		} else {
			j.State, j.Ended, j.Error = Failed, at, strings.Repeat("e", MaxError)
		}
		t.jobs = append(t.jobs, j)
	}
	return t
}

func TestTheLargestTableFitsIntoARegister(t *testing.T) {
	b := largest(MaxLive, MaxFinished).encode()
	if len(b) > quorum.MaxValue {
		t.Errorf("%d bytes, at most %d", len(b), quorum.MaxValue)
	}
	back, err := decode(b)
	if err != nil || !bytes.Equal(back.encode(), b) {
		t.Error(err)
	}
}

func TestBoundsOfTheEncoding(t *testing.T) {
	with := func(edit func(j *Job)) []byte {
		t := largest(1, 0)
		edit(&t.jobs[0])
		return t.encode()
	}
	for name, b := range map[string][]byte{
		"live":       largest(MaxLive+1, 0).encode(),
		"finished":   largest(0, MaxFinished+1).encode(),
		"all":        largest(MaxLive, MaxFinished+1).encode(),
		"kind":       with(func(j *Job) { j.Kind += "x" }),
		"arguments":  with(func(j *Job) { j.Arguments = append(j.Arguments, 1) }),
		"unit":       with(func(j *Job) { j.Unit += "x" }),
		"note":       with(func(j *Job) { j.Note += "x" }),
		"checkpoint": with(func(j *Job) { j.Checkpoint = append(j.Checkpoint, 1) }),
		"error":      with(func(j *Job) { j.Error = strings.Repeat("e", MaxError+1) }),
	} {
		if _, err := decode(b); !errors.Is(err, wire.ErrTooLong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"state 0":     with(func(j *Job) { j.State = 0 }),
		"state 9":     with(func(j *Job) { j.State = Failed + 1 }),
		"id above":    (&table{last: 1, jobs: []Job{{ID: 2, State: Pending}}}).encode(),
		"id 0":        (&table{last: 1, jobs: []Job{{State: Pending}}}).encode(),
		"id twice":    (&table{last: 1, jobs: []Job{{ID: 1, State: Pending}, {ID: 1, State: Pending}}}).encode(),
		"version":     {tableVersion + 1, 0, 0},
		"trailing":    append((&table{}).encode(), 0),
		"nothing":     nil,
		"a long list": {tableVersion, 0, 0xff, 0xff, 0x7f},
	} {
		if _, err := decode(b); err == nil {
			t.Error(name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add((&table{}).encode())
	f.Add(largest(1, 1).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		decoded, err := decode(b)
		if err == nil && !bytes.Equal(decoded.encode(), b) {
			t.Errorf("one table, two encodings: %x and %x", b, decoded.encode())
		}
	})
}

func FuzzDecodeKinds(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeKinds([]string{"a", "b"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if names := decodeKinds(b); len(names) > MaxKinds {
			t.Errorf("%d kinds", len(names))
		}
	})
}

func TestKindsHaveABound(t *testing.T) {
	names := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprint(i))
		}
		return all
	}
	if len(decodeKinds(encodeKinds(names(MaxKinds)))) != MaxKinds || decodeKinds(encodeKinds(names(MaxKinds+1))) != nil {
		t.Error("at the bound, or above")
	}
}

func TestTextIsCutAtACharacter(t *testing.T) {
	for _, test := range []struct {
		text    string
		maximum int
		want    string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aéb", 2, "a"}, {"a\xffb", 9, "a?b"}} {
		if got := cut(test.text, test.maximum); got != test.want {
			t.Errorf("%q: %q", test.text, got)
		}
	}
}

// TestRequests goes through every state and request.
func TestRequests(t *testing.T) {
	tests := []struct {
		name    string
		request func(*table, *Job, time.Time) error
		from    []State
		to      []State // 0: refused
	}{
		{"pause", (*table).pause, []State{Pending, Running, Pausing, Paused, Cancelling, Cancelled, Done, Failed}, []State{Paused, Pausing, Pausing, Paused, 0, 0, 0, 0}},
		{"resume", (*table).resume, []State{Pending, Running, Pausing, Paused, Cancelling, Cancelled, Done, Failed}, []State{Pending, Running, Running, Pending, 0, 0, 0, 0}},
		{"cancel", (*table).cancel, []State{Pending, Running, Pausing, Paused, Cancelling, Cancelled, Done, Failed}, []State{Cancelled, Cancelling, Cancelling, Cancelled, Cancelling, Cancelled, 0, 0}},
	}
	for _, test := range tests {
		for i, from := range test.from {
			table := &table{last: 1, jobs: []Job{{ID: 1, State: from}}}
			err := test.request(table, &table.jobs[0], at)
			if got := table.jobs[0].State; test.to[i] == 0 && !errors.Is(err, ErrState) || test.to[i] > 0 && (err != nil || got != test.to[i]) {
				t.Errorf("%s %v: %v, %v", test.name, from, got, err)
			}
		}
	}
}

// TestHowARunEnds goes through every way a run can end in every state it can be in.
func TestHowARunEnds(t *testing.T) {
	other := errors.New("no cheese")
	tests := []struct {
		state State
		told  bool
		err   error
		want  State
	}{
		{Running, false, nil, Done},
		{Running, false, other, Failed},
		{Running, false, ErrPaused, Failed}, // nobody told it to
		{Running, true, ErrPaused, Pending}, // resumed before it had paused
		{Running, true, errClosing, Pending},
		{Running, true, ErrLost, Pending}, // cut off, and nobody else has claimed it
		{Pausing, true, ErrPaused, Paused},
		{Pausing, true, fmt.Errorf("stop: %w", ErrPaused), Paused},
		{Pausing, true, contextCanceled, Paused},
		{Pausing, true, other, Failed},
		{Pausing, true, nil, Done},
		{Cancelling, true, ErrCancelled, Cancelled},
		{Cancelling, true, other, Cancelled},
		{Cancelling, true, nil, Done},
	}
	for _, test := range tests {
		table := &table{last: 1, jobs: []Job{{ID: 1, State: test.state, Epoch: 7, Owner: gossip.NodeID{1}}}}
		if !table.report(&news{id: 1, epoch: 7, ended: true, told: test.told, result: test.err}, at) {
			t.Errorf("%+v: not heard", test)
		}
		if j := table.jobs[0]; j.State != test.want || (j.State == Pending || j.State == Paused) != j.Owner.IsZero() || (j.Error != "") != (j.State == Failed || errors.Is(test.err, other)) {
			t.Errorf("%+v: %+v", test, j)
		}
	}
	table := &table{last: 1, jobs: []Job{{ID: 1, State: Running, Epoch: 7}}}
	for _, n := range []news{{id: 1, epoch: 6, ended: true}, {id: 2, epoch: 7, ended: true}} {
		if table.report(&n, at) || table.jobs[0].State != Running {
			t.Errorf("a run of an old epoch is heard: %+v", n)
		}
	}
}

// What is not known to be done is done again, and is as if done once.
func TestAStartThatIsRepeatedMakesOneJob(t *testing.T) {
	table := &table{}
	for _, request := range []uint64{7, 7, 8, 7} {
		j, err := table.add("steps", nil, request, at)
		if err != nil || j.ID != request-6 {
			t.Errorf("request %d: %+v, %v", request, j, err)
		}
	}
	if len(table.jobs) != 2 {
		t.Errorf("%d jobs", len(table.jobs))
	}
}

// world is a register and nodes with views that differ, stepped from one seed: what claim and report make of any order
// of reads, writes, cuts and restarts.
type world struct {
	random  *rand.Rand
	value   []byte
	version int
	nodes   []*modelNode
	record  record
	claims  int
	blind   bool // planted bug: writes without comparing versions
}

type modelNode struct {
	self gossip.Member
	runs map[uint64]Job
	// What it has read and not written yet.
	read    []byte
	version int
}

func newWorld(seed uint64, blind bool) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 0)), blind: blind}
	t := &table{}
	for request := range uint64(3) {
		_, _ = t.add("steps", nil, request, at)
	}
	w.value = t.encode()
	for i := range 3 {
		n := &modelNode{runs: map[uint64]Job{}}
		n.self = gossip.Member{ID: gossip.NodeID{byte(i + 1)}, Boot: 1, Status: gossip.StatusUp, UpNumber: uint64(i + 1)}
		w.nodes = append(w.nodes, n)
	}
	return w
}

// view is what a node sees: itself, and of each other one whether it is reachable, as chance has it.
func (w *world) view(n *modelNode) *gossip.View {
	c := gossip.Contents{Self: n.self.ID, Cluster: gossip.ClusterID{1}, Own: map[gossip.NodeID]map[string][]byte{}}
	for _, other := range w.nodes {
		m := other.self
		m.Reachable = other == n || w.random.IntN(3) > 0
		c.Members = append(c.Members, m)
		c.Own[m.ID] = map[string][]byte{kindsKey: encodeKinds([]string{"steps"})}
	}
	return gossip.NewView(c)
}

func (w *world) step(t *testing.T) {
	t.Helper()
	n := w.nodes[w.random.IntN(len(w.nodes))]
	switch w.random.IntN(8) {
	case 0: // it starts anew
		n.self.Boot++
		n.runs, n.read = map[uint64]Job{}, nil
	case 1, 2, 3:
		n.read, n.version = w.value, w.version
	default:
		if n.read != nil {
			w.write(t, n)
		}
	}
}

func (w *world) write(t *testing.T, n *modelNode) {
	t.Helper()
	read, err := decode(n.read)
	must(t, err)
	current := n.version == w.version
	n.read = nil
	c := &claimant{view: w.view(n), self: n.self, kinds: map[string]Kind{"steps": {}}, busy: map[uint64]bool{}, free: 2 - len(n.runs)}
	for id, j := range n.runs {
		c.busy[id] = true
		read.report(&news{id: id, epoch: j.Epoch, done: j.Done + 1}, at)
	}
	claimed := c.claim(read, at)
	if !current && !w.blind {
		return
	}
	w.value, w.version = read.encode(), w.version+1
	for id, j := range n.runs {
		if now, err := read.find(id); err != nil || now.Epoch != j.Epoch {
			delete(n.runs, id) // lost
		}
	}
	for _, j := range claimed {
		n.runs[j.ID] = j
		w.record.begin(j.ID, j.Epoch, 0, nil)
		w.claims++
	}
}

func TestNoTwoRunsHaveOneEpoch(t *testing.T) {
	claims := 0
	for seed := range uint64(300) {
		w := newWorld(seed, false)
		for range 200 {
			w.step(t)
		}
		for _, complaint := range w.record.complaints() {
			t.Errorf("seed %d: %s", seed, complaint)
		}
		claims += w.claims
	}
	if claims < 300*6 {
		t.Errorf("only %d claims: too few to say anything", claims)
	}
}

// A register that does not compare versions turns the checker red.
func TestPlantedBlindWritesAreFound(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(seed, true)
		for range 200 {
			w.step(t)
		}
		if len(w.record.complaints()) > 0 {
			return
		}
	}
	t.Error("the checker finds nothing")
}

// Nodes that see the same claim a job once: nobody else tries.
func TestOneNodeIsChosen(t *testing.T) {
	w := newWorld(1, false)
	c := gossip.Contents{Cluster: gossip.ClusterID{1}, Own: map[gossip.NodeID]map[string][]byte{}}
	for _, n := range w.nodes {
		n.self.Reachable = true
		c.Members = append(c.Members, n.self)
		c.Own[n.self.ID] = map[string][]byte{kindsKey: encodeKinds([]string{"steps"})}
	}
	delete(c.Own, w.nodes[0].self.ID) // knows no kind
	view := gossip.NewView(c)
	owners := map[gossip.NodeID]int{}
	for id := range uint64(100) {
		chosen := 0
		for i, n := range w.nodes {
			claimant := &claimant{view: view, self: n.self, kinds: map[string]Kind{"steps": {}}, free: 1}
			if i == 0 {
				claimant.kinds = nil
			}
			if claimant.claimable(&Job{ID: id, Kind: "steps", State: Pending}) {
				chosen++
				owners[n.self.ID]++
			}
		}
		if chosen != 1 {
			t.Errorf("job %d: %d nodes claim it", id, chosen)
		}
	}
	if len(owners) != 2 || owners[w.nodes[1].self.ID] < 30 || owners[w.nodes[2].self.ID] < 30 {
		t.Errorf("uneven: %v", owners)
	}
}

// A claim whose outcome its maker learned too late is seen by nobody else: the maker claims again, chosen or not.
func TestWhoOwnsAJobWithoutARunClaimsIt(t *testing.T) {
	w := newWorld(1, false)
	c := gossip.Contents{Cluster: gossip.ClusterID{1}, Own: map[gossip.NodeID]map[string][]byte{}}
	for _, n := range w.nodes {
		n.self.Reachable = true
		c.Members = append(c.Members, n.self)
		c.Own[n.self.ID] = map[string][]byte{kindsKey: encodeKinds([]string{"steps"})}
	}
	view := gossip.NewView(c)
	for id := range uint64(20) {
		owner := w.nodes[id%3].self
		for _, state := range []State{Running, Pausing, Cancelling} {
			for _, n := range w.nodes {
				j := &Job{ID: id, Kind: "steps", State: state, Owner: owner.ID, Boot: owner.Boot, Epoch: id}
				claimant := &claimant{view: view, self: n.self, kinds: map[string]Kind{"steps": {}}, free: 1}
				if got := claimant.claimable(j); got != (n.self.ID == owner.ID) {
					t.Errorf("%v of node %d: node %d claims it: %v", state, owner.ID[0], n.self.ID[0], got)
				}
				claimant.busy = map[uint64]bool{id: true}
				if claimant.claimable(j) {
					t.Errorf("%v runs here, and is claimed", state)
				}
			}
		}
	}
}
