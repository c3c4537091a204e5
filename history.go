package egal

import (
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// moment is since when a member is as it is.
type moment struct {
	status    gossip.Status
	reachable bool
	since     time.Time // zero: since before this process
}

// history remembers when members changed, for people: no decision rests on it. It has as many entries as the view has
// members.
type history struct {
	moments atomic.Pointer[map[gossip.NodeID]moment]
}

// watch keeps the history until the node ends.
func (n *Node) watch() {
	var members []gossip.Member
	for first := true; ; first = false {
		changed, view := n.fabric.Changed(), n.fabric.View()
		// Views share their list of members as long as nobody changes: most views have nothing to note.
		if now := view.Members(); first || len(now) != len(members) || len(now) > 0 && &now[0] != &members[0] {
			n.history.note(view, n.config.Now(), first)
			members = now
		}
		select {
		case <-changed:
		case <-n.ended:
			return
		}
	}
}

// note takes a view. What the first one says of others comes from a snapshot, and began at a time that nobody knows.
func (h *history) note(view *gossip.View, now time.Time, first bool) {
	before := h.moments.Load()
	after := make(map[gossip.NodeID]moment, len(view.Members()))
	for _, m := range view.Members() {
		is := moment{status: m.Status, reachable: m.Reachable, since: now}
		if before != nil {
			if was, known := (*before)[m.ID]; known && was.status == is.status && was.reachable == is.reachable {
				is.since = was.since
			} else if !known && !is.reachable {
				is.since = time.Time{}
			}
		}
		if first && m.ID != view.Self() {
			is.since = time.Time{}
		}
		after[m.ID] = is
	}
	h.moments.Store(&after)
}

// Since is when this node saw a member become what it is now: get its status, and become reachable or unreachable. It is
// false for one that it does not know, and where that was before this process began.
func (n *Node) Since(id gossip.NodeID) (since time.Time, known bool) {
	moments := n.history.moments.Load()
	if moments == nil {
		return time.Time{}, false
	}
	since = (*moments)[id].since
	return since, !since.IsZero()
}
