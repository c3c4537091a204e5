package quorum

import (
	"fmt"
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// checker holds the invariants that must be true at every moment, whatever happens.
type checker struct {
	cluster *cluster
	durable map[gossip.NodeID]map[GroupID]*register // what disks say
	votes   map[GroupID][]*vote                     // in the order of their ballots
	history map[GroupID][]*operation
	asked   map[uint64]*operation
	leases  int
}

// vote is a state that was proposed, and who has accepted it.
type vote struct {
	ballot Ballot
	state  *State
	by     []gossip.NodeID
	chosen bool
}

func newChecker(c *cluster) *checker {
	return &checker{
		cluster: c, durable: map[gossip.NodeID]map[GroupID]*register{},
		votes: map[GroupID][]*vote{}, history: map[GroupID][]*operation{}, asked: map[uint64]*operation{},
	}
}

func (k *checker) fatalf(format string, args ...any) {
	k.cluster.t.Helper()
	k.cluster.t.Fatalf("seed %d, after %v: %s", k.cluster.seed, k.cluster.now.Sub(simStart), fmt.Sprintf(format, args...))
}

// saved notes what has become durable.
func (k *checker) saved(m *machine, records [][]byte) {
	disk := k.durable[m.id]
	if disk == nil {
		disk = map[GroupID]*register{}
		k.durable[m.id] = disk
	}
	for _, record := range records {
		kind, r, err := readRecord(record)
		if err != nil {
			k.fatalf("n%d saves %v", m.number, err)
		}
		if kind == recordNode {
			continue
		}
		g := readRegister(r, kind)
		if err := r.Done(); err != nil {
			k.fatalf("n%d saves %v", m.number, err)
		}
		if before := disk[g.group]; before != nil && g.promised.Compare(before.promised) < 0 {
			k.fatalf("n%d takes a promise back", m.number)
		}
		disk[g.group] = g
		if g.state != nil {
			k.vote(m, g.group, k.proposed(g.group, g.accepted, g.state))
		}
	}
}

// proposed finds the place of a proposal in the line of all.
func (k *checker) proposed(group GroupID, at Ballot, s *State) int {
	list := k.votes[group]
	i, found := slices.BinarySearchFunc(list, at, func(v *vote, b Ballot) int { return v.ballot.Compare(b) })
	switch {
	case !found:
		k.votes[group] = slices.Insert(list, i, &vote{ballot: at, state: s})
	case !sameState(list[i].state, s):
		k.fatalf("two states at ballot %v: %v and %v", at, list[i].state, s)
	}
	return i
}

// vote counts who has accepted a proposal, and looks at whatever that decides.
func (k *checker) vote(m *machine, group GroupID, i int) {
	list := k.votes[group]
	v := list[i]
	if !slices.Contains(v.by, m.id) {
		v.by = append(v.by, m.id)
	}
	if !v.chosen && v.state.quorum(v.by) {
		v.chosen = true
		k.chosen(group, list, i)
	}
}

func sameState(a, b *State) bool {
	return a.Version == b.Version && a.Change == b.Change && string(a.Value) == string(b.Value) && a.equal(&b.Configuration)
}

// chosen holds a decision against all others: there is one line of them, in which nothing is lost, and neighbouring
// configurations share a majority.
func (k *checker) chosen(group GroupID, list []*vote, at int) {
	compare := func(older, newer *vote) {
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
	decided := func(v *vote) bool { return v.chosen }
	if i := slices.IndexFunc(list[at+1:], decided); i >= 0 { // the neighbours are enough: the order is transitive
		compare(list[at], list[at+1+i])
	}
	for _, v := range slices.Backward(list[:at]) {
		if v.chosen {
			compare(v, list[at])
			break
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
	case accept:
		k.proposed(out.group, out.ballot, out.state)
		return
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
	if out, ok := out.(accepted); ok { // what was saved may be a later state: both were accepted
		list := k.votes[group]
		if i, found := slices.BinarySearchFunc(list, out.ballot, func(v *vote, b Ballot) int { return v.ballot.Compare(b) }); found {
			k.vote(m, group, i)
		}
	}
}

// see looks at what a machine reports.
func (k *checker) see(now time.Time, m *machine, e Event) {
	switch e := e.(type) {
	case Result:
		k.result(m, e)
	case LeaseHeld:
		k.leases++
		m.until[e.Group] = e.Until
		if !m.local(now).Before(e.Until) { // a slow disk held the news up until it was over: whoever acts by it looks at the clock
			return
		}
		for _, other := range k.cluster.machines {
			if other != m && other.process != nil && other.local(now).Before(other.until[e.Group]) {
				k.fatalf("%s: n%d holds the lease until %v, and n%d until %v", e.Group, m.number, e.Until.Sub(m.local(now)), other.number, other.until[e.Group].Sub(other.local(now)))
			}
		}
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
	chosen := false
	for _, v := range slices.Backward(k.votes[r.Group]) {
		if v.state.Version < r.State.Version {
			break
		}
		if v.chosen && v.state.Version == r.State.Version && v.state.Change != r.State.Change {
			k.fatalf("%s: n%d reports another version %d than the chosen one", r.Group, m.number, r.State.Version)
		}
		decided := v.chosen || len(r.State.Voters) == 1 && len(v.by) > 0 // a voter that is alone may save only what it built on it
		chosen = chosen || decided && v.state.Version >= r.State.Version && v.state.Epoch >= r.State.Epoch
	}
	if !chosen {
		k.fatalf("%s: n%d reports version %d, epoch %d, which nobody chose", r.Group, m.number, r.State.Version, r.State.Epoch)
	}
}

func (k *checker) bounds(c *Core) {
	if len(c.registers) > MaxGroups || len(c.proposers) > MaxProposers || len(c.timers.heap) > len(c.proposers) {
		k.fatalf("%v is over a bound", c)
	}
	for _, p := range c.timers.heap {
		if p.pending() > MaxQueue || len(p.promised) > maxPromised || len(p.answered) > maxPromised {
			k.fatalf("%v is over a bound", c)
		}
	}
}
