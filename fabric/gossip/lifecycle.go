package gossip

import (
	"cmp"
	"math"
	"time"

	"github.com/egalcluster/egal/internal/wire"
)

// A member's life. What a node says of its own way out stands in its own state, its phase; all else stands in its
// record, a shared key "member/<id>" that a leader, or an operator, writes. A record belongs to one process of the
// node, by its generation, and moves along the lattice of recordOrder only: whoever writes later, nobody goes back.
//
//	| record   | of the process     | status of the present process                                  |
//	|----------|--------------------|----------------------------------------------------------------|
//	| none     |                    | Joining                                                        |
//	| Up       | any                | Up, or Leaving once the node says so: a restart keeps its place |
//	| Exiting  | this or a later    | Exiting                                                        |
//	| Down     | this or a later    | Down: a new process, or the same one as new, joins again       |
//	| Removed  | this or a later    | Removed                                                        |
//	| the last three | an earlier one | Joining                                                      |

// phase is what a node says of its own way out. It only grows within a generation.
type phase uint8

const (
	phaseHere    phase = iota
	phaseGone          // the process has ended, without a leader's help: final
	phaseLeaving       // it asks to be let go
	phaseExited        // it knows that it is Exiting, and waits for nothing any more
)

// admission is the value of a member's shared key: its record.
type admission struct {
	status     Status // Up, Exiting, Down or Removed
	upNumber   uint64 // 0: never fully admitted
	generation uint64 // of the process that was decided about
	weak       bool   // admitted while convergence was blocked
	based      uint64 // View.Agreed of the view that the decision rests on; 0: it rests on none
}

// admissionPrefix begins the shared keys in which the records stand.
const admissionPrefix = "member/"

func admissionKey(id NodeID) string { return admissionPrefix + id.String() }

func (a *admission) encode() []byte {
	b := []byte{1, byte(a.status)}
	b = wire.AppendUvarint(b, a.upNumber)
	b = wire.AppendUvarint(b, a.generation)
	b = wire.AppendBool(b, a.weak)
	return wire.AppendUint64(b, a.based)
}

func decodeAdmission(b []byte) *admission {
	r := wire.NewReader(b)
	r.Uint8() // versions above 1 append fields
	a := &admission{status: Status(r.Uint8()), upNumber: r.Uvarint(), generation: r.Uvarint(), weak: r.Bool(), based: r.Uint64()}
	if r.Err() != nil || a.rank() < 0 {
		return nil
	}
	return a
}

// rank is the record's place in the life of its process; -1: there is no such record.
func (a *admission) rank() int {
	switch {
	case a.status == StatusUp && a.weak:
		return 0
	case a.status == StatusUp:
		return 1
	case a.status == StatusExiting:
		return 2
	case a.status == StatusDown:
		return 3
	case a.status == StatusRemoved:
		return 4
	default:
		return -1
	}
}

// recordOrder compares two records of one member; nil, which is none, is the least. Of two equal decisions the one
// with the smaller number holds: the member is as old as anybody saw it.
func recordOrder(a, b *admission) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Or(cmp.Compare(a.generation, b.generation), cmp.Compare(a.rank(), b.rank()), cmp.Compare(b.upNumber, a.upNumber))
}

// over reports whether the record says all there is to say about a process that has ended.
func (a *admission) over(generation uint64) bool {
	return a != nil && (a.generation > generation || a.generation == generation && a.status == StatusRemoved)
}

// statusOf derives a member's status from its own state and its record. A record may come before the state of the
// process that it is about.
func statusOf(o *owner, a *admission) Status {
	leaving := o.about.phase == phaseLeaving || o.about.phase == phaseExited
	switch {
	case a != nil && a.generation > o.generation:
		return a.status
	case o.about.phase == phaseGone:
		return StatusRemoved
	case a != nil && a.status != StatusUp && a.generation == o.generation:
		return a.status
	case leaving:
		return StatusLeaving
	case a == nil || a.status != StatusUp:
		return StatusJoining
	default:
		return StatusUp
	}
}

// memberOf is what an owner's state and its record say of a member.
func memberOf(o *owner, a *admission) Member {
	m := Member{
		ID: o.id, Boot: o.about.boot, Generation: o.generation, Status: statusOf(o, a), Protocols: o.about.protocols,
		Addr: o.about.addr, Name: o.about.name, Location: o.about.location, Roles: o.about.roles,
	}
	if a != nil && (a.status == StatusUp || o.generation <= a.generation) {
		m.UpNumber, m.Weak, m.Generation = a.upNumber, a.weak, max(a.generation, o.generation)
	}
	return m
}

// agreement is a member's part of View.Agreed: all that leaders decide, and on which they decide. Who is Joining has
// no part in it, so that the next joiner does not disturb the proof that lets the last one in.
func (m *Member) agreement() uint64 {
	if m.Status == StatusJoining {
		return 0
	}
	said := uint64(m.Status) ^ uint64(m.Protocols.Max)<<8
	if m.Weak {
		said ^= 1 << 32
	}
	return wire.Mix64(m.ID.point() ^ wire.Mix64(said^wire.Mix64(m.UpNumber)))
}

func (c *Core) admissionOf(id NodeID) *admission {
	s, ok := c.shared.find(sharedKey(admissionKey(id)))
	if !ok {
		return nil
	}
	return s.admission
}

// record writes a member's record, unless what stands there is as far or farther.
func (c *Core) record(id NodeID, a admission) error {
	if recordOrder(&a, c.admissionOf(id)) <= 0 {
		return nil
	}
	return c.writeShared(admissionKey(id), a.encode(), false)
}

// leave carries out Leave. Without anybody who could let it go, the node goes at once.
func (c *Core) leave(now bool) {
	switch {
	case now || c.cluster.IsZero() || !c.synced || c.alone():
		c.depart()
	case c.phase == phaseHere:
		c.phase = phaseLeaving
		c.leaveBy = c.now.Add(c.cfg.LeaveTimeout)
		c.describe()
	}
}

// depart ends the node's part without a leader: it says, for good, that its process has ended. The goodbye goes out
// as a rumor, and over streams to a few who will pass it on if the rumor is lost.
func (c *Core) depart() {
	if c.cluster.IsZero() {
		c.end(Left{})
		return
	}
	const witnesses = 3
	members := c.view.members
	c.phase = phaseGone
	c.describe()
	c.end(Left{})
	c.settle()
	c.flush()
	told := 0
	for _, m := range members {
		if m.ID != c.cfg.ID && m.Reachable && told < witnesses {
			c.send(m.Addr, m.Boot, stateChunk{root: c.root(), owners: []delta{c.self().whole()}})
			told++
		}
	}
}

// end makes the core fall silent.
func (c *Core) end(last Event) {
	c.left = true
	c.report(last)
}

// follow does what this node's own record demands of it.
func (c *Core) follow() {
	a := c.admissionOf(c.cfg.ID)
	if c.left || a == nil || a.generation != c.generation {
		return
	}
	switch {
	case a.status == StatusRemoved && c.phase == phaseHere:
		c.end(Forgotten{})
	case a.status == StatusRemoved:
		c.end(Left{Confirmed: true})
	case a.status == StatusDown && c.phase != phaseHere:
		c.depart()
	case a.status == StatusDown:
		c.rise()
	case a.status == StatusExiting && c.phase == phaseLeaving:
		c.phase = phaseExited
		c.describe()
	}
}

// rise makes this process a new one for the others, after they took it for down: the next generation, under a new
// boot, with everything that it says of itself. It has to be admitted again, and whatever must not outlive being
// taken for down hangs on the boot, or the generation.
func (c *Core) rise() {
	before := c.cfg.Boot
	for c.cfg.Boot == before || c.cfg.Boot == 0 {
		c.cfg.Boot = BootID(c.random.Uint64())
	}
	c.renew(c.generation + 1)
	c.report(Downed{Generation: c.generation, Boot: c.cfg.Boot})
}

// renew puts all that this process says of itself under a later generation.
func (c *Core) renew(generation uint64) {
	before := c.self()
	c.generation = generation
	c.replaceOwner(before, newOwner(c.cfg.ID, generation, max(before.version, 1), before.collected, before.entries))
	c.writes.flushed = 0
	c.describe()
	c.schedule()
}

// tickLifecycle does what is due in the lives of members.
func (c *Core) tickLifecycle() {
	due := func(at *time.Time) bool {
		if at.IsZero() || at.After(c.now) {
			return false
		}
		*at = time.Time{}
		return true
	}
	if due(&c.leaveBy) {
		c.depart()
		return
	}
	if one, two := due(&c.losses.at), due(&c.losses.inquiry.at); one || two {
		c.judgeLosses()
	}
	if one, two := due(&c.leading.at), due(&c.leading.inquiry.at); one || two {
		c.lead()
	}
}

// olderThan orders members by age: who was never fully admitted comes last.
func (m *Member) olderThan(other *Member) bool {
	age := func(m *Member) uint64 {
		if m.UpNumber == 0 {
			return math.MaxUint64
		}
		return m.UpNumber
	}
	return cmp.Or(cmp.Compare(age(m), age(other)), m.ID.Compare(other.ID)) < 0
}
