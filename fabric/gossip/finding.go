package gossip

import "slices"

// Finding is that others do not reach a member.
type Finding struct {
	Member NodeID
	By     []NodeID // who says so, sorted
}

// Findings are what reachable members, the node itself among them, say about members that they do not reach, sorted by
// member. What an unreachable member says counts for nothing: it may be old. It visits all members.
func (v *View) Findings() []Finding {
	var found []Finding
	for _, m := range v.members {
		o, ok := v.owners.find(m.ID)
		if !ok || o.report == nil || !m.Reachable {
			continue
		}
		for _, lost := range o.report.unreachable {
			if _, member := v.index(lost); !member {
				continue
			}
			at, known := slices.BinarySearchFunc(found, lost, func(f Finding, id NodeID) int { return f.Member.Compare(id) })
			if !known {
				found = slices.Insert(found, at, Finding{Member: lost})
			}
			found[at].By = append(found[at].By, m.ID) // members are sorted
		}
	}
	return found
}

// ClockOff reports whether a member finds its own clock off its peers' median, and so writes no shared keys.
func (v *View) ClockOff(id NodeID) bool {
	o, ok := v.owners.find(id)
	return ok && o.report != nil && o.report.clockOff
}
