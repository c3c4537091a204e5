package gossip

import (
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/egalcluster/egal/internal/wire"
)

// Limits of the state that one node writes about itself. They keep one owner's whole state within one packet.
const (
	// MaxKey is the longest key in bytes, of own and shared state alike.
	MaxKey = 256
	// MaxValue is the longest value in bytes, of own and shared state alike.
	MaxValue = 64 << 10
	// MaxOwnKeys is how many keys a node may write about itself, and how many deleted ones it remembers.
	MaxOwnKeys = 1024
	// MaxOwnBytes is how many bytes of keys and values a node may write about itself.
	MaxOwnBytes = 256 << 10
)

// Keys that the core itself writes into its node's state.
const (
	keyNode   = "node"  // who and where the node is
	keyReport = "clock" // whether its clock is off
)

// entry is one key of an owner's state, or the tombstone of one.
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
	collected  uint64  // tombstones up to this version are forgotten. Invariant: collected ≤ version
	entries    []entry // sorted by key, tombstones above collected included
	tombstones int     // how many of the entries
	bytes      int     // of live keys and values
	about      *about  // decoded keyNode; nil when absent or malformed
	report     *report // decoded keyReport; nil when absent or malformed
}

func (o *owner) rowKey() NodeID { return o.id }

// digest is the owner's part of the root hash.
func (o *owner) digest() uint64 {
	return wire.Mix64(o.id.point() ^ wire.Mix64(o.generation^wire.Mix64(o.version)))
}

// find is the live entry with the key.
func (o *owner) find(key string) (entry, bool) {
	i, ok := slices.BinarySearchFunc(o.entries, key, func(e entry, k string) int { return strings.Compare(e.key, k) })
	if !ok || o.entries[i].deleted {
		return entry{}, false
	}
	return o.entries[i], true
}

// delta is a stretch of an owner's writes: everything in (since, upto] that no later write has superseded, the
// tombstones up to collected excepted. With since = 0 it may begin a new generation, or replace a state that is
// older than collected.
type delta struct {
	owner      NodeID
	generation uint64
	since      uint64
	upto       uint64
	collected  uint64
	entries    []entry // sorted by key
}

// whole is the delta that carries all of o.
func (o *owner) whole() delta {
	return delta{owner: o.id, generation: o.generation, upto: o.version, collected: o.collected, entries: o.entries}
}

// outcome says what a delta meant to a replica.
type outcome uint8

const (
	stale   outcome = iota // nothing new
	gap                    // earlier writes are missing: may be applied later
	applied                // the replica advanced
	refused                // the result would be over the limits: no correct owner writes so much
)

// apply merges d into the replica o, which may be nil.
//
// Invariant: the result holds every live key of the owner with a version up to its own, and no key that the owner
// deleted up to there. For a delta adds to a replica only when it begins at or below what the replica has, and when
// the replica has seen all the deletions whose tombstones the delta may lack; otherwise it must be one that begins
// at the beginning, and takes the replica's place.
func apply(o *owner, d delta) (*owner, outcome) {
	if o == nil {
		o = &owner{id: d.owner}
	}
	switch {
	case d.generation < o.generation, d.generation == o.generation && d.upto <= o.version:
		return o, stale
	case d.generation == o.generation && d.since <= o.version && d.collected <= o.version:
		next := &owner{id: d.owner, generation: d.generation, version: d.upto, collected: max(o.collected, d.collected)}
		next.hold(merge(o, d.entries), o)
		return within(o, next)
	case d.since == 0:
		return within(o, newOwner(d.owner, d.generation, d.upto, d.collected, d.entries))
	default:
		return o, gap
	}
}

// merge is o's entries with the changes that are newer than o. The others are no news: a later write may have
// superseded them.
func merge(o *owner, change []entry) []entry {
	merged := make([]entry, 0, len(o.entries)+len(change))
	old := o.entries
	for _, e := range change {
		if e.version <= o.version {
			continue
		}
		for len(old) > 0 && old[0].key < e.key {
			merged, old = append(merged, old[0]), old[1:]
		}
		if len(old) > 0 && old[0].key == e.key {
			old = old[1:]
		}
		merged = append(merged, e)
	}
	return append(merged, old...)
}

// within gives next, or before when next is over an owner's limits.
func within(before, next *owner) (*owner, outcome) {
	if len(next.entries)-next.tombstones > MaxOwnKeys || next.tombstones > MaxOwnKeys || next.bytes > MaxOwnBytes {
		return before, refused
	}
	return next, applied
}

func newOwner(id NodeID, generation, version, collected uint64, entries []entry) *owner {
	o := &owner{id: id, generation: generation, version: version, collected: collected}
	o.hold(entries, nil)
	return o
}

// hold gives a new owner its entries. What an earlier state of the same generation has decoded already, and which is
// the same, is taken from there.
func (o *owner) hold(entries []entry, before *owner) {
	o.entries = entries
	forgotten := func(e entry) bool { return e.deleted && e.version <= o.collected }
	if slices.ContainsFunc(entries, forgotten) {
		o.entries = slices.DeleteFunc(slices.Clone(entries), forgotten)
	}
	for _, e := range o.entries {
		if e.deleted {
			o.tombstones++
			continue
		}
		o.bytes += len(e.key) + len(e.value)
		known := before != nil && e.version <= before.version
		switch {
		case e.key == keyNode && known:
			o.about = before.about
		case e.key == keyNode:
			o.about = decodeAbout(e.value)
		case e.key == keyReport && known:
			o.report = before.report
		case e.key == keyReport:
			o.report = decodeReport(e.value)
		}
	}
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
// The oldest tombstone makes room for one that would be too many.
func (o *owner) write(key string, value []byte, deleted bool) (*owner, error) {
	before, had := o.find(key)
	switch {
	case key == "" || len(key) > MaxKey || len(value) > MaxValue:
		return o, ErrTooLarge
	case deleted && !had, had && !deleted && slices.Equal(before.value, value):
		return o, nil
	case !deleted && !had && len(o.entries)-o.tombstones >= MaxOwnKeys,
		!deleted && o.bytes-len(before.key)-len(before.value)+len(key)+len(value) > MaxOwnBytes:
		return o, ErrFull
	}
	collected, change := o.collected, entry{key: key, version: o.version + 1, deleted: deleted}
	if !deleted {
		change.value = slices.Clone(value)
	} else if o.tombstones == MaxOwnKeys {
		collected = o.oldestTombstone()
	}
	return o.next(collected, change), nil
}

// collect is o without the tombstones up to version. It is a write, too: the others hear of it like of any other.
func (o *owner) collect(version uint64) *owner {
	if o.tombstones == 0 || version < o.oldestTombstone() {
		return o
	}
	return o.next(version)
}

func (o *owner) next(collected uint64, change ...entry) *owner {
	next, _ := apply(o, delta{
		owner: o.id, generation: o.generation, since: o.version, upto: o.version + 1, collected: collected, entries: change,
	})
	return next
}

// oldestTombstone is its version; the highest number when there is none.
func (o *owner) oldestTombstone() uint64 {
	oldest := uint64(math.MaxUint64)
	for _, e := range o.entries {
		if e.deleted {
			oldest = min(oldest, e.version)
		}
	}
	return oldest
}
