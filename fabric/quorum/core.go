package quorum

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/core"
)

// Ready is what a Core wants done, in this order: save, send, notify.
type Ready = core.Ready[gossip.NodeID, Message, Event]

// Core votes in and proposes to many registers. It is owned by one goroutine.
type Core struct {
	cfg       Config
	random    *rand.Rand
	began     time.Time // this process
	restarted bool      // there was a process before it
	named     bool      // the log says whose it is

	registers map[GroupID]*register
	proposers map[GroupID]*proposer
	timers    timers
	numbers   uint64 // of changes, queries and lease rounds of this process

	local   []Message // from this node to itself, not received yet
	changed []*register
	send    []core.Out[gossip.NodeID, Message]
	notify  []Event
	metrics Metrics
	scratch []byte // of records being written
}

// maxScratch is how much memory a core keeps for records.
const maxScratch = 4096

// Metrics counts since the process began.
type Metrics struct {
	Registers, Proposers uint64 // now
	Rounds               uint64 // prepares and accepts begun
	Outbid               uint64 // rounds that somebody else's higher ballot ended
	Resent               uint64 // rounds sent again to those who were silent
	Invalid              uint64 // messages that this node cannot have been meant by
}

// New makes the core of a node from its log: the records of everything that was saved, in order. The clock is a
// boot-time clock: it counts time in which the machine is suspended, and nobody sets it. A fresh node has its id to save
// at once.
func New(cfg Config, log [][]byte, now time.Time) (*Core, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Core{
		cfg: cfg.withDefaults(), random: rand.New(rand.NewPCG(cfg.Seed, uint64(cfg.Boot))), began: now,
		registers: map[GroupID]*register{}, proposers: map[GroupID]*proposer{},
	}
	if err := c.restore(log); err != nil {
		return nil, err
	}
	c.restarted = c.named
	return c, nil
}

// Receive takes a request of the shell, from the node itself, or a message of a peer.
func (c *Core) Receive(now time.Time, from gossip.NodeID, m Message) {
	c.receive(now, from, m)
	c.settle(now)
}

// settle receives what the node has sent to itself. It comes to an end, since a round needs answers of others or ends.
func (c *Core) settle(now time.Time) {
	for i := 0; i < len(c.local); i++ {
		c.receive(now, c.cfg.ID, c.local[i])
	}
	clear(c.local)
	c.local = c.local[:0]
}

func (c *Core) receive(now time.Time, from gossip.NodeID, m Message) {
	switch m := m.(type) {
	case Create:
		c.create(now, from, m)
	case Change:
		c.change(now, from, m)
	case Read:
		c.read(now, from, m)
	case Reconfigure:
		c.reconfigure(now, from, m)
	case Hold:
		c.hold(now, from, m)
	case Release:
		c.release(now, from, m)
	case prepare:
		c.onPrepare(from, m)
	case accept:
		c.onAccept(from, m)
	case query:
		c.onQuery(from, m)
	case renew:
		c.onRenew(now, from, m)
	case surrender:
		c.onSurrender(from, m)
	case retire:
		c.onRetire(m)
	case promise:
		c.onPromise(now, from, m)
	case accepted:
		c.onAccepted(now, from, m)
	case refuse:
		c.onRefuse(now, from, m)
	case report:
		c.onReport(now, from, m)
	case granted:
		c.onGranted(now, from, m)
	}
}

// Tick lets all deadlines up to now pass.
func (c *Core) Tick(now time.Time) {
	for !c.timers.empty() && !c.timers.first().due.After(now) {
		p := c.timers.first()
		c.expire(now, p)
		c.settle(now)
	}
}

// Next is the earliest deadline.
func (c *Core) Next() time.Time {
	if c.timers.empty() {
		return time.Time{}
	}
	return c.timers.first().due
}

// Ready hands over what to do. The caller owns the slices.
func (c *Core) Ready() Ready {
	ready := Ready{Send: c.send, Notify: c.notify}
	c.send, c.notify = nil, nil
	if !c.named {
		c.named = true
		ready.Save = saveNode(c.cfg.ID)
	}
	for i, g := range c.changed {
		if ready.Save, c.scratch = g.append(ready.Save, c.scratch); cap(c.scratch) > maxScratch {
			c.scratch = nil
		}
		g.changed, c.changed[i] = false, nil
	}
	c.changed = c.changed[:0]
	return ready
}

// Metrics are the counters.
func (c *Core) Metrics() Metrics {
	m := c.metrics
	m.Registers, m.Proposers = uint64(len(c.registers)), uint64(len(c.proposers))
	return m
}

// Groups are the groups that the node has a record of, sorted.
func (c *Core) Groups() []GroupID {
	groups := make([]GroupID, 0, len(c.registers))
	for group := range c.registers { // order-free: sorted below
		groups = append(groups, group)
	}
	slices.Sort(groups)
	return groups
}

// Accepted is the state that the node has accepted last: not confirmed, and nothing to decide by. It is nil when the
// node does not vote in the group.
func (c *Core) Accepted(group GroupID) *State {
	if g := c.registers[group]; g != nil {
		return g.state
	}
	return nil
}

// String names the node by its first four bytes.
func (c *Core) String() string { return fmt.Sprintf("%x", c.cfg.ID[:4]) }

// to sends a message, to the node itself without a detour. What the node answers itself counts before it is saved;
// that is right, because whatever comes of it leaves the core in the same Ready, and so after Save.
func (c *Core) to(peer gossip.NodeID, m Message) {
	if peer == c.cfg.ID {
		c.local = append(c.local, m)
		return
	}
	c.send = append(c.send, core.Out[gossip.NodeID, Message]{To: peer, Message: m})
}

func (c *Core) tell(e Event) { c.notify = append(c.notify, e) }

// number is unique in this process.
func (c *Core) number() uint64 {
	c.numbers++
	return c.numbers
}

func (c *Core) turn() turn { return turn{c.cfg.Boot, c.number()} }
