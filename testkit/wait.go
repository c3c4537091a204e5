package testkit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal"
)

const (
	waitDeadline = 30 * time.Second       // after which a wait fails
	recheck      = 100 * time.Millisecond // how often Eventually looks at what has no event
	slotCount    = 16384
)

// Converged waits until all running nodes that can reach each other agree: on who is a member, who of them can be
// reached, on all state that the members publish, and on who serves which slot. Nodes that are killed, or cut off by a
// partition, must have been noticed, and restarted ones have come back. When no node is killed and no partition is in
// force, all slots are served then. It waits for events of the nodes alone and fails the test after 30 s.
func (c *Cluster) Converged(tb testing.TB) {
	tb.Helper()
	if !c.await(nil, func() bool { return c.disagreement() == "" }) {
		tb.Fatalf("testkit: not converged after %v: %s\n%s", waitDeadline, c.disagreement(), c.describe())
	}
}

// Eventually waits until cond holds. It looks again whenever a node's view of the members or of the slots changes, the
// clock is moved or a partition comes or goes, and ten times a second for conditions that no event tells of. It fails
// the test after 30 s.
func (c *Cluster) Eventually(tb testing.TB, cond func() bool) {
	tb.Helper()
	again := time.NewTicker(recheck)
	defer again.Stop()
	if !c.await(again.C, cond) {
		tb.Fatalf("testkit: the condition does not hold after %v\n%s", waitDeadline, c.describe())
	}
}

// await looks at cond at every event and at every tick of again, until it holds or the deadline has passed.
func (c *Cluster) await(again <-chan time.Time, cond func() bool) bool {
	end := time.NewTimer(waitDeadline)
	defer end.Stop()
	for {
		changed := c.changed.wait()
		if cond() {
			return true
		}
		select {
		case <-changed:
		case <-again:
		case <-end.C:
			return false
		}
	}
}

// PrimaryFor returns the node that serves the slot of a key, nil if nobody does.
func (c *Cluster) PrimaryFor(key string) *Node {
	for _, n := range c.running() {
		process := n.Egal()
		if process != nil && holds(process.Slots()[0].Table().Mine, slotOf(key)) {
			return n
		}
	}
	return nil
}

// holds calls a table with a slot in the table's own type.
func holds[S ~uint16](mine func(S) bool, slot uint16) bool { return mine(S(slot)) }

// disagreement says why the cluster has not converged, empty if it has.
func (c *Cluster) disagreement() string {
	all := c.Nodes()
	running := make(map[*Node]*egal.Node)
	for _, n := range all {
		if process := n.Egal(); process != nil {
			running[n] = process
		}
	}
	for i, n := range all {
		process := running[n]
		if process == nil {
			continue
		}
		if why := c.outlook(n, process, all, running); why != "" {
			return why
		}
		for _, peer := range all[:i] { // one peer suffices: agreement is transitive
			if other := running[peer]; other != nil && c.Net.Connected(n, peer) {
				if why := difference(process, other); why != "" {
					return fmt.Sprintf("%s and %s: %s", peer, n, why)
				}
				break
			}
		}
	}
	return ""
}

// outlook compares what one node sees with what is.
func (c *Cluster) outlook(n *Node, process *egal.Node, all []*Node, running map[*Node]*egal.Node) string {
	view, table := process.Fabric().View(), process.Slots()[0].Table()
	seen := make(map[string]bool) // by id: reachable
	boots := make(map[string]uint64)
	for _, m := range view.Members() {
		if m.Status.String() != "up" {
			return fmt.Sprintf("%s sees %s %s", n, m.Name, m.Status)
		}
		seen[m.ID.String()], boots[m.ID.String()] = m.Reachable, uint64(m.Boot)
	}
	reach := make(map[string]bool)
	for _, peer := range all {
		other, up := running[peer]
		reachable := up && c.Net.Connected(n, peer)
		id := peer.ID()
		if id == "" {
			continue // has never started
		}
		reach[id] = reachable
		if got, member := seen[id]; !member || got != reachable {
			return fmt.Sprintf("%s sees %s as member: %v, reachable: %v; it is reachable: %v", n, peer, member, got, reachable)
		}
		if !reachable {
			continue
		}
		if self, _ := other.Fabric().View().Member(other.Fabric().ID()); boots[id] != uint64(self.Boot) {
			return fmt.Sprintf("%s sees an earlier start of %s", n, peer)
		}
	}
	if whole := len(running) == len(all) && !c.Net.parted(); whole && table.Assigned() != slotCount {
		return fmt.Sprintf("%s knows an owner of %d slots", n, table.Assigned())
	}
	for _, owner := range table.Nodes() {
		if id := owner.ID.Node.String(); owner.Reachable != reach[id] {
			return fmt.Sprintf("%s routes to %s as reachable: %v", n, id, owner.Reachable)
		}
	}
	return ""
}

// difference says in what two nodes differ that can reach each other.
func difference(a, b *egal.Node) string {
	left, right := a.Fabric().View(), b.Fabric().View()
	switch {
	case left.Cluster() != right.Cluster():
		return "they are in different clusters"
	case left.Hash() != right.Hash():
		return "they differ in the members"
	case left.Root() != right.Root():
		return "they differ in the members' state"
	}
	owners, others := a.Slots()[0].Table().Nodes(), b.Slots()[0].Table().Nodes()
	if len(owners) != len(others) {
		return "they differ in the owners of slots"
	}
	for i, owner := range owners { // sorted by id
		if owner.ID != others[i].ID || !slices.Equal(owner.Ranges, others[i].Ranges) {
			return "they differ in the owners of slots"
		}
	}
	return ""
}

// describe prints what every node sees.
func (c *Cluster) describe() string {
	var b strings.Builder
	for _, n := range c.Nodes() {
		process := n.Egal()
		if process == nil {
			fmt.Fprintf(&b, "  %s %.8s is killed\n", n, n.ID())
			continue
		}
		view, slots := process.Fabric().View(), process.Slots()[0]
		fmt.Fprintf(&b, "  %s %.8s view %d, state %016x, slots known %d, serving %v:",
			n, n.ID(), view.Version(), view.Root(), slots.Table().Assigned(), slots.Serving())
		for _, m := range view.Members() {
			fmt.Fprintf(&b, " %s %s", m.Name, m.Status)
			if !m.Reachable {
				b.WriteString(" unreachable")
			}
			b.WriteByte(';')
		}
		b.WriteByte('\n')
	}
	return b.String()
}
