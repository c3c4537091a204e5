package gossip

import (
	"errors"
	"slices"
	"strings"

	"github.com/egalcluster/egal/internal/wire"
)

// Limits of the state that one node writes about itself. They keep one owner's whole state within one frame.
const (
	// MaxKey is the longest key in bytes, of own and shared state alike.
	MaxKey = 256
	// MaxValue is the longest value in bytes, of own and shared state alike.
	MaxValue = 64 << 10
	// MaxOwnKeys is how many keys a node may write about itself.
	MaxOwnKeys = 1024
	// MaxOwnBytes is how many bytes of keys and values a node may write about itself.
	MaxOwnBytes = 256 << 10
)

// Keys that the core itself writes into its node's state.
const (
	keyNode   = "node" // who and where the node is
	keyReport = "fd"   // what its failure detector finds
)

// entry is one key of an owner's state. A deleted entry exists only inside a delta.
type entry struct {
	key     string
	value   []byte
	version uint64
	deleted bool
}

// owner is one node's state as that node wrote it: immutable, replaced as a whole. Its clock is
// (generation, version); every write adds one to version, every start of the process raises generation.
type owner struct {
	id         NodeID
	generation uint64
	version    uint64
	entries    []entry // live ones, sorted by key
	bytes      int     // of keys and values
	about      *about  // decoded keyNode; nil when absent or malformed
	report     *report // decoded keyReport; nil when absent or malformed
}

func (o *owner) rowKey() NodeID { return o.id }

// digest is the owner's part of the root hash.
func (o *owner) digest() uint64 {
	return wire.Mix64(o.id.point() ^ wire.Mix64(o.generation^wire.Mix64(o.version)))
}

func (o *owner) find(key string) (entry, bool) {
	i, ok := slices.BinarySearchFunc(o.entries, key, func(e entry, k string) int { return strings.Compare(e.key, k) })
	if !ok {
		return entry{}, false
	}
	return o.entries[i], true
}

// delta is a stretch of an owner's writes: everything that changed in (since, upto]. With since = 0 it is the
// whole state at version upto, and it may begin a new generation.
type delta struct {
	owner      NodeID
	generation uint64
	since      uint64
	upto       uint64
	entries    []entry // sorted by key
}

// whole is the delta that carries all of o.
func (o *owner) whole() delta {
	return delta{owner: o.id, generation: o.generation, upto: o.version, entries: o.entries}
}

// outcome says what a delta meant to a replica.
type outcome uint8

const (
	stale   outcome = iota // nothing new
	gap                    // earlier writes are missing: may be applied later
	applied                // the replica advanced
	refused                // the result would be over the limits: no correct owner writes so much
)

// apply merges d into the replica o, which may be nil. Invariant: the result holds every live key of the owner up
// to its version, because a delta is applied only when it begins at or below what the replica has.
func apply(o *owner, d delta) (*owner, outcome) {
	if o == nil {
		o = &owner{id: d.owner}
	}
	switch {
	case d.generation < o.generation, d.generation == o.generation && d.upto <= o.version:
		return o, stale
	case d.since == 0:
		return within(o, newOwner(d.owner, d.generation, d.upto, d.entries))
	case d.generation > o.generation, d.since > o.version:
		return o, gap
	}
	merged := make([]entry, 0, len(o.entries)+len(d.entries))
	old, change := o.entries, d.entries
	for len(old) > 0 || len(change) > 0 {
		switch {
		case len(change) == 0 || len(old) > 0 && old[0].key < change[0].key:
			merged, old = append(merged, old[0]), old[1:]
			continue
		case len(old) > 0 && old[0].key == change[0].key:
			// An entry at or below the replica's version is no news: a later write may have deleted its key.
			if change[0].version <= o.version {
				merged = append(merged, old[0])
			}
			old = old[1:]
		}
		if change[0].version > o.version && !change[0].deleted {
			merged = append(merged, change[0])
		}
		change = change[1:]
	}
	return within(o, newOwner(d.owner, d.generation, d.upto, merged))
}

// within gives next, or before when next is over an owner's limits.
func within(before, next *owner) (*owner, outcome) {
	if len(next.entries) > MaxOwnKeys || next.bytes > MaxOwnBytes {
		return before, refused
	}
	return next, applied
}

func newOwner(id NodeID, generation, version uint64, entries []entry) *owner {
	o := &owner{id: id, generation: generation, version: version, entries: entries}
	if slices.ContainsFunc(entries, func(e entry) bool { return e.deleted }) {
		o.entries = slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return e.deleted })
	}
	for _, e := range o.entries {
		o.bytes += len(e.key) + len(e.value)
		switch e.key {
		case keyNode:
			o.about = decodeAbout(e.value)
		case keyReport:
			o.report = decodeReport(e.value)
		}
	}
	return o
}

// Errors for writes that are refused; they arrive in a Refused event.
var (
	ErrTooLarge  = errors.New("gossip: key or value too large")
	ErrFull      = errors.New("gossip: state is full")
	ErrReserved  = errors.New("gossip: key is reserved for the core")
	ErrClock     = errors.New("gossip: this node's clock is more than 500 ms off its peers' median")
	ErrNoCluster = errors.New("gossip: not in a cluster")
)

// write is o with key set to value, or deleted, at the next version. Writing what is there already changes nothing.
func (o *owner) write(key string, value []byte, deleted bool) (*owner, error) {
	before, had := o.find(key)
	switch {
	case key == "" || len(key) > MaxKey || len(value) > MaxValue:
		return o, ErrTooLarge
	case deleted && !had, had && !deleted && slices.Equal(before.value, value):
		return o, nil
	case !deleted && !had && len(o.entries) >= MaxOwnKeys,
		!deleted && o.bytes-len(before.key)-len(before.value)+len(key)+len(value) > MaxOwnBytes:
		return o, ErrFull
	}
	change := entry{key: key, value: slices.Clone(value), version: o.version + 1, deleted: deleted}
	next, _ := apply(o, delta{owner: o.id, generation: o.generation, since: o.version, upto: o.version + 1, entries: []entry{change}})
	return next, nil
}
