package egal

import (
	"sync"
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
	mu      sync.Mutex
	version uint64                   // guarded by mu: of the newest view that was noted
	members []gossip.Member          // guarded by mu: of that view
	moments map[gossip.NodeID]moment // guarded by mu; nil: no view has been noted
}

// watch keeps the history until the node ends.
func (n *Node) watch() {
	for {
		changed := n.fabric.Changed()
		n.history.note(n.fabric.View(), n.config.Now())
		select {
		case <-changed:
		case <-n.ended:
			return
		}
	}
}

// note takes a view. What the first one says of others comes from a snapshot, and began at a time that nobody knows.
func (h *history) note(view *gossip.View, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	members, first := view.Members(), h.moments == nil
	if !first && (view.Version() < h.version || same(members, h.members)) {
		return
	}
	h.version, h.members = view.Version(), members
	after := make(map[gossip.NodeID]moment, len(members))
	for _, m := range members {
		is := moment{status: m.Status, reachable: m.Reachable, since: now}
		was, known := h.moments[m.ID]
		switch {
		case known && was.status == is.status && was.reachable == is.reachable:
			is.since = was.since
		case !known && !is.reachable, first && m.ID != view.Self():
			is.since = time.Time{}
		}
		after[m.ID] = is
	}
	h.moments = after
}

// same tells whether two views have one list of members. They share it as long as nobody changes, so that most views
// have nothing to note.
func same(a, b []gossip.Member) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Since is when this node saw a member become what it is now: get its status, and become reachable or unreachable. It is
// false for one that it does not know, and where that was before this process began.
func (n *Node) Since(id gossip.NodeID) (since time.Time, known bool) {
	n.history.note(n.fabric.View(), n.config.Now()) // the newest view may not have been noted yet
	return n.history.since(id)
}

func (h *history) since(id gossip.NodeID) (since time.Time, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	since = h.moments[id].since
	return since, !since.IsZero()
}
