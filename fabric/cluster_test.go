package fabric

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
)

// patience bounds every wait for an event; nothing waits that long unless it is broken.
const patience = 30 * time.Second

// cluster is a set of fabrics in this process, over sockets or memory. Tests over sockets are sealed, since what passes
// there passes in plain text, too; benchmarks are plain.
type cluster struct {
	t       testing.TB
	network *transport.Network // nil: sockets
	keys    *transport.Keyring // nil: plain
	rules   *transport.Rules
	nodes   []*node
}

// node is one fabric with what outlives it.
type node struct {
	*Fabric
	disk  durable.FS
	addr  netip.AddrPort
	seeds []string
	found bool
}

func newCluster(tb testing.TB, memory bool) *cluster {
	tb.Helper()
	c := &cluster{t: tb, rules: transport.NewRules()}
	if memory {
		c.network = transport.NewNetwork(1)
	}
	noLeaks(tb)
	tb.Cleanup(func() {
		for _, n := range c.nodes {
			if n.Fabric != nil {
				must(tb, n.Close())
			}
		}
	})
	return c
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// noLeaks fails the test when goroutines of the fabric outlive it.
func noLeaks(tb testing.TB) {
	tb.Helper()
	tb.Cleanup(func() {
		var left string
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
			if left = ownGoroutines(); left == "" {
				return
			}
		}
		tb.Errorf("goroutines are left:\n%s", left)
	})
}

func ownGoroutines() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var own []string
	for goroutine := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(goroutine, "egal/fabric") && !strings.Contains(goroutine, "testing.tRunner") && !strings.Contains(goroutine, "testing.(*B)") {
			own = append(own, goroutine)
		}
	}
	return strings.Join(own, "\n\n")
}

// listen opens a transport at addr; the zero address picks one.
func (c *cluster) listen(addr netip.AddrPort) transport.Transport {
	c.t.Helper()
	var tr transport.Transport
	var err error
	switch {
	case c.network != nil && !addr.IsValid():
		tr, err = c.network.Listen(netip.MustParseAddrPort("10.0.0.1:0"))
	case c.network != nil:
		tr, err = c.network.Listen(addr)
	case !addr.IsValid():
		tr, err = transport.Listen(context.Background(), transport.NetConfig{Addr: "127.0.0.1:0", Keys: c.keys})
	default:
		tr, err = transport.Listen(context.Background(), transport.NetConfig{Addr: addr.String(), Keys: c.keys})
	}
	must(c.t, err)
	return c.rules.Wrap(tr)
}

// add makes n nodes that start together; the first of the cluster is everybody's seed, and the first seed.
func (c *cluster) add(n int) {
	c.t.Helper()
	begin := len(c.nodes)
	transports := make([]transport.Transport, n)
	for i := range n {
		transports[i] = c.listen(netip.AddrPort{})
		c.nodes = append(c.nodes, &node{disk: durable.Memory(), addr: transports[i].Addr(), found: len(c.nodes) == 0})
	}
	for i, tr := range transports {
		fresh := c.nodes[begin+i]
		fresh.seeds = []string{c.nodes[0].addr.String()}
		c.startOn(fresh, tr)
	}
}

func (c *cluster) config(n *node, tr transport.Transport) Config {
	return Config{FS: n.disk, Dir: "data", Transport: tr, Seeds: n.seeds, Found: n.found, Name: n.addr.String()}
}

func (c *cluster) startOn(n *node, tr transport.Transport) {
	c.t.Helper()
	var err error
	n.Fabric, err = Start(context.Background(), c.config(n, tr))
	must(c.t, err)
}

func (c *cluster) kill(n *node) {
	c.t.Helper()
	must(c.t, n.Close())
	n.Fabric = nil
}

func (c *cluster) restart(n *node) {
	c.t.Helper()
	c.startOn(n, c.listen(n.addr))
}

// until waits until ok holds for the view of every one of the nodes.
func until(tb testing.TB, what string, ok func(*gossip.View) bool, nodes ...*node) {
	tb.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for _, n := range nodes {
		for {
			changed := n.Changed()
			view := n.View()
			if ok(view) {
				break
			}
			select {
			case <-changed:
			case <-timer.C:
				tb.Fatalf("%s: waited in vain at %s for: %s\n%s", tb.Name(), n.addr, what, describe(nodes))
			}
		}
	}
}

func describe(nodes []*node) string {
	var b strings.Builder
	for _, n := range nodes {
		v := n.View()
		fmt.Fprintf(&b, "%s %s: cluster %s, root %016x", n.addr, n.ID(), v.Cluster(), v.Root())
		for _, m := range v.Members() {
			fmt.Fprintf(&b, "\n    %s %s reachable=%t up=%d", m.Addr, m.Status, m.Reachable, m.UpNumber)
		}
		fmt.Fprintf(&b, "\n    %+v\n", n.Metrics())
	}
	return b.String()
}

// allUp holds for a view with exactly n members, all Up and reachable.
func allUp(n int) func(*gossip.View) bool {
	return func(v *gossip.View) bool {
		for _, m := range v.Members() {
			if m.Status != gossip.StatusUp || !m.Reachable {
				return false
			}
		}
		return len(v.Members()) == n
	}
}

// reaches holds for a view in which the node's reachability is as given.
func reaches(id gossip.NodeID, reachable bool) func(*gossip.View) bool {
	return func(v *gossip.View) bool {
		m, ok := v.Member(id)
		return ok && m.Reachable == reachable
	}
}

func shows(key, value string) func(*gossip.View) bool {
	return func(v *gossip.View) bool {
		got, _, ok := v.Shared(key)
		return ok && string(got) == value
	}
}

// converged waits until all nodes show n members and equal roots.
func (c *cluster) converged(n int, nodes ...*node) {
	c.t.Helper()
	until(c.t, fmt.Sprintf("%d members up", n), allUp(n), nodes...)
	root := func(v *gossip.View) uint64 { return v.Root() }
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		equal := true
		for _, other := range nodes {
			equal = equal && root(other.View()) == root(nodes[0].View())
		}
		if equal {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			c.t.Fatalf("roots stay unequal\n%s", describe(nodes))
		}
	}
}

// everywhere runs a test over sockets and over the memory network.
func everywhere(t *testing.T, test func(t *testing.T, c *cluster)) {
	t.Helper()
	for _, memory := range []bool{false, true} {
		t.Run(map[bool]string{false: "loopback", true: "memory"}[memory], func(t *testing.T) {
			c := newCluster(t, memory)
			if !memory {
				c.keys = transport.NewKeyring(transport.Key{1, 2, 3})
			}
			test(t, c)
		})
	}
}
