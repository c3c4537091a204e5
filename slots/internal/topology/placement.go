package topology

import (
	"fmt"
	"slices"

	"github.com/egalcluster/egal/internal/wire"
	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// Placement says which service should serve which slot. It is immutable.
//
// Encoded it is a sealed record (wire.Seal) of version 1:
//
//	| bytes     | meaning                                                                        |
//	|-----------|--------------------------------------------------------------------------------|
//	| services  | count, at most MaxServices; for each 16 bytes of NodeID and the index (uvarint) |
//	| runs      | count; for each the service's number + 1 (0: nobody), and slots - 1 (uvarints)  |
//
// The runs follow each other and cover all slots.
type Placement struct {
	services []ServiceID // oldest member first; no duplicates
	owners   [keyspace.Slots]uint16
}

const placementVersion = 1

// Services are the services of the placement, of the oldest member first. Not to be changed.
func (p *Placement) Services() []ServiceID { return p.services }

// Owner is the service that should serve the slot.
func (p *Placement) Owner(slot keyspace.Slot) (ServiceID, bool) {
	if slot >= keyspace.Slots || p.owners[slot] == nobody {
		return ServiceID{}, false
	}
	return p.services[p.owners[slot]], true
}

// Of gives the slots a service should serve and its place among the services.
func (p *Placement) Of(id ServiceID) (slots SlotSet, place int, ok bool) {
	place = slices.Index(p.services, id)
	if place < 0 {
		return slots, 0, false
	}
	for slot, owner := range p.owners {
		if int(owner) == place {
			slots.Add(keyspace.Slot(slot))
		}
	}
	return slots, place, true
}

// Equal reports whether two placements give every slot to the same service.
func (p *Placement) Equal(other *Placement) bool {
	return slices.Equal(p.services, other.services) && p.owners == other.owners
}

// Encode gives the sealed record.
func (p *Placement) Encode() []byte {
	b := wire.AppendUvarint(nil, uint64(len(p.services)))
	for _, id := range p.services {
		b = appendServiceID(b, id)
	}
	runs := 1
	for slot := 1; slot < keyspace.Slots; slot++ {
		if p.owners[slot] != p.owners[slot-1] {
			runs++
		}
	}
	b = wire.AppendUvarint(b, uint64(runs))
	for first := 0; first < keyspace.Slots; {
		next := first + 1
		for next < keyspace.Slots && p.owners[next] == p.owners[first] {
			next++
		}
		number := uint64(0)
		if p.owners[first] != nobody {
			number = uint64(p.owners[first]) + 1
		}
		b = wire.AppendUvarint(b, number)
		b = wire.AppendUvarint(b, uint64(next-first-1))
		first = next
	}
	return wire.Seal(placementVersion, b)
}

// DecodePlacement reads what Encode wrote.
func DecodePlacement(record []byte) (*Placement, error) {
	r, err := open(record, placementVersion)
	if err != nil {
		return nil, fmt.Errorf("topology: decode placement: %w", err)
	}
	p := &Placement{}
	for range r.Count(MaxServices, len(ServiceID{}.Node)+1) {
		p.services = append(p.services, readServiceID(r))
	}
	if !distinct(p.services) {
		r.Fail(fmt.Errorf("%w: a service is listed twice", wire.ErrMalformed))
	}
	p.readRuns(r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("topology: decode placement: %w", err)
	}
	return p, nil
}

// readRuns reads the runs in their shortest form: neighbours differ, and all slots are covered.
func (p *Placement) readRuns(r *wire.Reader) {
	slot, before := 0, -1
	for range r.Count(keyspace.Slots, 2) {
		number, more := r.Uvarint(), r.Uvarint()
		if r.Err() != nil {
			return
		}
		if number > uint64(len(p.services)) || int(number) == before || more >= uint64(keyspace.Slots-slot) {
			r.Fail(fmt.Errorf("%w: run at slot %d", wire.ErrMalformed, slot))
			return
		}
		before = int(number)
		owner := uint16(nobody)
		if number > 0 {
			owner = uint16(number - 1)
		}
		for end := slot + int(more) + 1; slot < end; slot++ {
			p.owners[slot] = owner
		}
	}
	if slot != keyspace.Slots {
		r.Fail(fmt.Errorf("%w: %d slots covered", wire.ErrMalformed, slot))
	}
}

func distinct(ids []ServiceID) bool {
	sorted := slices.SortedFunc(slices.Values(ids), ServiceID.Compare)
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			return false
		}
	}
	return true
}
