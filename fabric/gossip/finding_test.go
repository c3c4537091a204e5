package gossip

import (
	"reflect"
	"testing"
)

func TestFindingsNameWhoVoted(t *testing.T) {
	ids := []NodeID{{1}, {2}, {3}, {4}}
	contents := Contents{Self: ids[0]}
	for i, id := range ids {
		contents.Members = append(contents.Members, Member{ID: id, Boot: BootID(i + 1), Status: StatusUp, Reachable: i < 2})
	}
	v := NewView(contents)
	if found := v.Findings(); found != nil {
		t.Errorf("nobody has been judged, got %v", found)
	}
	voters := []NodeID{ids[0], ids[1]}
	v.verdicts = v.verdicts.with(ids[2], &verdict{subject: ids[2], boot: 3, voters: voters})
	v.verdicts = v.verdicts.with(ids[3], &verdict{subject: ids[3], boot: 99, voters: voters}) // about an earlier process
	v.verdicts = v.verdicts.with(ids[1], &verdict{subject: ids[1], boot: 2, voters: voters})  // not shown as unreachable
	want := []Finding{{ids[2], voters}}
	if found := v.Findings(); !reflect.DeepEqual(found, want) {
		t.Errorf("got %v, want %v", found, want)
	}
	o, _ := v.owners.find(ids[2])
	o, err := o.write(keyReport, (&report{clockOff: true}).encode(), false)
	if err != nil {
		t.Fatal(err)
	}
	v.owners.put(o)
	if !v.ClockOff(ids[2]) || v.ClockOff(ids[1]) || v.ClockOff(NodeID{9}) {
		t.Error("the clock of one member is off")
	}
}
