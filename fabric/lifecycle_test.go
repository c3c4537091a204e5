package fabric

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/quorum"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
)

// members start n nodes in a bubble, and wait until they are members of one cluster.
func members(t *testing.T, n int, logger *slog.Logger) (*transport.Network, *transport.Rules, []*Fabric, []durable.FS) {
	t.Helper()
	network, rules := transport.NewNetwork(1), transport.NewRules()
	var nodes []*Fabric
	var disks []durable.FS
	for i := range n {
		disks = append(disks, durable.Memory())
		nodes = append(nodes, member(t, network, rules, disks[i], i, logger))
	}
	time.Sleep(2 * time.Second)
	synctest.Wait()
	for _, f := range nodes {
		if !allUp(n)(f.View()) {
			t.Fatalf("%v: %+v", f.Addr(), f.View().Members())
		}
	}
	return network, rules, nodes, disks
}

func member(t *testing.T, network *transport.Network, rules *transport.Rules, disk durable.FS, i int, logger *slog.Logger) *Fabric {
	t.Helper()
	tr, err := network.Listen(netip.MustParseAddrPort(founders[i]))
	must(t, err)
	f, err := Start(context.Background(), Config{
		FS: disk, Dir: "data", Transport: rules.Wrap(tr), Seeds: founders[:1], Logger: logger,
		Now: time.Now, // the bubble's; that of registers would be the machine's
	})
	must(t, err)
	return f
}

// cutOff separates one node from all others.
func cutOff(rules *transport.Rules, i, n int) {
	for other := range n {
		if other != i {
			rules.Cut(netip.MustParseAddrPort(founders[i]), netip.MustParseAddrPort(founders[other]))
			rules.Cut(netip.MustParseAddrPort(founders[other]), netip.MustParseAddrPort(founders[i]))
		}
	}
}

func TestLeaveReturnsWhenTheOthersKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, nodes, _ := members(t, 3, nil)
		must(t, nodes[0].Leave(t.Context())) // the first seed and leader
		must(t, nodes[0].Leave(t.Context())) // again does no harm
		if err := nodes[0].SetOwn(t.Context(), "key", nil); !errors.Is(err, gossip.ErrNoCluster) {
			t.Errorf("a write of a node that has left: %v", err)
		}
		synctest.Wait()
		for _, f := range nodes[1:] {
			if m, ok := f.View().Member(nodes[0].ID()); ok {
				t.Errorf("%v still shows it: %+v", f.Addr(), m)
			}
		}
		for _, f := range nodes {
			must(t, f.Close())
		}
	})
}

func TestLeaveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rules, nodes, _ := members(t, 4, nil)
		cutOff(rules, 3, 4)
		time.Sleep(5 * time.Second) // n4 is unreachable, and not down yet
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		must(t, nodes[1].Leave(ctx))
		if took := time.Since(begin); took < time.Second || took > 1100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		begin = time.Now()
		must(t, nodes[2].Leave(t.Context()))
		if took := time.Since(begin); took > stopVotingTimeout+6*time.Second {
			t.Errorf("it took %v", took)
		}
		synctest.Wait()
		for _, id := range []gossip.NodeID{nodes[1].ID(), nodes[2].ID()} {
			if m, ok := nodes[0].View().Member(id); ok {
				t.Errorf("n1 still shows %+v", m)
			}
		}
		for _, f := range nodes {
			must(t, f.Close())
		}
	})
}

func TestOperatorsDownAndForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, rules, nodes, disks := members(t, 3, nil)
		id := nodes[2].ID()
		if err := nodes[0].Forget(t.Context(), id); !errors.Is(err, gossip.ErrReachable) {
			t.Fatal(err)
		}
		if err := nodes[0].Down(t.Context(), gossip.NodeID{1}); !errors.Is(err, gossip.ErrUnknownMember) {
			t.Fatal(err)
		}
		cutOff(rules, 2, 3)
		time.Sleep(5 * time.Second)
		must(t, nodes[0].Down(t.Context(), id))
		if m, _ := nodes[0].View().Member(id); m.Status != gossip.StatusDown {
			t.Fatalf("%+v", m)
		}
		rules.Heal()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if m, _ := nodes[0].View().Member(id); m.Status != gossip.StatusUp || m.UpNumber != 4 || nodes[2].Err() != nil {
			t.Fatalf("it did not come back by itself: %+v", m)
		}
		cutOff(rules, 2, 3)
		time.Sleep(5 * time.Second)
		must(t, nodes[1].Forget(t.Context(), id))
		rules.Heal()
		<-nodes[2].Failed()
		if !errors.Is(nodes[2].Err(), ErrForgotten) {
			t.Fatal(nodes[2].Err())
		}
		must(t, nodes[2].Close())
		nodes[2] = member(t, network, rules, disks[2], 2, nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if m, _ := nodes[0].View().Member(id); m.Status != gossip.StatusUp || m.UpNumber != 5 {
			t.Fatalf("a later process did not become a new member: %+v", m)
		}
		for _, f := range nodes {
			must(t, f.Close())
		}
	})
}

// Who comes back after being taken for down has another boot: what is sealed for that must open.
func TestADownedNodeHearsOthersOverSockets(t *testing.T) {
	c := newCluster(t, false)
	c.keys = transport.NewKeyring(transport.Key{1, 2, 3})
	c.add(3)
	c.converged(3, c.nodes...)
	lost, others := c.nodes[2], c.nodes[:2]
	for _, other := range others {
		c.rules.Cut(lost.addr, other.addr)
		c.rules.Cut(other.addr, lost.addr)
	}
	before, _ := lost.View().Member(lost.ID())
	until(t, "it is unreachable", reaches(lost.ID(), false), others...)
	must(t, others[0].Down(t.Context(), lost.ID()))
	c.rules.Heal()
	until(t, "it has another boot", func(v *gossip.View) bool {
		m, ok := v.Member(lost.ID())
		return ok && m.Boot != before.Boot && m.Status == gossip.StatusUp
	}, c.nodes...)
	heard := lost.Metrics().Gossip.AcksReceived
	for end := time.Now().Add(patience); lost.Metrics().Gossip.AcksReceived < heard+4; {
		if time.Now().After(end) {
			t.Fatalf("nobody's answers reach it: %+v", lost.Metrics())
		}
		<-time.After(20 * time.Millisecond)
	}
	c.converged(3, c.nodes...)
}

func TestTheConditionNamesTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logged := &eventLog{seen: map[string]chan struct{}{}}
		outvoted, downed := logged.event("fabric_outvoted"), logged.event("fabric_downed")
		network, rules, nodes, disks := members(t, 3, slog.New(logged))
		if cause := nodes[0].Condition().Cause(nodes[0].View()); cause != "" {
			t.Fatal(cause)
		}
		cutOff(rules, 2, 5)
		time.Sleep(5 * time.Second)
		joiner := member(t, network, rules, durable.Memory(), 3, nil)
		time.Sleep(3 * time.Second)
		cause := joiner.Condition().Cause(joiner.View())
		if !strings.Contains(cause, "members wait for the leader, since members are unreachable and not down: "+nodes[2].ID().String()[:8]) {
			t.Fatal(cause)
		}
		time.Sleep(10 * time.Second)
		await(t, "outvoted", outvoted)
		if cause := nodes[2].Condition().Cause(nodes[2].View()); !strings.Contains(cause, "this side of a partition does not decide") {
			t.Fatal(cause)
		}
		before := nodes[2].View()
		self, _ := before.Member(before.Self())
		rules.Heal()
		time.Sleep(10 * time.Second)
		await(t, "downed", downed)
		for _, f := range append(nodes, joiner) {
			if cause := f.Condition().Cause(f.View()); cause != "" || !allUp(4)(f.View()) {
				t.Errorf("%v: %s %+v", f.Addr(), cause, f.View().Members())
			}
			must(t, f.Close())
		}
		// The generation that it rose to is on its disk: the next one is higher.
		h, err := openHome(disks[2], "data")
		must(t, err)
		if h.identity.generation <= self.Generation {
			t.Errorf("generation %d is on the disk, it had more than %d", h.identity.generation, self.Generation)
		}
		must(t, h.lock.Close())
	})
}

// A founder that dies before it has saved its members comes back into the cluster that it founded.
func TestAFounderFoundsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := durable.Memory()
		h, err := openHome(disk, "data")
		must(t, err)
		random, err := newRandom(1, 1)
		must(t, err)
		h.name(random)
		votes, _, err := durable.OpenLog(disk, disk.PathJoin("data", fabricDir, votesFile), maxVotesBytes)
		must(t, err)
		core, err := quorum.New(quorum.Config{ID: h.identity.node, Boot: 1, Fresh: true}, nil, time.Now())
		must(t, err)
		must(t, votes.Append(quorum.Records(core.Ready().Save)...))
		must(t, votes.Close())
		must(t, h.begin(time.Now()))
		cluster := gossip.ClusterID{9}
		must(t, h.setFounding(cluster))
		must(t, h.lock.Close())
		network := transport.NewNetwork(1)
		tr, err := network.Listen(netip.MustParseAddrPort(founders[0]))
		must(t, err)
		f, err := Start(t.Context(), Config{FS: disk, Dir: "data", Transport: tr, Seeds: founders[:2]})
		must(t, err)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if f.View().Cluster() != cluster {
			t.Fatalf("cluster %v", f.View().Cluster())
		}
		must(t, f.Close())
		h, err = openHome(disk, "data")
		must(t, err)
		if h.identity.founding || h.identity.cluster != cluster {
			t.Fatalf("%+v", h.identity)
		}
		must(t, h.lock.Close())
	})
}

// A cluster of one comes back by itself, and lets others in.
func TestALastMemberComesBackByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, rules, nodes, disks := members(t, 1, nil)
		must(t, nodes[0].Close())
		nodes[0] = member(t, network, rules, disks[0], 0, nil)
		second := member(t, network, rules, durable.Memory(), 1, nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, f := range []*Fabric{nodes[0], second} {
			if !allUp(2)(f.View()) {
				t.Errorf("%v: %+v", f.Addr(), f.View().Members())
			}
			must(t, f.Close())
		}
	})
}
