package testkit

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/egalcluster/egal/fabric/transport"
)

// Network is what lies between the nodes of a cluster. It rules their packets to each other; clients of the nodes are
// not touched.
type Network struct {
	rules   *transport.Rules
	changed func()
	nodes   func() []*Node

	mu         sync.Mutex
	partitions []*partition
}

// partition names the group of each node. Nodes without a group form one more, group 0.
type partition struct{ group map[*Node]int }

func (p *partition) separates(a, b *Node) bool { return p.group[a] != p.group[b] }

// Partition cuts the network between the groups, in both directions and at once: when it returns, no packet passes.
// Nodes that are in none of the groups form one more group together. Several partitions may be in force: two nodes talk
// when no partition separates them. The nodes' failure detectors are told, so that they need not wait for silence. heal
// ends this partition; calling it again does nothing.
func (x *Network) Partition(groups ...[]*Node) (heal func()) {
	p := &partition{group: make(map[*Node]int)}
	for i, group := range groups {
		for _, n := range group {
			p.group[n] = i + 1
		}
	}
	x.mu.Lock()
	x.partitions = append(x.partitions, p)
	x.cut()
	x.mu.Unlock()
	for _, a := range x.nodes() {
		for _, b := range x.nodes() {
			if p.separates(a, b) {
				a.refuse(b)
			}
		}
	}
	x.changed()
	return func() {
		x.mu.Lock()
		x.partitions = slices.DeleteFunc(x.partitions, func(q *partition) bool { return q == p })
		x.rules.Heal()
		x.cut()
		x.mu.Unlock()
		x.changed()
	}
}

// cut puts all partitions into the rules. The caller holds x.mu.
func (x *Network) cut() {
	nodes := x.nodes()
	for _, a := range nodes {
		for _, b := range nodes {
			if a != b && !x.connectedLocked(a, b) {
				x.rules.Cut(a.fabricAddr(), b.fabricAddr())
			}
		}
	}
}

// refresh applies the partitions to a node that has come since.
func (x *Network) refresh() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cut()
}

// Connected tells whether packets pass between two nodes.
func (x *Network) Connected(a, b *Node) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.connectedLocked(a, b)
}

func (x *Network) connectedLocked(a, b *Node) bool {
	return !slices.ContainsFunc(x.partitions, func(p *partition) bool { return p.separates(a, b) })
}

// parted tells whether any partition is in force.
func (x *Network) parted() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.partitions) > 0
}

func (n *Node) fabricAddr() netip.AddrPort { return netip.MustParseAddrPort(n.fabric.addr()) }
