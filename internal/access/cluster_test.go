package access

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
)

// patience bounds every wait for an event.
const patience = 30 * time.Second

// cluster is a set of fabrics in memory, each with its users and roles.
type cluster struct {
	t       *testing.T
	network *transport.Network
	rules   *transport.Rules
	nodes   []*node
}

type node struct {
	*Access
	fabric *fabric.Fabric
	disk   durable.FS
	addr   netip.AddrPort
}

func newCluster(t *testing.T, nodes int) *cluster {
	t.Helper()
	c := &cluster{t: t, network: transport.NewNetwork(1), rules: transport.NewRules()}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			c.stop(n)
		}
	})
	for range nodes {
		n := &node{disk: durable.Memory()}
		c.nodes = append(c.nodes, n)
		c.start(n)
	}
	for _, n := range c.nodes {
		must(t, n.Known(t.Context()))
	}
	return c
}

func (c *cluster) start(n *node) {
	c.t.Helper()
	addr := n.addr
	if !addr.IsValid() {
		addr = netip.MustParseAddrPort("10.0.0.1:0")
	}
	way, err := c.network.Listen(addr)
	must(c.t, err)
	n.addr = way.Addr()
	n.fabric, err = fabric.Start(context.Background(), fabric.Config{
		FS: n.disk, Dir: "data", Transport: c.rules.Wrap(way), Seeds: []string{c.nodes[0].addr.String()}, Found: n == c.nodes[0],
	})
	must(c.t, err)
	n.Access = Open(Config{Fabric: n.fabric})
}

func (c *cluster) stop(n *node) {
	c.t.Helper()
	n.Close()
	must(c.t, n.fabric.Close())
}

// until waits until ok holds for what the node knows.
func (c *cluster) until(n *node, what string, ok func() bool) {
	c.t.Helper()
	end := time.After(patience)
	for {
		changed := n.Changed()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-end:
			c.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// voting waits until the register has so many voters.
func (c *cluster) voting(count int) {
	c.t.Helper()
	end := time.After(patience)
	for _, n := range c.nodes {
		for {
			changed := n.fabric.Changed()
			now, err := n.fabric.Registers().Read(c.t.Context(), Group)
			if err == nil && len(now.Voters) == count && now.Epoch%2 == 1 {
				break
			}
			select {
			case <-changed:
			case <-time.After(10 * time.Millisecond):
			case <-end:
				c.t.Fatalf("never %d voters", count)
			}
		}
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
