package gossip

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/egalcluster/egal/internal/sim"
)

// TestScenarios plays the stories in testdata. Commands take nodes as arguments (n1 n2) and options:
//
//	start n1 n2 …            [snapshot=yes|no] [address=new] [probes=1h]   begin a process of each
//	found n1 · join n2 n3 seed=n1 · leave n1 [now=yes]
//	down n1 member=n2 · remove n1 member=n2   requests of an operator on n1
//	blocked                  what each node is told to be in the leader's way
//	own n1 key=x value=2 · shared n1 key=x value=2 · forget n1 key=x (shared) · disown n1 key=x
//	crash n1 · pause n1 for=2s · clock n1 ahead=1h
//	cut n1 n2 (one-way) · partition n1 n2 (from all others) · heal · loss share=100
//	run for=1s · converge    the time it took, to the millisecond
//	members                  how each node sees the others
//	show key=x [owner=n1]    the value on each node
//	traffic                  packets since the last time
//	compared                 packets of comparisons since the last time
//	fill n1 count=9 bytes=9  shared keys
//	results                  from now on, tell what becomes of rumors
//	ask n1 owner=n2          who has n2's state as n1 has it
//	state owner=n1           its clock and what is remembered of its deleted keys, on each node
//
// Links have a latency of 1 ms; every command prints the events that followed.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		t.Helper()
		s := &scenario{cluster: newCluster(t, 1, sim.Link{Latency: time.Millisecond})}
		s.cluster.events = s.note
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			s.cluster.t = t
			s.out.Reset()
			s.do(t, d)
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
	results bool
}

func (s *scenario) note(n *simNode, e Event) {
	switch e := e.(type) {
	case ViewChanged:
	case Converged:
		if s.results {
			fmt.Fprintf(&s.out, "n%d: %v after %v%s\n", n.number, e, e.After, s.named(e.Missing))
		}
	case Gathered:
		fmt.Fprintf(&s.out, "n%d: %v after %v%s\n", n.number, e, e.After, s.named(e.Missing))
	default:
		fmt.Fprintf(&s.out, "n%d: %v\n", n.number, e)
	}
}

func (s *scenario) named(missing []NodeID) (text string) {
	for _, n := range s.cluster.nodes {
		if slices.Contains(missing, nodeID(n.number)) {
			text += fmt.Sprintf(" n%d", n.number)
		}
	}
	return text
}

// nodes are the nodes named in the command's arguments.
func (s *scenario) nodes(d *datadriven.TestData) (numbers []int) {
	for _, arg := range d.CmdArgs {
		var number int
		if _, err := fmt.Sscanf(arg.Key, "n%d", &number); err == nil && len(arg.Vals) == 0 {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

func (s *scenario) node(number int) *simNode {
	for _, n := range s.cluster.nodes {
		if n.number == number {
			return n
		}
	}
	s.cluster.t.Fatalf("there is no n%d", number)
	return nil
}

func option(d *datadriven.TestData, name string) string {
	for _, arg := range d.CmdArgs {
		if arg.Key == name && len(arg.Vals) > 0 {
			return arg.Vals[0]
		}
	}
	return ""
}

// number reads an option; 0 when it is not there.
func number(d *datadriven.TestData, name, format string) (n int) {
	if _, err := fmt.Sscanf(option(d, name), format, &n); err != nil {
		return 0
	}
	return n
}

func (s *scenario) do(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	c := s.cluster
	numbers := s.nodes(d)
	tell := func(m Message) {
		for _, n := range numbers {
			c.tell(s.node(n), m)
		}
		c.run(0)
	}
	duration := func(name string) time.Duration {
		parsed, err := time.ParseDuration(option(d, name))
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		return parsed
	}
	key, value := option(d, "key"), []byte(option(d, "value"))
	switch d.Cmd {
	case "start":
		for _, n := range numbers {
			s.start(d, n)
		}
		c.run(0)
	case "found":
		tell(Found{ClusterID{byte(numbers[0])}})
	case "join":
		tell(Join{Seeds: []Peer{s.node(number(d, "seed", "n%d")).addr}})
	case "results":
		s.results = true
	case "ask":
		o, _ := s.node(numbers[0]).core.owners.find(nodeID(number(d, "owner", "n%d")))
		tell(Gather{Request: 1, Owner: o.id, Generation: o.generation, Version: o.version})
	case "leave":
		tell(Leave{Now: option(d, "now") == "yes"})
	case "down":
		tell(Down{nodeID(number(d, "member", "n%d"))})
	case "remove":
		tell(Forget{nodeID(number(d, "member", "n%d"))})
	case "blocked":
		s.blocked()
	case "own":
		tell(SetOwn{key, value})
	case "disown":
		tell(DeleteOwn{key})
	case "shared":
		tell(SetShared{key, value})
	case "forget":
		tell(DeleteShared{key})
	case "crash":
		for _, n := range numbers {
			c.crash(s.node(n))
		}
	case "pause":
		c.world.Pause(s.node(numbers[0]).addr, duration("for"))
	case "clock":
		c.world.Skew(s.node(numbers[0]).addr, duration("ahead"))
	case "cut":
		c.world.Cut(s.node(numbers[0]).addr, s.node(numbers[1]).addr)
	case "partition":
		for _, a := range numbers {
			for _, b := range c.nodes {
				if !slices.Contains(numbers, b.number) {
					c.world.Cut(s.node(a).addr, b.addr)
					c.world.Cut(b.addr, s.node(a).addr)
				}
			}
		}
	case "heal":
		c.world.Heal()
	case "loss":
		c.world.SetLink(sim.Link{Latency: time.Millisecond, Loss: float64(number(d, "share", "%d")) / 100})
	case "run":
		c.run(duration("for"))
	case "converge":
		took := c.converge(10 * time.Second)
		c.checkAgreement()
		fmt.Fprintf(&s.out, "all agree after %v\n", took.Round(time.Millisecond))
	case "members":
		s.members()
	case "show":
		s.show(key, number(d, "owner", "n%d"))
	case "traffic":
		for _, kind := range []string{"rumor", "joinRequest", "joinRefusal", "stateChunk"} {
			fmt.Fprintf(&s.out, "%s %d\n", kind, c.sends["gossip."+kind])
		}
		clear(c.sends)
	case "compared":
		for _, kind := range []string{"roots", "sums", "digests", "fill"} {
			fmt.Fprintf(&s.out, "%s %d\n", kind, c.sends["gossip."+kind])
		}
		clear(c.sends)
	case "fill":
		for i := range number(d, "count", "%d") {
			tell(SetShared{fmt.Sprintf("fill/%d", i), make([]byte, number(d, "bytes", "%d"))})
		}
	case "state":
		s.state(number(d, "owner", "n%d"))
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
}

func (s *scenario) start(d *datadriven.TestData, number int) {
	s.cluster.start(number, func(cfg *Config) {
		n := s.node(number)
		if option(d, "snapshot") == "yes" {
			cfg.Snapshot = n.snapshot
		}
		if option(d, "address") == "new" {
			cfg.Addr = addrOf(number, n.incarnation)
		}
		if probes, err := time.ParseDuration(option(d, "probes")); err == nil {
			cfg.ProbeInterval, cfg.ExchangeInterval = probes, probes
		}
	})
}

func (s *scenario) members() {
	for _, n := range s.cluster.running() {
		v := n.core.View()
		leader, _ := v.Leader()
		var list []string
		for _, other := range s.cluster.nodes {
			m, ok := v.Member(nodeID(other.number))
			if !ok {
				continue
			}
			text := fmt.Sprintf("n%d %v", other.number, m.Status)
			if m.UpNumber > 0 {
				text += fmt.Sprintf(" %d", m.UpNumber)
			}
			if m.Weak {
				text += " weak"
			}
			if m.ID == leader {
				text += " leader"
			}
			if !m.Reachable {
				text += " unreachable"
			}
			list = append(list, text)
		}
		fmt.Fprintf(&s.out, "n%d sees %s\n", n.number, strings.Join(list, ", "))
	}
}

func (s *scenario) blocked() {
	for _, n := range s.cluster.running() {
		if b, ok := n.core.View().Blockage(); ok {
			fmt.Fprintf(&s.out, "n%d: %v:%s\n", n.number, b.Cause, s.named(b.Members))
		}
	}
}

func (s *scenario) state(owner int) {
	for _, n := range s.cluster.running() {
		if o, ok := n.core.View().owners.find(nodeID(owner)); ok {
			fmt.Fprintf(&s.out, "n%d has version %d, %d live keys, %d deleted ones after version %d\n",
				n.number, o.version, len(o.entries)-o.tombstones, o.tombstones, o.collected)
		}
	}
}

func (s *scenario) show(key string, owner int) {
	for _, n := range s.cluster.running() {
		v := n.core.View()
		value, _, ok := v.Shared(key)
		if owner != 0 {
			value, ok = v.Own(nodeID(owner), key)
		}
		if ok {
			fmt.Fprintf(&s.out, "n%d has %q\n", n.number, value)
		} else {
			fmt.Fprintf(&s.out, "n%d has none\n", n.number)
		}
	}
}
