package topology

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// Node is one service as a table shows it. Redis calls it a node. Not to be changed.
type Node struct {
	// ID is the service's name.
	ID ServiceID
	// Host is the announced host name, empty when clients are to use the address.
	Host string
	// IP is the announced address; the zero Addr is unknown: "the one you asked".
	IP netip.Addr
	// Port is where clients are served, BusPort the fabric's port of the node.
	Port, BusPort int
	// Epoch is the config epoch of the claim.
	Epoch uint64
	// Ranges are the slots the service owns by this table, ascending.
	Ranges []Range
	// Status is the member's status in the fabric.
	Status gossip.Status
	// Reachable says that the member can be reached; of Self it is always true.
	Reachable bool
	// Self marks the service whose table this is.
	Self bool
}

// Endpoint is what clients are told to connect to: the host name if one is announced, else the address; empty when
// neither is known.
func (n *Node) Endpoint() string {
	if n.Host != "" {
		return n.Host
	}
	return n.Address()
}

// Address is the IP address in text, empty when unknown.
func (n *Node) Address() string {
	if !n.IP.IsValid() {
		return ""
	}
	return n.IP.String()
}

// Slots is the number of slots the service owns.
func (n *Node) Slots() int {
	count := 0
	for _, r := range n.Ranges {
		count += r.Len()
	}
	return count
}

// nobody owns a slot.
const nobody = MaxServices

// Table says who serves which slot, as one service sees it. It is immutable and safe for any goroutine. The zero Table
// knows nobody.
type Table struct {
	nodes     []Node                  // sorted by id
	owners    *[keyspace.Slots]uint16 // indices of nodes, or nobody
	self      int                     // index, -1: not there
	mine      SlotSet
	assigned  int
	served    int
	epoch     uint64
	isMember  bool
	placement bool
}

// Owner is the service that claims the slot.
func (t *Table) Owner(slot keyspace.Slot) (*Node, bool) {
	if t.owners == nil || slot >= keyspace.Slots || t.owners[slot] == nobody {
		return nil, false
	}
	return &t.nodes[t.owners[slot]], true
}

// Served is the owner of the slot if it can be reached.
func (t *Table) Served(slot keyspace.Slot) (*Node, bool) {
	n, ok := t.Owner(slot)
	if !ok || !n.Reachable {
		return nil, false
	}
	return n, true
}

// Mine reports whether this service owns the slot.
func (t *Table) Mine(slot keyspace.Slot) bool { return t.mine.Has(slot) }

// MySlots are the slots this service owns.
func (t *Table) MySlots() *SlotSet { return &t.mine }

// Nodes are all known services, sorted by id. Not to be changed.
func (t *Table) Nodes() []Node { return t.nodes }

// Node is the service with the id.
func (t *Table) Node(id ServiceID) (*Node, bool) {
	i, ok := slices.BinarySearchFunc(t.nodes, id, func(n Node, id ServiceID) int { return n.ID.Compare(id) })
	if !ok {
		return nil, false
	}
	return &t.nodes[i], true
}

// Self is this service; nil in the zero Table.
func (t *Table) Self() *Node {
	if t.self < 0 || t.self >= len(t.nodes) {
		return nil
	}
	return &t.nodes[t.self]
}

// Assigned is the number of slots that somebody owns.
func (t *Table) Assigned() int { return t.assigned }

// ServedSlots is the number of slots whose owner can be reached.
func (t *Table) ServedSlots() int { return t.served }

// OK reports whether every slot has an owner that can be reached.
func (t *Table) OK() bool { return t.served == keyspace.Slots }

// Primaries is the number of services that own slots.
func (t *Table) Primaries() int {
	count := 0
	for i := range t.nodes {
		if len(t.nodes[i].Ranges) > 0 {
			count++
		}
	}
	return count
}

// CurrentEpoch is the highest config epoch seen.
func (t *Table) CurrentEpoch() uint64 { return t.epoch }

// Member reports whether the service's node is a member of a cluster.
func (t *Table) Member() bool { return t.isMember }

// Placed reports whether a placement is known.
func (t *Table) Placed() bool { return t.placement }

// String is a line for every service, for tests and logs.
func (t *Table) String() string {
	var b strings.Builder
	for i := range t.nodes {
		n := &t.nodes[i]
		b.WriteString(n.ID.String()[:8])
		if n.ID.Index > 0 {
			b.WriteString("/" + strconv.Itoa(int(n.ID.Index)))
		}
		if n.Self {
			b.WriteString(" self")
		}
		if !n.Reachable {
			b.WriteString(" unreachable")
		}
		b.WriteString(" epoch " + strconv.FormatUint(n.Epoch, 10))
		for _, r := range n.Ranges {
			b.WriteString(" " + r.String())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// equal reports whether two tables say the same.
func (t *Table) equal(other *Table) bool {
	if t.self != other.self || t.epoch != other.epoch || t.isMember != other.isMember ||
		t.placement != other.placement || t.assigned != other.assigned || t.served != other.served {
		return false
	}
	return slices.EqualFunc(t.nodes, other.nodes, func(a, b Node) bool {
		return a.ID == b.ID && a.Host == b.Host && a.IP == b.IP && a.Port == b.Port && a.BusPort == b.BusPort &&
			a.Epoch == b.Epoch && a.Status == b.Status && a.Reachable == b.Reachable && slices.Equal(a.Ranges, b.Ranges)
	})
}

// service is what a table is made of: a claim and the member that makes it.
type service struct {
	id        ServiceID
	claim     *Claim
	status    gossip.Status
	upNumber  uint64
	reachable bool
}

// wins reports whether a's claim of a slot is stronger than b's.
func (a *service) wins(b *service) bool {
	if a.claim.Epoch != b.claim.Epoch {
		return a.claim.Epoch > b.claim.Epoch
	}
	return a.id.Compare(b.id) < 0
}

// ruling says for every slot whose word counts, and in whose favour: indices of services, or nobody.
type ruling struct {
	// by is the service with the strongest claim or grant; nobody: the slot is free.
	by [keyspace.Slots]uint16
	// favours is the service that may serve the slot: by itself, or whom it grants the slot; nobody: a service that is
	// not announced.
	favours [keyspace.Slots]uint16
}

// rule weighs all claims and grants. A grant to a node that is no member counts for nothing.
func rule(services []service, member func(gossip.NodeID) bool) *ruling {
	r := &ruling{}
	for slot := range r.by {
		r.by[slot], r.favours[slot] = nobody, nobody
	}
	for i := range services {
		state := func(slots *SlotSet, favoured uint16) {
			for slot := range slots.all() {
				if other := r.by[slot]; other == nobody || services[i].wins(&services[other]) {
					r.by[slot], r.favours[slot] = uint16(i), favoured
				}
			}
		}
		claim := services[i].claim
		state(&claim.Slots, uint16(i))
		for g := range claim.Grants {
			to := claim.Grants[g].To
			if member(to.Node) {
				state(&claim.Grants[g].Slots, indexOf(services, to))
			}
		}
	}
	return r
}

// indexOf finds a service among all, sorted by id; nobody when it is not there.
func indexOf(services []service, id ServiceID) uint16 {
	i, ok := slices.BinarySearchFunc(services, id, func(s service, id ServiceID) int { return s.id.Compare(id) })
	if !ok {
		return nobody
	}
	return uint16(i)
}

// newTable derives the table of service self from all services, sorted by id. The owner of a slot is whom the ruling
// favours, once that service claims the slot.
func newTable(self ServiceID, services []service, r *ruling, epoch uint64) *Table {
	t := &Table{nodes: make([]Node, len(services)), owners: &r.favours, self: -1, epoch: epoch}
	for i := range services {
		s := &services[i]
		t.nodes[i] = Node{
			ID: s.id, Host: s.claim.Host, IP: s.claim.IP, Port: int(s.claim.Port), BusPort: int(s.claim.BusPort),
			Epoch: s.claim.Epoch, Status: s.status, Reachable: s.reachable, Self: s.id == self,
		}
		if s.id == self {
			t.self = i
		}
	}
	for i, owner := range t.owners {
		slot := keyspace.Slot(i)
		if owner == nobody || !services[owner].claim.Slots.Has(slot) {
			t.owners[i] = nobody
			continue
		}
		n := &t.nodes[owner]
		t.assigned++
		if n.Reachable {
			t.served++
		}
		if n.Self {
			t.mine.Add(slot)
		}
		if k := len(n.Ranges); k > 0 && n.Ranges[k-1].Last+1 == slot {
			n.Ranges[k-1].Last = slot
			continue
		}
		n.Ranges = append(n.Ranges, Range{First: slot, Last: slot})
	}
	return t
}
