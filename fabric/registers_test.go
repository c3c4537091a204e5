package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/quorum"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
	"github.com/egalcluster/egal/internal/loop"
)

// voting waits until all nodes know of so many voters of the root group.
func (c *cluster) voting(count int) {
	c.t.Helper()
	until(c.t, fmt.Sprintf("%d voters", count), func(v *gossip.View) bool { return len(rootVoters(v)) == count }, c.nodes...)
}

// increment adds one to a register that holds a number.
func increment(value []byte) ([]byte, error) {
	number, err := strconv.Atoi(string(value))
	return strconv.AppendInt(nil, int64(number+1), 10), err
}

// What was acknowledged is counted once, what is unknown once or not at all.
func TestNoIncrementIsLostOrDoubled(t *testing.T) {
	c := newCluster(t, true)
	c.add(3)
	c.voting(3)
	ctx := t.Context()
	for _, n := range c.nodes { // whoever is first makes it
		must(t, n.Registers().Ensure(ctx, "counter", 0, []byte("0")))
	}
	const each = 30
	var running sync.WaitGroup
	var unknown atomic.Int64
	for _, n := range c.nodes {
		running.Go(func() {
			for range each {
				switch _, err := n.Registers().Change(ctx, "counter", increment); {
				case errors.Is(err, ErrUnknown):
					unknown.Add(1)
				case err != nil:
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	for _, n := range c.nodes {
		now, err := n.Registers().Read(ctx, "counter")
		must(t, err)
		counted, err := strconv.Atoi(string(now.Value))
		if err != nil || counted > 3*each || counted < 3*each-int(unknown.Load()) || len(now.Voters) != 3 {
			t.Errorf("%q of version %d, %d are unknown, voters %v: %v", now.Value, now.Version, unknown.Load(), now.Voters, err)
		}
	}
}

func TestARegisterSurvivesARestartOfAll(t *testing.T) {
	c := newCluster(t, true)
	c.add(3)
	c.voting(3)
	ctx := t.Context()
	must(t, c.nodes[1].Registers().Ensure(ctx, "counter", 0, []byte("7")))
	before, err := c.nodes[2].Registers().Change(ctx, "counter", increment)
	must(t, err)
	for _, n := range c.nodes {
		c.kill(n)
	}
	for _, n := range c.nodes {
		c.restart(n)
	}
	c.voting(3)
	after, err := c.nodes[0].Registers().Read(ctx, "counter")
	if err != nil || string(after.Value) != "8" || after.Version != before.Version || !slices.Equal(after.Voters, before.Voters) {
		t.Errorf("%q of version %d, voters %v, before %v: %v", after.Value, after.Version, after.Voters, before, err)
	}
}

func TestAChangeThatIsRefusedChangesNothing(t *testing.T) {
	c := newCluster(t, true)
	c.add(1)
	c.voting(1)
	ctx := t.Context()
	r := c.nodes[0].Registers()
	must(t, r.Ensure(ctx, "counter", 0, []byte("many")))
	if _, err := r.Change(ctx, "counter", increment); !errors.Is(err, strconv.ErrSyntax) {
		t.Error(err)
	}
	if now, err := r.Read(ctx, "counter"); err != nil || now.Version != 1 {
		t.Error(now, err)
	}
	if _, err := r.Change(ctx, "counter", func([]byte) ([]byte, error) { return make([]byte, quorum.MaxValue+1), nil }); !errors.Is(err, ErrBusy) {
		t.Errorf("a value that is too large: %v", err)
	}
}

func TestARegisterThatNobodyMadeIsAnsweredAtOnce(t *testing.T) {
	c := newCluster(t, true)
	c.add(3)
	c.voting(3)
	ctx := t.Context() // without a deadline: a wait would be five seconds, and end as unavailable
	for _, n := range c.nodes {
		if _, err := n.Registers().Read(ctx, "counter"); !errors.Is(err, ErrNoRegister) {
			t.Errorf("read: %v", err)
		}
		if _, err := n.Registers().Change(ctx, "counter", increment); !errors.Is(err, ErrNoRegister) {
			t.Errorf("change: %v", err)
		}
	}
	must(t, c.nodes[0].Registers().Ensure(ctx, "counter", 0, []byte("0")))
	for _, n := range c.nodes {
		now, err := n.Registers().Change(ctx, "counter", increment)
		must(t, err)
		if again, err := n.Registers().Read(ctx, "counter"); err != nil || again.Version != now.Version {
			t.Errorf("%+v, %v", again, err)
		}
	}
}

// A log that was written is never too large to be read.
func TestTheVotesOfAllRegistersFit(t *testing.T) {
	const all = (MaxGroups + 1) * (quorum.MaxRecord + 16)
	if 2*all+loop.MaxBatch*quorum.MaxRecord > maxVotesBytes {
		t.Errorf("%d bytes may be written", 2*all)
	}
}

func TestANodeWithoutItsVotesDoesNotStart(t *testing.T) {
	c := newCluster(t, true)
	c.add(1)
	c.voting(1)
	n := c.nodes[0]
	c.kill(n)
	must(t, n.disk.Remove(n.disk.PathJoin("data", fabricDir, votesFile)))
	_, err := Start(t.Context(), c.config(n, c.listen(n.addr)))
	if !errors.Is(err, quorum.ErrLost) {
		t.Error(err)
	}
}

// A disk that fails is called by its name, and to leave the cluster still means to leave it.
func TestANodeWhoseVotesCannotBeSavedStops(t *testing.T) {
	c := newCluster(t, true)
	c.add(1)
	c.voting(1)
	logged := &eventLog{seen: map[string]chan struct{}{}}
	said := logged.event("fabric_votes_failed")
	broken, fails := errors.New("input/output error"), new(atomic.Bool)
	n := &node{seeds: []string{c.nodes[0].addr.String()}}
	n.disk = errorfs.Wrap(durable.Memory(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fails.Load() && op.Kind == errorfs.OpFileSyncData {
			return broken
		}
		return nil
	}))
	tr := c.listen(netip.AddrPort{})
	n.addr = tr.Addr()
	config := c.config(n, tr)
	config.Logger = slog.New(logged)
	var err error
	n.Fabric, err = Start(t.Context(), config)
	must(t, err)
	c.nodes = append(c.nodes, n)
	c.converged(2, c.nodes...)
	fails.Store(true)
	go func() { _, _ = n.Registers().create(t.Context(), "own", 0, []gossip.NodeID{n.ID()}, nil) }() // ends when the node closes
	<-n.Failed()
	await(t, "said", said)
	if !errors.Is(n.Err(), broken) {
		t.Error(n.Err())
	}
	must(t, n.Leave(t.Context()))
	select {
	case <-n.left:
	default:
		t.Error("it did not wait to be let go")
	}
}

func TestALeaseHasOneHolder(t *testing.T) {
	c := newCluster(t, true)
	c.add(3)
	c.voting(3)
	ctx := t.Context()
	for _, n := range c.nodes {
		must(t, n.Registers().Ensure(ctx, "singleton", 200*time.Millisecond, nil))
	}
	var leases []*Lease
	for _, n := range c.nodes {
		l, err := n.Registers().Hold(ctx, "singleton")
		must(t, err)
		leases = append(leases, l)
	}
	holder := func() (held []int) {
		for i, l := range leases {
			if l.Held() {
				held = append(held, i)
			}
		}
		return held
	}
	first := awaitHolder(t, leases)
	if held := holder(); len(held) > 1 {
		t.Fatalf("%v hold it", held)
	}
	must(t, leases[first].Release(context.Background()))
	leases = slices.Delete(leases, first, first+1)
	awaitHolder(t, leases)
	if held := holder(); len(held) > 1 {
		t.Fatalf("%v hold it", held)
	}
}

// What a Hold that failed has not asked for, the next one does; a second Release leaves a later Hold alone.
func TestALeaseIsHeldAgain(t *testing.T) {
	c := newCluster(t, true)
	c.add(1)
	c.voting(1)
	r, ctx := c.nodes[0].Registers(), t.Context()
	must(t, r.Ensure(ctx, "singleton", 50*time.Millisecond, nil))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for {
		l, err := r.Hold(ended, "singleton") // which of its channels it looks at is drawn
		if err != nil {
			break
		}
		must(t, l.Release(ended))
	}
	first, err := r.Hold(ctx, "singleton")
	must(t, err)
	awaitHolder(t, []*Lease{first})
	must(t, first.Release(ctx))
	second, err := r.Hold(ctx, "singleton")
	must(t, err)
	must(t, first.Release(ctx))
	awaitHolder(t, []*Lease{second})
}

// Registers hear of a clock that was moved: what is due by it is done at once.
func TestRegistersFollowAMovedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const length = 10 * time.Second
		var moved atomic.Int64
		begin := time.Now()
		disk, network := durable.Memory(), transport.NewNetwork(1)
		open := func() *Fabric {
			tr, err := network.Listen(netip.MustParseAddrPort(founders[0]))
			must(t, err)
			f, err := Start(t.Context(), Config{FS: disk, Dir: "data", Transport: tr, Now: func() time.Time { return begin.Add(time.Duration(moved.Load())) }})
			must(t, err)
			return f
		}
		f := open()
		synctest.Wait()
		must(t, f.Registers().Ensure(t.Context(), "singleton", length, nil))
		must(t, f.Close())
		f = open() // its one voter grants nothing for one lease
		synctest.Wait()
		l, err := f.Registers().Hold(t.Context(), "singleton")
		must(t, err)
		synctest.Wait()
		if l.Held() {
			t.Fatal("a voter that began anew has granted")
		}
		moved.Add(int64(length + time.Second))
		f.Wake()
		synctest.Wait()
		if !l.Held() {
			t.Error("it does not know what time it is")
		}
		must(t, f.Close())
	})
}

// awaitHolder waits until one of the leases is held.
func awaitHolder(t *testing.T, leases []*Lease) int {
	t.Helper()
	end := time.After(patience)
	won := make(chan struct{}, len(leases))
	stop := make(chan struct{})
	var watching sync.WaitGroup
	defer watching.Wait()
	defer close(stop)
	for _, l := range leases {
		watching.Go(func() {
			for {
				changed := l.Changed()
				if l.Held() {
					won <- struct{}{}
					return
				}
				select {
				case <-changed:
				case <-stop:
					return
				}
			}
		})
	}
	select {
	case <-won:
	case <-end:
		t.Fatal("nobody gets the lease")
	}
	for i, l := range leases {
		if l.Held() {
			return i
		}
	}
	t.Fatal("the lease was won and lost")
	return -1
}

// BenchmarkRootChange is one change of a register with three voters, over sockets.
func BenchmarkRootChange(b *testing.B) {
	c := newCluster(b, false)
	c.add(3)
	c.voting(3)
	r := c.nodes[0].Registers()
	must(b, r.Ensure(b.Context(), "counter", 0, []byte("0")))
	for b.Loop() {
		_, err := r.Change(b.Context(), "counter", increment)
		must(b, err)
	}
}
