package topology

import (
	"slices"

	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// Candidate is a service that may be given slots.
type Candidate struct {
	// ID is the service.
	ID ServiceID
	// Frozen services keep what they have and get nothing: they cannot be reached.
	Frozen bool
	// Holds are the slots the service claims.
	Holds *SlotSet
}

// Place gives every slot to a candidate, the same number to each that is not frozen (at most one more or less), and
// moves as few slots as that takes. Candidates come in the order of age, without duplicates, at most MaxServices.
//
// Where everything begins, each gets one range of slots. Later a slot stays where the placement before has it, or
// else where it is held. Slots of services that are no candidates any more, and what others have too many, the
// highest first, go to those that have too few, in the order of age. The result is nil when nobody can be given
// anything.
func Place(before *Placement, candidates []Candidate) *Placement {
	d := draft{candidates: candidates, counts: make([]int, len(candidates))}
	d.begin(before)
	for i, c := range candidates {
		if !c.Frozen {
			d.active = append(d.active, i)
		}
	}
	switch {
	case len(d.active) == 0:
		return nil
	case d.blank():
		d.divide()
	default:
		d.even()
	}
	return d.placement()
}

// draft is a placement in the making. Owners are indices of candidates.
type draft struct {
	candidates []Candidate
	active     []int // candidates that are not frozen
	owners     [keyspace.Slots]uint16
	counts     []int
}

// begin lets every slot stay where it is.
func (d *draft) begin(before *Placement) {
	for slot := range d.owners {
		d.owners[slot] = nobody
	}
	index := make(map[ServiceID]uint16, len(d.candidates))
	for i, c := range d.candidates {
		index[c.ID] = uint16(i)
	}
	if before != nil {
		for slot, owner := range before.owners {
			if owner == nobody {
				continue
			}
			if i, ok := index[before.services[owner]]; ok {
				d.give(keyspace.Slot(slot), i)
			}
		}
	}
	for i, c := range d.candidates {
		if c.Holds == nil {
			continue
		}
		for slot := range c.Holds.all() {
			if d.owners[slot] == nobody {
				d.give(slot, uint16(i))
			}
		}
	}
}

func (d *draft) give(slot keyspace.Slot, candidate uint16) {
	d.owners[slot] = candidate
	d.counts[candidate]++
}

func (d *draft) blank() bool {
	return !slices.ContainsFunc(d.counts, func(n int) bool { return n > 0 })
}

// divide gives each active candidate one range. The borders are those of redis-cli --cluster create: the multiples
// of Slots/n, rounded.
func (d *draft) divide() {
	n, slot := len(d.active), 0
	for k, i := range d.active {
		for end := (2*(k+1)*keyspace.Slots + n) / (2 * n); slot < end; slot++ {
			d.give(keyspace.Slot(slot), uint16(i))
		}
	}
}

// even moves slots from those that have too many, and those that nobody has, to those that have too few.
func (d *draft) even() {
	total := keyspace.Slots
	for i, c := range d.candidates {
		if c.Frozen {
			total -= d.counts[i]
		}
	}
	// The larger shares go to those that have the most already: that moves the fewest slots.
	byCount := slices.Clone(d.active)
	slices.SortStableFunc(byCount, func(a, b int) int { return d.counts[b] - d.counts[a] })
	target := make([]int, len(d.candidates))
	for k, i := range byCount {
		target[i] = total / len(d.active)
		if k < total%len(d.active) {
			target[i]++
		}
	}
	for slot := keyspace.Slots - 1; slot >= 0; slot-- {
		i := d.owners[slot]
		if i != nobody && !d.candidates[i].Frozen && d.counts[i] > target[i] {
			d.owners[slot] = nobody
			d.counts[i]--
		}
	}
	slot := 0
	for _, i := range d.active {
		for d.counts[i] < target[i] {
			for d.owners[slot] != nobody {
				slot++
			}
			d.give(keyspace.Slot(slot), uint16(i))
		}
	}
}

// placement names the candidates that have slots, in their order.
func (d *draft) placement() *Placement {
	p := &Placement{}
	renumbered := make([]uint16, len(d.candidates))
	for i, c := range d.candidates {
		if d.counts[i] == 0 {
			continue
		}
		renumbered[i] = uint16(len(p.services))
		p.services = append(p.services, c.ID)
	}
	for slot, owner := range d.owners {
		p.owners[slot] = nobody
		if owner != nobody {
			p.owners[slot] = renumbered[owner]
		}
	}
	return p
}
