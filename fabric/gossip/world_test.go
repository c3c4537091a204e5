package gossip

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"github.com/egalcluster/egal/internal/sim"
	"github.com/egalcluster/egal/internal/wire"
)

var simStart = time.UnixMilli(1_700_000_000_000)

type world = sim.World[Peer, Message, Event]

// nodeID is the id of node n; ids are scattered, not ascending.
func nodeID(n int) (id NodeID) {
	binary.BigEndian.PutUint64(id[:], wire.Mix64(uint64(n)))
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// addrOf is an address of node n; nodes move from address to address by incarnation.
func addrOf(n, incarnation int) Peer {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(incarnation), byte(n >> 8), byte(n)}), 7946)
}

// simNode is a node of a simulated cluster, over all its processes.
type simNode struct {
	number      int
	addr        Peer
	core        *Core
	incarnation int
	snapshot    *Snapshot // what its disk has
	generation  uint64    // of its latest process
}

// cluster is a simulated cluster with checkers that look at every event.
type cluster struct {
	t      complainer
	world  *world
	config Config // timers for everybody
	nodes  []*simNode
	seed   uint64
	// operated tells that members were taken for down, or removed, by request.
	operated bool
	sends    map[string]int // packets by first word
	events   func(n *simNode, e Event)
	checker  *checker
	alter    func(Message) Message // a planted bug
}

// complainer is what checkers complain to: a test, or one that expects complaints.
type complainer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

var testCluster = ClusterID{1}

func newCluster(t complainer, seed uint64, link sim.Link) *cluster {
	c := &cluster{
		t: t, seed: seed, sends: map[string]int{}, config: Config{ProbeInterval: 200 * time.Millisecond},
		world: sim.New[Peer, Message, Event](sim.Options{Seed: seed, Start: simStart, Link: link}),
	}
	c.checker = newChecker(c)
	c.world.Transcode(func(m Message) Message {
		p, ok := m.(Packet)
		if !ok {
			return m
		}
		encoded := Encode(nil, p)
		if !p.Reliable() && len(encoded) > MaxDatagram || len(encoded) > MaxPacket {
			t.Fatalf("a packet of %d bytes: %v", len(encoded), p)
		}
		decoded, err := Decode(encoded)
		if err != nil {
			t.Fatalf("%v does not survive its encoding: %v", p, err)
		}
		if c.alter != nil {
			return c.alter(decoded)
		}
		return decoded
	})
	c.world.Fingerprint(func(m Message) uint64 {
		switch m := m.(type) {
		case Packet:
			return wire.Hash64(0, Encode(nil, m))
		case SetOwn:
			return wire.Hash64(1, m.Key) ^ wire.Hash64(2, m.Value)
		case SetShared:
			return wire.Hash64(3, m.Key) ^ wire.Hash64(4, m.Value)
		default:
			return wire.Hash64(5, fmt.Sprintf("%T%+v", m, m))
		}
	})
	c.world.Reliable(func(m Message) bool { p, ok := m.(Packet); return ok && p.Reliable() })
	c.world.Refuse(func() Message { return PeerRefused{} })
	c.world.OnSend(func(_ time.Time, _, _ Peer, m Message) {
		if p, ok := m.(Packet); ok {
			for _, b := range p.bodies {
				c.sends[reflect.TypeOf(b).String()]++
			}
			c.checker.sent(p)
		}
	})
	c.world.OnNotify(func(now time.Time, at Peer, e Event) {
		for _, n := range c.nodes {
			if n.addr == at && n.core != nil {
				c.checker.see(n, e)
				if c.events != nil {
					c.events(n, e)
				}
			}
		}
	})
	return c
}

// start begins a process of node n, which is made if it is new.
func (c *cluster) start(number int, how func(*Config)) *simNode {
	c.t.Helper()
	var node *simNode
	for _, n := range c.nodes {
		if n.number == number {
			node = n
		}
	}
	if node == nil {
		node = &simNode{number: number, addr: addrOf(number, 0)}
		c.nodes = append(c.nodes, node)
	}
	node.incarnation++
	cfg := c.config
	cfg.ID, cfg.Boot, cfg.Generation = nodeID(number), BootID(number<<16+node.incarnation), node.generation+1
	cfg.Seed, cfg.Addr, cfg.Name = c.seed<<20+uint64(number)<<8+uint64(node.incarnation), node.addr, fmt.Sprintf("n%d", number)
	if how != nil {
		how(&cfg)
	}
	core, err := New(cfg, c.world.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	node.core, node.addr, node.generation = core, cfg.Addr, cfg.Generation
	delete(c.checker.seen, cfg.ID) // a new process is a new replica
	c.world.Add(node.addr, core)
	return node
}

func (c *cluster) crash(n *simNode) {
	if n.core != nil {
		snapshot, err := DecodeSnapshot(EncodeSnapshot(n.core.View()))
		if err != nil {
			c.t.Fatal(err)
		}
		n.generation = max(n.generation, n.core.generation)
		n.snapshot, n.core = snapshot, nil
		c.world.Remove(n.addr)
	}
}

func (c *cluster) tell(n *simNode, m Message) { c.world.Inject(n.addr, m) }

func (c *cluster) run(d time.Duration) { c.world.RunUntil(c.world.Now().Add(d)) }

// form starts n nodes that join the first.
func (c *cluster) form(n int) {
	c.t.Helper()
	for i := range n {
		node := c.start(i+1, nil)
		if i == 0 {
			c.tell(node, Found{testCluster})
		} else {
			c.tell(node, Join{Seeds: []Peer{c.nodes[0].addr}})
		}
	}
}

func (c *cluster) running() (nodes []*simNode) {
	for _, n := range c.nodes {
		if n.core != nil && !n.core.left {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// unequal says in what the running nodes differ; "" when they have converged, all Up and reachable.
func (c *cluster) unequal() string {
	nodes := c.running()
	first := nodes[0].core.View()
	for _, n := range nodes {
		v := n.core.View()
		switch {
		case v.Cluster() != first.Cluster():
			return fmt.Sprintf("n%d is in cluster %v", n.number, v.Cluster())
		case v.Root() != first.Root():
			return fmt.Sprintf("n%d has another root than n%d", n.number, nodes[0].number)
		case v.Hash() != first.Hash():
			return fmt.Sprintf("n%d sees other members than n%d", n.number, nodes[0].number)
		}
		for _, other := range nodes {
			m, ok := v.Member(other.core.View().Self())
			if !ok || m.Status != StatusUp || m.Weak || !m.Reachable || m.Addr != other.addr {
				return fmt.Sprintf("n%d sees n%d as %v", n.number, other.number, m)
			}
		}
	}
	return ""
}

// converge runs until the running nodes agree; it fails when that takes longer than limit.
func (c *cluster) converge(limit time.Duration) time.Duration {
	c.t.Helper()
	begin := c.world.Now()
	for c.unequal() != "" {
		if c.world.Now().Sub(begin) > limit || !c.world.Step() {
			c.t.Fatalf("seed %d: after %v: %s", c.seed, c.world.Now().Sub(begin), c.unequal())
		}
	}
	return c.world.Now().Sub(begin)
}
