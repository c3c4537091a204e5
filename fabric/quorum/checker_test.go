package quorum

import (
	"fmt"
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
)

// checker holds the invariants that must be true at every moment, whatever happens.
type checker struct {
	cluster *cluster
	durable map[gossip.NodeID]map[GroupID]*register // what disks say
	votes   map[GroupID][]*vote                     // in the order of their ballots
	history map[GroupID][]*operation
	leases  int
}

// vote is a state that somebody has accepted.
type vote struct {
	ballot Ballot
	state  *State
	by     []gossip.NodeID
	chosen bool
}

func newChecker(c *cluster) *checker {
	return &checker{
		cluster: c, durable: map[gossip.NodeID]map[GroupID]*register{},
		votes: map[GroupID][]*vote{}, history: map[GroupID][]*operation{},
	}
}

func (k *checker) fatalf(format string, args ...any) {
	k.cluster.t.Helper()
	k.cluster.t.Fatalf("seed %d, after %v: %s", k.cluster.seed, k.cluster.now.Sub(simStart), fmt.Sprintf(format, args...))
}

// saved notes what has become durable.
func (k *checker) saved(m *machine, save []byte) {
	disk := k.durable[m.id]
	if disk == nil {
		disk = map[GroupID]*register{}
		k.durable[m.id] = disk
	}
	_, err := readLog(save, func(kind recordKind, r *wire.Reader) {
		if kind == recordNode {
			readID(r)
			return
		}
		g := readRegister(r, kind)
		if before := disk[g.group]; before != nil && g.promised.Compare(before.promised) < 0 {
			k.fatalf("n%d takes a promise back", m.number)
		}
		disk[g.group] = g
		if g.state != nil {
			k.vote(m, g)
		}
	})
	if err != nil {
		k.fatalf("n%d saves %v", m.number, err)
	}
}

// vote counts who has accepted what, and looks at whatever that decides.
func (k *checker) vote(m *machine, g *register) {
	list := k.votes[g.group]
	i, found := slices.BinarySearchFunc(list, g.accepted, func(v *vote, b Ballot) int { return v.ballot.Compare(b) })
	if !found {
		list = slices.Insert(list, i, &vote{ballot: g.accepted, state: g.state})
		k.votes[g.group] = list
	}
	v := list[i]
	if !sameState(v.state, g.state) {
		k.fatalf("two states at ballot %v: %v and %v", v.ballot, v.state, g.state)
	}
	if !slices.Contains(v.by, m.id) {
		v.by = append(v.by, m.id)
	}
	if !v.chosen && v.state.quorum(v.by) {
		v.chosen = true
		k.chosen(g.group, list, i)
	}
}

func sameState(a, b *State) bool {
	return a.Version == b.Version && a.Change == b.Change && string(a.Value) == string(b.Value) && a.Configuration.equal(&b.Configuration)
}

// chosen holds a decision against all others: there is one line of them, in which nothing is lost, and neighbouring
// configurations share a majority.
func (k *checker) chosen(group GroupID, list []*vote, at int) {
	for i, v := range list {
		if !v.chosen || i == at {
			continue
		}
		older, newer := v, list[at]
		if i > at {
			older, newer = newer, older
		}
		a, b := older.state, newer.state
		switch {
		case b.Version < a.Version, b.Version == a.Version && (a.Change != b.Change || string(a.Value) != string(b.Value)):
			k.fatalf("%s: version %d %q, chosen at %v, is lost: at %v version %d %q is chosen", group, a.Version, a.Value, older.ballot, newer.ballot, b.Version, b.Value)
		case b.Epoch < a.Epoch, b.Epoch == a.Epoch && !slices.Equal(a.VoterIDs(), b.VoterIDs()):
			k.fatalf("%s: %v, chosen at %v, is lost: at %v %v is chosen", group, &a.Configuration, older.ballot, newer.ballot, &b.Configuration)
		case b.Epoch == a.Epoch+1 && !shareMajority(&a.Configuration, &b.Configuration):
			k.fatalf("%s: quorums of %v and %v need not meet", group, &a.Configuration, &b.Configuration)
		}
	}
}

// shareMajority reports whether any two quorums meet for certain: that is so when both need a majority of one set.
func shareMajority(a, b *Configuration) bool {
	for _, x := range [][]Voter{a.Voters, a.Next} {
		for _, y := range [][]Voter{b.Voters, b.Next} {
			if len(x) > 0 && slices.EqualFunc(x, y, func(v, w Voter) bool { return v.ID == w.ID }) {
				return true
			}
		}
	}
	return false
}

// sent holds what a machine says against what its disk says.
func (k *checker) sent(m *machine, out Message) {
	var group GroupID
	var promised, agreed Ballot
	switch out := out.(type) {
	case promise:
		group, promised, agreed = out.group, out.ballot, out.accepted
	case accepted:
		group, promised, agreed = out.group, out.ballot, out.ballot
	default:
		return
	}
	disk := k.durable[m.id][group]
	if disk == nil || disk.promised.compareRound(&promised) < 0 || disk.accepted.Compare(agreed) < 0 {
		k.fatalf("n%d answers before it has saved: %+v", m.number, out)
	}
}

// see looks at what a machine reports.
func (k *checker) see(now time.Time, m *machine, e Event) {
	switch e := e.(type) {
	case Result:
		k.result(m, e)
	case LeaseHeld:
		k.leases++
		for _, other := range k.cluster.machines {
			if other != m && other.process != nil && other.local(now).Before(other.until[e.Group]) {
				k.fatalf("%s: n%d holds the lease until %v, and n%d until %v", e.Group, m.number, e.Until.Sub(m.local(now)), other.number, other.until[e.Group].Sub(other.local(now)))
			}
		}
		m.until[e.Group] = e.Until
	case LeaseLost:
		delete(m.until, e.Group)
	case StateLost:
		k.fatalf("n%d is told that it lost %s", m.number, e.Group)
	}
}

// result closes an operation. What is done must have been chosen.
func (k *checker) result(m *machine, r Result) {
	k.cluster.finish(m, r)
	if r.State == nil {
		return
	}
	if !slices.ContainsFunc(k.votes[r.Group], func(v *vote) bool {
		return v.chosen && v.state.Version == r.State.Version && v.state.Change == r.State.Change && v.state.Epoch == r.State.Epoch
	}) {
		k.fatalf("%s: n%d reports version %d, epoch %d, which nobody chose", r.Group, m.number, r.State.Version, r.State.Epoch)
	}
}

func (k *checker) bounds(c *Core) {
	if len(c.registers) > MaxGroups || len(c.proposers) > MaxProposers || len(c.timers.heap) > len(c.proposers) {
		k.fatalf("%v is over a bound", c)
	}
	for _, p := range c.timers.heap {
		if len(p.queue) > MaxQueue || len(p.promised) > maxPromised || len(p.answered) > maxPromised {
			k.fatalf("%v is over a bound", c)
		}
	}
}
