package gossip

import (
	"math/rand/v2"
	"time"

	"github.com/egalcluster/egal/internal/core"
	"github.com/egalcluster/egal/internal/hlc"
	"github.com/egalcluster/egal/internal/invariant"
)

const (
	// lateTick is how late an own deadline may be noticed before the node blames itself for what it missed.
	lateTick = 500 * time.Millisecond
	// housekeeping is the time between two looks for tombstones to forget.
	housekeeping = time.Minute
	// maxRounds is how often one input may change the membership again by what follows from it.
	maxRounds = 8
)

// Core is the gossip state machine of one node: a core.Core over Peer, Message and Event. It never asks for
// anything to be saved.
type Core struct {
	cfg        Config
	generation uint64    // Config.Generation, or more when peers knew a later one
	now        time.Time // of the latest input
	at         instant   // the same
	born       time.Time // instants are counted from here
	random     *rand.Rand
	clock      hlc.Clock
	clockOff   bool // our clock is off its peers' median
	metrics    Metrics

	cluster     ClusterID
	synced      bool // has founded the cluster, or received its state, since the start
	restored    bool // started in the cluster of its snapshot
	left        bool // said goodbye, was removed or superseded: does nothing any more
	phase       phase
	leaveBy     time.Time // when the node goes although nobody has let it go; zero: it is not leaving
	unfitSaid   bool      // Incompatible has been reported
	owners      table[NodeID, *owner]
	shared      table[sharedKey, *shared]
	sharedBytes int

	view          *View
	changed       bool // the state is ahead of the view
	rosterChanged bool // so is what the member list is made of
	reachChanged  bool // so is who is reachable

	outbox   outbox
	events   []Event
	announce bool // the view has not been reported yet

	writes     writes
	rumors     rumorLog
	load       load
	collection collection
	estimate   estimate
	gathers    int     // under way
	gaps       []delta // came before their predecessors; at most maxGaps, oldest first
	joining    joining
	leading    leading
	losses     losses
	graves     []*shared // removals after their time; at most maxGraves, oldest first

	peers     []*peer // the members we probe, sorted by id
	monitors  monitoring
	lostProbe lostProbe
	verdicts  verdicts // all
	standing  verdicts // those that count
	probeAt   time.Time
	fastAt    time.Time // zero: no peer is suspected after a refused connection
	houseAt   time.Time
	entropy   entropy
}

// New makes the core of one node.
func New(cfg Config, now time.Time) (*Core, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Core{
		cfg: cfg.withDefaults(), generation: cfg.Generation, now: now, born: now, at: instantOf(now, now),
		random:  rand.New(rand.NewPCG(cfg.Seed, 0)),
		houseAt: nextHouse(now), probeAt: now, monitors: monitoring{rules: defaultRules(), since: now},
	}
	c.beginEntropy()
	switch {
	case cfg.View != nil:
		c.startFrom(cfg.View)
	case cfg.Snapshot != nil:
		c.restore(cfg.Snapshot)
	default:
		c.view = &View{self: cfg.ID}
	}
	c.cfg.Snapshot, c.cfg.View = nil, nil
	c.describe()
	c.settle()
	return c, nil
}

// startFrom takes over a ready-made view.
func (c *Core) startFrom(v *View) {
	c.cluster, c.owners, c.shared = v.cluster, v.owners, v.shared
	c.synced, c.sharedBytes, c.verdicts = true, v.sharedBytes, v.verdicts
	taken := *v
	taken.self = c.cfg.ID
	c.view = &taken
	c.writes.flushed = c.self().version
	c.probeAt = c.now.Add(c.spread(c.cfg.ProbeInterval))
	c.judgeVerdicts()
	c.watch()
}

// restore starts from the state of an earlier run: in its cluster, but with everybody unproven.
func (c *Core) restore(s *Snapshot) {
	c.view = &View{self: c.cfg.ID}
	c.cluster = s.cluster
	for _, d := range s.owners {
		if d.owner == c.cfg.ID {
			c.generation = max(c.generation, d.generation+1)
			continue
		}
		c.mergeOwner(d)
	}
	for _, entry := range s.shared {
		c.mergeShared(entry)
	}
	if !c.cluster.IsZero() {
		c.joining.at, c.restored = c.now, true
		c.report(Joined{c.cluster})
	}
}

// describe writes who and where this node is, unless its state says so already.
func (c *Core) describe() {
	described := about{
		boot: c.cfg.Boot, addr: c.cfg.Addr, name: c.cfg.Name, location: c.cfg.Location, roles: c.cfg.Roles, phase: c.phase,
		protocols: c.cfg.Protocols,
	}
	before, _ := c.owners.find(c.cfg.ID)
	if before == nil || before.generation != c.generation {
		c.writes.flushed = 0
		c.replaceOwner(before, &owner{id: c.cfg.ID, generation: c.generation})
	}
	err := c.writeOwn(keyNode, described.encode(), false)
	invariant.Check(err == nil, "a node can describe itself: Validate bounds what it says")
}

// self is this node's own state; never nil after New has called describe.
func (c *Core) self() *owner {
	if o, ok := c.owners.find(c.cfg.ID); ok {
		return o
	}
	return &owner{id: c.cfg.ID, generation: c.generation}
}

// View is the newest view; it shows local writes as soon as Receive returns.
func (c *Core) View() *View { return c.view }

// Metrics are the core's counters.
func (c *Core) Metrics() Metrics {
	m := c.metrics
	m.StampsAhead = c.clock.Refused()
	m.Isolated, m.PhiMilli = c.gauges()
	return m
}

// Receive takes a peer's packet, or a request of the shell. It keeps what the message holds.
func (c *Core) Receive(now time.Time, from Peer, m Message) {
	if c.left {
		return
	}
	c.advance(now)
	switch m := m.(type) {
	case Packet:
		c.receivePacket(from, m)
	case Found:
		c.found(m.Cluster)
	case Join:
		c.join(m.Seeds)
	case SetOwn:
		c.setOwn(m.Key, m.Value, false)
	case DeleteOwn:
		c.setOwn(m.Key, nil, true)
	case SetShared:
		c.setShared(m.Key, m.Value, false)
	case DeleteShared:
		c.setShared(m.Key, nil, true)
	case Leave:
		c.leave(m.Now)
	case Down:
		c.putDown(m.ID, StatusDown)
	case Forget:
		c.putDown(m.ID, StatusRemoved)
	case Gather:
		c.gather(m)
	case PeerRefused:
		c.refusedBy(from)
	}
	c.settle()
}

// Tick tells that all deadlines up to now have passed.
func (c *Core) Tick(now time.Time) {
	if c.left {
		return
	}
	c.advance(now)
	due := func(at time.Time) bool { return !at.IsZero() && !at.After(now) }
	if due(c.fastAt) {
		c.probeFast()
	}
	c.walkOn()
	if due(c.monitors.stageAt) {
		c.nextStage()
	}
	c.decide()
	if due(c.probeAt) {
		c.probeRound()
	}
	if due(c.joining.at) {
		c.ask()
	}
	if due(c.houseAt) {
		c.forgetTombstones()
		c.sweep()
		c.houseAt = nextHouse(now)
	}
	c.tickEntropy()
	c.tickLifecycle()
	c.settle()
}

// Next is the earliest deadline; zero after Leave.
func (c *Core) Next() time.Time {
	if c.left {
		return time.Time{}
	}
	next := c.probeAt
	if len(c.rumors.timers) > 0 {
		if due := c.rumors.timers[0].due.time(c.born); due.Before(next) {
			next = due
		}
	}
	for _, at := range c.deadlines() {
		if !at.IsZero() && at.Before(next) {
			next = *at
		}
	}
	for _, at := range []time.Time{c.nextSend(), c.nextDecision()} {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next
}

// deadlines are those that a late node postpones; rumors have their own.
func (c *Core) deadlines() [15]*time.Time {
	return [...]*time.Time{
		&c.probeAt, &c.fastAt, &c.monitors.stageAt, &c.joining.at, &c.houseAt, &c.writes.at, &c.collection.at,
		&c.entropy.at, &c.entropy.lookAt, &c.entropy.newsAt,
		&c.leaveBy, &c.leading.at, &c.losses.at, &c.leading.inquiry.at, &c.losses.inquiry.at,
	}
}

// Ready hands over what to do. Writes that are due go out here, so that all the writes received since the last
// Ready make one rumor.
func (c *Core) Ready() core.Ready[Peer, Message, Event] {
	if !c.writes.at.IsZero() && !c.writes.at.After(c.now) {
		c.flush()
	}
	if !c.collection.at.IsZero() && !c.collection.at.After(c.now) {
		c.flushCollection()
	}
	c.inquire()
	if c.announce {
		c.events = append(c.events, ViewChanged{c.view})
		c.announce = false
	}
	ready := core.Ready[Peer, Message, Event]{Send: c.pack(), Notify: c.events}
	c.events = nil
	return ready
}

// advance sets the time. A node that notices a deadline late was paused, or its clock jumped: it forgives everybody
// the answers it may not have read.
func (c *Core) advance(now time.Time) {
	back := now.Before(c.now.Add(-lateTick))
	next := c.Next()
	away := back || now.Sub(next) > c.monitors.rules.late
	if away {
		c.forgive()
		for _, at := range c.deadlines() {
			if !at.IsZero() && (back || at.Before(now)) {
				*at = now
			}
		}
		if back {
			c.writes.paid = now
			c.rewindEntropy()
			c.leading.rewind(now)
		}
	}
	c.now, c.at = now, instantOf(now, c.born)
	if away {
		c.patient()
		c.waitForStability()
	}
}

// settle publishes what has changed, and what follows from it, until nothing does.
func (c *Core) settle() {
	for range maxRounds {
		if !c.changed {
			return
		}
		if !c.publish() {
			return
		}
		c.watch()
		c.deliberate()
		c.follow()
		c.checkProtocol()
		c.watchLosses()
		c.lead()
	}
}

// publish makes the view of the present state; it reports whether the member list was made anew.
func (c *Core) publish() bool {
	c.owners.freeze()
	c.shared.freeze()
	members, anew := c.view.roster, c.rosterChanged || c.view.roster == nil
	if anew {
		c.judgeVerdicts()
		members = newRoster(c.owners, c.shared, c.reaches)
	} else if c.reachChanged {
		c.judgeVerdicts()
		members = members.again(c.owners, c.reaches)
	}
	c.view = &View{
		version: c.view.version + 1, self: c.cfg.ID, cluster: c.cluster,
		owners: c.owners, shared: c.shared, sharedBytes: c.sharedBytes, roster: members, verdicts: c.verdicts, isolated: c.monitors.isolated,
	}
	anew = anew || c.reachChanged
	c.changed, c.rosterChanged, c.reachChanged, c.announce = false, false, false, true
	return anew
}

// touch makes settle publish; with members, the member list as well.
func (c *Core) touch(members bool) {
	c.changed = true
	c.rosterChanged = c.rosterChanged || members
}

// touchReach makes settle publish who is reachable.
func (c *Core) touchReach() { c.changed, c.reachChanged = true, true }

// nextHouse is the next full minute: everybody forgets tombstones at the same moment.
func nextHouse(now time.Time) time.Time { return now.Truncate(housekeeping).Add(housekeeping) }

// root is the hash of all state.
func (c *Core) root() uint64 { return c.owners.sum ^ c.shared.sum }

func (c *Core) report(e Event) { c.events = append(c.events, e) }

// spread is a random part of d.
func (c *Core) spread(d time.Duration) time.Duration {
	return time.Duration(c.random.Int64N(int64(d) + 1))
}
