package web

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/egalcluster/egal/fabric/gossip"
)

// Cause is one thing that is not as it should be.
type Cause struct {
	// Kind is one of the constants below.
	Kind string `json:"kind"`
	// Member is the id of the member concerned; empty: none.
	Member string `json:"member"`
	// From are the ids of who says so; empty: the asked node alone.
	From []string `json:"from"`
	// Since is when the asked node noticed; empty: unknown.
	Since string `json:"since"`
	// Text says it in words.
	Text string `json:"text"`
}

// Kinds of causes.
const (
	CauseAlone       = "alone"       // the node is in no cluster
	CauseUnreachable = "unreachable" // a member is not reached, by the asked node or by others
	CauseClock       = "clock"       // a member's clock is off
	CausePlanned     = "planned"     // fewer members than planned are up
	CauseJoining     = "joining"     // a member is not admitted yet
	CauseLeaving     = "leaving"     // a member is on its way out
	CauseSlots       = "slots"       // slots have no owner that can be reached
	CauseDown        = "down"        // a member was taken for down
	CauseBlocked     = "blocked"     // something keeps the node out of its cluster, or the cluster from deciding
)

// judge fills in the causes, the verdict, its reason and the next command. planned is how many members the cluster is to
// begin with, store whether the node runs the store, blocked what keeps it out or the cluster from deciding.
func (s *Status) judge(planned int, store bool, blocked string) {
	s.Causes = []Cause{}
	if s.Cluster == "" {
		text := "the node is in no cluster and asks its seeds"
		if blocked != "" {
			text += "; " + blocked
		}
		s.Causes = append(s.Causes, Cause{Kind: CauseAlone, From: []string{}, Text: text})
		s.Verdict, s.Summary, s.Next = VerdictStarting, text, "start the seeds that --join names"
		return
	}
	if blocked != "" {
		s.Causes = append(s.Causes, Cause{Kind: CauseBlocked, From: []string{}, Text: blocked})
	}
	planned = max(planned, 1)
	up := 0
	for _, m := range s.Members {
		if m.Reachable && m.State == gossip.StatusUp.String() {
			up++
		}
		s.look(m)
	}
	if up < planned {
		s.Causes = append(s.Causes, Cause{Kind: CausePlanned, From: []string{}, Text: fmt.Sprintf("%d of %d planned members up", up, planned)})
	}
	lost := s.Slots.Total - s.Slots.Served
	if store && lost > 0 {
		s.Causes = append(s.Causes, Cause{Kind: CauseSlots, From: []string{}, Text: fmt.Sprintf("%d of %d slots not served", lost, s.Slots.Total)})
	}
	s.conclude(up, planned, store)
}

// look adds the causes that one member is.
func (s *Status) look(m Member) {
	cause := func(kind, since, text string) {
		s.Causes = append(s.Causes, Cause{Kind: kind, Member: m.ID, From: []string{}, Since: since, Text: text})
	}
	switch {
	case m.State == gossip.StatusDown.String():
		cause(CauseDown, m.Since, m.Name+" down")
	case !m.Reachable || len(m.UnreachableFrom) > 0:
		text, since := m.Name+" unreachable", m.Since
		if m.Reachable {
			since = "" // Since is about being reachable
		}
		if names := s.names(m.UnreachableFrom); len(names) > 0 {
			text += " from " + strings.Join(names, ", ")
		}
		cause(CauseUnreachable, since, text)
		s.Causes[len(s.Causes)-1].From = append([]string{}, m.UnreachableFrom...)
	case m.State == gossip.StatusJoining.String():
		cause(CauseJoining, m.Since, m.Name+" joining: not admitted yet")
	case m.State != gossip.StatusUp.String():
		cause(CauseLeaving, m.Since, m.Name+" "+m.State)
	}
	if m.ClockOff {
		cause(CauseClock, "", "clock of "+m.Name+" off by more than half a second: it writes nothing that all share")
	}
}

// maxNames bounds the members that a sentence names.
const maxNames = 5

// names are what people call members.
func (s *Status) names(ids []string) []string {
	var names []string
	for _, m := range s.Members {
		if slices.Contains(ids, m.ID) {
			names = append(names, m.Name)
		}
	}
	if more := len(names) - maxNames; more > 0 {
		names = append(names[:maxNames], fmt.Sprintf("%d others", more))
	}
	return names
}

// conclude makes the verdict from the causes.
func (s *Status) conclude(up, planned int, store bool) {
	kinds := map[string]int{}
	var parts []string
	for _, c := range s.Causes {
		if kinds[c.Kind]++; c.Kind == CauseClock {
			parts = append(parts, "clock of "+s.named(c.Member).Name+" off")
		}
	}
	parts = append(s.away(), parts...)
	members := count(up, "member") + " up"
	if len(parts) == 0 && up < planned {
		members = fmt.Sprintf("%d of %d planned members up", up, planned)
	}
	parts = append(parts, members)
	if n := kinds[CauseJoining]; n > 0 && up >= planned {
		parts = append(parts, fmt.Sprintf("%d joining", n))
	}
	lost := s.Slots.Total - s.Slots.Served
	unserved := store && lost > 0
	switch {
	case kinds[CauseUnreachable]+kinds[CauseDown]+kinds[CauseClock]+kinds[CauseBlocked] > 0:
		s.Verdict, s.Next = VerdictDegraded, s.remedy()
	case up < planned:
		s.Verdict, s.Next = VerdictStarting, "egal start --join "+s.Members[0].Fabric
	case unserved:
		s.Verdict, s.Next = VerdictDegraded, "egal status --wait"
	case kinds[CauseJoining] > 0:
		s.Verdict, s.Next = VerdictStarting, "egal status --wait"
	default:
		s.Verdict, s.Next = VerdictHealthy, clientCommand(s.client())
	}
	switch {
	case unserved && s.Verdict == VerdictDegraded:
		parts = append(parts, fmt.Sprintf("%d of %d slots not served", lost, s.Slots.Total))
	case store && s.Verdict == VerdictHealthy:
		parts = append(parts, fmt.Sprintf("all %d slots served", s.Slots.Total))
	}
	s.Summary = strings.Join(parts, ", ")
	for _, c := range s.Causes {
		if c.Kind == CauseBlocked {
			s.Summary += "; " + c.Text
		}
	}
}

// away is who is not reached, in short: the causes say from where.
func (s *Status) away() []string {
	var down, here, elsewhere []string
	for _, m := range s.Members {
		switch {
		case m.State == gossip.StatusDown.String():
			down = append(down, m.Name)
		case !m.Reachable:
			here = append(here, m.Name)
		case len(m.UnreachableFrom) > 0:
			elsewhere = append(elsewhere, m.Name+" unreachable from "+strings.Join(s.names(m.UnreachableFrom), ", "))
		}
	}
	var parts []string
	if len(down) > 0 {
		parts = append(parts, strings.Join(down, ", ")+" down")
	}
	if len(here) > 0 {
		parts = append(parts, strings.Join(here, ", ")+" unreachable")
	}
	return append(parts, elsewhere...)
}

// remedy is what to do about the first cause of a degraded cluster.
func (s *Status) remedy() string {
	for _, c := range s.Causes {
		m := s.named(c.Member)
		switch {
		case c.Kind == CauseDown, c.Kind == CauseUnreachable && !m.Reachable:
			return "start the missing ones with their own --data: they come back with their slots"
		case c.Kind == CauseUnreachable:
			return "egal node status " + m.Name
		case c.Kind == CauseClock:
			return "set the clock of " + m.Name
		}
	}
	return "egal status"
}

// named is the member with an id.
func (s *Status) named(id string) Member {
	if at := slices.IndexFunc(s.Members, func(m Member) bool { return m.ID == id }); at >= 0 {
		return s.Members[at]
	}
	return Member{}
}

// client is the address of the store for a client: on this node if it is up, else on the first that is.
func (s *Status) client() string {
	address := ""
	for _, m := range s.Members {
		if m.Reachable && m.State == gossip.StatusUp.String() && (address == "" || m.Self) {
			address = m.Address
		}
	}
	return address
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
