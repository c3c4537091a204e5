package quorum

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/core"
	"github.com/egalcluster/egal/internal/sim"
	"github.com/egalcluster/egal/internal/wire"
)

var simStart = time.UnixMilli(1_700_000_000_000)

// complainer is what checkers complain to: a test, or one that expects complaints.
type complainer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// idOf is the id of node n in its life-th life; ids are scattered, not ascending.
func idOf(n, life int) (id gossip.NodeID) {
	binary.BigEndian.PutUint64(id[:], wire.Mix64(uint64(n)<<8|uint64(life)))
	id[14], id[15] = byte(life), byte(n)
	return id
}

// crashPoint is what a process has done of a Ready when it dies.
type crashPoint uint8

const (
	beforeSave crashPoint = iota + 1
	tornSave
	beforeSend
	afterSend
)

// machine is a node of a simulated cluster over all its processes. A machine that loses its disk comes back with
// another id.
type machine struct {
	number, life, starts int
	id                   gossip.NodeID
	process              *process      // nil: not running
	disk                 [][]byte      // records
	offset               time.Duration // of its boot-time clock
	drift                int64         // in millionths
	until                map[GroupID]time.Time
}

// local is the machine's boot-time clock.
func (m *machine) local(now time.Time) time.Time {
	passed := int64(now.Sub(simStart))
	return simStart.Add(m.offset + time.Duration(passed+passed/1_000_000*m.drift+passed%1_000_000*m.drift/1_000_000))
}

// global is the earliest moment at which the clock shows local.
func (m *machine) global(local time.Time) time.Time {
	passed := int64(local.Sub(simStart) - m.offset)
	at := simStart.Add(time.Duration(passed - passed/(1_000_000+m.drift)*m.drift - 2*time.Microsecond.Nanoseconds()))
	for m.local(at).Before(local) {
		at = at.Add(max(1, local.Sub(m.local(at))/2))
	}
	return at
}

// process is a core on a machine: with the machine's clock and disk, and with whatever is wrong with it.
type process struct {
	*Core
	cluster *cluster
	machine *machine
	dead    bool
	late    Ready  // saved by a slow disk: it goes out when the process runs again
	unsaved []byte // held back by a planted bug
}

func (p *process) Receive(now time.Time, from gossip.NodeID, m Message) {
	if p.dead {
		return
	}
	p.cluster.now = now
	if alter := p.cluster.bug.receive; alter != nil {
		m = alter(p, p.machine.local(now), m)
	}
	p.Core.Receive(p.machine.local(now), from, m)
	p.touched()
}

func (p *process) Tick(now time.Time) {
	if p.dead {
		return
	}
	p.cluster.now = now
	p.Core.Tick(p.machine.local(now))
	p.touched()
}

func (p *process) touched() {
	if alter := p.cluster.bug.state; alter != nil {
		alter(p)
	}
	p.cluster.checker.bounds(p.Core)
}

func (p *process) Next() time.Time {
	next := p.Core.Next()
	switch {
	case p.dead:
		return time.Time{}
	case !p.late.Empty():
		return p.cluster.now
	case next.IsZero():
		return time.Time{}
	}
	return p.machine.global(next)
}

// Ready saves, and lets out what may be sent.
func (p *process) Ready() Ready {
	if p.dead {
		return Ready{}
	}
	ready := p.Core.Ready()
	c := p.cluster
	if ready.Empty() {
		ready, p.late = p.late, Ready{}
		return ready
	}
	c.steps++
	point := c.dies(p, c.steps)
	save := ready.Save
	if c.bug.lateSave {
		save, p.unsaved = p.unsaved, ready.Save
	}
	if point == beforeSave {
		save = nil
	}
	records := Records(save)
	if point == tornSave { // the first ones are whole
		records = records[:len(records)/2]
	}
	p.machine.disk = append(p.machine.disk, records...)
	if point == beforeSave || point == tornSave {
		p.dead = true
		return Ready{}
	}
	c.checker.saved(p.machine, records)
	if point == beforeSend {
		p.dead = true
		return Ready{}
	}
	for _, out := range ready.Send {
		c.checker.sent(p.machine, out.Message)
	}
	p.dead = point == afterSend
	ready.Save = nil
	ready.Send, ready.Notify = append(p.late.Send, ready.Send...), append(p.late.Notify, ready.Notify...)
	p.late = Ready{}
	if d := c.slow(); d > 0 && save != nil && !p.dead {
		c.world.Pause(p.machine.id, d)
		ready, p.late = Ready{}, ready
	}
	return ready
}

// bug is what is wrong on purpose.
type bug struct {
	lateSave bool                                               // answers go out before what they say is saved
	receive  func(p *process, now time.Time, m Message) Message // before the core gets it
	state    func(p *process)                                   // after the core was asked
	send     func(m Message) Message                            // on its way
	started  func(p *process)                                   // with a log
	disk     func(log [][]byte) [][]byte                        // what a restart finds
}

// cluster is a simulated cluster whose checkers look at everything.
type cluster struct {
	t        complainer
	seed     uint64
	world    *sim.World[gossip.NodeID, Message, Event]
	now      time.Time
	machines []*machine
	byID     map[gossip.NodeID]*machine
	cuts     map[[2]gossip.NodeID]bool
	checker  *checker
	bug      bug
	steps    int // Readies with something to do
	dies     func(p *process, step int) crashPoint
	slow     func() time.Duration // how long a save takes
	config   Config
	events   func(m *machine, e Event)
	sends    int
}

func newCluster(t complainer, seed uint64, link sim.Link, b bug) *cluster {
	c := &cluster{
		t: t, seed: seed, byID: map[gossip.NodeID]*machine{}, cuts: map[[2]gossip.NodeID]bool{}, bug: b, now: simStart,
		world: sim.New[gossip.NodeID, Message, Event](sim.Options{Seed: seed, Start: simStart, Link: link}),
		dies:  func(*process, int) crashPoint { return 0 },
		slow:  func() time.Duration { return 0 },
	}
	c.checker = newChecker(c)
	c.world.Transcode(func(m Message) Message {
		encoded := Encode(nil, m)
		if len(encoded) > MaxPacket {
			t.Fatalf("a message of %d bytes", len(encoded))
		}
		decoded, err := Decode(encoded)
		if err != nil {
			t.Fatalf("%+v does not survive its encoding: %v", m, err)
		}
		if c.bug.send != nil {
			return c.bug.send(decoded)
		}
		return decoded
	})
	c.world.Fingerprint(func(m Message) uint64 {
		switch m.(type) {
		case Create, Change, Read, Reconfigure, Hold, Release:
			return wire.Hash64(1, fmt.Sprintf("%T%v", m, m))
		}
		return wire.Hash64(0, Encode(nil, m))
	})
	c.world.OnSend(func(_ time.Time, _, _ gossip.NodeID, _ Message) { c.sends++ })
	c.world.OnNotify(func(now time.Time, id gossip.NodeID, e Event) {
		m := c.byID[id]
		c.checker.see(now, m, e)
		if c.events != nil {
			c.events(m, e)
		}
	})
	return c
}

// machine is the one with the number; it is made if it is new.
func (c *cluster) machine(number int) *machine {
	for _, m := range c.machines {
		if m.number == number {
			return m
		}
	}
	m := &machine{number: number, id: idOf(number, 0)}
	c.machines = append(c.machines, m)
	c.byID[m.id] = m
	return m
}

// start begins a process on the machine.
func (c *cluster) start(m *machine) {
	c.t.Helper()
	cfg := c.config
	m.starts++
	cfg.ID, cfg.Boot, cfg.Fresh = m.id, gossip.BootID(m.number<<16|m.life<<8|m.starts), len(m.disk) == 0
	cfg.Seed = c.seed<<16 + uint64(cfg.Boot)
	log := m.disk
	if c.bug.disk != nil {
		log = c.bug.disk(log)
	}
	cfg.Fresh = len(log) == 0
	made, err := New(cfg, log, m.local(c.world.Now()))
	if err != nil {
		c.t.Fatal(err)
	}
	m.process, m.until = &process{Core: made, cluster: c, machine: m}, map[GroupID]time.Time{}
	if c.bug.started != nil {
		c.bug.started(m.process)
	}
	c.world.Add(m.id, m.process)
	if m.process.dead {
		c.crash(m)
	}
}

// crash ends the machine's process; what was saved stays.
func (c *cluster) crash(m *machine) {
	m.process = nil
	c.world.Remove(m.id)
}

// loseDisk lets a machine that is down forget everything: it will come back as somebody else.
func (c *cluster) loseDisk(m *machine) {
	m.life++
	m.disk = nil
	m.id = idOf(m.number, m.life)
	c.byID[m.id] = m
}

// run lets time pass, and removes who died meanwhile.
func (c *cluster) run(d time.Duration) {
	c.world.RunUntil(c.world.Now().Add(d))
	for _, m := range c.machines {
		if m.process != nil && m.process.dead {
			c.crash(m)
		}
	}
}

// runUntil runs until the condition holds, at most for d; it reports whether the condition holds.
func (c *cluster) runUntil(condition func() bool, d time.Duration) bool {
	end := c.world.Now().Add(d)
	for !condition() && c.world.Now().Before(end) {
		c.run(time.Millisecond)
	}
	return condition()
}

func (c *cluster) tell(m *machine, request Message) { c.world.Inject(m.id, request) }

func (c *cluster) running() (list []*machine) {
	for _, m := range c.machines {
		if m.process != nil {
			list = append(list, m)
		}
	}
	return list
}

func idsOf(machines []*machine) (ids []gossip.NodeID) {
	for _, m := range machines {
		ids = append(ids, m.id)
	}
	return ids
}

// cut loses what a sends to b.
func (c *cluster) cut(a, b *machine) {
	c.cuts[[2]gossip.NodeID{a.id, b.id}] = true
	c.world.Cut(a.id, b.id)
}

func (c *cluster) heal() {
	clear(c.cuts)
	c.world.Heal()
}

// connected reports whether a and whoever has the id can talk.
func (c *cluster) connected(a *machine, id gossip.NodeID) bool {
	b := c.byID[id]
	return b != nil && b.id == id && b.process != nil && !c.cuts[[2]gossip.NodeID{a.id, id}] && !c.cuts[[2]gossip.NodeID{id, a.id}]
}

// split cuts the machines with these numbers off from all others, in both directions.
func (c *cluster) split(numbers ...int) {
	for _, a := range c.machines {
		for _, b := range c.machines {
			if slices.Contains(numbers, a.number) != slices.Contains(numbers, b.number) {
				c.cut(a, b)
			}
		}
	}
}

// form starts machines 1 to n.
func (c *cluster) form(n int) {
	for i := range n {
		c.start(c.machine(i + 1))
	}
}

var _ core.Core[gossip.NodeID, Message, Event] = (*process)(nil)

func pick[T any](choose *rand.Rand, list []T) T { return list[choose.IntN(len(list))] }
