package gossip

import (
	"cmp"
	"math"
	"slices"

	"github.com/egalcluster/egal/internal/wire"
)

// Interval no-repeat rumors, without the repair half. The members are put in an order that is peculiar to the
// rumor; who holds an interval of that order cuts it into k+1 parts of equal member count, keeps the part it is in
// and goes on cutting that one, and hands each other part to the part's first member, with the payload. A part
// handed over is off the list, and no two parts overlap: with equal views and no loss every member gets the payload
// exactly once, n-1 in all, in ceil(log_{k+1} n) rounds.

// rumorID names a batch of an origin's writes.
type rumorID struct {
	origin     NodeID
	generation uint64
	sequence   uint64
}

// seed makes the rumor's order.
func (id rumorID) seed() uint64 {
	return wire.Mix64(id.origin.point() ^ wire.Mix64(id.generation^wire.Mix64(id.sequence)))
}

// span is the closed interval [low, high] of the 64-bit space of slots.
type span struct{ low, high uint64 }

var wholeSpan = span{0, math.MaxUint64}

func (s span) holds(slot uint64) bool  { return s.low <= slot && slot <= s.high }
func (s span) encloses(part span) bool { return s.low <= part.low && part.high <= s.high }

// slotted is a member at its slot.
type slotted struct {
	slot   uint64
	member int // index in the roster
}

// order lists the reachable members whose slots lie in the span, and self wherever it lies, sorted by slot.
func (r *roster) order(seed uint64, s span, self NodeID) (list []slotted, at int) {
	for i, point := range r.points {
		slot := wire.Mix64(seed ^ point)
		if s.holds(slot) && r.members[i].Reachable && r.members[i].ID != self {
			list = append(list, slotted{slot, i})
		}
	}
	slices.SortFunc(list, func(a, b slotted) int {
		return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.member, b.member))
	})
	own := wire.Mix64(seed ^ self.point())
	at, _ = slices.BinarySearchFunc(list, own, func(s slotted, slot uint64) int { return cmp.Compare(s.slot, slot) })
	return slices.Insert(list, at, slotted{own, -1}), at
}

// cut hands out the list but for the entry at index self: at most fanout parts per round, rounds in order.
func cut(list []slotted, self int, s span, fanout int, hand func(first slotted, part span)) {
	for len(list) > 1 {
		parts := min(fanout+1, len(list))
		var kept []slotted
		var keptSpan span
		keptSelf := 0
		for i := range parts {
			from, to := i*len(list)/parts, (i+1)*len(list)/parts
			part := span{s.low, s.high}
			if i > 0 {
				part.low = list[from].slot
			}
			if i < parts-1 {
				part.high = list[to].slot - 1
			}
			if from <= self && self < to {
				kept, keptSpan, keptSelf = list[from:to], part, self-from
				continue
			}
			hand(list[from], part)
		}
		list, s, self = kept, keptSpan, keptSelf
	}
}

// Orders remembers the orders of recent slots. It is not safe for concurrent use.
type Orders struct{}
