package gossip

import (
	"reflect"
	"testing"
)

func TestFindingsAreWhatReachableMembersSay(t *testing.T) {
	ids := []NodeID{{1}, {2}, {3}, {4}}
	contents := Contents{Self: ids[0]}
	for _, id := range ids {
		contents.Members = append(contents.Members, Member{ID: id, Status: StatusUp, Reachable: id != ids[3]})
	}
	v := NewView(contents)
	say := func(who NodeID, r report) {
		t.Helper()
		o, _ := v.owners.find(who)
		o, err := o.write(keyReport, r.encode(), false)
		if err != nil {
			t.Fatal(err)
		}
		v.owners.put(o)
	}
	if found := v.Findings(); found != nil {
		t.Errorf("nobody has said anything, got %v", found)
	}
	say(ids[0], report{unreachable: []NodeID{ids[3]}})
	say(ids[1], report{unreachable: []NodeID{ids[2], ids[3], {9}}}) // {9} is no member any more
	say(ids[2], report{clockOff: true})
	say(ids[3], report{unreachable: []NodeID{ids[0]}}) // old: it is unreachable itself
	want := []Finding{{ids[2], []NodeID{ids[1]}}, {ids[3], []NodeID{ids[0], ids[1]}}}
	if found := v.Findings(); !reflect.DeepEqual(found, want) {
		t.Errorf("got %v, want %v", found, want)
	}
	if !v.ClockOff(ids[2]) || v.ClockOff(ids[1]) || v.ClockOff(NodeID{9}) {
		t.Error("the clock of one member is off")
	}
}
