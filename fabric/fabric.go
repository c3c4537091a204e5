package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/loop"
)

// ErrSuperseded says that a later process with this node's identity is in the cluster.
var ErrSuperseded = errors.New("fabric: another process runs with this node's identity\nhint: a copied data directory; start the copy with an empty one")

// Fabric is one node's handle on the running cluster. All methods are safe from any goroutine.
type Fabric struct {
	config    Config
	home      *home
	transport transport.Transport
	core      *gossip.Core // owned by the loop's goroutine
	loop      *loop.Loop[gossip.Peer, gossip.Message, gossip.Event]
	registers *Registers
	keyed     *keyed           // nil: there are no cluster keys
	bootNow   func() time.Time // counts the time in which the machine is suspended
	logger    *slog.Logger

	published  atomic.Pointer[published]
	founding   *founding
	stop       context.CancelFunc // ends the background goroutines
	running    sync.WaitGroup
	closing    sync.Once
	closeErr   error
	failed     chan struct{}
	fail       sync.Once
	failure    error         // set before failed is closed
	ended      chan struct{} // closed by Close
	left       chan struct{} // closed when the node is out of the cluster
	leaving    sync.Once
	notices    chan gossip.Event // for observe; more than fit are not logged
	condition  condition
	gatherings gatherings

	encoded  []byte           // scratch of send, owned by the loop's goroutine
	entered  gossip.ClusterID // what the transport knows of our cluster; as encoded
	boot     gossip.BootID    // and of our boot; as encoded
	refusal  error            // of the write in progress, owned by the loop's goroutine
	silent   bool             // the core does nothing any more; as refusal
	last     atomic.Pointer[gossip.Metrics]
	counters struct{ undecodable, unsent, snapshots, snapshotFailures atomic.Uint64 }
}

// published is a view and the channel that is closed when a newer one is out.
type published struct {
	view    *gossip.View
	changed chan struct{}
}

// Start opens the data directory, makes the identity when there is none, and returns; the node then joins or founds a
// cluster in the background. It takes over the transport. ctx bounds Start only.
func Start(ctx context.Context, config Config) (*Fabric, error) {
	f, err := start(ctx, config)
	if err != nil {
		err = fmt.Errorf("fabric: start: %w", err)
		if config.Transport != nil {
			err = errors.Join(err, config.Transport.Close())
		}
		return nil, err
	}
	return f, nil
}

func start(ctx context.Context, config Config) (*Fabric, error) {
	if err := errors.Join(config.Validate(), ctx.Err()); err != nil {
		return nil, err
	}
	bootNow := config.Now
	if config.Now == nil {
		config.Now, bootNow = time.Now, loop.BootTime
	}
	if config.Resolve == nil {
		config.Resolve = systemResolver
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	h, err := openHome(config.FS, config.Dir)
	if err != nil {
		return nil, err
	}
	f := &Fabric{
		config: config, home: h, transport: config.Transport, bootNow: bootNow, logger: config.Logger, failed: make(chan struct{}),
		ended: make(chan struct{}), left: make(chan struct{}), notices: make(chan gossip.Event, maxNotices),
	}
	if err := f.begin(); err != nil { //nolint:contextcheck // what it starts outlives Start
		if f.registers != nil {
			err = errors.Join(err, f.registers.votes.Close())
		}
		return nil, errors.Join(err, h.lock.Close())
	}
	return f, nil
}

// begin brings the node to life in its locked home.
func (f *Fabric) begin() error {
	now := f.config.Now()
	random, err := newRandom(f.config.Rand, f.home.identity.generation)
	if err != nil {
		return err
	}
	f.founding = newFounding(f.config.Seeds, f.Addr())
	f.founding.may = f.mayFound()
	alone := f.foundsAtOnce()
	if alone && f.home.identity.cluster.IsZero() {
		f.home.identity.cluster, f.home.identity.founding = newClusterID(random), true
	}
	boot := gossip.BootID(max(random.Uint64(), 1))
	f.home.name(random)
	if f.registers, err = f.openRegisters(boot, random.Uint64()); err != nil { // before the identity: see there
		return err
	}
	if err := f.home.begin(now); err != nil {
		return err
	}
	snapshot, err := f.startingState()
	if err != nil {
		return err
	}
	gossiping := f.config.Gossip
	gossiping.ID, gossiping.Generation = f.home.identity.node, f.home.identity.generation
	gossiping.Boot = boot
	gossiping.Seed = random.Uint64()
	gossiping.Addr = f.Addr()
	gossiping.Name, gossiping.Location, gossiping.Roles = f.config.Name, f.config.Location, f.config.Roles
	if gossiping.View == nil {
		gossiping.Snapshot = snapshot
	}
	if f.core, err = gossip.New(gossiping, now); err != nil {
		return err
	}
	initial := f.core.View()
	f.published.Store(&published{view: initial, changed: make(chan struct{})})
	f.entered = initial.Cluster()
	f.boot = boot
	f.transport.Enter(transport.ClusterID(f.entered))
	f.loop = loop.Start(f.core, loop.Config[gossip.Peer, gossip.Message, gossip.Event]{
		Now: f.config.Now, Send: f.send, Notify: f.notify,
	})
	f.registers.start()
	if f.config.Keys != nil {
		f.keyed = &keyed{fabric: f, ring: f.config.Keys}
		f.transport.Handle(orderKind(), f.keyed.handle)
	}
	f.transport.Start(transport.Identity{Node: gossiping.ID, Boot: uint64(gossiping.Boot)}, handler{f})
	background, stop := context.WithCancel(context.Background())
	f.stop = stop
	cluster := f.home.identity.cluster
	f.running.Go(func() { f.settle(background, alone, cluster, random) }) // these end by Close
	f.running.Go(func() { f.observe(background, initial) })
	f.running.Go(func() { f.persist(background) })
	f.running.Go(func() { f.keepRoot(background) })
	if f.keyed != nil {
		f.running.Go(func() { f.keepKeys(background) })
	}
	return nil
}

// startingState is the state of an earlier run. A node that was in a cluster never enters another one, even when its
// snapshot is lost.
func (f *Fabric) startingState() (*gossip.Snapshot, error) {
	i, snapshot := f.home.identity, f.home.snapshot
	switch {
	case snapshot != nil && snapshot.Cluster() != i.cluster:
		return nil, fmt.Errorf("%s belongs to cluster %s, the node to %s\nhint: delete this file; the node then learns the members from its seeds",
			f.home.snapshotPath(), snapshot.Cluster(), i.cluster)
	case snapshot != nil || i.cluster.IsZero() || i.founding:
		return snapshot, nil
	}
	return gossip.DecodeSnapshot(gossip.EncodeSnapshot(gossip.NewView(gossip.Contents{Self: i.node, Cluster: i.cluster})))
}

// ID is the node's identity, made once with its data directory.
func (f *Fabric) ID() gossip.NodeID { return f.home.identity.node }

// Fresh reports whether this is the first start with the identity: the node was no member of anything before.
func (f *Fabric) Fresh() bool { return f.home.fresh }

// Registers are the cluster's quorum registers.
func (f *Fabric) Registers() *Registers { return f.registers }

// Addr is where other nodes reach this one.
func (f *Fabric) Addr() netip.AddrPort { return f.config.Transport.Addr() }

// View is the newest view; never nil.
func (f *Fabric) View() *gossip.View { return f.published.Load().view }

// Changed is closed when a newer view than the one View returns now is out. To miss nothing, take the channel first:
//
//	for {
//		changed := f.Changed()
//		use(f.View())
//		<-changed
//	}
//
// After Close it is never closed again.
func (f *Fabric) Changed() <-chan struct{} { return f.published.Load().changed }

// publish puts a view out; on the loop's goroutine only.
func (f *Fabric) publish(v *gossip.View) {
	before := f.published.Load()
	if before.view == v || before.view.Version() >= v.Version() && before.view.Version() > 0 {
		return
	}
	f.published.Store(&published{view: v, changed: make(chan struct{})})
	close(before.changed)
}

// SetOwn writes a key of this node's own state. When it returns, View shows the write; the others hear it soon.
func (f *Fabric) SetOwn(ctx context.Context, key string, value []byte) error {
	return f.write(ctx, "set own", key, gossip.SetOwn{Key: key, Value: value})
}

// DeleteOwn deletes a key of this node's own state.
func (f *Fabric) DeleteOwn(ctx context.Context, key string) error {
	return f.write(ctx, "delete own", key, gossip.DeleteOwn{Key: key})
}

// SetShared writes a key of the map that all nodes share; the last writer wins. When it returns, View shows the write.
func (f *Fabric) SetShared(ctx context.Context, key string, value []byte) error {
	return f.write(ctx, "set shared", key, gossip.SetShared{Key: key, Value: value})
}

// DeleteShared deletes a key of the shared map.
func (f *Fabric) DeleteShared(ctx context.Context, key string) error {
	return f.write(ctx, "delete shared", key, gossip.DeleteShared{Key: key})
}

// write gives the request to the core and waits until the core's answer is out.
func (f *Fabric) write(ctx context.Context, operation, key string, m gossip.Message) error {
	answer := make(chan error, 1) // the answer may come after ctx has ended and nobody waits for it
	err := f.loop.Request(ctx, f.Addr(), m, func() {
		if f.silent && f.refusal == nil {
			f.refusal = gossip.ErrNoCluster
		}
		answer <- f.refusal
		f.refusal = nil
		f.publish(f.core.View())
	})
	if err == nil {
		err = <-answer
	}
	if err != nil {
		return fmt.Errorf("fabric: %s %q: %w", operation, key, err)
	}
	return nil
}

// Wake makes the cores look at their clock again, after Config.Now has been moved.
func (f *Fabric) Wake() {
	f.loop.Wake()
	f.registers.loop.Wake()
}

// Failed is closed when this node must stop; Err then says why.
func (f *Fabric) Failed() <-chan struct{} { return f.failed }

// Err is nil until Failed is closed.
func (f *Fabric) Err() error {
	select {
	case <-f.failed:
		return f.failure
	default:
		return nil
	}
}

// Close stops at once and without a goodbye, as if the process had died, but for a last snapshot of the view. It
// waits for every goroutine, and releases the data directory.
func (f *Fabric) Close() error {
	f.closing.Do(func() {
		close(f.ended)
		f.stop()
		err := f.transport.Close()
		_ = f.loop.Inspect(context.Background(), func() { f.remember() }) // after a failure there is nothing to remember
		err = errors.Join(err, f.registers.close())
		f.loop.Close()
		f.running.Wait()
		f.closeErr = errors.Join(err, f.saveView(f.View()), f.home.lock.Close())
	})
	return f.closeErr
}
