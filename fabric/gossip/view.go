package gossip

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/egalcluster/egal/internal/hlc"
	"github.com/egalcluster/egal/internal/wire"
)

// View is what one node knows of the cluster at one moment. It is immutable and safe for any goroutine; slices it
// hands out must not be changed. Views share what did not change between them: ten thousand nodes of one process
// may hold one member list.
type View struct {
	version uint64
	self    NodeID
	cluster ClusterID
	owners  table[NodeID, *owner]
	shared  table[sharedKey, *shared]
	*roster

	sharedBytes int // of keys and values
	verdicts    verdicts
	isolated    bool
}

// Version grows by one with every view that a node publishes. It is local: versions of different nodes do not compare.
func (v *View) Version() uint64 { return v.version }

// Self is the node whose view this is.
func (v *View) Self() NodeID { return v.self }

// Cluster is the cluster the node belongs to; zero while it is in none.
func (v *View) Cluster() ClusterID { return v.cluster }

// Isolated reports whether the node reaches no other member: it is more likely that it is cut off than that all others
// are gone. Its view shows all of them as unreachable.
func (v *View) Isolated() bool { return v.isolated }

// Own is a value that owner wrote about itself.
func (v *View) Own(owner NodeID, key string) (value []byte, ok bool) {
	o, ok := v.owners.find(owner)
	if !ok {
		return nil, false
	}
	e, ok := o.find(key)
	return e.value, ok
}

// Shared is the newest value that any node wrote under key, with its stamp.
func (v *View) Shared(key string) (value []byte, stamp hlc.Timestamp, ok bool) {
	s, ok := v.shared.find(sharedKey(key))
	if !ok || s.deleted {
		return nil, 0, false
	}
	return s.value, s.stamp, true
}

// SharedKeys are the live shared keys with the prefix, sorted. It visits the whole map.
func (v *View) SharedKeys(prefix string) []string {
	var keys []string
	for s := range v.shared.all() {
		if !s.deleted && strings.HasPrefix(string(s.key), prefix) {
			keys = append(keys, string(s.key))
		}
	}
	slices.Sort(keys)
	return keys
}

// Root is a hash of all replicated state, own and shared: equal on all nodes when they have converged.
func (v *View) Root() uint64 { return v.owners.sum ^ v.shared.sum }

// roster is the member list with what is computed from it. It is immutable and shared by views.
type roster struct {
	members []Member // sorted by id
	points  []uint64 // the members' points, in the same order
	ring    []int32  // indices of members, sorted by point
	lost    []int32  // indices of unreachable members
	leader  int      // index, -1: none
	hash    uint64
	agreed  uint64
}

// Members are all members that have not been removed, sorted by id. Not to be changed.
func (r *roster) Members() []Member { return r.members }

// Member is the member with the id.
func (r *roster) Member(id NodeID) (Member, bool) {
	i, ok := r.index(id)
	if !ok {
		return Member{}, false
	}
	return r.members[i], true
}

// Leader is the node that admits and removes members. It is computed from the view, not elected: the oldest Up member
// that is reachable, weak ones last, passing over those that report their own clock to be off and therefore do not
// write shared keys. Two nodes may see different leaders for a while; nothing may rest on there being one.
func (r *roster) Leader() (NodeID, bool) {
	if r.leader < 0 {
		return NodeID{}, false
	}
	return r.members[r.leader].ID, true
}

// Hash is a hash of the members' ids and statuses: equal on all nodes that agree about membership.
func (r *roster) Hash() uint64 { return r.hash }

// Agreed is a hash of all that leaders have decided and members have announced of their leaving: Hash without who is
// still Joining, but with numbers and versions. A leader decides when all that count have the same.
func (r *roster) Agreed() uint64 { return r.agreed }

func (r *roster) index(id NodeID) (int, bool) {
	return slices.BinarySearchFunc(r.members, id, func(m Member, id NodeID) int { return m.ID.Compare(id) })
}

// newRoster derives the member list from replicated state; reaches tells whether a member is reachable.
func newRoster(owners table[NodeID, *owner], shared table[sharedKey, *shared], reaches func(*Member) bool) *roster {
	r := &roster{leader: -1}
	for o := range owners.all() {
		if o.about == nil {
			continue
		}
		var a *admission
		if s, ok := shared.find(sharedKey(admissionKey(o.id))); ok {
			a = s.admission
		}
		m := memberOf(o, a)
		if m.Status == StatusRemoved {
			continue
		}
		r.members = append(r.members, m)
	}
	slices.SortFunc(r.members, func(a, b Member) int { return a.ID.Compare(b.ID) })
	r.points, r.ring = make([]uint64, len(r.members)), make([]int32, len(r.members))
	for i, m := range r.members {
		r.points[i], r.ring[i] = m.ID.point(), int32(i)
		r.hash ^= wire.Mix64(r.points[i] + uint64(m.Status))
		r.agreed ^= m.agreement()
	}
	slices.SortFunc(r.ring, func(a, b int32) int { return cmp.Compare(r.points[a], r.points[b]) })
	r.judge(owners, reaches)
	return r
}

// again is the same member list when others are reachable.
func (r *roster) again(owners table[NodeID, *owner], reaches func(*Member) bool) *roster {
	next := &roster{members: slices.Clone(r.members), points: r.points, ring: r.ring, leader: -1, hash: r.hash, agreed: r.agreed}
	next.judge(owners, reaches)
	return next
}

// judge fills in Reachable and the leader.
func (r *roster) judge(owners table[NodeID, *owner], reaches func(*Member) bool) {
	for i := range r.members {
		m := &r.members[i]
		m.Reachable = reaches(m)
		if !m.Reachable {
			r.lost = append(r.lost, int32(i))
		}
		if !m.Reachable || m.Status != StatusUp {
			continue
		}
		if o, ok := owners.find(m.ID); ok && o.report != nil && o.report.clockOff {
			continue
		}
		if r.leader < 0 || m.olderThan(&r.members[r.leader]) {
			r.leader = i
		}
	}
}

// successors visits the members after id on the hash ring, nearest first, id itself excepted.
func (r *roster) successors(id NodeID, visit func(m Member) bool) {
	r.walk(id.point(), func(i int32) bool { return r.members[i].ID == id || visit(r.members[i]) })
}

// predecessors visits the members before id on the hash ring, nearest first, id itself excepted.
func (r *roster) predecessors(id NodeID, visit func(m *Member) bool) {
	point := id.point()
	from := sort.Search(len(r.ring), func(i int) bool { return r.points[r.ring[i]] >= point })
	for i := range r.ring {
		m := &r.members[r.ring[(from-1-i+2*len(r.ring))%len(r.ring)]]
		if m.ID != id && !visit(m) {
			return
		}
	}
}

// walk visits the members, by index, after a point on the hash ring, once around.
func (r *roster) walk(point uint64, visit func(i int32) bool) {
	from := sort.Search(len(r.ring), func(i int) bool { return r.points[r.ring[i]] > point })
	for i := range r.ring {
		if !visit(r.ring[(from+i)%len(r.ring)]) {
			return
		}
	}
}

// Contents are the plain values of a view: what NewView builds one from.
type Contents struct {
	Version uint64
	Self    NodeID
	Cluster ClusterID
	// Members in any order. Generation 0 stands for 1; an invalid Addr for 127.0.0.1:1.
	Members []Member
	// Own is what members wrote about themselves, by member and key.
	Own map[NodeID]map[string][]byte
	// Shared is the shared map; Stamp is the stamp of all its keys.
	Shared map[string][]byte
	Stamp  hlc.Timestamp
}

// NewView builds a view from plain values. Nodes that are to start in one cluster, and tests, share it by
// Config.View. The view takes over the slices.
func NewView(c Contents) *View {
	v := &View{version: c.Version, self: c.Self, cluster: c.Cluster}
	unreachable := map[NodeID]bool{}
	put := func(s *shared) {
		v.shared.put(s)
		v.sharedBytes += s.bytes()
		if s.verdict != nil {
			v.verdicts = v.verdicts.with(s.verdict.subject, s.verdict)
		}
	}
	for _, m := range c.Members {
		unreachable[m.ID] = !m.Reachable
		if !m.Addr.IsValid() {
			m.Addr = placeholder
		}
		described := about{
			boot: m.Boot, addr: m.Addr, name: m.Name, location: m.Location, roles: m.Roles, protocols: m.Protocols,
		}
		orDefault(&described.protocols, Protocols{ProtocolMin, ProtocolMax})
		o := &owner{id: m.ID, generation: max(m.Generation, 1)}
		o, _ = o.write(keyNode, described.encode(), false)
		for _, key := range slices.Sorted(maps.Keys(c.Own[m.ID])) {
			o, _ = o.write(key, c.Own[m.ID][key], false)
		}
		v.owners.put(o)
		if a := (admission{status: m.Status, upNumber: m.UpNumber, generation: o.generation, weak: m.Weak}); a.rank() >= 0 {
			put(newShared(admissionKey(m.ID), a.encode(), false, c.Stamp, c.Self))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Shared)) {
		put(newShared(key, c.Shared[key], false, c.Stamp, c.Self))
	}
	v.owners.freeze()
	v.shared.freeze()
	v.roster = newRoster(v.owners, v.shared, func(m *Member) bool { return !unreachable[m.ID] })
	return v
}
