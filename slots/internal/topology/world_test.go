package topology

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// world runs the cores of several machines over a replicated state of its own, from one seed: writes travel with
// delay and loss, pairs of machines compare all they have now and then, machines crash and come back, networks part.
type world struct {
	random   *rand.Rand
	now      time.Time
	queue    queue
	sequence uint64
	machines []*machine
	members  map[gossip.NodeID]*gossip.Member
	group    func(i int) bool // machines of different groups cannot reach each other; nil: all can
	loss     float64
	initial  int
	founded  gossip.ClusterID
	trace    uint64
	purged   int // keys dropped because a slot was lost
	faults   []string
	// exclusive: from here on no two machines may serve a slot, not even for a moment.
	exclusive bool

	// Planted bugs.
	releaseNonEmpty bool
	keepServing     bool
	flattenEpochs   bool
}

// machine is one node with one service: its copy of the replicated state, its core, and a keyspace of which only
// counts which slots hold keys.
type machine struct {
	index  int
	id     gossip.NodeID
	alive  bool
	life   int
	core   *Core
	owners map[gossip.NodeID]owned
	shared shared
	reach  map[int]bool
	keys   SlotSet
	serves SlotSet
	epoch  uint64
	views  uint64
}

type owned struct {
	generation, version uint64
	values              map[string][]byte
}

func (o owned) newer(than owned) bool {
	return cmp.Or(cmp.Compare(o.generation, than.generation), cmp.Compare(o.version, than.version)) > 0
}

type shared struct {
	value  []byte
	stamp  int64
	writer gossip.NodeID
}

func (s shared) newer(than shared) bool {
	return cmp.Or(cmp.Compare(s.stamp, than.stamp), s.writer.Compare(than.writer)) > 0
}

type happening struct {
	at       time.Time
	sequence uint64
	do       func()
}

type queue []happening

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return cmp.Or(q[i].at.Compare(q[j].at), cmp.Compare(q[i].sequence, q[j].sequence)) < 0
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(happening)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

func newWorld(seed uint64, initial int) *world {
	return &world{
		random: rand.New(rand.NewPCG(seed, 7)), now: time.UnixMilli(1_700_000_000_000), initial: initial,
		members: map[gossip.NodeID]*gossip.Member{}, founded: gossip.ClusterID{1},
	}
}

func (w *world) after(d time.Duration, do func()) {
	w.sequence++
	heap.Push(&w.queue, happening{at: w.now.Add(d), sequence: w.sequence, do: do})
}

func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.random.Int64N(int64(most-least)+1))
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); ; {
		if len(w.queue) == 0 || w.queue[0].at.After(end) {
			w.now = end
			return
		}
		next := heap.Pop(&w.queue).(happening)
		w.now = next.at
		next.do()
	}
}

func (w *world) note(format string, args ...any) {
	w.trace = wire.Hash64(w.trace, fmt.Sprintf("%d ", w.now.UnixMicro())+fmt.Sprintf(format, args...))
}

func (w *world) complain(format string, args ...any) {
	if len(w.faults) < 5 {
		w.faults = append(w.faults, fmt.Sprintf("%v: ", w.now.UnixMilli()-1_700_000_000_000)+fmt.Sprintf(format, args...))
	}
}

// add makes a machine that is a member at once.
func (w *world) add() *machine {
	m := &machine{index: len(w.machines), id: node(len(w.machines) + 1), owners: map[gossip.NodeID]owned{}, reach: map[int]bool{}}
	w.machines = append(w.machines, m)
	w.members[m.id] = &gossip.Member{ID: m.id, UpNumber: uint64(len(w.machines)), Status: gossip.StatusUp}
	for _, other := range w.machines {
		if other.alive && !w.cut(m, other) {
			w.merge(m, other)
		}
	}
	w.start(m)
	w.gossip(m)
	return m
}

// start begins a life of a machine.
func (w *world) start(m *machine) {
	m.alive, m.epoch = true, 0
	m.life++
	self := m.owners[m.id]
	m.owners[m.id] = owned{generation: uint64(m.life), version: 1, values: self.values}
	m.core = New(Config{
		Self: ServiceID{Node: m.id}, IP: netip.AddrFrom4([4]byte{10, 0, 0, byte(m.index + 1)}), Port: 6379, BusPort: 7946,
		InitialMembers: w.initial,
	})
	w.notice()
	w.look(m)
	w.spread(m, m.id)
}

// crash ends a life. Without memory the keys and what the machine said of itself are gone.
func (w *world) crash(m *machine, memory bool) {
	m.alive, m.serves = false, SlotSet{}
	if !memory {
		m.keys = SlotSet{}
		m.owners[m.id] = owned{generation: uint64(m.life)}
	}
	w.note("crash %d %v", m.index, memory)
	w.notice()
}

// part cuts the machines into two groups, those to come included.
func (w *world) part(group func(i int) bool) {
	w.group = group
	w.note("part")
	w.notice()
}

func (w *world) heal() {
	w.group = nil
	w.notice()
}

func (w *world) cut(a, b *machine) bool {
	return w.group != nil && w.group(a.index) != w.group(b.index)
}

// notice lets every machine find out, each at its time, whom it can reach.
func (w *world) notice() {
	for _, m := range w.machines {
		w.after(w.between(time.Millisecond, 400*time.Millisecond), func() {
			for _, other := range w.machines {
				m.reach[other.index] = other.alive && !w.cut(m, other)
			}
			w.look(m)
		})
	}
}

// spread sends what m knows of an owner to all others.
func (w *world) spread(m *machine, owner gossip.NodeID) {
	o := m.owners[owner]
	w.send(m, func(to *machine) bool {
		if !o.newer(to.owners[owner]) {
			return false
		}
		to.owners[owner] = o
		return true
	})
}

func (w *world) send(m *machine, apply func(to *machine) bool) {
	for _, to := range w.machines {
		if to == m || w.cut(m, to) || w.random.Float64() < w.loss {
			continue
		}
		life := to.life
		w.after(w.between(time.Millisecond, 30*time.Millisecond), func() {
			if to.alive && to.life == life && apply(to) {
				w.look(to)
			}
		})
	}
}

// gossip compares everything with a random other machine now and then.
func (w *world) gossip(m *machine) {
	w.after(w.between(100*time.Millisecond, 300*time.Millisecond), func() {
		other := w.machines[w.random.IntN(len(w.machines))]
		if m.alive && other.alive && other != m && !w.cut(m, other) {
			if w.merge(m, other) {
				w.look(m)
			}
			if w.merge(other, m) {
				w.look(other)
			}
		}
		w.gossip(m)
	})
}

// merge copies what is newer, and reports whether anything was.
func (w *world) merge(to, from *machine) (news bool) {
	for id, o := range from.owners {
		if o.newer(to.owners[id]) {
			to.owners[id], news = o, true
		}
	}
	if from.shared.newer(to.shared) {
		to.shared, news = from.shared, true
	}
	return news
}

// look gives a machine's core its newest view.
func (w *world) look(m *machine) {
	if !m.alive {
		return
	}
	m.views++
	c := gossip.Contents{Version: m.views, Self: m.id, Cluster: w.founded, Own: map[gossip.NodeID]map[string][]byte{}}
	for id, member := range w.members {
		copied := *member
		copied.Reachable = id == m.id || m.reach[int(id[1])-1]
		c.Members = append(c.Members, copied)
	}
	for id, o := range m.owners {
		c.Own[id] = o.values
	}
	if m.shared.value != nil {
		c.Shared = map[string][]byte{PlacementKey: m.shared.value}
	}
	m.core.Receive(w.now, m.id, ViewChanged{View: gossip.NewView(c)})
	w.carryOut(m)
}

// carryOut does what the shell does.
func (w *world) carryOut(m *machine) {
	before := m.owners[m.id].version + uint64(m.shared.stamp)
	for ready := m.core.Ready(); !ready.Empty(); ready = m.core.Ready() {
		for _, event := range ready.Notify {
			switch e := event.(type) {
			case PublishOwn:
				w.publishOwn(m, e)
			case PublishShared:
				m.shared = shared{value: e.Value, stamp: max(m.shared.stamp+1, w.now.UnixMicro()), writer: m.id}
				w.note("%d places %x", m.index, e.Value)
				s := m.shared
				w.send(m, func(to *machine) bool {
					if !s.newer(to.shared) {
						return false
					}
					to.shared = s
					return true
				})
			case TableChanged:
				w.apply(m, e.Table)
			case Release:
				m.core.Receive(w.now, m.id, Released{Slots: w.release(m, e.Slots)})
			}
		}
	}
	if m.owners[m.id].version+uint64(m.shared.stamp) != before {
		w.after(0, func() { w.look(m) })
	}
	if at := m.core.Next(); !at.IsZero() {
		life := m.life
		w.after(max(at.Sub(w.now), 0), func() {
			if m.alive && m.life == life && !m.core.Next().IsZero() && !m.core.Next().After(w.now) {
				m.core.Tick(w.now)
				w.carryOut(m)
			}
		})
	}
}

func (w *world) publishOwn(m *machine, e PublishOwn) {
	value := e.Value
	if w.flattenEpochs {
		if claim, err := DecodeClaim(value); err == nil && claim.Epoch > 0 {
			claim.Epoch = 1
			value = claim.Encode()
		}
	}
	o := m.owners[m.id]
	values := maps.Clone(o.values)
	if values == nil {
		values = map[string][]byte{}
	}
	values[e.Key] = value
	m.owners[m.id] = owned{generation: o.generation, version: o.version + 1, values: values}
	w.note("%d claims %x", m.index, value)
	w.spread(m, m.id)
}

func (w *world) apply(m *machine, t *Table) {
	w.note("%d sees %s", m.index, t)
	if t.CurrentEpoch() < m.epoch {
		w.complain("machine %d: epoch fell from %d to %d", m.index, m.epoch, t.CurrentEpoch())
	}
	m.epoch = t.CurrentEpoch()
	lost := m.serves.minus(t.MySlots())
	dropped := lost.and(&m.keys)
	w.purged += dropped.Len()
	m.keys = m.keys.minus(&dropped)
	if w.keepServing {
		m.serves = m.serves.or(t.MySlots())
	} else {
		m.serves = *t.MySlots()
	}
	if !w.exclusive {
		return
	}
	for _, other := range w.machines {
		if both := m.serves.and(&other.serves); other != m && other.alive && !both.empty() {
			w.complain("machines %d and %d both serve %v", m.index, other.index, both.Ranges())
		}
	}
}

func (w *world) release(m *machine, asked []Range) []Range {
	slots := SetOf(asked)
	if !w.releaseNonEmpty {
		slots = slots.minus(&m.keys)
	}
	if !w.keepServing {
		m.serves = m.serves.minus(&slots)
	}
	return slots.Ranges()
}

// write stores a key into a random slot, or now and then removes one, wherever that slot is served.
func (w *world) write() {
	slot := keyspace.Slot(w.random.IntN(keyspace.Slots))
	for _, m := range w.machines {
		if m.alive && m.serves.Has(slot) {
			if w.random.IntN(4) == 0 {
				m.keys.Remove(slot)
			} else {
				m.keys.Add(slot)
			}
		}
	}
}

// check looks at the world at rest.
func (w *world) check(even bool) {
	first := w.machines[0].core.Table()
	epochs := map[uint64]int{}
	var all SlotSet
	for _, m := range w.machines {
		t := m.core.Table()
		if !t.OK() {
			w.complain("machine %d: %d slots served\n%s", m.index, t.ServedSlots(), t)
		}
		if slices.EqualFunc(t.Nodes(), first.Nodes(), func(a, b Node) bool {
			return a.ID == b.ID && a.Epoch == b.Epoch && slices.Equal(a.Ranges, b.Ranges)
		}) == false {
			w.complain("machine %d sees\n%smachine 0 sees\n%s", m.index, t, first)
		}
		if m.serves != *t.MySlots() {
			w.complain("machine %d serves other slots than its table says", m.index)
		}
		if both := all.and(&m.serves); !both.empty() {
			w.complain("machine %d serves %v, as another one does", m.index, both.Ranges())
		}
		all = all.or(&m.serves)
		if strays := m.keys.minus(&m.serves); !strays.empty() {
			w.complain("machine %d: keys in %v, which it does not serve", m.index, strays.Ranges())
		}
		if self := t.Self(); self.Epoch > 0 {
			if other, taken := epochs[self.Epoch]; taken {
				w.complain("machines %d and %d share epoch %d", other, m.index, self.Epoch)
			}
			epochs[self.Epoch] = m.index
		}
	}
	if least, most := w.shares(); even && most-least > 1 {
		w.complain("shares from %d to %d\n%s", least, most, first)
	}
}

func (w *world) shares() (least, most int) {
	least = keyspace.Slots
	for _, m := range w.machines {
		least, most = min(least, m.serves.Len()), max(most, m.serves.Len())
	}
	return least, most
}
