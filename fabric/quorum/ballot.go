package quorum

import (
	"cmp"
	"fmt"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
)

// Ballot orders proposals. A promise is for all steps of a ballot, so its Step is 0; accepts of one ballot have steps
// from 1 on, each on top of the one before, so that a proposer nobody interferes with prepares once. Boot makes the
// ballots of a process differ from those of its predecessors, without anything to be saved.
type Ballot struct {
	Counter  uint64
	Proposer gossip.NodeID
	Boot     gossip.BootID
	Step     uint32
}

// IsZero reports whether the ballot is below all that are proposed.
func (b Ballot) IsZero() bool { return b == Ballot{} }

// Compare orders ballots by their fields.
func (b Ballot) Compare(o Ballot) int {
	if c := b.compareRound(&o); c != 0 {
		return c
	}
	return cmp.Compare(b.Step, o.Step)
}

// compareRound leaves the steps aside.
func (b *Ballot) compareRound(o *Ballot) int {
	if c := cmp.Compare(b.Counter, o.Counter); c != 0 {
		return c
	}
	if c := b.Proposer.Compare(o.Proposer); c != 0 {
		return c
	}
	return cmp.Compare(b.Boot, o.Boot)
}

// round is the ballot as it is promised.
func (b Ballot) round() Ballot {
	b.Step = 0
	return b
}

// String prints counter.step@proposer, the proposer by its first four bytes.
func (b Ballot) String() string { return fmt.Sprintf("%d.%d@%x", b.Counter, b.Step, b.Proposer[:4]) }

func (b Ballot) append(dst []byte) []byte {
	dst = wire.AppendUvarint(dst, b.Counter)
	dst = append(dst, b.Proposer[:]...)
	dst = wire.AppendUint64(dst, uint64(b.Boot))
	return wire.AppendUvarint(dst, uint64(b.Step))
}

func readBallot(r *wire.Reader) Ballot {
	b := Ballot{Counter: r.Uvarint(), Proposer: readID(r), Boot: gossip.BootID(r.Uint64())}
	step := r.Uvarint()
	if b.Counter > maxCounter || step > maxStep {
		r.Fail(wire.ErrMalformed)
		return Ballot{}
	}
	b.Step = uint32(step)
	return b
}

func readID(r *wire.Reader) (id gossip.NodeID) {
	copy(id[:], r.Raw(len(id)))
	return id
}
