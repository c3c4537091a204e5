package web

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestVerdicts(t *testing.T) {
	member := func(name string, change func(*Member)) Member {
		m := Member{ID: "id of " + name, Name: name, State: "up", Reachable: true, Address: "127.0.0.1:7001", Fabric: "127.0.0.1:7946", Since: "some time"}
		change(&m)
		return m
	}
	a, b := member("a", func(*Member) {}), member("b", func(*Member) {})
	joining := member("b", func(m *Member) { m.State = "joining" })
	leaving := member("b", func(m *Member) { m.State = "leaving" })
	away := member("c", func(m *Member) { m.Reachable = false })
	awayFromTwo := member("c", func(m *Member) { m.Reachable, m.UnreachableFrom = false, []string{a.ID, b.ID} })
	awayFromOne := member("c", func(m *Member) { m.UnreachableFrom = []string{b.ID} })
	down := member("c", func(m *Member) { m.State, m.Reachable = "down", false })
	off := member("b", func(m *Member) { m.ClockOff = true })
	all := Slots{2, 2, 2}
	tests := []struct {
		name    string
		members []Member
		slots   Slots
		planned int
		verdict string
		summary string
		next    string
		causes  []string // kind, text, since
		blocked string
	}{
		{"in no cluster", nil, Slots{}, 0, VerdictStarting, "the node is in no cluster and asks its seeds", "start the seeds", []string{"alone: the node is in no cluster and asks its seeds"}, ""},
		{"all is well", []Member{a}, Slots{1, 1, 1}, 1, VerdictHealthy, "1 member up, all 1 slots served", "redis-cli -c -p 7001", nil, ""},
		{"fewer than planned", []Member{a}, Slots{2, 0, 0}, 2, VerdictStarting, "1 of 2 planned members up", "egal start --join", []string{"planned: 1 of 2 planned members up", "slots: 2 of 2 slots not served"}, ""},
		{"one of the planned is joining", []Member{a, joining}, all, 2, VerdictStarting, "1 of 2 planned members up", "egal start --join", []string{"joining: b joining: not admitted yet since some time", "planned: 1 of 2 planned members up"}, ""},
		{"one more is joining", []Member{a, joining}, all, 1, VerdictStarting, "1 member up, 1 joining", "egal status --wait", []string{"joining: b joining: not admitted yet since some time"}, ""},
		{"one is leaving", []Member{a, leaving}, all, 1, VerdictHealthy, "1 member up, all 2 slots served", "redis-cli", []string{"leaving: b leaving since some time"}, ""},
		{"one is away", []Member{a, away}, Slots{2, 2, 1}, 2, VerdictDegraded, "c unreachable, 1 member up, 1 of 2 slots not served", "start the missing ones", []string{"unreachable: c unreachable since some time", "planned: 1 of 2 planned members up", "slots: 1 of 2 slots not served"}, ""},
		{"one is away from two", []Member{a, b, awayFromTwo}, all, 2, VerdictDegraded, "c unreachable, 2 members up", "start the missing ones", []string{"unreachable: c unreachable from a, b since some time"}, ""},
		{"one is away from another only", []Member{a, b, awayFromOne}, all, 3, VerdictDegraded, "c unreachable from b, 3 members up", "egal node status c", []string{"unreachable: c unreachable from b"}, ""},
		{"one is down", []Member{a, b, down}, all, 2, VerdictDegraded, "c down, 2 members up", "start the missing ones", []string{"down: c down since some time"}, ""},
		{"a clock is off", []Member{a, off}, all, 2, VerdictDegraded, "clock of b off, 2 members up", "set the clock of b", []string{"clock: clock of b off by more than half a second: it writes nothing that all share"}, ""},
		{"slots have no owner", []Member{a, b}, Slots{2, 1, 1}, 2, VerdictDegraded, "2 members up, 1 of 2 slots not served", "egal status --wait", []string{"slots: 1 of 2 slots not served"}, ""},
		{"the leader is stuck", []Member{a}, Slots{1, 1, 1}, 1, VerdictDegraded, "1 member up; members wait", "egal status", []string{"blocked: members wait"}, "members wait"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := Status{Members: test.members, Slots: test.slots}
			if len(test.members) > 0 {
				s.Cluster = "x"
			}
			s.judge(test.planned, true, test.blocked)
			if s.Verdict != test.verdict || s.Summary != test.summary || !strings.HasPrefix(s.Next, test.next) {
				t.Errorf("got %s: %s; next: %s", s.Verdict, s.Summary, s.Next)
			}
			var causes []string
			for _, c := range s.Causes {
				text := c.Kind + ": " + c.Text
				if c.Since != "" {
					text += " since " + c.Since
				}
				causes = append(causes, text)
			}
			if !slices.Equal(causes, test.causes) {
				t.Errorf("got %q", causes)
			}
		})
	}
}

func TestASentenceNamesAFewMembers(t *testing.T) {
	s := Status{}
	var ids []string
	for i := range maxNames + 2 {
		ids = append(ids, fmt.Sprint(i))
		s.Members = append(s.Members, Member{ID: ids[i], Name: "n" + ids[i]})
	}
	if got := s.names(ids[:maxNames]); len(got) != maxNames || got[maxNames-1] != "n4" {
		t.Errorf("at the bound: %v", got)
	}
	if got := strings.Join(s.names(ids), ", "); got != "n0, n1, n2, n3, n4, 2 others" {
		t.Errorf("above it: %s", got)
	}
}
