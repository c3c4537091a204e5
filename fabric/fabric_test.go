package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
)

func TestNodesFormOneCluster(t *testing.T) {
	for _, n := range []int{1, 3, 10} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			everywhere(t, func(t *testing.T, c *cluster) {
				t.Helper()
				c.add(n)
				c.converged(n, c.nodes...)
				for _, node := range c.nodes {
					if node.View().Cluster() != c.nodes[0].View().Cluster() || node.View().Cluster().IsZero() {
						t.Fatalf("different clusters\n%s", describe(c.nodes))
					}
				}
			})
		})
	}
}

func TestAWriteIsShownAtOnceAndArrivesEverywhere(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		t.Helper()
		c.add(3)
		c.converged(3, c.nodes...)
		for i, writer := range c.nodes {
			key, value := fmt.Sprintf("key/%d", i), fmt.Sprint(i)
			must(t, writer.SetShared(t.Context(), key, []byte(value)))
			if !shows(key, value)(writer.View()) {
				t.Fatal("the writer's view does not show the write")
			}
			until(t, "the shared write", shows(key, value), c.nodes...)
			must(t, writer.SetOwn(t.Context(), "own", []byte(value)))
			if got, ok := writer.View().Own(writer.ID(), "own"); !ok || string(got) != value {
				t.Fatal("the writer's view does not show its own state")
			}
			until(t, "the own write", func(v *gossip.View) bool {
				got, ok := v.Own(writer.ID(), "own")
				return ok && string(got) == value
			}, c.nodes...)
			must(t, writer.DeleteOwn(t.Context(), "own"))
			must(t, writer.DeleteShared(t.Context(), key))
			until(t, "the deletions", func(v *gossip.View) bool {
				_, own := v.Own(writer.ID(), "own")
				_, _, shared := v.Shared(key)
				return !own && !shared
			}, c.nodes...)
		}
		if err := c.nodes[0].SetShared(t.Context(), strings.Repeat("k", 10_000), nil); err == nil {
			t.Fatal("a key of 10 000 bytes was taken")
		}
	})
}

// The core may answer a write whose caller has just given up; the race detector looks on.
func TestAWriteMayBeGivenUpAtAnyMoment(t *testing.T) {
	c := newCluster(t, true)
	c.add(1)
	c.converged(1, c.nodes...)
	key := strings.Repeat("k", gossip.MaxKey+1)
	for i := range 4000 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%41)*time.Microsecond)
		err := c.nodes[0].SetShared(ctx, key, nil)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) == errors.Is(err, gossip.ErrTooLarge) {
			t.Fatalf("want one reason: %v", err)
		}
	}
}

func TestAKilledNodeIsUnreachableAndComesBackAsItself(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		t.Helper()
		c.add(3)
		c.converged(3, c.nodes...)
		victim := c.nodes[2]
		before, _ := c.nodes[0].View().Member(victim.ID())
		if edges := c.nodes[0].Edges(); len(edges) != 2 || edges[0].Accused || edges[1].Accused {
			t.Fatalf("%+v", edges)
		}
		c.kill(victim)
		until(t, "unreachable", reaches(before.ID, false), c.nodes[:2]...)
		c.restart(victim)
		c.converged(3, c.nodes...)
		after, _ := c.nodes[0].View().Member(before.ID)
		if victim.ID() != before.ID || after.UpNumber != before.UpNumber || after.Generation <= before.Generation || after.Boot == before.Boot {
			t.Fatalf("before %+v\nafter %+v", before, after)
		}
	})
}

func TestAllRestartAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		t.Helper()
		c.add(3)
		c.converged(3, c.nodes...)
		must(t, c.nodes[1].SetShared(t.Context(), "kept", []byte("yes")))
		until(t, "the write", shows("kept", "yes"), c.nodes...)
		cluster := c.nodes[0].View().Cluster()
		for _, n := range c.nodes {
			c.kill(n)
			n.disk = durable.Crash(n.disk)
		}
		for _, n := range c.nodes {
			c.restart(n)
		}
		c.converged(3, c.nodes...)
		until(t, "the write", shows("kept", "yes"), c.nodes...)
		for _, n := range c.nodes {
			if n.View().Cluster() != cluster {
				t.Fatalf("another cluster\n%s", describe(c.nodes))
			}
		}
	})
}

func TestAPartitionIsSeenOnBothSidesAndHealsByItself(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		t.Helper()
		c.add(3)
		c.converged(3, c.nodes...)
		c.rules.Partition([]netip.AddrPort{c.nodes[0].addr, c.nodes[1].addr}, []netip.AddrPort{c.nodes[2].addr})
		until(t, "the minority is gone", reaches(c.nodes[2].ID(), false), c.nodes[:2]...)
		until(t, "the majority is gone", func(v *gossip.View) bool {
			return reaches(c.nodes[0].ID(), false)(v) && reaches(c.nodes[1].ID(), false)(v)
		}, c.nodes[2])
		must(t, c.nodes[0].SetShared(t.Context(), "majority", []byte("1")))
		must(t, c.nodes[2].SetShared(t.Context(), "minority", []byte("2")))
		c.rules.Heal()
		until(t, "both writes", func(v *gossip.View) bool { return shows("majority", "1")(v) && shows("minority", "2")(v) }, c.nodes...)
		c.converged(3, c.nodes...)
	})
}

func TestANodeThatLeavesIsRemoved(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		t.Helper()
		c.add(3)
		c.converged(3, c.nodes...)
		must(t, c.nodes[2].Leave(t.Context()))
		c.kill(c.nodes[2])
		until(t, "two members", allUp(2), c.nodes[:2]...)
		c.restart(c.nodes[2])
		c.converged(3, c.nodes...)
	})
}

func TestANodeOfAnotherClusterIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, c *cluster) {
		t.Helper()
		c.add(2)
		c.converged(2, c.nodes...)
		stranger := &node{disk: durable.Memory(), found: true}
		tr := c.listen(netip.AddrPort{})
		stranger.addr = tr.Addr()
		c.startOn(stranger, tr)
		c.nodes = append(c.nodes, stranger)
		until(t, "a cluster of its own", allUp(1), stranger)
		own := stranger.View().Cluster()
		c.kill(stranger)
		logged := &eventLog{seen: map[string]chan struct{}{}}
		refused := logged.event("fabric_join_refused")
		stranger.seeds = []string{c.nodes[0].addr.String()}
		config := c.config(stranger, c.listen(stranger.addr))
		config.Logger = slog.New(logged)
		var err error
		stranger.Fabric, err = Start(t.Context(), config)
		must(t, err)
		await(t, "refused", refused)
		if got := stranger.View().Cluster(); got != own {
			t.Fatalf("cluster %s, want %s", got, own)
		}
		c.converged(2, c.nodes[:2]...)
	})
}

func await(t *testing.T, what string, event <-chan struct{}) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-event:
	case <-timer.C:
		t.Fatalf("waited in vain for the log entry: %s", what)
	}
}

// eventLog is a slog.Handler that tells when an event was logged.
type eventLog struct {
	mu   sync.Mutex
	seen map[string]chan struct{}
}

func (l *eventLog) event(name string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := make(chan struct{})
	l.seen[name] = c
	return c
}

func (l *eventLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *eventLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *eventLog) WithGroup(string) slog.Handler            { return l }

func (l *eventLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if c := l.seen[a.Value.String()]; a.Key == "event" && c != nil {
			close(c)
			delete(l.seen, a.Value.String())
		}
		return true
	})
	return nil
}

func TestTheLogNamesWhatHappens(t *testing.T) {
	c := newCluster(t, true)
	logged := &eventLog{seen: map[string]chan struct{}{}}
	founded, up := logged.event("fabric_founded"), logged.event("member_up")
	gone, back, left := logged.event("member_unreachable"), logged.event("member_reachable"), logged.event("member_left")
	first := &node{disk: durable.Memory(), found: true}
	tr := c.listen(netip.AddrPort{})
	first.addr = tr.Addr()
	config := c.config(first, tr)
	config.Logger = slog.New(logged)
	var err error
	first.Fabric, err = Start(t.Context(), config)
	must(t, err)
	c.nodes = append(c.nodes, first)
	await(t, "founded", founded)
	await(t, "up", up)
	c.add(1)
	c.converged(2, c.nodes...)
	c.kill(c.nodes[1])
	await(t, "gone", gone)
	c.restart(c.nodes[1])
	await(t, "back", back)
	c.converged(2, c.nodes...)
	must(t, c.nodes[1].Leave(t.Context()))
	await(t, "left", left)
}

func TestADirectoryHasOneNode(t *testing.T) {
	for _, where := range []string{"memory", "disk"} {
		t.Run(where, func(t *testing.T) {
			c := newCluster(t, true)
			fs, dir := durable.Memory(), "data"
			if where == "disk" {
				fs, dir = durable.OS(), t.TempDir()
			}
			open := func(dir string) (*Fabric, error) {
				return Start(t.Context(), Config{FS: fs, Dir: dir, Transport: c.listen(netip.AddrPort{})})
			}
			first, err := open(dir)
			must(t, err)
			if _, err := open(dir); !errors.Is(err, durable.ErrLocked) || !strings.Contains(err.Error(), "hint: ") {
				t.Fatalf("a second node on one directory: %v", err)
			}
			elsewhere := fs.PathJoin(dir, "copy")
			must(t, durable.MakeDir(fs, elsewhere))
			must(t, durable.MakeDir(fs, fs.PathJoin(elsewhere, fabricDir)))
			for _, file := range []string{identityFile, fs.PathJoin(fabricDir, votesFile)} {
				content, err := durable.ReadFile(fs, fs.PathJoin(dir, file), maxIdentityBytes)
				must(t, err)
				must(t, durable.WriteFile(fs, fs.PathJoin(elsewhere, file), content))
			}
			if _, err := open(elsewhere); !errors.Is(err, ErrCopied) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("a copied directory: %v", err)
			}
			must(t, first.Close())
			moved, err := open(elsewhere)
			must(t, err)
			if moved.ID() != first.ID() {
				t.Fatal("a moved directory is another node")
			}
			must(t, moved.Close())
		})
	}
}

func TestAStartThatFailsClosesTheTransport(t *testing.T) {
	noLeaks(t)
	network := transport.NewNetwork(1)
	addr := netip.MustParseAddrPort("10.0.0.1:7946")
	for range 2 {
		tr, err := network.Listen(addr)
		must(t, err)
		if _, err := Start(t.Context(), Config{FS: durable.Memory(), Transport: tr, Seeds: []string{"no port"}, InitialMembers: -1}); err == nil {
			t.Fatal("started")
		} else if strings.Count(err.Error(), "config") != 3 {
			t.Fatalf("want all three faults: %v", err)
		}
	}
}
