package gossip

// Finding is that a quorum of monitors does not reach a member.
type Finding struct {
	Member NodeID
	By     []NodeID // who voted, sorted; not to be changed
}

// Findings are the verdicts about members that this view shows as unreachable, sorted by member. It visits all members.
func (v *View) Findings() []Finding {
	var found []Finding
	for i := range v.members {
		m := &v.members[i]
		if m.Reachable {
			continue
		}
		if ruling := v.verdicts.find(m.ID); ruling != nil && ruling.boot == m.Boot {
			found = append(found, Finding{m.ID, ruling.voters})
		}
	}
	return found
}

// ClockOff reports whether a member finds its own clock off its peers' median, and so writes no shared keys.
func (v *View) ClockOff(id NodeID) bool {
	o, ok := v.owners.find(id)
	return ok && o.report != nil && o.report.clockOff
}
