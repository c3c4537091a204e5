package gossip

import (
	"math/rand/v2"
	"slices"
	"time"
)

// lives holds what must be true of members' lives at every moment, and in every view.
type lives struct {
	cluster *cluster
	seen    map[process]map[NodeID]life   // by replica and member: what the replica showed last
	removed map[process]map[NodeID]uint64 // by replica and member: the latest generation that it knew to be removed
	held    map[NodeID]map[uint64]bool    // by member: the View.Agreed that it has ever had
	asked   map[RumorID]uint64            // what questions are about
	decided map[decided]int               // the rank of what leaders decided
	views   map[process]*View             // the latest of each replica
}

// sent notes what questions are about, and that a node which answers them by yes has had that in its view: views that
// change again before they are published are not seen otherwise.
func (l *lives) sent(p Packet) {
	for _, b := range p.bodies {
		switch b := b.(type) {
		case rumor:
			if b.about != nil && b.about.owner.IsZero() {
				l.asked[b.id] = b.about.view
			}
		case answer:
			if view, ok := l.asked[b.id]; ok && b.done && b.result.count > 0 && !slices.Contains(b.result.missing, p.Sender) {
				l.hold(p.Sender, view)
			}
		}
	}
}

func (l *lives) hold(id NodeID, agreed uint64) {
	if l.held[id] == nil {
		l.held[id] = map[uint64]bool{}
	}
	l.held[id][agreed] = true
}

// life is what a view shows of a member.
type life struct {
	generation uint64
	rank       int
	record     *admission
}

// decided is a process and the view that a decision about it rests on.
type decided struct {
	id                NodeID
	generation, based uint64
}

func newLives(c *cluster) *lives {
	return &lives{
		cluster: c, seen: map[process]map[NodeID]life{}, removed: map[process]map[NodeID]uint64{},
		held: map[NodeID]map[uint64]bool{}, asked: map[RumorID]uint64{}, decided: map[decided]int{}, views: map[process]*View{},
	}
}

// rankOf is a member's place in the lattice of statuses.
func rankOf(m *Member) int {
	if m.Status == StatusUp && !m.Weak {
		return 10*int(m.Status) + 1
	}
	return 10 * int(m.Status)
}

// see looks at a new view of a node.
func (l *lives) see(n *simNode, v *View) {
	at := process{n.addr, n.core.cfg.Boot}
	if l.seen[at] == nil {
		l.seen[at], l.removed[at] = map[NodeID]life{}, map[NodeID]uint64{}
	}
	l.hold(v.self, v.agreed)
	for o := range v.owners.all() {
		if record := recordIn(v, o.id); o.about != nil && statusOf(o, record) == StatusRemoved {
			l.removed[at][o.id] = max(l.removed[at][o.id], o.generation)
		}
	}
	l.forward(n, at, v)
	l.proven(n, l.views[at], v)
	l.views[at] = v
}

func recordIn(v *View, id NodeID) *admission {
	if s, ok := v.shared.find(sharedKey(admissionKey(id))); ok {
		return s.admission
	}
	return nil
}

// forward: statuses of a process move along the lattice, and one that was removed does not come back. A process that
// inherited its place from an earlier one loses it when that one turns out to have ended elsewhere.
func (l *lives) forward(n *simNode, at process, v *View) {
	t, seed := l.cluster.t, l.cluster.seed
	for i := range v.members {
		m := &v.members[i]
		before, known := l.seen[at][m.ID]
		now := life{m.Generation, rankOf(m), recordIn(v, m.ID)}
		inherited := before.record != nil && before.record.generation < m.Generation
		switch {
		case l.removed[at][m.ID] >= m.Generation:
			t.Fatalf("seed %d: n%d shows %v of generation %d, which was removed", seed, n.number, m.ID, m.Generation)
		case !known:
		case m.Generation < before.generation:
			t.Fatalf("seed %d: n%d: the process of %v went back", seed, n.number, m.ID)
		case recordOrder(now.record, before.record) < 0:
			t.Fatalf("seed %d: n%d: the record of %v went back from %+v to %+v", seed, n.number, m.ID, before.record, now.record)
		case m.Generation == before.generation && now.rank < before.rank && !inherited:
			t.Fatalf("seed %d: n%d: %v went back to %+v from %+v, by %+v", seed, n.number, m.ID, m, before, now.record)
		}
		l.seen[at][m.ID] = now
	}
}

// proven: a leader decides on a view that all who count, and whom it reaches, have had; and no two decisions about one
// process that rest on one view differ.
func (l *lives) proven(n *simNode, before, v *View) {
	t, seed := l.cluster.t, l.cluster.seed
	for s := range v.shared.all() {
		a := s.admission
		if a == nil || a.based == 0 {
			continue
		}
		id, _ := memberOfKey(s.key)
		about := decided{id, a.generation, a.based}
		if rank, known := l.decided[about]; known && rank != a.rank() {
			t.Fatalf("seed %d: of one view two decisions about %v: rank %d and %d", seed, id, rank, a.rank())
		} else if known {
			continue
		}
		l.decided[about] = a.rank()
		if s.node != v.self || before == nil || before.agreed != a.based {
			continue
		}
		for i := range before.members {
			m := &before.members[i]
			if after, ok := v.Member(m.ID); m.counts() && m.Reachable && ok && after.Reachable && !l.held[m.ID][a.based] {
				t.Fatalf("seed %d: n%d decided about %v on a view that %v never had", seed, n.number, id, m.ID)
			}
		}
	}
}

// atEnd: whoever was removed anywhere is nowhere shown; unless an operator has removed it, and whom he asked has lost
// its disk before anybody else heard of it.
func (l *lives) atEnd() {
	running := map[process]bool{}
	for _, n := range l.cluster.running() {
		running[process{n.addr, n.core.cfg.Boot}] = true
	}
	last := map[NodeID]uint64{}
	for at, removed := range l.removed {
		for id, generation := range removed {
			if running[at] || !l.cluster.operated {
				last[id] = max(last[id], generation)
			}
		}
	}
	for _, n := range l.cluster.running() {
		for _, m := range n.core.View().Members() {
			if last[m.ID] >= m.Generation {
				l.cluster.t.Fatalf("seed %d: n%d shows %v of generation %d, which was removed elsewhere", l.cluster.seed, n.number, m.ID, m.Generation)
			}
		}
	}
}

// buried reports whether the node remembers the member's removal by itself.
func (c *Core) buried(id NodeID) bool {
	for _, grave := range c.graves {
		if grave.key == sharedKey(admissionKey(id)) {
			return true
		}
	}
	return false
}

// live counts turns of members' lives.
func (s *swarm) live(_ *simNode, e Event) {
	switch e := e.(type) {
	case Downed:
		s.Downs++
	case Outvoted:
		s.Outvotes++
	case Forgotten:
		s.Forgets++
	case Left:
		if e.Confirmed {
			s.Farewells++
		}
	case ViewChanged:
		if self, ok := e.View.Member(e.View.Self()); ok && self.Weak {
			s.Weak++
		}
	}
}

// somePolicy is quick, so that it has its say between two disturbances.
func somePolicy(choose *rand.Rand) DownPolicy {
	p := DownPolicy{Kind: DownKind(choose.IntN(3)), StableAfter: time.Second}
	if p.Kind == DownStaticQuorum {
		p.Quorum = 2 + choose.IntN(3)
	}
	return p
}
