package quorum

import (
	"fmt"
	"slices"
	"testing"

	"github.com/egalcluster/egal/fabric/gossip"
)

func TestVoterCount(t *testing.T) {
	for _, tc := range [][3]int{{0, 3, 1}, {1, 5, 1}, {2, 5, 1}, {3, 5, 3}, {4, 5, 3}, {9, 5, 5}, {9, 9, 7}, {9, 6, 5}, {9, 0, 1}} {
		if got := VoterCount(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%d are up, %d are wished: %d, want %d", tc[0], tc[1], got, tc[2])
		}
	}
}

// membersIn are members 1, 2, … that are up, in the zones given.
func membersIn(zones ...string) (members []gossip.Member) {
	for i, zone := range zones {
		members = append(members, gossip.Member{ID: idOf(i+1, 0), Status: gossip.StatusUp, Location: zone + "/rack1"})
	}
	return members
}

func TestChooseVoters(t *testing.T) {
	members := membersIn("a", "a", "a", "a", "b", "b", "c")
	ids := func(numbers ...int) (list []gossip.NodeID) {
		for _, n := range numbers {
			list = append(list, idOf(n, 0))
		}
		slices.SortFunc(list, gossip.NodeID.Compare)
		return list
	}
	zones := func(list []gossip.NodeID) map[string]int {
		count := map[string]int{}
		for _, m := range members {
			if slices.Contains(list, m.ID) {
				count[m.Location[:1]]++
			}
		}
		return count
	}
	for _, tc := range []struct {
		count int
		want  map[string]int
	}{{1, nil}, {3, map[string]int{"a": 1, "b": 1, "c": 1}}, {5, map[string]int{"a": 2, "b": 2, "c": 1}}, {7, map[string]int{"a": 4, "b": 2, "c": 1}}, {9, map[string]int{"a": 4, "b": 2, "c": 1}}} {
		chosen := ChooseVoters("g", nil, nil, members, tc.count)
		if got := zones(chosen); tc.want != nil && fmt.Sprint(got) != fmt.Sprint(tc.want) || len(chosen) != min(tc.count, 7) {
			t.Errorf("%d voters over zones: %v, want %v", tc.count, got, tc.want)
		}
		shuffled := slices.Clone(members)
		slices.Reverse(shuffled)
		if !slices.Equal(chosen, ChooseVoters("g", nil, nil, shuffled, tc.count)) {
			t.Error("the order of members shows")
		}
	}
	first := map[gossip.NodeID]int{}
	for group := range 700 {
		first[ChooseVoters(GroupID(fmt.Sprint(group)), nil, nil, members, 1)[0]]++
	}
	for id, count := range first {
		if count < 60 || count > 140 {
			t.Errorf("%v votes in %d of 700 groups, %d of %d members do", id, count, len(first), len(members))
		}
	}

	t.Run("who is down stays", func(t *testing.T) {
		voters := ChooseVoters("g", nil, nil, members, 3)
		down := slices.Clone(members)
		for i := range down {
			down[i].Status = gossip.StatusDown
		}
		if got := ChooseVoters("g", voters, nil, down, 3); !slices.Equal(got, voters) {
			t.Errorf("%v, want %v", got, voters)
		}
		if got := ChooseVoters("g", voters, nil, nil, 3); !slices.Equal(got, voters) {
			t.Errorf("without a view %v, want %v", got, voters)
		}
	})
	t.Run("who is gone is replaced from the zone that lacks one", func(t *testing.T) {
		got := ChooseVoters("g", ids(1, 5, 7), ids(5), members, 3)
		if !slices.Equal(got, ids(1, 6, 7)) {
			t.Errorf("%v", got)
		}
	})
	t.Run("copies vote first", func(t *testing.T) {
		if got := ChooseVoters("g", ids(1, 2), nil, members, 3); !slices.Contains(got, idOf(1, 0)) || !slices.Contains(got, idOf(2, 0)) || len(got) != 3 {
			t.Errorf("%v", got)
		}
	})
	t.Run("nobody who is not up begins to vote", func(t *testing.T) {
		joining := slices.Clone(members)
		for i := range joining[1:] {
			joining[i+1].Status = gossip.StatusJoining
		}
		if got := ChooseVoters("g", nil, nil, joining, 3); !slices.Equal(got, ids(1)) {
			t.Errorf("%v", got)
		}
	})
}
