package quorum

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/sim"
)

// TestScenarios plays the stories in testdata. Commands take nodes as arguments (n1 n2) and options:
//
//	start n1 n2 …
//	create n1 voters=(n1,n2,n3) value=x [lease=400ms]
//	change n1 from=1 value=x [voters=(n1,n2)]   if the version is 1; voters: where to begin
//	read n1 [voters=(n1,n2)]
//	replace n1 from=1 voters=(n1,n4,n5) [known=(n1,n2)]   if the epoch is 1
//	hold n1 [voters=(…)] · release n1
//	crash n1 · restart n1 · lose n1 (its disk: it comes back with another id)
//	pause n1 for=1s · split n1 n2 (from all others) · heal
//	run for=1s
//	votes                           what each node has accepted last
//
// Links have a latency of 1 ms; every command prints the events that followed, of leases only the changes.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		t.Helper()
		if strings.Contains(path, "fuzz") {
			return
		}
		s := &scenario{cluster: newCluster(t, 1, sim.Link{Latency: time.Millisecond}, bug{}), holds: map[int]bool{}, denied: map[int]bool{}}
		s.cluster.events = s.note
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			s.cluster.t = t
			s.out.Reset()
			s.do(t, d)
			s.cluster.checker.linearizable(simGroup)
			if s.out.Len() == 0 {
				return "ok\n"
			}
			return s.out.String()
		})
	})
}

type scenario struct {
	cluster *cluster
	out     strings.Builder
	began   time.Time
	holds   map[int]bool
	denied  map[int]bool
}

func (s *scenario) note(m *machine, e Event) {
	after := s.cluster.now.Sub(s.began).Round(time.Millisecond)
	switch e := e.(type) {
	case Result:
		fmt.Fprintf(&s.out, "n%d: %v after %v", m.number, e.Outcome, after)
		if e.State != nil {
			fmt.Fprintf(&s.out, ": version %d %q, %s", e.State.Version, e.State.Value, s.named(&e.State.Configuration))
		}
		s.out.WriteString("\n")
	case LeaseHeld:
		if !s.holds[m.number] {
			fmt.Fprintf(&s.out, "n%d: holds the lease after %v, for %v\n", m.number, after, e.Until.Sub(m.local(s.cluster.now)))
		}
		s.holds[m.number], s.denied[m.number] = true, false
	case LeaseLost:
		s.holds[m.number] = false
		fmt.Fprintf(&s.out, "n%d: lost the lease after %v\n", m.number, after)
	case LeaseDenied:
		if !s.denied[m.number] {
			fmt.Fprintf(&s.out, "n%d: is denied the lease, which %s holds\n", m.number, s.name(e.Holder))
		}
		s.denied[m.number] = true
	case StateLost:
		fmt.Fprintf(&s.out, "n%d: is told that it lost its state\n", m.number)
	}
}

// named prints a configuration with the nodes' names; those that have no record yet with a +.
func (s *scenario) named(f *Configuration) string {
	var sets []string
	for _, set := range [][]Voter{f.Voters, f.Next} {
		var names []string
		for _, m := range s.cluster.machines {
			for _, v := range set {
				if v.ID == m.id {
					name := s.name(v.ID)
					if v.Joining {
						name += "+"
					}
					names = append(names, name)
				}
			}
		}
		if len(set) > len(names) {
			names = append(names, "who is gone")
		}
		if len(names) > 0 {
			sets = append(sets, strings.Join(names, " "))
		}
	}
	return fmt.Sprintf("epoch %d: %s", f.Epoch, strings.Join(sets, " and "))
}

func (s *scenario) name(id gossip.NodeID) string {
	if m := s.cluster.byID[id]; m != nil {
		return fmt.Sprintf("n%d", m.number)
	}
	return "nobody"
}

func (s *scenario) do(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	c := s.cluster
	s.began = c.world.Now()
	switch d.Cmd {
	case "run":
		c.run(duration(t, d, "for"))
		return
	case "heal":
		c.heal()
		return
	case "votes":
		s.votes()
		return
	case "split":
		var numbers []int
		for _, m := range s.machines(t, d) {
			numbers = append(numbers, m.number)
		}
		c.split(numbers...)
		return
	}
	for _, m := range s.machines(t, d) {
		s.one(t, d, m)
	}
	c.run(20 * time.Millisecond)
}

func (s *scenario) one(t *testing.T, d *datadriven.TestData, m *machine) {
	t.Helper()
	c := s.cluster
	var value string
	d.MaybeScanArgs(t, "value", &value)
	switch d.Cmd {
	case "start", "restart":
		c.start(m)
	case "crash":
		c.crash(m)
		s.holds[m.number], s.denied[m.number] = false, false
	case "lose":
		c.loseDisk(m)
	case "pause":
		c.world.Pause(m.id, duration(t, d, "for"))
	case "create":
		c.ask(m, Create{Group: simGroup, Voters: s.ids(t, d, "voters"), Lease: duration(t, d, "lease"), Value: []byte(value)})
	case "change":
		c.ask(m, Change{Group: simGroup, Voters: s.ids(t, d, "voters"), Expected: number(t, d, "from"), Value: []byte(value)})
	case "read":
		c.ask(m, Read{Group: simGroup, Voters: s.ids(t, d, "voters")})
	case "replace":
		c.ask(m, Reconfigure{Group: simGroup, Voters: s.ids(t, d, "known"), Expected: number(t, d, "from"), Target: s.ids(t, d, "voters")})
	case "hold":
		c.tell(m, Hold{Group: simGroup, Voters: s.ids(t, d, "voters")})
	case "release":
		c.tell(m, Release{Group: simGroup})
	default:
		t.Fatalf("what is %s?", d.Cmd)
	}
}

func (s *scenario) votes() {
	for _, m := range s.cluster.machines {
		switch {
		case m.process == nil:
			fmt.Fprintf(&s.out, "n%d: down\n", m.number)
		case m.process.Accepted(simGroup) == nil:
			fmt.Fprintf(&s.out, "n%d: nothing\n", m.number)
		default:
			state := m.process.Accepted(simGroup)
			fmt.Fprintf(&s.out, "n%d: version %d %q, %s\n", m.number, state.Version, state.Value, s.named(&state.Configuration))
		}
	}
}

// machines are the arguments without a value.
func (s *scenario) machines(t *testing.T, d *datadriven.TestData) (list []*machine) {
	t.Helper()
	for _, arg := range d.CmdArgs {
		if len(arg.Vals) == 0 {
			list = append(list, s.machine(t, arg.Key))
		}
	}
	return list
}

func (s *scenario) machine(t *testing.T, name string) *machine {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil {
		t.Fatal(err)
	}
	return s.cluster.machine(n)
}

func (s *scenario) ids(t *testing.T, d *datadriven.TestData, key string) (ids []gossip.NodeID) {
	t.Helper()
	for _, arg := range d.CmdArgs {
		if arg.Key == key {
			for _, name := range arg.Vals {
				ids = append(ids, s.machine(t, name).id)
			}
		}
	}
	return ids
}

func duration(t *testing.T, d *datadriven.TestData, key string) time.Duration {
	t.Helper()
	var text string
	d.MaybeScanArgs(t, key, &text)
	if text == "" {
		return 0
	}
	value, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func number(t *testing.T, d *datadriven.TestData, key string) uint64 {
	t.Helper()
	var value uint64
	d.ScanArgs(t, key, &value)
	return value
}
