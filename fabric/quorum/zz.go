package quorum

import (
	"slices"

	"github.com/egalcluster/egal/fabric/gossip"
)

func Electorate(current []gossip.NodeID, members []gossip.NodeID) []gossip.NodeID {
	size := 1
	if len(members) >= 3 {
		size = 3
	}
	if len(current) >= size {
		return current
	}
	next := slices.Clone(current)
	for _, id := range members {
		if len(next) < size && !slices.Contains(next, id) {
			next = append(next, id)
		}
	}
	slices.SortFunc(next, gossip.NodeID.Compare)
	return next
}
