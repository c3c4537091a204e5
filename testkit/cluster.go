package testkit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/egalcluster/egal/fabric/transport"
)

// A Cluster is a set of real nodes in the process of a test.
type Cluster struct {
	Net   *Network // what lies between the nodes
	Clock *Clock   // what the nodes take for the time

	options options
	label   string // value of labelCluster; unlike that of any other cluster
	dir     string // empty: disks in memory
	rules   *transport.Rules
	journal *journal
	changed signal

	mu    sync.Mutex
	nodes []*Node // only grows
}

// New starts a cluster and returns when its nodes agree on their membership and on who serves which slot, and all slots
// are served. tb.Cleanup stops it. By default it has three nodes with disks in memory.
func New(tb testing.TB, opts ...Option) *Cluster {
	tb.Helper()
	o := options{nodes: 3, seed: rand.Uint64()}
	for _, option := range opts {
		option(&o)
	}
	if err := o.validate(); err != nil {
		tb.Fatal(err)
	}
	c := &Cluster{options: o, label: fmt.Sprintf("%s/%016x", tb.Name(), rand.Uint64()), rules: transport.NewRules()}
	c.Clock = &Clock{moved: c.wake}
	c.Net = &Network{rules: c.rules, changed: c.changed.raise, nodes: c.Nodes}
	c.journal = &journal{}
	if testing.Verbose() {
		c.journal.live = tb.Output()
	}
	if o.onDisk {
		c.dir = tb.TempDir() // removed after the cleanup below
	}
	tb.Cleanup(func() { c.close(tb) })
	if err := c.grow(context.WithoutCancel(tb.Context()), o.nodes); err != nil {
		tb.Fatalf("testkit: %v", err)
	}
	c.Converged(tb)
	return c
}

// grow adds nodes and starts them at the same time.
func (c *Cluster) grow(ctx context.Context, count int) error {
	c.mu.Lock()
	first := len(c.nodes)
	if first+count > maxNodes {
		c.mu.Unlock()
		return fmt.Errorf("add a node: a cluster has at most %d", maxNodes)
	}
	for i := range count {
		n := newNode(c, first+i)
		if err := n.prepare(); err != nil {
			c.mu.Unlock()
			return err
		}
		c.nodes = append(c.nodes, n)
	}
	added := slices.Clone(c.nodes[first:])
	c.mu.Unlock()
	c.Net.refresh()

	failed := make([]error, count)
	var starting sync.WaitGroup
	for i, n := range added {
		starting.Go(func() {
			n.life.Lock()
			defer n.life.Unlock()
			if err := n.start(ctx); err != nil {
				failed[i] = fmt.Errorf("start %s: %w", n, err)
			}
		})
	}
	starting.Wait()
	return errors.Join(failed...)
}

// Add starts one more node and returns when all have converged with it. Slots move to it by themselves as far as they
// are empty.
func (c *Cluster) Add(tb testing.TB) *Node {
	tb.Helper()
	if err := c.grow(context.WithoutCancel(tb.Context()), 1); err != nil {
		tb.Fatalf("testkit: %v", err)
	}
	c.Converged(tb)
	nodes := c.Nodes()
	return nodes[len(nodes)-1]
}

// Node returns Nodes()[i].
func (c *Cluster) Node(i int) *Node { return c.Nodes()[i] }

// Nodes returns all nodes in the order of their start, the killed ones too. The first is the first seed: it founds the
// cluster.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.nodes)
}

// RESPAddrs returns the RESPAddr of all nodes, the killed ones too.
func (c *Cluster) RESPAddrs() []string {
	var addrs []string
	for _, n := range c.Nodes() {
		addrs = append(addrs, n.RESPAddr())
	}
	return addrs
}

// running returns the nodes that are not killed.
func (c *Cluster) running() []*Node {
	return slices.DeleteFunc(c.Nodes(), func(n *Node) bool { return n.Egal() == nil })
}

// seeds are the fabric addresses of the nodes that New starts: every node joins through them.
func (c *Cluster) seeds() []string {
	var addrs []string
	for _, n := range c.Nodes()[:c.options.nodes] {
		addrs = append(addrs, n.FabricAddr())
	}
	return addrs
}

// wake makes the nodes look at the clock.
func (c *Cluster) wake() {
	for _, n := range c.Nodes() {
		if process := n.Egal(); process != nil {
			process.Wake()
		}
	}
	c.changed.raise()
}

// close stops all nodes at the same time, looks for what they left behind, and prints the journal of a failed test.
func (c *Cluster) close(tb testing.TB) {
	tb.Helper()
	nodes := c.Nodes()
	failed := make([]error, len(nodes))
	var stopping sync.WaitGroup
	for i, n := range nodes {
		stopping.Go(func() {
			n.life.Lock()
			defer n.life.Unlock()
			failed[i] = n.stop(false)
			n.fabric.release()
			n.resp.release()
		})
	}
	stopping.Wait()
	for i, err := range failed {
		if err != nil {
			tb.Errorf("testkit: close %s: %v", nodes[i], err)
		}
	}
	if stacks := leaked(c.label, leakDeadline); stacks != "" {
		tb.Errorf("testkit: goroutines of the cluster are alive after its end:\n%s", stacks)
	}
	c.journal.close()
	if tb.Failed() {
		fmt.Fprintf(tb.Output(), "testkit: seed %d\n", c.options.seed)
		c.journal.print(tb.Output())
	}
}
