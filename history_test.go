package egal

import (
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

func TestTheHistoryOfMembers(t *testing.T) {
	a, b, c := gossip.NodeID{1}, gossip.NodeID{2}, gossip.NodeID{3}
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	version := uint64(0)
	view := func(members ...gossip.Member) *gossip.View {
		version++
		return gossip.NewView(gossip.Contents{Version: version, Self: a, Members: append(members, gossip.Member{ID: a, Status: gossip.StatusUp, Reachable: true})})
	}
	up := func(id gossip.NodeID) gossip.Member {
		return gossip.Member{ID: id, Status: gossip.StatusUp, Reachable: true}
	}
	lost := func(id gossip.NodeID) gossip.Member { return gossip.Member{ID: id, Status: gossip.StatusUp} }
	joining := func(id gossip.NodeID) gossip.Member {
		return gossip.Member{ID: id, Status: gossip.StatusJoining, Reachable: true}
	}
	var h history
	if _, known := h.since(a); known {
		t.Error("before the first view")
	}
	steps := []struct {
		name string
		view *gossip.View
		id   gossip.NodeID
		want time.Time // zero: unknown
	}{
		{"the node itself, at its start", view(lost(b)), a, at(0)},
		{"a member out of a snapshot that was not heard", view(lost(b)), b, time.Time{}},
		{"it is heard", view(up(b)), b, at(2)},
		{"nothing happens", view(up(b)), b, at(2)},
		{"one joins", view(up(b), joining(c)), c, at(4)},
		{"it is up", view(up(b), up(c)), c, at(5)},
		{"the other is lost", view(lost(b), up(c)), b, at(6)},
		{"and gone", view(up(c)), b, time.Time{}},
		{"one comes that nobody reaches", view(up(c), lost(b)), b, time.Time{}},
	}
	for i, step := range steps {
		h.note(step.view, at(i))
		if got, known := h.since(step.id); !got.Equal(step.want) || known == step.want.IsZero() {
			t.Errorf("%s: %v, %v", step.name, got, known)
		}
	}
	h.note(steps[1].view, at(99))
	if got, _ := h.since(c); !got.Equal(at(5)) {
		t.Errorf("a view that came too late was noted: %v", got)
	}
}
