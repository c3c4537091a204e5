package quorum

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
)

// GroupID names a register: 1 to MaxGroupID bytes.
type GroupID string

// State is what a register holds: the value, and who votes about the next one. It is immutable: whoever is handed one
// must not change it, slices included.
type State struct {
	// Version counts the changes of the value; the first one is 1.
	Version uint64
	// Change names the request that made this version.
	Change ChangeID
	Value  []byte
	Configuration
}

// ChangeID names a request for ever, so that its proposer recognises a change of its own that somebody else completed.
type ChangeID struct {
	Proposer gossip.NodeID
	Boot     gossip.BootID
	Number   uint64
}

// Configuration says who votes.
type Configuration struct {
	// Epoch counts the changes of the configuration: odd with one set of voters, even while it is joint. The first one
	// is 1; 0 means a guess of a shell, which nobody has agreed on.
	Epoch uint64
	// Lease is how long leases of the group last; 0: there are none. It never changes.
	Lease time.Duration
	// Voters are sorted by id.
	Voters []Voter
	// Next are those who vote as well while the configuration is joint, and alone afterwards.
	Next []Voter
}

// Voter is one member of the electorate.
type Voter struct {
	ID gossip.NodeID
	// Joining says that the voter has not been seen to have a durable record of the group: it may begin with an empty
	// one. A voter that is not joining and has no record has lost it.
	Joining bool
}

// Joint reports whether two sets of voters decide together.
func (f *Configuration) Joint() bool { return len(f.Next) > 0 }

// VoterIDs are all who vote, each once, sorted.
func (f *Configuration) VoterIDs() []gossip.NodeID {
	ids := make([]gossip.NodeID, 0, len(f.Voters)+len(f.Next))
	for _, v := range f.Voters {
		ids = append(ids, v.ID)
	}
	for _, v := range f.Next {
		if !slices.Contains(ids, v.ID) {
			ids = append(ids, v.ID)
		}
	}
	slices.SortFunc(ids, gossip.NodeID.Compare)
	return ids
}

// find is the voter's entry: the one of Next when it is in both sets, which says more.
func (f *Configuration) find(id gossip.NodeID) (Voter, bool) {
	for _, v := range f.Next {
		if v.ID == id {
			return v, true
		}
	}
	for _, v := range f.Voters {
		if v.ID == id {
			return v, true
		}
	}
	return Voter{}, false
}

// quorum reports whether those who answered decide: a majority of Voters and, when joint, one of Next.
func (f *Configuration) quorum(answered []gossip.NodeID) bool {
	return majority(f.Voters, answered) && (len(f.Next) == 0 || majority(f.Next, answered))
}

func majority(voters []Voter, answered []gossip.NodeID) bool {
	count := 0
	for i := range voters {
		if slices.Contains(answered, voters[i].ID) {
			count++
		}
	}
	return 2*count > len(voters)
}

// sameVoters reports whether the configuration is not joint and has these voters, which are sorted.
func (f *Configuration) sameVoters(ids []gossip.NodeID) bool {
	return !f.Joint() && slices.EqualFunc(f.Voters, ids, func(v Voter, id gossip.NodeID) bool { return v.ID == id })
}

func (f *Configuration) equal(g *Configuration) bool {
	return f.Epoch == g.Epoch && f.Lease == g.Lease && slices.Equal(f.Voters, g.Voters) && slices.Equal(f.Next, g.Next)
}

// digest tells configurations apart.
func (f *Configuration) digest() uint64 {
	hash := wire.Mix64(f.Epoch ^ uint64(f.Lease)<<20)
	for i, set := range [][]Voter{f.Voters, f.Next} {
		for _, v := range set {
			seed := uint64(2 * i)
			if v.Joining {
				seed++
			}
			hash = wire.Mix64(hash ^ wire.Hash64(seed, v.ID[:]))
		}
	}
	return hash
}

// String prints the epoch and the voters by their first bytes, joining ones with a +.
func (f *Configuration) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "epoch %d", f.Epoch)
	for i, set := range [][]Voter{f.Voters, f.Next} {
		if i == 1 && len(set) > 0 {
			b.WriteString(" and")
		}
		for _, v := range set {
			fmt.Fprintf(&b, " %x", v.ID[:4])
			if v.Joining {
				b.WriteByte('+')
			}
		}
	}
	return b.String()
}

// voters makes a set of voters of ids, which are sorted; those in known keep what is known of them.
func voters(ids []gossip.NodeID, known []Voter) []Voter {
	set := make([]Voter, len(ids))
	for i, id := range ids {
		set[i] = Voter{ID: id, Joining: true}
		for _, v := range known {
			if v.ID == id {
				set[i] = v
			}
		}
	}
	return set
}

// seen is the configuration with those who answered no longer joining. It copies what it changes.
func (f Configuration) seen(answered []gossip.NodeID) Configuration {
	for _, set := range []*[]Voter{&f.Voters, &f.Next} {
		if slices.ContainsFunc(*set, func(v Voter) bool { return v.Joining && slices.Contains(answered, v.ID) }) {
			*set = slices.Clone(*set)
			for i := range *set {
				v := &(*set)[i]
				v.Joining = v.Joining && !slices.Contains(answered, v.ID)
			}
		}
	}
	return f
}

// joint is the configuration on the way to the voters ids, which are sorted.
func (f Configuration) joint(ids []gossip.NodeID) Configuration {
	f.Epoch++
	f.Next = voters(ids, f.Voters)
	return f
}

// final is the configuration that a joint one is on the way to.
func (f Configuration) final() Configuration {
	f.Epoch++
	f.Voters, f.Next = f.Next, nil
	return f
}

func (f *Configuration) append(dst []byte) []byte {
	dst = wire.AppendUvarint(dst, f.Epoch)
	dst = wire.AppendUvarint(dst, uint64(f.Lease/time.Microsecond))
	for _, set := range [][]Voter{f.Voters, f.Next} {
		dst = wire.AppendUvarint(dst, uint64(len(set)))
		for _, v := range set {
			dst = append(dst, v.ID[:]...)
			dst = wire.AppendBool(dst, v.Joining)
		}
	}
	return dst
}

func readConfiguration(r *wire.Reader) (f Configuration) {
	f.Epoch = r.Uvarint()
	lease := r.Uvarint()
	if f.Epoch > maxCounter || lease > uint64(MaxLease/time.Microsecond) {
		r.Fail(wire.ErrMalformed)
		return Configuration{}
	}
	f.Lease = time.Duration(lease) * time.Microsecond
	f.Voters, f.Next = readVoters(r), readVoters(r)
	if len(f.Voters) == 0 {
		r.Fail(wire.ErrMalformed)
	}
	return f
}

// readVoters reads a set that must be sorted, with every voter once.
func readVoters(r *wire.Reader) []Voter {
	count := r.Count(MaxVoters, 17)
	if count == 0 {
		return nil
	}
	set := make([]Voter, count)
	for i := range set {
		set[i] = Voter{readID(r), r.Bool()}
		if set[i].ID.IsZero() || i > 0 && set[i-1].ID.Compare(set[i].ID) >= 0 {
			r.Fail(wire.ErrMalformed)
			return nil
		}
	}
	return set
}

func (s *State) append(dst []byte) []byte {
	dst = wire.AppendUvarint(dst, s.Version)
	dst = append(dst, s.Change.Proposer[:]...)
	dst = wire.AppendUint64(dst, uint64(s.Change.Boot))
	dst = wire.AppendUvarint(dst, s.Change.Number)
	dst = wire.AppendBytes(dst, s.Value)
	return s.Configuration.append(dst)
}

// readState reads a state of its own: nothing of it aliases the input.
func readState(r *wire.Reader) *State {
	s := &State{Version: r.Uvarint(), Change: ChangeID{readID(r), gossip.BootID(r.Uint64()), r.Uvarint()}}
	s.Value = slices.Clone(r.Bytes(MaxValue))
	s.Configuration = readConfiguration(r)
	if s.Version == 0 || s.Version > maxCounter || s.Epoch == 0 {
		r.Fail(wire.ErrMalformed)
	}
	return s
}

// appendOptional appends whether there is a state, and the state.
func appendOptional(dst []byte, s *State) []byte {
	dst = wire.AppendBool(dst, s != nil)
	if s != nil {
		dst = s.append(dst)
	}
	return dst
}

func readOptional(r *wire.Reader) *State {
	if !r.Bool() {
		return nil
	}
	return readState(r)
}
