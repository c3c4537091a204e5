package web

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric/gossip"
)

// Schema is the version of the JSON documents. Within one version fields are added, never changed or taken away.
const Schema = 1

// slotTotal is the number of hash slots of a Redis Cluster.
const slotTotal = 16384

// Verdicts on a cluster.
const (
	VerdictHealthy  = "healthy"
	VerdictStarting = "starting" // the node is not in a cluster, or its cluster is not complete yet
	VerdictDegraded = "degraded"
)

// Status is the cluster as one node sees it.
type Status struct {
	Schema  int      `json:"schema"`
	Cluster string   `json:"cluster"` // empty: the node is in none
	Node    string   `json:"node"`    // whose view this is
	Verdict string   `json:"verdict"`
	Summary string   `json:"summary"`
	Next    string   `json:"next"` // a command to go on with
	Ready   bool     `json:"ready"`
	Leader  string   `json:"leader"`
	Members []Member `json:"members"`
	Slots   Slots    `json:"slots"`
	Causes  []Cause  `json:"causes"` // why the verdict is not better, and what may make it worse
	State   string   `json:"state"`  // hash of all replicated state: equal on all nodes when they have converged
}

// Member is one member as a node sees it.
type Member struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Address   string   `json:"address"` // of the store, for clients; empty if unknown
	Fabric    string   `json:"fabric"`  // for other nodes
	State     string   `json:"state"`   // joining, up, leaving, exiting, down
	Reachable bool     `json:"reachable"`
	Self      bool     `json:"self"`
	Leader    bool     `json:"leader"`
	Location  string   `json:"location"`
	Roles     []string `json:"roles"`
	// Incarnation grows with each start of the node, UpNumber is the order of admission.
	Incarnation uint64   `json:"incarnation"`
	UpNumber    uint64   `json:"up_number"`
	Weak        bool     `json:"weak"` // up, but without a number and a vote until the cluster can decide again
	Slots       int      `json:"slots"`
	Owns        float64  `json:"owns"` // share of all slots, 0 to 1
	Ranges      []string `json:"ranges"`
	Epoch       uint64   `json:"epoch"`
	// Since is when the asked node saw the member become what State and Reachable say; empty: before that node started.
	Since string `json:"since"`
	// UnreachableFrom are the ids of the members that do not reach this one, ClockOff that it finds its own clock off.
	UnreachableFrom []string `json:"unreachable_from"`
	ClockOff        bool     `json:"clock_off"`
}

// Slots counts the hash slots.
type Slots struct {
	Total    int `json:"total"`
	Assigned int `json:"assigned"` // have an owner
	Served   int `json:"served"`   // have an owner that can be reached
}

// StatusOf reads the status from a node.
func StatusOf(n *egal.Node) Status {
	view := n.Fabric().View()
	s := Status{
		Schema: Schema, Node: n.ID(), Ready: true, State: fmt.Sprintf("%016x", view.Root()),
		Members: membersOf(n), Slots: Slots{Total: slotTotal},
	}
	if view.Cluster() != (gossip.ClusterID{}) {
		s.Cluster = view.Cluster().String()
	}
	if leader, ok := view.Leader(); ok {
		s.Leader = leader.String()
	}
	for _, check := range n.Checks() {
		s.Ready = s.Ready && check.OK
	}
	for _, service := range n.Slots() {
		table := service.Table()
		s.Slots.Assigned, s.Slots.Served = table.Assigned(), table.ServedSlots()
	}
	s.judge(n.Config().InitialMembers, len(n.Slots()) > 0, n.Cause())
	return s
}

func membersOf(n *egal.Node) []Member {
	view := n.Fabric().View()
	leader, _ := view.Leader()
	members := []Member{}
	from := make(map[gossip.NodeID][]string)
	for _, finding := range view.Findings() {
		for _, id := range finding.By {
			from[finding.Member] = append(from[finding.Member], id.String())
		}
	}
	for _, m := range view.Members() {
		members = append(members, Member{
			ID: m.ID.String(), Name: cmp.Or(m.Name, m.ID.String()[:8]), Fabric: m.Addr.String(), State: m.Status.String(),
			Reachable: m.Reachable, Self: m.ID == view.Self(), Leader: m.ID == leader, Location: m.Location,
			Roles: append([]string{}, m.Roles...), Incarnation: m.Generation, UpNumber: m.UpNumber, Weak: m.Weak, Ranges: []string{},
			UnreachableFrom: append([]string{}, from[m.ID]...), ClockOff: view.ClockOff(m.ID),
		})
		if since, known := n.Since(m.ID); known {
			members[len(members)-1].Since = since.UTC().Format(time.RFC3339Nano)
		}
	}
	for _, service := range n.Slots() {
		for _, owner := range service.Table().Nodes() {
			at := slices.IndexFunc(members, func(m Member) bool { return m.ID == owner.ID.Node.String() })
			if at < 0 {
				continue
			}
			m := &members[at]
			m.Address = net.JoinHostPort(owner.Endpoint(), strconv.Itoa(owner.Port))
			m.Slots += owner.Slots()
			m.Owns = float64(m.Slots) / slotTotal
			m.Epoch = max(m.Epoch, owner.Epoch)
			for _, r := range owner.Ranges {
				m.Ranges = append(m.Ranges, r.String())
			}
		}
	}
	slices.SortStableFunc(members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return members
}
