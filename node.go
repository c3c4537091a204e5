package egal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/access"
	"github.com/egalcluster/egal/internal/durable"
	"github.com/egalcluster/egal/internal/jobs"
	"github.com/egalcluster/egal/slots"
)

// goodbyeTimeout bounds the goodbye of a node whose start has failed half-way.
const goodbyeTimeout = time.Second

// Node is a running node.
type Node struct {
	config  Config
	secrets secrets
	fabric  *fabric.Fabric
	access  *access.Access
	jobs    *jobs.Service
	slots   []*slots.Service
	ended   chan struct{} // closed by Close
	close   func() error  // once

	history  history
	watching sync.WaitGroup // until the fabric closes
	running  sync.WaitGroup
}

// Start opens the node's ports, reads its identity from its data directory or makes it, and sets out to join or found
// a cluster; Ready waits for that. ctx bounds the start alone: Close ends the node.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.complete()
	if err := cfg.foresee(ctx); err != nil {
		return nil, fmt.Errorf("egal: start: %w", err)
	}
	secrets, err := loadSecrets(cfg)
	if err != nil {
		return nil, fmt.Errorf("egal: start: %w", err)
	}
	members, err := startFabric(ctx, cfg, secrets)
	if err != nil {
		return nil, fmt.Errorf("egal: start: %w", err)
	}
	n := &Node{config: cfg, secrets: secrets, fabric: members, ended: make(chan struct{})}
	if secrets.certificates != nil {
		n.running.Go(func() { secrets.watch(n.ended, cfg.Logger) }) // ends by Close
	}
	n.close = sync.OnceValue(n.stop)
	n.access = access.Open(access.Config{Fabric: members, Now: cfg.Now, Logger: cfg.Logger}) //nolint:contextcheck // what these start ends by Close
	n.jobs = jobs.Open(jobs.Config{Fabric: members, Now: cfg.Now, Logger: cfg.Logger})       //nolint:contextcheck // likewise
	n.publishVersion(ctx)
	n.watching.Go(n.watch) // ends by Close
	if secrets.keys != nil {
		if err := n.jobs.Register(jobs.Kind{Name: kindRotateKey, Unit: "steps", Run: n.rotateKey}); err != nil {
			return nil, fmt.Errorf("egal: start: %w", errors.Join(err, n.abandon(ctx)))
		}
	}
	if cfg.runs(StructureSlots) {
		service, err := startSlots(ctx, cfg, members)
		if err != nil {
			return nil, fmt.Errorf("egal: start: %w", errors.Join(err, n.abandon(ctx)))
		}
		n.slots = append(n.slots, service)
	}
	return n, nil
}

// complete fills in what zero fields stand for.
func (c Config) complete() Config {
	c.Location = cmp.Or(c.Location, DefaultLocation)
	c.FabricListen = cmp.Or(c.FabricListen, DefaultFabricListen)
	c.SlotsListen = cmp.Or(c.SlotsListen, DefaultSlotsListen)
	c.SlotsEngine = cmp.Or(c.SlotsEngine, "auto")
	c.FabricStrategy = cmp.Or(c.FabricStrategy, gossip.StrategyINR.String())
	c.DownPolicy = cmp.Or(c.DownPolicy, gossip.DownMajority.String())
	c.Version = cmp.Or(c.Version, Version().Version)
	if c.ListenConfig == nil {
		c.ListenConfig = &net.ListenConfig{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Disk == nil && c.Data == "" {
		c.Disk = MemoryDisk()
	}
	if c.Data == "" {
		c.Data = memoryDir
	}
	return c
}

// foresee looks whether the store's port is free, before the node becomes a member that the others would miss.
func (c Config) foresee(ctx context.Context) error {
	if !c.runs(StructureSlots) {
		return nil
	}
	listener, err := c.ListenConfig.Listen(ctx, "tcp", c.SlotsListen)
	if err != nil {
		return &ListenError{Field: "SlotsListen", Address: c.SlotsListen, Err: err}
	}
	return listener.Close()
}

func startFabric(ctx context.Context, cfg Config, using secrets) (*fabric.Fabric, error) {
	strategy, err := gossip.ParseStrategy(cfg.FabricStrategy)
	if err != nil {
		return nil, err
	}
	kind, err := gossip.ParseDownKind(cfg.DownPolicy)
	if err != nil {
		return nil, err
	}
	open := cfg.Transport
	if open == nil {
		open = func(ctx context.Context) (transport.Transport, error) {
			return transport.Listen(ctx, transport.NetConfig{
				Addr: cfg.FabricListen, ListenConfig: cfg.ListenConfig, Keys: using.keys, Certificates: using.certificates,
				AllowPlain: cfg.AllowPlain || cfg.Insecure, Logger: cfg.Logger,
			})
		}
	}
	way, err := open(ctx)
	if err != nil {
		return nil, &ListenError{Field: "FabricListen", Address: cfg.FabricListen, Err: err}
	}
	disk := durable.OS()
	if cfg.Disk != nil {
		disk = cfg.Disk.fs
	}
	return fabric.Start(ctx, fabric.Config{
		FS: disk, Dir: cfg.Data, Transport: way, Keys: using.keys,
		Seeds: cfg.Seeds, Resolve: cfg.Resolve, Found: cfg.FirstSeed, InitialMembers: cfg.InitialMembers,
		Name: cfg.Name, Location: cfg.Location, Roles: cfg.Roles,
		Gossip: gossip.Config{
			Strategy: strategy, Fanout: cfg.FabricFanout, ProbeInterval: cfg.ProbeInterval, ProbeMisses: cfg.ProbeMisses,
			DownPolicy: gossip.DownPolicy{Kind: kind, Quorum: cfg.DownQuorum, StableAfter: cfg.StableAfter},
		},
		Now: cfg.Now, Rand: cfg.Seed, Logger: cfg.Logger,
	})
}

func startSlots(ctx context.Context, cfg Config, members *fabric.Fabric) (*slots.Service, error) {
	config := slots.Config{
		Fabric: members, Listen: cfg.SlotsListen, AllowRemote: cfg.Insecure, ListenConfig: cfg.ListenConfig,
		InitialMembers: cfg.InitialMembers, RequireFullCoverage: cfg.RequireFullCoverage, Engine: cfg.SlotsEngine,
		MaxClients: cfg.MaxClients, Seed: cfg.Seed, Now: cfg.Now, Logger: cfg.Logger, Version: cfg.Version,
	}
	if cfg.SlotsAnnounce != "" {
		host, port, err := net.SplitHostPort(cfg.SlotsAnnounce)
		if err != nil {
			return nil, err
		}
		config.Announce.Host = host
		if config.Announce.Port, err = strconv.Atoi(port); err != nil {
			return nil, err
		}
	}
	service, err := slots.Start(ctx, config)
	var listening *net.OpError
	if errors.As(err, &listening) && listening.Op == "listen" {
		return nil, &ListenError{Field: "SlotsListen", Address: cfg.SlotsListen, Err: err}
	}
	return service, err
}

// abandon ends a node that could not start wholly. A new one may be a member already, so it says goodbye: it must not
// stay behind as an unreachable one. One that was a member before stays one: what it holds is still on its disk.
func (n *Node) abandon(ctx context.Context) error {
	if n.fabric.Fresh() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
		defer cancel()
		n.awaitCluster(ctx)
		_ = n.fabric.Leave(ctx) // nobody to say it to is no fault
	}
	return n.Close()
}

// awaitCluster waits until the node is in a cluster, or ctx ends. Whom it has asked to let it in may have done so before the
// answer is here: only then is there somebody to say goodbye to.
func (n *Node) awaitCluster(ctx context.Context) {
	for {
		changed := n.fabric.Changed()
		if n.fabric.View().Cluster() != (gossip.ClusterID{}) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Close stops everything the node has started and waits for it. The other nodes are not told: to them it looks like a
// crash, and the node may start again as the same member. Close may be called more than once.
func (n *Node) Close() error { return n.close() }

func (n *Node) stop() error {
	close(n.ended)
	var faults []error
	for _, service := range n.slots {
		faults = append(faults, service.Close())
	}
	n.jobs.Close() // its jobs go on elsewhere
	n.access.Close()
	n.watching.Wait()
	faults = append(faults, n.fabric.Close())
	n.running.Wait()
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("egal: close: %w", err)
	}
	return nil
}

// Leave takes the node out of the cluster and closes it. It waits until the leader has let the node go and all that
// count know that; at most until ctx ends, or some seconds: then the node just says that it ends. What it alone holds
// is gone from the cluster.
func (n *Node) Leave(ctx context.Context) error {
	err := n.fabric.Leave(ctx)
	if err != nil {
		err = fmt.Errorf("egal: leave: %w", err)
	}
	return errors.Join(err, n.Close())
}

// Forget removes a member that is down or cannot be reached from the cluster, for good; id is 32 hexadecimal digits. What
// it owned is nobody's then, and its process, if there is one, stops when it hears of it.
func (n *Node) Forget(ctx context.Context, id string) error {
	return n.dispose(ctx, "forget", id, n.fabric.Forget)
}

// Down takes a member that cannot be reached for down, as the down policy would after a while: the others decide
// without it, and it joins again by itself when it comes back.
func (n *Node) Down(ctx context.Context, id string) error {
	return n.dispose(ctx, "down", id, n.fabric.Down)
}

func (n *Node) dispose(ctx context.Context, what, id string, do func(context.Context, gossip.NodeID) error) error {
	member, err := gossip.ParseNodeID(id)
	if err == nil {
		err = do(ctx, member)
	}
	switch {
	case errors.Is(err, gossip.ErrReachable):
		return fmt.Errorf("egal: %s: %w\nhint: a member that answers leaves by itself: egal node leave", what, err)
	case err != nil:
		return fmt.Errorf("egal: %s: %w", what, err)
	}
	return nil
}

// Cause is what keeps this node out of its cluster, or the cluster from admitting and removing members, in a sentence
// without its end; empty: nothing does.
func (n *Node) Cause() string { return n.fabric.Condition().Cause(n.fabric.View()) }

// ID is the node's identity, 32 hexadecimal digits, made once with its data directory.
func (n *Node) ID() string { return n.fabric.ID().String() }

// Config is what the node was started with, defaults filled in.
func (n *Node) Config() Config { return n.config }

// Fabric is the cluster as this node sees it.
func (n *Node) Fabric() *fabric.Fabric { return n.fabric }

// Access are the users and roles of the cluster.
func (n *Node) Access() *access.Access { return n.access }

// Jobs are the long work of the cluster, which goes on when the node that runs it ends.
func (n *Node) Jobs() *jobs.Service { return n.jobs }

// Slots are the node's services of the store; none if it does not run here. The slice is the caller's.
func (n *Node) Slots() []*slots.Service { return append([]*slots.Service(nil), n.slots...) }

// Failed is closed when the node must stop: another process runs with its identity, it was removed from its cluster,
// or the cluster speaks a version that it does not. Err then says which.
func (n *Node) Failed() <-chan struct{} { return n.fabric.Failed() }

// Err is nil until Failed is closed.
func (n *Node) Err() error {
	if err := n.fabric.Err(); err != nil {
		return fmt.Errorf("egal: %w", err)
	}
	return nil
}

// Done is closed when Close begins.
func (n *Node) Done() <-chan struct{} { return n.ended }

// Wake makes the node look at its clock, which somebody has moved.
func (n *Node) Wake() { n.fabric.Wake() }

// Metrics are the counters of a node.
type Metrics struct {
	Fabric fabric.Metrics
	Jobs   jobs.Metrics
	Slots  []slots.Metrics
}

// Metrics returns the counters as they are now.
func (n *Node) Metrics() Metrics {
	m := Metrics{Fabric: n.fabric.Metrics(), Jobs: n.jobs.Metrics()}
	for _, service := range n.slots {
		m.Slots = append(m.Slots, service.Metrics())
	}
	return m
}
