package fabric

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
)

const (
	here  = "10.0.0.1:7946"
	other = "10.0.0.2:7946"
	third = "10.0.0.3:7946"
)

// silentNode is an address that takes everything and answers nothing.
type silentNode struct{}

func (silentNode) Datagram(netip.AddrPort, []byte) {}
func (silentNode) Frame(netip.AddrPort, []byte)    {}
func (silentNode) Refused(netip.AddrPort)          {}

func TestWhoFoundsAndWhen(t *testing.T) {
	const never = -1
	for _, tc := range []struct {
		name    string
		seeds   []string
		first   bool
		initial int
		silent  []string
		after   time.Duration
	}{
		{"no seeds: at once", nil, false, 0, nil, 0},
		{"only myself: at once", []string{here}, false, 0, nil, 0},
		{"only myself, first of three planned: at once", []string{here}, true, 3, nil, 0},
		{"no seeds, three planned, not the first seed: never", nil, false, 3, nil, never},
		{"first seed, all others refuse: at once", []string{here, other, third}, true, 0, nil, 0},
		{"first seed of three planned, all others refuse: at once", []string{here, other, third}, true, 3, nil, 0},
		{"first seed, one is silent: after five seconds", []string{here, other, third}, true, 0, []string{third}, FoundAfterSilence},
		{"first seed of three planned, one is silent: never", []string{here, other, third}, true, 3, []string{third}, never},
		{"not the first seed, all others refuse: never", []string{other, here, third}, false, 0, nil, never},
		{"not the first seed, all are silent: never", []string{other, third}, false, 0, []string{other, third}, never},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := transport.NewNetwork(1)
				for _, addr := range tc.silent {
					tr, err := network.Listen(netip.MustParseAddrPort(addr))
					must(t, err)
					tr.Start(transport.Identity{Boot: 1}, silentNode{})
					defer func() { must(t, tr.Close()) }()
				}
				tr, err := network.Listen(netip.MustParseAddrPort(here))
				must(t, err)
				logged := &eventLog{seen: map[string]chan struct{}{}}
				founded := logged.event("fabric_founded")
				f, err := Start(t.Context(), Config{
					FS: durable.Memory(), Dir: "data", Transport: tr, Seeds: tc.seeds, Found: tc.first, InitialMembers: tc.initial,
					Logger: slog.New(logged),
				})
				must(t, err)
				defer func() { must(t, f.Close()) }()
				in := func() bool { synctest.Wait(); return !f.View().Cluster().IsZero() }
				switch {
				case tc.after == never:
					time.Sleep(time.Minute) // the bubble's time
					if in() {
						t.Fatal("it founded")
					}
					return
				case tc.after > 0:
					time.Sleep(tc.after - time.Nanosecond)
					if in() {
						t.Fatal("it founded too early")
					}
					time.Sleep(time.Nanosecond)
				}
				if !in() {
					t.Fatal("it did not found")
				}
				await(t, "founded", founded)
			})
		})
	}
}

// A node that was in a cluster waits for it, whatever the seeds say; a first seed with an old directory does not found
// on silence.
func TestANodeThatWasInAClusterNeverFoundsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := transport.NewNetwork(1)
		open := func(disk durable.FS, addr string, first bool, seeds ...string) *Fabric {
			tr, err := network.Listen(netip.MustParseAddrPort(addr))
			must(t, err)
			f, err := Start(context.Background(), Config{FS: disk, Dir: "data", Transport: tr, Seeds: seeds, Found: first})
			must(t, err)
			return f
		}
		diskA, diskB := durable.Memory(), durable.Memory()
		a := open(diskA, here, true, here)
		b := open(diskB, other, false, here)
		synctest.Wait()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		cluster := b.View().Cluster()
		if cluster.IsZero() || cluster != a.View().Cluster() {
			t.Fatal("no cluster")
		}
		must(t, a.Close())
		must(t, b.Close())
		// Its snapshot is lost, and everybody else is gone: it waits.
		must(t, diskB.Remove("data/fabric/members"))
		b = open(diskB, other, true, here, other)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.View(); got.Cluster() != cluster && !got.Cluster().IsZero() || len(got.Members()) > 1 {
			t.Fatalf("cluster %s, want %s", got.Cluster(), cluster)
		}
		a = open(diskA, here, true, here)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for _, f := range []*Fabric{a, b} {
			if f.View().Cluster() != cluster || !allUp(2)(f.View()) {
				t.Fatalf("cluster %s with %v", f.View().Cluster(), f.View().Members())
			}
			must(t, f.Close())
		}
	})
}

func TestSeedsAreHostAndPort(t *testing.T) {
	for seed, ok := range map[string]bool{
		"127.0.0.1:7946": true, "dns://egal-headless:7946": true, "dns://:7946": false, "dns://egal": false, "[::1]:1": true, "node-1.example:65535": true,
		"127.0.0.1": false, "127.0.0.1:0": false, ":7946": false, "host:65536": false, "host:http": false, "": false,
	} {
		if _, err := parseSeed(seed); (err == nil) != ok {
			t.Errorf("%q: %v", seed, err)
		}
	}
}

func TestANameIsResolvedInTheBackground(t *testing.T) {
	if ips, err := net.DefaultResolver.LookupNetIP(t.Context(), "ip4", "localhost"); err != nil || !ips[0].IsLoopback() {
		t.Skip("localhost has no address here")
	}
	c := newCluster(t, false)
	c.add(1)
	c.converged(1, c.nodes...)
	tr := c.listen(netip.AddrPort{})
	second := &node{disk: durable.Memory(), addr: tr.Addr(), seeds: []string{fmt.Sprintf("localhost:%d", c.nodes[0].addr.Port())}}
	c.startOn(second, tr)
	c.nodes = append(c.nodes, second)
	c.converged(2, c.nodes...)
}
