package fabric

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
)

// Founding, enumerated: three seeds and two ordinary nodes start in every order, at once, or so that the answers of
// the earlier ones have come before; one of them may die at any point of that and come back.
// Whatever happened, there is one cluster, with all five.

// beginning is one way in which five nodes start.
type beginning struct {
	order   []int
	delay   time.Duration // between two starts
	crash   int           // who dies after as many starts; -1: nobody
	after   int
	initial int
	seeds   func(node int) []string // nil: the same list for all
}

var founders = []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946", "10.0.0.4:7946", "10.0.0.5:7946"}

// begin plays a beginning, and says what is wrong with the outcome; nil: nothing.
func (b beginning) begin(t *testing.T) error {
	t.Helper()
	network := transport.NewNetwork(1)
	disks := make([]durable.FS, len(founders))
	nodes := make([]*Fabric, len(founders))
	start := func(i int) {
		if disks[i] == nil {
			disks[i] = durable.Memory()
		}
		tr, err := network.Listen(netip.MustParseAddrPort(founders[i]))
		must(t, err)
		seeds := founders[:3]
		if b.seeds != nil {
			seeds = b.seeds(i)
		}
		nodes[i], err = Start(context.Background(), Config{
			FS: disks[i], Dir: "data", Transport: tr, Seeds: seeds, InitialMembers: b.initial, Rand: uint64(i + 1),
		})
		must(t, err)
	}
	for at, i := range b.order {
		start(i)
		if b.delay > 0 {
			time.Sleep(b.delay)
		}
		if b.crash >= 0 && at == b.after && nodes[b.crash] != nil {
			must(t, nodes[b.crash].Close())
			time.Sleep(b.delay)
			start(b.crash)
		}
	}
	time.Sleep(30 * time.Second)
	synctest.Wait()
	var err error
	for _, n := range nodes {
		v := n.View()
		if v.Cluster() != nodes[0].View().Cluster() || v.Cluster().IsZero() || !allUp(len(founders))(v) {
			err = errors.Join(err, fmt.Errorf("%v is in cluster %v with %d members", n.Addr(), v.Cluster(), len(v.Members())))
		}
	}
	numbers := map[uint64]bool{}
	for _, m := range nodes[0].View().Members() {
		if numbers[m.UpNumber] {
			err = errors.Join(err, fmt.Errorf("two members have the number %d", m.UpNumber))
		}
		numbers[m.UpNumber] = true
	}
	for _, n := range nodes {
		must(t, n.Close())
	}
	return err
}

// permutations are all orders of n things.
func permutations(n int) (all [][]int) {
	var extend func(chosen []int)
	extend = func(chosen []int) {
		if len(chosen) == n {
			all = append(all, slices.Clone(chosen))
			return
		}
		for i := range n {
			if !slices.Contains(chosen, i) {
				extend(append(chosen, i))
			}
		}
	}
	extend(nil)
	return all
}

var foundingAll = flag.Bool("founding.all", false, "play every beginning, not a part of them")

// beginnings are all of them, or a part in which each order, delay and crash occurs.
func beginnings() (all []beginning) {
	delays := []time.Duration{0, time.Millisecond, 1500 * time.Millisecond, 6 * time.Second}
	for number, order := range permutations(len(founders)) {
		for at, delay := range delays {
			if *foundingAll || number%len(delays) == at {
				all = append(all, beginning{order: order, delay: delay, crash: -1}, beginning{order: order, delay: delay, crash: -1, initial: 5})
			}
			for crash := range founders {
				for after := range founders {
					if *foundingAll || (number+7*crash+11*after)%60 == 0 {
						all = append(all, beginning{order: order, delay: delay, crash: crash, after: after})
					}
				}
			}
		}
	}
	return all
}

func TestEveryOrderOfStartsMakesOneCluster(t *testing.T) {
	for _, b := range beginnings() {
		synctest.Test(t, func(t *testing.T) {
			if err := b.begin(t); err != nil {
				t.Fatalf("%+v: %v", b, err)
			}
		})
	}
	t.Logf("%d beginnings", len(beginnings()))
}

// Two nodes that each hold themselves for the first seed found twice, and that is noticed.
func TestTwoFoundingsAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := func(node int) []string {
			if node > 1 {
				return founders[:3]
			}
			return []string{founders[node]}
		}
		err := beginning{order: []int{0, 1, 2, 3, 4}, crash: -1, seeds: own}.begin(t)
		if err == nil || !strings.Contains(err.Error(), "is in cluster") {
			t.Fatalf("two clusters were taken for one: %v", err)
		}
	})
}

// named starts nodes that join by one name, which resolves to the addresses given.
func named(t *testing.T, seed string, initial int, resolve Resolver, addresses ...string) (nodes []*Fabric) {
	t.Helper()
	network := transport.NewNetwork(1)
	for i, address := range addresses {
		tr, err := network.Listen(netip.MustParseAddrPort(address))
		must(t, err)
		n, err := Start(context.Background(), Config{
			FS: durable.Memory(), Dir: "data", Transport: tr, Seeds: []string{seed}, InitialMembers: initial, Resolve: resolve, Rand: uint64(i + 1),
		})
		must(t, err)
		nodes = append(nodes, n)
	}
	time.Sleep(30 * time.Second)
	synctest.Wait()
	return nodes
}

func TestNamesOfSeeds(t *testing.T) {
	addr := netip.MustParseAddr
	for _, tc := range []struct {
		name, seed string
		initial    int
		resolved   []netip.Addr
		want       int // members of the one cluster; 0: none is founded
	}{
		{"a name is this node's, whatever listens where", "localhost:7946", 0, []netip.Addr{addr("::1"), addr("10.0.0.1")}, 3},
		{"a name for several nodes has no first one", "egal:7946", 0, []netip.Addr{addr("10.0.0.1"), addr("10.0.0.2")}, 0},
		{"its lowest address founds when the count is known", "egal:7946", 3, []netip.Addr{addr("10.0.0.2"), addr("10.0.0.1"), addr("10.0.0.3")}, 3},
		{"and waits for so many addresses", "dns://egal:7946", 4, []netip.Addr{addr("10.0.0.2"), addr("10.0.0.1"), addr("10.0.0.3")}, 0},
		{"a dns:// name stands for several even with one address", "dns://egal:7946", 0, []netip.Addr{addr("10.0.0.1")}, 0},
		{"unless one member is planned", "dns://egal:7946", 1, []netip.Addr{addr("10.0.0.1")}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				resolve := func(context.Context, string) ([]netip.Addr, error) { return tc.resolved, nil }
				nodes := named(t, tc.seed, tc.initial, resolve, founders[:3]...)
				for _, n := range nodes {
					if got := len(n.View().Members()); tc.want == 0 && !n.View().Cluster().IsZero() || tc.want > 0 && got != tc.want {
						t.Errorf("%v: cluster %v, %d members", n.Addr(), n.View().Cluster(), got)
					}
				}
				for _, n := range nodes {
					must(t, n.Close())
				}
			})
		})
	}
}

// All nodes restart at once with new addresses: the name that they join by leads them to each other.
func TestAllAddressesChangeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolved := []netip.Addr{netip.MustParseAddr("10.0.0.1")}
		resolve := func(context.Context, string) ([]netip.Addr, error) { return resolved, nil }
		network := transport.NewNetwork(1)
		disks := []durable.FS{durable.Memory(), durable.Memory(), durable.Memory()}
		start := func(round int) (nodes []*Fabric) {
			for i, disk := range disks {
				tr, err := network.Listen(netip.MustParseAddrPort(fmt.Sprintf("10.0.%d.%d:7946", round, i+1)))
				must(t, err)
				n, err := Start(context.Background(), Config{FS: disk, Dir: "data", Transport: tr, Seeds: []string{"egal:7946"}, Resolve: resolve})
				must(t, err)
				nodes = append(nodes, n)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			return nodes
		}
		var cluster gossip.ClusterID
		for round := range 3 {
			resolved = []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.0.%d.1", round))}
			nodes := start(round)
			if round == 0 {
				cluster = nodes[0].View().Cluster()
			}
			for _, n := range nodes {
				if v := n.View(); v.Cluster() != cluster || cluster.IsZero() || !allUp(3)(v) {
					t.Errorf("round %d, %v: cluster %v with %v", round, n.Addr(), v.Cluster(), v.Members())
				}
			}
			for _, n := range nodes {
				must(t, n.Close())
			}
			time.Sleep(time.Minute)
		}
	})
}
