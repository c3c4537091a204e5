package topology

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/core"
	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// Timers of a Core.
const (
	// RetryRelease is how long after asking for slots to be given up those that were not empty are asked for again.
	RetryRelease = time.Second
	// RetryPublish is how long after a write that the fabric does not show it is repeated.
	RetryPublish = time.Second
	// Settle is how long the services must have stayed the same before the placement follows, so that nodes that join
	// together cause one placement.
	Settle = 100 * time.Millisecond
	// FoundingPatience is how long the first placement waits for services of members that are Up but announce none.
	FoundingPatience = 5 * time.Second
)

// Config describes the service a Core stands for.
type Config struct {
	// Self is the service.
	Self ServiceID
	// Host is the announced host name, at most MaxHost bytes, may be empty.
	Host string
	// IP is the announced address; the zero Addr is unknown.
	IP netip.Addr
	// Port is where clients are served, BusPort the fabric's port of the node.
	Port, BusPort uint16
	// InitialMembers is how many nodes with a service wait for each other before slots are placed for the first time;
	// 0 stands for 1.
	InitialMembers int
}

// Core keeps one service's claim, and its node's part in the placement.
type Core struct {
	config Config
	view   *gossip.View
	latest time.Time // of all times seen

	claim       *Claim // of this service; replaced, never changed
	published   []byte // what was last asked to be written
	publishedAt time.Time
	others      []service // of all members but this one, sorted by id
	decoded     map[ServiceID]decoded
	epoch       uint64 // the highest seen

	placement       *Placement // nil: none
	placementRecord []byte
	leader          leader

	askAt       time.Time // when slots are asked for again
	republishAt time.Time // when what is published is looked at again

	table   *Table
	publish []Event
	changed bool // the table is to be handed over
	release []Range
}

// decoded keeps a claim with the record it came from; claim is nil when the record is malformed.
type decoded struct {
	record []byte
	claim  *Claim
}

var _ core.Core[gossip.NodeID, Message, Event] = (*Core)(nil)

// New makes the core of a service that starts. It does nothing before the first view.
func New(config Config) *Core {
	return &Core{
		config: config,
		claim:  &Claim{Host: config.Host, IP: config.IP, Port: config.Port, BusPort: config.BusPort},
		table:  &Table{self: -1},
	}
}

// Table is the newest table; never nil.
func (c *Core) Table() *Table { return c.table }

// Receive takes a message of the shell.
func (c *Core) Receive(now time.Time, _ gossip.NodeID, m Message) {
	switch m := m.(type) {
	case ViewChanged:
		c.read(m.View)
	case Released:
		c.grant(SetOf(m.Slots))
	}
	c.advance(now)
}

// Tick tells that deadlines have passed.
func (c *Core) Tick(now time.Time) { c.advance(now) }

// Next is the earliest deadline.
func (c *Core) Next() (next time.Time) {
	for _, at := range []time.Time{c.askAt, c.republishAt, c.leader.settled, c.leader.impatient, c.leader.rewrite} {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// Ready hands over the events: what is to be published, the table, and what is to be released, in this order.
func (c *Core) Ready() core.Ready[gossip.NodeID, Message, Event] {
	events := c.publish
	if c.changed {
		events = append(events, TableChanged{Table: c.table})
	}
	if len(c.release) > 0 {
		events = append(events, Release{Slots: c.release})
	}
	c.publish, c.changed, c.release = nil, false, nil
	return core.Ready[gossip.NodeID, Message, Event]{Notify: events}
}

// advance does all that the newest view and the time ask for.
func (c *Core) advance(now time.Time) {
	if now.Before(c.latest) { // the clock was set back: no deadline means anything
		c.askAt, c.publishedAt, c.leader = time.Time{}, time.Time{}, leader{}
	}
	c.latest = now
	if c.view == nil {
		return
	}
	c.settleClaim()
	c.publishClaim(now)
	c.lead(now)
	c.updateTable()
	c.giveUp(now)
}

// read takes over what the view says of services and placement.
func (c *Core) read(v *gossip.View) {
	c.view = v
	known := make(map[ServiceID]decoded, len(c.decoded))
	c.others = c.others[:0:0]
	for _, m := range v.Members() {
		for index := range uint32(MaxServicesPerNode) {
			record, ok := v.Own(m.ID, ClaimKey(index))
			if !ok {
				continue
			}
			id := ServiceID{Node: m.ID, Index: index}
			d, seen := c.decoded[id]
			if !seen || !bytes.Equal(d.record, record) {
				d = decoded{record: record}
				d.claim, _ = DecodeClaim(record) // a malformed claim claims nothing
			}
			known[id] = d
			if d.claim == nil {
				continue
			}
			c.epoch = max(c.epoch, d.claim.highest())
			if id != c.config.Self && len(c.others) < MaxServices-1 {
				c.others = append(c.others, service{
					id: id, claim: d.claim, status: m.Status, upNumber: m.UpNumber,
					reachable: m.Reachable && m.Status != gossip.StatusDown,
				})
			}
		}
	}
	c.decoded = known
	c.readPlacement(v)
	c.adopt(v)
}

func (c *Core) readPlacement(v *gossip.View) {
	record, _, ok := v.Shared(PlacementKey)
	if !ok {
		c.placement, c.placementRecord = nil, nil
		return
	}
	if c.placementRecord != nil && bytes.Equal(c.placementRecord, record) {
		return
	}
	c.placementRecord = record
	c.placement, _ = DecodePlacement(record) // a malformed placement wishes nothing
	c.askAt = time.Time{}
}

// adopt takes the claim of this service's earlier life for its own, until it has claimed anything in this one.
func (c *Core) adopt(v *gossip.View) {
	if c.claim.Epoch > 0 {
		return
	}
	record, ok := v.Own(c.config.Self.Node, ClaimKey(c.config.Self.Index))
	if !ok {
		return
	}
	if old, err := DecodeClaim(record); err == nil && old.Epoch > 0 {
		next := c.claim.clone()
		next.Slots, next.Grants, next.Epoch = old.Slots, old.Grants, old.Epoch
		c.amend(next)
	}
}

// amend replaces the claim.
func (c *Core) amend(next *Claim) {
	c.claim = next
	c.epoch = max(c.epoch, next.Epoch)
}

// grant gives slots that were asked for, and are not served any more, to whom they are placed with.
func (c *Core) grant(released SlotSet) {
	next := c.claim.clone()
	released = released.and(&next.Slots)
	for slot := range released.all() {
		if to, ok := c.heir(slot); ok && next.grant(to, slot) {
			next.Slots.Remove(slot)
		}
	}
	c.amend(next)
}

// heir is the service that a slot of this one should go to: the placement says so, and it is there to claim it.
func (c *Core) heir(slot keyspace.Slot) (ServiceID, bool) {
	if c.placement == nil {
		return ServiceID{}, false
	}
	id, ok := c.placement.Owner(slot)
	if !ok || id == c.config.Self {
		return ServiceID{}, false
	}
	i := indexOf(c.others, id)
	return id, i != nobody && c.others[i].reachable && c.others[i].status == gossip.StatusUp
}

// settleClaim gives way to stronger claims, forgets grants that were taken up, parts equal epochs, and claims what was
// granted to this service, and what is placed here and free.
func (c *Core) settleClaim() {
	services := c.services()
	me := indexOf(services, c.config.Self)
	r := rule(services, c.member)
	next := c.claim.clone()
	for slot := range c.claim.Slots.all() {
		if by := r.by[slot]; r.favours[slot] != me {
			next.Slots.Remove(slot)
			next.receipt(services[by].id, services[by].claim.Epoch)
		}
	}
	for i := range c.claim.Grants {
		g := &c.claim.Grants[i]
		to := indexOf(services, g.To)
		for slot := range g.Slots.all() {
			holder := r.by[slot]
			if to != nobody && services[to].claim.has(slot) {
				holder = to
			}
			if holder == me || holder == nobody {
				continue
			}
			next.entry(g.To).Slots.Remove(slot)
			next.receipt(services[holder].id, services[holder].claim.Epoch)
		}
	}
	next.Grants = slices.DeleteFunc(next.Grants, func(g Grant) bool { return g.void() || !c.member(g.To.Node) })
	if next.Epoch > 0 && c.contested(next.Epoch) || c.remembered() > next.Epoch {
		next.Epoch = c.above(0)
	}
	c.amend(next)
	if services[me].status == gossip.StatusUp {
		c.claimMore(services, r, me)
	}
}

// contested reports whether a service with a larger id has the same epoch, so that this one has to move on.
func (c *Core) contested(epoch uint64) bool {
	return slices.ContainsFunc(c.others, func(s service) bool {
		return s.claim.Epoch == epoch && c.config.Self.Compare(s.id) < 0
	})
}

// remembered is the highest epoch that others have receipts for, perhaps of an earlier life that left nothing else.
func (c *Core) remembered() (epoch uint64) {
	for i := range c.others {
		for k := range c.others[i].claim.Grants {
			if g := &c.others[i].claim.Grants[k]; g.To == c.config.Self {
				epoch = max(epoch, g.Taken)
			}
		}
	}
	return epoch
}

// behind reports whether some service has a receipt of a claim that is not known here: claims of different services
// arrive in any order, and a slot that seems free may be in the one that is missing.
func (c *Core) behind(services []service) bool {
	for i := range c.others {
		for k := range c.others[i].claim.Grants {
			g := &c.others[i].claim.Grants[k]
			if g.Taken == 0 || g.To == c.config.Self || !c.member(g.To.Node) {
				continue
			}
			if to := indexOf(services, g.To); to == nobody || services[to].claim.Epoch < g.Taken {
				return true
			}
		}
	}
	return false
}

// claimMore claims what was granted to this service, and what is placed here and free, at a new epoch.
func (c *Core) claimMore(services []service, r *ruling, me uint16) {
	var placed SlotSet
	place := 0
	if c.placement != nil && !c.behind(services) {
		placed, place, _ = c.placement.Of(c.config.Self)
	}
	next := c.claim.clone()
	for slot := range keyspace.Slot(keyspace.Slots) {
		free := r.by[slot] == nobody && placed.Has(slot)
		granted := r.by[slot] != nobody && r.by[slot] != me && r.favours[slot] == me
		if free || granted {
			next.Slots.Add(slot)
		}
	}
	if next.Slots != c.claim.Slots {
		// Services of one placement that claim at the same time take different epochs at once.
		next.Epoch = c.above(place)
		c.amend(next)
	}
}

func (c *Core) member(id gossip.NodeID) bool {
	_, ok := c.view.Member(id)
	return ok
}

// above is an epoch above all seen.
func (c *Core) above(more int) uint64 { return min(c.epoch+1+uint64(more), MaxEpoch) }

// self is this service as others see it.
func (c *Core) self() service {
	s := service{id: c.config.Self, claim: c.claim, status: gossip.StatusJoining, reachable: true}
	if m, ok := c.view.Member(c.config.Self.Node); ok {
		s.status, s.upNumber = m.Status, m.UpNumber
	}
	return s
}

// services are all services, this one included, sorted by id.
func (c *Core) services() []service {
	me := c.self()
	at, _ := slices.BinarySearchFunc(c.others, me.id, func(s service, id ServiceID) int { return s.id.Compare(id) })
	return slices.Insert(slices.Clone(c.others), at, me)
}

// publishClaim writes the claim when it has changed, and again when the fabric does not show it after a while.
func (c *Core) publishClaim(now time.Time) {
	key := ClaimKey(c.config.Self.Index)
	record := c.claim.Encode()
	shown, _ := c.view.Own(c.config.Self.Node, key)
	c.republishAt = time.Time{}
	if bytes.Equal(shown, record) && bytes.Equal(c.published, record) {
		return
	}
	if due := c.publishedAt.Add(RetryPublish); bytes.Equal(c.published, record) && now.Before(due) {
		c.republishAt = due
		return
	}
	c.publish = append(c.publish, PublishOwn{Key: key, Value: record})
	c.published, c.publishedAt = record, now
	c.republishAt = now.Add(RetryPublish)
}

// updateTable derives the table and hands it over if it says anything new.
func (c *Core) updateTable() {
	services := c.services()
	t := newTable(c.config.Self, services, rule(services, c.member), c.epoch)
	_, known := c.view.Member(c.config.Self.Node)
	t.isMember = known && !c.view.Cluster().IsZero()
	t.placement = c.placement != nil
	if t.equal(c.table) {
		return
	}
	c.table, c.changed = t, true
}

// giveUp asks to release the slots that are placed with another service. A slot that was granted to this one stays
// until the grant is forgotten: two grants of one slot would contradict each other.
func (c *Core) giveUp(now time.Time) {
	foreign := SlotSet{}
	for slot := range c.claim.Slots.all() {
		if _, ok := c.heir(slot); ok {
			foreign.Add(slot)
		}
	}
	for i := range c.others {
		granted := c.others[i].claim.grantedTo(c.config.Self)
		foreign = foreign.minus(&granted)
	}
	switch {
	case foreign.empty():
		c.askAt = time.Time{}
	case !now.Before(c.askAt):
		c.release = foreign.Ranges()
		c.askAt = now.Add(RetryRelease)
	}
}

// unclaimed reports whether nobody claims any slot.
func (c *Core) unclaimed() bool {
	for i := range c.others {
		if !c.others[i].claim.Slots.empty() {
			return false
		}
	}
	return c.claim.Slots.empty()
}
