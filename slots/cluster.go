package slots

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/slots/internal/command"
	"github.com/egalcluster/egal/slots/internal/keyspace"
	"github.com/egalcluster/egal/slots/internal/topology"
)

// Texts of redirections and refusals, as the compatible server words them. Clients act on them.
const (
	errClusterDown     = "CLUSTERDOWN The cluster is down"
	errSlotNotServed   = "CLUSTERDOWN Hash slot not served"
	errClusterDisabled = "ERR This instance has cluster support disabled"
)

// farAway is how long the driver sleeps when the core has no deadline.
const farAway = time.Hour

// cluster is the service's part in a cluster. A service by itself has none (nil).
//
// One goroutine drives the topology core: it hands it every view of the fabric and carries its events out. The data
// path reads two things. The serving bits say which slots are served here; a bit is read with the lock of the slot's
// shard held, and cleared with it held, so that what was seen empty under the lock stays empty: a slot given up under
// that lock takes no write any more. Everything else, such as where to redirect, comes from an immutable table.
type cluster struct {
	service *Service
	self    topology.ServiceID
	core    *topology.Core // owned by the goroutine of run, before its start by startCluster
	view    *gossip.View   // the last one handed to the core; as core

	serves  [keyspace.Slots / 64]atomic.Uint64
	current atomic.Pointer[outlook]

	stop  context.CancelFunc // ends run
	ended chan struct{}      // closed when run has ended
}

// outlook is what the data path sees of the cluster. It is immutable.
type outlook struct {
	table *topology.Table
	// lost tells since when a service cannot be reached, in milliseconds since 1970.
	lost map[topology.ServiceID]int64
	// changed is closed when the next outlook is there.
	changed chan struct{}
}

// startCluster joins the service, which already listens (s.address) and has its store (s.store), to config.Fabric. No
// client is served before it returns.
func startCluster(ctx context.Context, s *Service) (*cluster, error) {
	config, err := topologyConfig(s)
	if err != nil {
		return nil, err
	}
	c := &cluster{service: s, self: config.Self, core: topology.New(config), ended: make(chan struct{})}
	c.current.Store(&outlook{table: c.core.Table(), changed: make(chan struct{})})
	c.step(ctx)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	go c.run(background) // ends by close, which waits for it
	return c, nil
}

// topologyConfig says what the service announces.
func topologyConfig(s *Service) (topology.Config, error) {
	f := s.config.Fabric
	config := topology.Config{
		Self: topology.ServiceID{Node: f.ID(), Index: uint32(s.config.Index)},
		IP:   known(s.address.Addr()), Port: s.address.Port(), BusPort: f.Addr().Port(),
		InitialMembers: s.config.InitialMembers,
	}
	if s.config.Index >= topology.MaxServicesPerNode {
		return config, fmt.Errorf("cluster: service %d of a node; hint: at most %d services", s.config.Index, topology.MaxServicesPerNode)
	}
	if !config.IP.IsValid() {
		config.IP = known(f.Addr().Addr())
	}
	if s.config.Announce.Port != 0 {
		config.Port = uint16(s.config.Announce.Port)
	}
	host := s.config.Announce.Host
	if address, err := netip.ParseAddr(host); err == nil {
		config.IP = known(address)
		return config, nil
	}
	if !topology.ValidHost(host) {
		return config, fmt.Errorf("cluster: announce %q: not a host name; hint: letters, digits, '.', '-' and '_', at most %d",
			host, topology.MaxHost)
	}
	config.Host = host
	return config, nil
}

// known is an address that clients can use; the zero Addr for "any address".
func known(address netip.Addr) netip.Addr {
	if address.IsUnspecified() {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}

// close stops taking part and waits for every goroutine.
func (c *cluster) close() {
	c.stop()
	<-c.ended
}

// run drives the core until ctx ends.
func (c *cluster) run(ctx context.Context) {
	defer close(c.ended)
	timer := time.NewTimer(farAway)
	defer timer.Stop()
	for {
		changed := c.service.config.Fabric.Changed()
		c.step(ctx)
		wait := farAway
		if next := c.core.Next(); !next.IsZero() {
			wait = max(0, next.Sub(c.service.config.Now()))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-timer.C:
		}
	}
}

// step hands the newest view, or the time, to the core and carries out what it wants. What could not be published is
// published again by the core later.
func (c *cluster) step(ctx context.Context) {
	f, now := c.service.config.Fabric, c.service.config.Now()
	if view := f.View(); view != c.view {
		c.view = view
		c.core.Receive(now, c.self.Node, topology.ViewChanged{View: view})
	} else {
		c.core.Tick(now)
	}
	for ready := c.core.Ready(); !ready.Empty(); ready = c.core.Ready() {
		for _, event := range ready.Notify {
			switch e := event.(type) {
			case topology.PublishOwn:
				c.published(ctx, f.SetOwn(ctx, e.Key, e.Value))
			case topology.PublishShared:
				c.published(ctx, f.SetShared(ctx, e.Key, e.Value))
			case topology.TableChanged:
				c.apply(e.Table, now)
			case topology.Release:
				c.core.Receive(now, c.self.Node, topology.Released{Slots: c.release(e.Slots)})
			}
		}
	}
}

// published reports a write that the fabric did not take.
func (c *cluster) published(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	c.service.config.Logger.Warn("slots state not published", slog.String("event", "slots_unpublished"), slog.Any("error", err))
}

// apply makes a table the current one.
func (c *cluster) apply(table *topology.Table, now time.Time) {
	slots, keys := 0, 0
	for slot := range keyspace.Slot(keyspace.Slots) {
		switch mine, served := table.Mine(slot), c.holds(slot); {
		case mine && !served:
			c.serves[slot/64].Or(1 << (slot % 64))
		case !mine && served:
			keys += c.lose(slot)
			slots++
		}
	}
	if slots > 0 {
		c.service.config.Logger.Warn("slots lost to a stronger claim", slog.String("event", "slots_lost"),
			slog.Int("slots", slots), slog.Int("keys", keys))
	}
	before := c.current.Load()
	lost := map[topology.ServiceID]int64{}
	for _, n := range table.Nodes() {
		if n.Reachable {
			continue
		}
		lost[n.ID] = now.UnixMilli()
		if since, already := before.lost[n.ID]; already {
			lost[n.ID] = since
		}
	}
	if maps.Equal(lost, before.lost) {
		lost = before.lost
	}
	c.current.Store(&outlook{table: table, lost: lost, changed: make(chan struct{})})
	close(before.changed)
}

// lose stops serving a slot that another service claims with more right, and drops its keys, as nobody would ever see
// them again but as ghosts, should the slot come back. It returns their number.
func (c *cluster) lose(slot keyspace.Slot) (keys int) {
	shard := c.service.store.ShardOf(slot)
	shard.Lock()
	defer shard.Unlock()
	c.serves[slot/64].And(^uint64(1 << (slot % 64)))
	for db := range c.service.store.Databases() {
		keys += shard.Database(db).FlushSlot(slot)
	}
	return keys
}

// release stops serving those of the slots that hold no key, and returns them.
func (c *cluster) release(slots []topology.Range) []topology.Range {
	var released topology.SlotSet
	for _, r := range slots {
		for slot := int(r.First); slot <= int(r.Last); slot++ {
			if c.releaseOne(keyspace.Slot(slot)) {
				released.Add(keyspace.Slot(slot))
			}
		}
	}
	return released.Ranges()
}

func (c *cluster) releaseOne(slot keyspace.Slot) bool {
	shard := c.service.store.ShardOf(slot)
	shard.Lock()
	defer shard.Unlock()
	for db := range c.service.store.Databases() {
		if shard.Database(db).SlotLen(slot) > 0 {
			return false
		}
	}
	c.serves[slot/64].And(^uint64(1 << (slot % 64)))
	return true
}

// route decides who serves a call whose keys are all in one slot, and returns the text of the error reply (MOVED,
// CLUSTERDOWN), or "" when it is served here. It is called for every keyed call with the slot's shard locked, so that
// a slot given up under that lock takes no write any more. It neither locks shards nor blocks.
//
// The session and the row decide about copies: after READONLY a session may read from one, and ASKING opens a slot
// that is being imported. A service holds no copies and imports nothing, so neither makes a difference here.
func (c *cluster) route(_ *command.Session, _ *command.Command, slot keyspace.Slot) string {
	served := c.holds(slot)
	if served && !c.service.fullCoverage.Load() {
		return ""
	}
	table := c.table()
	if c.service.fullCoverage.Load() && !table.OK() {
		return errClusterDown
	}
	if served {
		return ""
	}
	owner, ok := table.Served(slot)
	if !ok || owner.Self { // Self: given up just now, the next table will tell to whom
		return errSlotNotServed
	}
	return "MOVED " + strconv.Itoa(int(slot)) + " " + owner.Endpoint() + ":" + strconv.Itoa(owner.Port)
}

// holds reports whether a slot is served here.
func (c *cluster) holds(slot keyspace.Slot) bool {
	return c.serves[slot/64].Load()&(1<<(slot%64)) != 0
}

// id is the service's name in the cluster, 40 hexadecimal digits.
func (c *cluster) id() string { return c.self.String() }

// serving reports whether every slot is served by somebody.
func (c *cluster) serving() bool { return c.table().OK() }

// table is the newest slot table; never nil.
func (c *cluster) table() *topology.Table { return c.current.Load().table }

// changed returns a channel that is closed when the slot table changes.
func (c *cluster) changed() <-chan struct{} { return c.current.Load().changed }

// Table says who serves which slot, as this service sees it. That of a service by itself knows nobody.
func (s *Service) Table() *topology.Table {
	if s.cluster == nil {
		return &topology.Table{}
	}
	return s.cluster.table()
}
