package gossip

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/egalcluster/egal/internal/wire"
)

// Interval no-repeat rumors. The members are put in an order that changes with every time slot; who holds an
// interval of that order cuts it into at most k+1 parts, keeps the part it is in and goes on cutting that one, and
// hands each other part to the part's first member, with the payload. A part handed over is off the list, and no two
// parts overlap: with equal views and no loss every member gets the payload exactly once, n-1 in all, in
// ceil(log_{k+1} n) rounds. See parts.go for what becomes of a part that was handed over.

// span is the closed interval [low, high] of the 64-bit space of places.
type span struct{ low, high uint64 }

var wholeSpan = span{0, math.MaxUint64}

func (s span) holds(place uint64) bool  { return s.low <= place && place <= s.high }
func (s span) encloses(part span) bool  { return s.low <= part.low && part.high <= s.high }
func (s span) overlaps(other span) bool { return s.low <= other.high && other.low <= s.high }

// place is where a member with the given point stands in the order of a slot.
func place(slot, point uint64) uint64 { return wire.Mix64(wire.Mix64(slot+1) ^ point) }

// order is the reachable members of a roster, sorted by their places in a slot. It is immutable.
type order struct {
	places  []uint64
	members []int32  // indices in the roster
	ids     []uint64 // prefix sums, by XOR, of the members' points: ids[i] covers the first i
}

func newOrder(r *roster, slot uint64) *order {
	o := &order{members: make([]int32, 0, len(r.members))}
	all := make([]uint64, len(r.members))
	for i, point := range r.points {
		if all[i] = place(slot, point); r.members[i].Reachable {
			o.members = append(o.members, int32(i))
		}
	}
	slices.SortFunc(o.members, func(a, b int32) int { return cmp.Or(cmp.Compare(all[a], all[b]), cmp.Compare(a, b)) })
	o.places, o.ids = make([]uint64, len(o.members)), make([]uint64, len(o.members)+1)
	for i, member := range o.members {
		o.places[i] = all[member]
		o.ids[i+1] = o.ids[i] ^ r.points[member]
	}
	return o
}

// within is the range of indices whose places lie in the span.
func (o *order) within(s span) (from, to int) {
	from = sort.Search(len(o.places), func(i int) bool { return o.places[i] >= s.low })
	to = from + sort.Search(len(o.places)-from, func(i int) bool { return o.places[from+i] > s.high })
	return from, to
}

// find is the index of a place; -1: nobody stands there.
func (o *order) find(place uint64) int {
	if i, ok := slices.BinarySearch(o.places, place); ok {
		return i
	}
	return -1
}

// Orders remembers the orders of recent slots. The zero value is ready. It is not safe for concurrent use.
type Orders struct {
	known [8]knownOrder // the oldest is overwritten
	next  int
}

type knownOrder struct {
	roster *roster
	slot   uint64
	order  *order
}

func (o *Orders) of(r *roster, slot uint64) *order {
	for _, k := range o.known {
		if k.roster == r && k.slot == slot {
			return k.order
		}
	}
	made := knownOrder{r, slot, newOrder(r, slot)}
	o.known[o.next] = made
	o.next = (o.next + 1) % len(o.known)
	return made.order
}

// rounds is ceil(log_{k+1} n): the least count of rounds in which n are told when each who knows tells k per round;
// full is (k+1)^(rounds-1), the most that one of them can have told with one round less.
func rounds(n, fanout int) (count, full int) {
	full = 1
	for reached := 1; reached < n; reached *= fanout + 1 {
		count, full = count+1, reached
	}
	return count, full
}

// sizes are those of the at most fanout+1 parts that n members are cut into, in order. Each can be served with one
// round less than n. The parts are full or single as far as that goes, so that most members get a part of their own
// only, and answer once.
func sizes(n, fanout int) (list [MaxFanout + 1]int, count int) {
	_, full := rounds(n, fanout)
	count = min(fanout+1, n)
	for i := range count {
		list[i] = min(full, n-(count-1-i))
		n -= list[i]
	}
	return list, count
}

// cut hands out the members [from, to) of the order, which stand in the span s, but for the one at index self: at
// most fanout parts per round, rounds in order. It ends where done says so of what is left. With self outside of the
// range it hands out all of it. Where the cuts are does not depend on self: whoever cuts an interval, with an equal
// view, gets parts that lie within each other or apart.
func (o *order) cut(from, to, self int, s span, fanout int, done func(span) bool, hand func(from, to int, part span)) {
	for to-from > 1 || to-from == 1 && self != from {
		list, count := sizes(to-from, fanout)
		kept := part{}
		at := from
		for i := range count {
			p := part{span: s, from: at, to: at + list[i]}
			if i > 0 {
				p.span.low = o.places[p.from]
			}
			if i < count-1 {
				p.span.high = o.places[p.to] - 1
			}
			if p.from <= self && self < p.to {
				kept = p
			} else {
				hand(p.from, p.to, p.span)
			}
			at = p.to
		}
		if kept.to == 0 || done(kept.span) {
			return
		}
		from, to, s = kept.from, kept.to, kept.span
	}
}
