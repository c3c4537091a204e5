package egal

import (
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

func TestTheHistoryOfMembers(t *testing.T) {
	a, b, c := gossip.NodeID{1}, gossip.NodeID{2}, gossip.NodeID{3}
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	view := func(members ...gossip.Member) *gossip.View {
		return gossip.NewView(gossip.Contents{Self: a, Members: append(members, gossip.Member{ID: a, Status: gossip.StatusUp, Reachable: true})})
	}
	up := func(id gossip.NodeID) gossip.Member {
		return gossip.Member{ID: id, Status: gossip.StatusUp, Reachable: true}
	}
	lost := func(id gossip.NodeID) gossip.Member { return gossip.Member{ID: id, Status: gossip.StatusUp} }
	joining := func(id gossip.NodeID) gossip.Member {
		return gossip.Member{ID: id, Status: gossip.StatusJoining, Reachable: true}
	}
	n := &Node{}
	if _, known := n.Since(a); known {
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
		n.history.note(step.view, at(i), i == 0)
		if got, known := n.Since(step.id); !got.Equal(step.want) || known == step.want.IsZero() {
			t.Errorf("%s: %v, %v", step.name, got, known)
		}
	}
}
