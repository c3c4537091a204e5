package quorum

import (
	"cmp"
	"slices"
	"strings"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
)

// Whom to take for voters. A view is a hint here and nothing more: what these functions give is a proposal, and only
// Reconfigure makes it so.

// VoterCount is how many voters a group should have: the largest of 1, 3, 5 and 7 that neither the members that are up
// nor the wish exceed; 1 at least. An even one more would make quorums larger and nothing safer.
func VoterCount(up, wish int) int {
	count := min(up, wish, MaxVoters)
	if count%2 == 0 {
		count--
	}
	return max(count, 1)
}

// ChooseVoters proposes voters for a group, sorted by id: those of keep that are not gone, whatever the members say
// about them, and then the best of the members that are up, until there are count (1 to MaxVoters). The best is of the
// zone with the fewest voters, and there the first by rendezvous hash (Thaler and Ravishankar, 1998), so that every
// node chooses the same and groups spread over the members. The zone is what stands before the slash in a member's
// location.
//
// For a new group keep is empty, or names the copies of a shard, which vote first. For one that exists keep is its
// voters, and gone are those that an operator has decommissioned, replaced or forgotten: nobody else ever stops being
// a voter, since who is down or unreachable may come back. There may be fewer than count voters when too few members
// are up, and more when keep has more.
func ChooseVoters(group GroupID, keep, gone []gossip.NodeID, members []gossip.Member, count int) []gossip.NodeID {
	var chosen []gossip.NodeID
	for _, id := range keep {
		if !slices.Contains(gone, id) && !slices.Contains(chosen, id) {
			chosen = append(chosen, id)
		}
	}
	inZone := map[string]int{}
	var candidates []candidate
	for _, m := range members {
		zone, _, _ := strings.Cut(m.Location, "/")
		if slices.Contains(chosen, m.ID) {
			inZone[zone]++
		} else if m.Status == gossip.StatusUp && !slices.Contains(gone, m.ID) {
			candidates = append(candidates, candidate{m.ID, zone, wire.Hash64(wire.Hash64(0, group), m.ID[:])})
		}
	}
	for len(chosen) < min(count, MaxVoters) && len(candidates) > 0 {
		best := 0
		for i, c := range candidates {
			b := candidates[best]
			if order := cmp.Or(cmp.Compare(inZone[c.zone], inZone[b.zone]), cmp.Compare(b.score, c.score), c.id.Compare(b.id)); order < 0 {
				best = i
			}
		}
		chosen = append(chosen, candidates[best].id)
		inZone[candidates[best].zone]++
		candidates = slices.Delete(candidates, best, best+1)
	}
	slices.SortFunc(chosen, gossip.NodeID.Compare)
	return chosen
}

// candidate is a member that may become a voter.
type candidate struct {
	id    gossip.NodeID
	zone  string
	score uint64
}
