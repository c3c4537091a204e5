package web

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

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
	Cause   string   `json:"cause"` // what keeps the node out, or the cluster from deciding; empty: nothing
	Leader  string   `json:"leader"`
	Members []Member `json:"members"`
	Slots   Slots    `json:"slots"`
	State   string   `json:"state"` // hash of all replicated state: equal on all nodes when they have converged
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
		Schema: Schema, Node: n.ID(), Ready: true, Cause: n.Cause(), State: fmt.Sprintf("%016x", view.Root()),
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
	s.judge(n.Config().InitialMembers, len(n.Slots()) > 0)
	s.explain()
	return s
}

func membersOf(n *egal.Node) []Member {
	view := n.Fabric().View()
	leader, _ := view.Leader()
	members := []Member{}
	for _, m := range view.Members() {
		members = append(members, Member{
			ID: m.ID.String(), Name: cmp.Or(m.Name, m.ID.String()[:8]), Fabric: m.Addr.String(), State: m.Status.String(),
			Reachable: m.Reachable, Self: m.ID == view.Self(), Leader: m.ID == leader, Location: m.Location,
			Roles: append([]string{}, m.Roles...), Incarnation: m.Generation, UpNumber: m.UpNumber, Weak: m.Weak, Ranges: []string{},
		})
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

// judge fills in the verdict, its reason and the next command.
func (s *Status) judge(planned int, store bool) {
	var up, away, down []string
	client := ""
	for _, m := range s.Members {
		switch {
		case m.State == gossip.StatusDown.String():
			down = append(down, m.Name)
		case !m.Reachable:
			away = append(away, m.Name)
		case m.State == gossip.StatusUp.String():
			up = append(up, m.Name)
			if client == "" || m.Self {
				client = m.Address
			}
		}
	}
	lost := s.Slots.Total - s.Slots.Served
	switch {
	case s.Cluster == "":
		s.Verdict, s.Summary, s.Next = VerdictStarting, "the node is in no cluster and asks its seeds", "start the seeds that --join names"
	case len(away)+len(down) > 0:
		s.Verdict = VerdictDegraded
		s.Summary = named(down, "down") + named(away, "unreachable") + count(len(up), "member") + " up"
		if store && lost > 0 {
			s.Summary += fmt.Sprintf(", %d of %d slots not served", lost, s.Slots.Total)
		}
		s.Next = "start the missing ones with their own --data: they come back with their slots"
	case len(up) < max(planned, 1):
		s.Verdict, s.Summary = VerdictStarting, fmt.Sprintf("%d of %d planned members up", len(up), max(planned, 1))
		s.Next = "egal start --join " + s.Members[0].Fabric
	case store && lost > 0:
		s.Verdict = VerdictDegraded
		s.Summary = fmt.Sprintf("%s up, %d of %d slots not served", count(len(up), "member"), lost, s.Slots.Total)
		s.Next = "egal status"
	default:
		s.Verdict, s.Summary = VerdictHealthy, count(len(up), "member")+" up"
		if store {
			s.Summary += fmt.Sprintf(", all %d slots served", s.Slots.Total)
		}
		s.Next = clientCommand(client)
	}
}

// named lists members and what they are, to be followed by more; empty: there are none.
func named(names []string, what string) string {
	if len(names) == 0 {
		return ""
	}
	return strings.Join(names, ", ") + " " + what + ", "
}

// explain puts the cause into the summary of what is not healthy because of it.
func (s *Status) explain() {
	if s.Cause == "" {
		return
	}
	if s.Verdict == VerdictHealthy {
		s.Verdict, s.Next = VerdictDegraded, "egal status"
	}
	s.Summary += "; " + s.Cause
}

func clientCommand(address string) string {
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return "egal status"
	case host == "" || host == "127.0.0.1":
		return "redis-cli -c -p " + port
	default:
		return "redis-cli -c -h " + host + " -p " + port
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
