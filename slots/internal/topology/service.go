package topology

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strconv"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// Bounds of what services may say. Records beyond them are not decoded.
const (
	// MaxServices is how many services a table or a placement holds.
	MaxServices = 65_535
	// MaxServicesPerNode bounds ServiceID.Index: claims of higher ones are not looked for.
	MaxServicesPerNode = 8
	// MaxGrants is to how many services one service gives slots at a time.
	MaxGrants = 256
	// MaxHost is the longest announced host name in bytes.
	MaxHost = 255
	// MaxRecord is the longest encoded claim or placement in bytes.
	MaxRecord = gossip.MaxValue
	// MaxEpoch is the highest config epoch.
	MaxEpoch = 1<<48 - 1
)

// ServiceID names one service for ever: the node it runs on and its number there.
type ServiceID struct {
	// Node is the node that runs the service.
	Node gossip.NodeID
	// Index tells the services of a node apart.
	Index uint32
}

// String is the Redis node id: 40 hexadecimal digits, 32 of the node and 8 of the index.
func (id ServiceID) String() string {
	return hex.EncodeToString(binaryID(id))
}

func binaryID(id ServiceID) []byte {
	b := append(make([]byte, 0, 20), id.Node[:]...)
	return append(b, byte(id.Index>>24), byte(id.Index>>16), byte(id.Index>>8), byte(id.Index))
}

// ParseServiceID reads the 40 hexadecimal digits that String prints.
func ParseServiceID(s string) (id ServiceID, err error) {
	if len(s) != 40 {
		return id, fmt.Errorf("topology: parse service id: %d digits, want 40", len(s))
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return id, fmt.Errorf("topology: parse service id: %w", err)
	}
	copy(id.Node[:], b)
	id.Index = uint32(b[16])<<24 | uint32(b[17])<<16 | uint32(b[18])<<8 | uint32(b[19])
	return id, nil
}

// Compare orders ids as their strings.
func (id ServiceID) Compare(other ServiceID) int {
	if c := bytes.Compare(id.Node[:], other.Node[:]); c != 0 {
		return c
	}
	return cmp.Compare(id.Index, other.Index)
}

// ClaimKey is the key of a service's claim in its node's own state.
func ClaimKey(index uint32) string { return "slots/" + strconv.FormatUint(uint64(index), 10) }

// PlacementKey is the shared key of the placement.
const PlacementKey = "slots/placement"

// Range is the slots First to Last, both included.
type Range struct {
	First, Last keyspace.Slot
}

// Len is the number of slots in the range.
func (r Range) Len() int { return int(r.Last) - int(r.First) + 1 }

// String is "first-last", or "slot" for a single one, as CLUSTER NODES prints it.
func (r Range) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return strconv.Itoa(int(r.First)) + "-" + strconv.Itoa(int(r.Last))
}

// SlotSet is a set of slots. The zero SlotSet is empty.
type SlotSet [keyspace.Slots / 64]uint64

// SetOf is the set of all slots in the ranges. Slots beyond the last one are left out.
func SetOf(ranges []Range) (s SlotSet) {
	for _, r := range ranges {
		for slot := int(r.First); slot <= int(min(r.Last, keyspace.Slots-1)); slot++ {
			s.Add(keyspace.Slot(slot))
		}
	}
	return s
}

// Has reports whether the slot is in the set.
func (s *SlotSet) Has(slot keyspace.Slot) bool {
	return slot < keyspace.Slots && s[slot/64]&(1<<(slot%64)) != 0
}

// Add puts a slot into the set.
func (s *SlotSet) Add(slot keyspace.Slot) { s[slot/64] |= 1 << (slot % 64) }

// Remove takes a slot out of the set.
func (s *SlotSet) Remove(slot keyspace.Slot) { s[slot/64] &^= 1 << (slot % 64) }

// Len is the number of slots in the set.
func (s *SlotSet) Len() int {
	n := 0
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// Ranges are the slots of the set in the fewest ranges, ascending.
func (s *SlotSet) Ranges() []Range {
	var ranges []Range
	for slot := range s.all() {
		if n := len(ranges); n > 0 && ranges[n-1].Last+1 == slot {
			ranges[n-1].Last = slot
			continue
		}
		ranges = append(ranges, Range{First: slot, Last: slot})
	}
	return ranges
}

// all visits the slots of the set in ascending order. The set may be changed meanwhile at slots already visited.
func (s *SlotSet) all() func(yield func(keyspace.Slot) bool) {
	return func(yield func(keyspace.Slot) bool) {
		for i := range s {
			for word := s[i]; word != 0; word &= word - 1 {
				if !yield(keyspace.Slot(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

func (s *SlotSet) empty() bool { return *s == SlotSet{} }

// minus is the slots of s that are not in other.
func (s *SlotSet) minus(other *SlotSet) (d SlotSet) {
	for i := range s {
		d[i] = s[i] &^ other[i]
	}
	return d
}

// and is the slots in both sets.
func (s *SlotSet) and(other *SlotSet) (d SlotSet) {
	for i := range s {
		d[i] = s[i] & other[i]
	}
	return d
}

// or is the slots in either set.
func (s *SlotSet) or(other *SlotSet) (d SlotSet) {
	for i := range s {
		d[i] = s[i] | other[i]
	}
	return d
}
