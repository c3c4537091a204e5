package testkit_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/egalcluster/egal/testkit"
)

// keyOf returns a key whose slot the node serves.
func keyOf(tb testing.TB, c *testkit.Cluster, n *testkit.Node) string {
	tb.Helper()
	for i := range 10_000 {
		if key := fmt.Sprintf("key:%d", i); c.PrimaryFor(key) == n {
			return key
		}
	}
	tb.Fatalf("%s serves none of 10,000 keys", n)
	return ""
}

// owns tells whether a node serves any of some keys that are spread over the slots.
func owns(c *testkit.Cluster, n *testkit.Node) bool {
	for i := range 100 {
		if c.PrimaryFor(fmt.Sprintf("key:%d", i)) == n {
			return true
		}
	}
	return false
}

// others returns all nodes but one.
func others(c *testkit.Cluster, n *testkit.Node) []*testkit.Node {
	return slices.DeleteFunc(c.Nodes(), func(m *testkit.Node) bool { return m == n })
}

func TestEveryNodeServesItsShareAndRedirectsTheRest(t *testing.T) {
	t.Parallel()
	c := testkit.New(t, testkit.Nodes(3))
	if got := len(c.RESPAddrs()); got != 3 {
		t.Fatalf("%d addresses, want 3", got)
	}
	for _, n := range c.Nodes() {
		key := keyOf(t, c, n)
		answer(t, n, "OK", "SET", key, n.Name())
		answer(t, n, n.Name(), "GET", key)
		for _, other := range others(c, n) {
			reply := ask(t, other, "GET", key)
			if !strings.HasPrefix(reply, "-MOVED ") || !strings.HasSuffix(reply, " "+n.RESPAddr()) {
				t.Errorf("%s: GET %s: got %q, want MOVED to %s", other, key, reply, n.RESPAddr())
			}
		}
	}
}

func TestAKilledNodesSlotsAreDownUntilItsRestart(t *testing.T) {
	t.Parallel()
	c := testkit.New(t, testkit.Nodes(3))
	victim, witness := c.Node(1), c.Node(2)
	lost, kept := keyOf(t, c, victim), keyOf(t, c, witness)
	answer(t, witness, "OK", "SET", kept, "1")
	id := victim.ID()

	victim.Kill(t)
	if _, err := net.Dial("tcp", victim.RESPAddr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting to a killed node: got %v, want refused", err)
	}
	c.Converged(t)
	for _, n := range others(c, victim) {
		answer(t, n, "-CLUSTERDOWN Hash slot not served", "GET", lost)
	}
	answer(t, witness, "1", "GET", kept)
	if got := c.PrimaryFor(lost); got != nil {
		t.Errorf("the primary of a killed node's key: got %v, want none", got)
	}

	victim.Restart(t)
	c.Converged(t)
	if victim.ID() != id {
		t.Errorf("id after the restart: got %s, want %s", victim.ID(), id)
	}
	answer(t, victim, "OK", "SET", lost, "2")
	answer(t, victim, "2", "GET", lost)
	answer(t, witness, "1", "GET", kept)
}

func TestTheFirstSeedComesBackToo(t *testing.T) {
	t.Parallel()
	c := testkit.New(t, testkit.Nodes(3), testkit.Seed(7))
	c.Node(0).Kill(t)
	c.Converged(t)
	c.Node(0).Restart(t)
	c.Converged(t)
	key := keyOf(t, c, c.Node(0))
	answer(t, c.Node(0), "OK", "SET", key, "1")
}

func TestAllNodesKilledAtOnceComeBack(t *testing.T) {
	t.Parallel()
	c := testkit.New(t, testkit.Nodes(3))
	for _, n := range c.Nodes() {
		n.Kill(t)
	}
	for _, n := range c.Nodes() {
		n.Restart(t)
	}
	c.Converged(t)
	for _, n := range c.Nodes() {
		answer(t, n, "OK", "SET", keyOf(t, c, n), "1")
	}
}

func TestEachSideOfAPartitionReportsTheOther(t *testing.T) {
	t.Parallel()
	c := testkit.New(t, testkit.Nodes(3))
	alone := c.Node(0)
	rest := others(c, alone)
	lost, kept := keyOf(t, c, alone), keyOf(t, c, rest[0])

	heal := c.Net.Partition([]*testkit.Node{alone})
	if c.Net.Connected(alone, rest[0]) || !c.Net.Connected(rest[0], rest[1]) {
		t.Error("the partition separates the wrong nodes")
	}
	c.Converged(t)
	for _, n := range rest {
		answer(t, n, "-CLUSTERDOWN Hash slot not served", "GET", lost)
	}
	answer(t, alone, "-CLUSTERDOWN Hash slot not served", "GET", kept)

	heal()
	heal() // the second call does nothing
	c.Converged(t)
	for _, n := range rest {
		if reply := ask(t, n, "GET", lost); !strings.HasPrefix(reply, "-MOVED ") {
			t.Errorf("%s: GET %s after healing: got %q, want MOVED", n, lost, reply)
		}
	}
	answer(t, rest[0], "(nil)", "GET", kept)
}

func TestTwoNodesTalkWhenNoPartitionSeparatesThem(t *testing.T) {
	t.Parallel()
	c := testkit.New(t, testkit.Nodes(3))
	a, b, d := c.Node(0), c.Node(1), c.Node(2)
	first := c.Net.Partition([]*testkit.Node{a}, []*testkit.Node{b, d})
	second := c.Net.Partition([]*testkit.Node{a, b}, []*testkit.Node{d})
	c.Converged(t)
	first()
	if !c.Net.Connected(a, b) || c.Net.Connected(b, d) || c.Net.Connected(a, d) {
		t.Error("after healing the first of two partitions the wrong nodes talk")
	}
	c.Converged(t)
	second()
	c.Converged(t)
}

func TestTheClockExpiresKeys(t *testing.T) {
	t.Parallel()
	c := testkit.New(t, testkit.Nodes(3))
	for _, n := range c.Nodes() {
		key := keyOf(t, c, n)
		answer(t, n, "OK", "SET", key, "1", "EX", "3600")
		answer(t, n, "1", "GET", key)
	}
	before := c.Clock.Now()
	c.Clock.Advance(time.Hour + time.Second)
	if passed := c.Clock.Now().Sub(before); passed < time.Hour {
		t.Errorf("the clock has moved by %v, want at least 1h", passed)
	}
	for _, n := range c.Nodes() {
		answer(t, n, "(nil)", "GET", keyOf(t, c, n))
	}
	c.Converged(t) // the jump is no failure
}

func TestAClusterOfOneServesEverything(t *testing.T) {
	t.Parallel()
	c := testkit.New(t, testkit.Nodes(1))
	answer(t, c.Node(0), "OK", "MSET", "{a}1", "1", "{a}2", "2")
	answer(t, c.Node(0), "[1 2]", "MGET", "{a}1", "{a}2")
}

func TestNineNodes(t *testing.T) {
	t.Parallel()
	c := testkit.New(t, testkit.Nodes(9))
	for _, n := range c.Nodes() {
		answer(t, n, "OK", "SET", keyOf(t, c, n), "1")
	}
	c.Node(4).Kill(t)
	c.Node(8).Kill(t)
	c.Converged(t)
	c.Node(4).Restart(t)
	c.Node(8).Restart(t)
	c.Converged(t)
}

func TestANodeIsAdded(t *testing.T) {
	t.Parallel()
	c := testkit.New(t, testkit.Nodes(2))
	added := c.Add(t)
	if got := c.Nodes(); len(got) != 3 || got[2] != added || added.Index() != 2 {
		t.Fatalf("nodes after Add: %v", got)
	}
	answer(t, added, "PONG", "PING")
	c.Eventually(t, func() bool { return owns(c, added) })
	answer(t, added, "OK", "SET", keyOf(t, c, added), "1")
	added.Kill(t)
	c.Converged(t)
}

func TestNodesOnDiskKeepTheirIdentity(t *testing.T) {
	t.Parallel()
	c := testkit.New(t, testkit.Nodes(2), testkit.OnDisk())
	id := c.Node(1).ID()
	c.Node(1).Kill(t)
	c.Node(1).Restart(t)
	c.Converged(t)
	if got := c.Node(1).ID(); got != id {
		t.Errorf("id after the restart: got %s, want %s", got, id)
	}
}

func TestManyClustersAtOnce(t *testing.T) {
	t.Parallel()
	for i := range 12 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			c := testkit.New(t, testkit.Nodes(3), testkit.Seed(uint64(i)))
			answer(t, c.Node(0), "OK", "SET", keyOf(t, c, c.Node(0)), "1")
		})
	}
}
