package gossip

import (
	"fmt"
	"math/bits"

	"github.com/egalcluster/egal/internal/hlc"
	"github.com/egalcluster/egal/internal/wire"
)

// The bodies of packets that compare and repair state, in the order in which they follow each other.

// section is one of the two sections of the replicated state.
type section bool

const (
	sectionOwners section = false
	sectionShared section = true
)

// roots says what the sender's state is, by one hash for each part of it.
type roots struct{ owners, shared uint64 }

// sums answers unequal roots: a hash of every bucket of one part of the sender's state.
type sums struct {
	section section
	salt    uint64 // goes into the hashes, so that two that are equal by accident are not so the next time
	list    [buckets]uint32
}

// digests answers unequal sums, or, where there is little state, unequal roots: what the sender holds in some buckets.
type digests struct {
	section section
	covered bucketSet // the buckets it is about
	partial bool      // and of which it does not name all rows, because they are too many
	more    bool      // other buckets differ, too
	owners  []ownerDigest
	shared  []sharedDigest
}

// ownerDigest is the clock up to which the sender holds an owner's state; zero: it holds nothing.
type ownerDigest struct {
	id                  NodeID
	generation, version uint64
}

// sharedDigest is the stamp of a shared key that the sender holds.
type sharedDigest struct {
	key   sharedKey
	stamp hlc.Timestamp
	node  NodeID
}

// fill answers digests, or the wishes in another fill: it brings what the receiver lacks, and wishes for what the
// sender lacks.
type fill struct {
	more   bool // there is more to bring
	deltas []delta
	shared []*shared
	owners []ownerDigest // wanted: everything after these clocks
	keys   []sharedKey   // wanted
}

// How many bytes a body may have in a datagram, and in a packet over a stream, that holds nothing else.
const (
	datagramRoom = MaxDatagram - headerBytes - 3
	packetRoom   = MaxPacket - headerBytes - 4
)

const (
	kindRoots uint8 = 2*iota + 0x20
	kindSums
	kindDigests
	kindFill
)

func (roots) kind() uint8   { return kindRoots }
func (sums) kind() uint8    { return kindSums }
func (digests) kind() uint8 { return kindDigests }
func (fill) kind() uint8    { return kindFill }

func (roots) String() string { return "roots" }
func (sums) String() string  { return "sums" }
func (m digests) String() string {
	return fmt.Sprintf("digests: %d owners, %d shared", len(m.owners), len(m.shared))
}

func (m fill) String() string {
	return fmt.Sprintf("fill: %d owners, %d shared, wants %d and %d", len(m.deltas), len(m.shared), len(m.owners), len(m.keys))
}

// bucketSet is a set of a table's buckets.
type bucketSet [buckets / 64]uint64

func (s *bucketSet) add(b uint8)      { s[b/64] |= 1 << (b % 64) }
func (s *bucketSet) has(b uint8) bool { return s[b/64]&(1<<(b%64)) != 0 }

func (s *bucketSet) count() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// readEntropy reads the value of a body of one of the kinds above.
func readEntropy(kind uint8, r *wire.Reader) body {
	switch kind {
	case kindRoots:
		return roots{r.Uint64(), r.Uint64()}
	case kindSums:
		return readSums(r)
	case kindDigests:
		return readDigests(r)
	case kindFill:
		return readFill(r)
	default:
		return readDetector(kind, r)
	}
}

func (m roots) append(b []byte) []byte {
	return wire.AppendUint64(wire.AppendUint64(b, m.owners), m.shared)
}
func (m roots) size() int { return 16 }

func (m sums) append(b []byte) []byte {
	b = wire.AppendUint64(wire.AppendBool(b, bool(m.section)), m.salt)
	for _, sum := range m.list {
		b = wire.AppendUint32(b, sum)
	}
	return b
}
func (m sums) size() int { return 1 + 8 + 4*buckets }

func readSums(r *wire.Reader) (m sums) {
	m.section, m.salt = section(r.Bool()), r.Uint64()
	for i := range m.list {
		m.list[i] = r.Uint32()
	}
	return m
}

func (m digests) append(b []byte) []byte {
	b = wire.AppendBool(b, bool(m.section))
	for _, word := range m.covered {
		b = wire.AppendUint64(b, word)
	}
	b = wire.AppendBool(wire.AppendBool(b, m.partial), m.more)
	b = appendOwnerDigests(b, m.owners)
	b = wire.AppendUvarint(b, uint64(len(m.shared)))
	for _, d := range m.shared {
		b = wire.AppendBytes(b, d.key)
		b = wire.AppendUint64(b, uint64(d.stamp))
		b = append(b, d.node[:]...)
	}
	return b
}

// digestsBytes is an upper bound of digests that name nothing.
const digestsBytes = 1 + buckets/8 + 2 + 2*countBytes

func (m digests) size() int {
	size := digestsBytes
	for _, d := range m.owners {
		size += d.size()
	}
	for _, d := range m.shared {
		size += d.size()
	}
	return size
}

func readDigests(r *wire.Reader) (m digests) {
	m.section = section(r.Bool())
	for i := range m.covered {
		m.covered[i] = r.Uint64()
	}
	m.partial, m.more = r.Bool(), r.Bool()
	m.owners = readOwnerDigests(r)
	for range r.Count(2*MaxShared, 1+8+16) {
		d := sharedDigest{key: readSharedKey(r), stamp: hlc.Timestamp(r.Uint64()), node: readNodeID(r)}
		if r.Err() == nil && d.stamp >= maxStamp {
			r.Fail(fmt.Errorf("%w: stamp of a shared key", wire.ErrMalformed))
		}
		m.shared = append(m.shared, d)
	}
	if r.Err() == nil && (m.section == sectionShared && len(m.owners) > 0 || m.section == sectionOwners && len(m.shared) > 0) {
		r.Fail(fmt.Errorf("%w: digests of both parts", wire.ErrMalformed))
	}
	return m
}

func (m fill) append(b []byte) []byte {
	b = wire.AppendBool(b, m.more)
	b = wire.AppendUvarint(b, uint64(len(m.deltas)))
	for _, d := range m.deltas {
		b = appendDelta(b, d)
	}
	b = appendSharedList(b, m.shared)
	b = appendOwnerDigests(b, m.owners)
	b = wire.AppendUvarint(b, uint64(len(m.keys)))
	for _, key := range m.keys {
		b = wire.AppendBytes(b, key)
	}
	return b
}

// fillBytes is an upper bound of a fill that brings and wants nothing, countBytes one of the count of a list.
const (
	fillBytes  = 1 + 4*countBytes
	countBytes = 3
)

func (m fill) size() int {
	size := fillBytes + sharedListSize(m.shared) - varintSize(len(m.shared))
	for _, d := range m.deltas {
		size += deltaSize(d)
	}
	for _, d := range m.owners {
		size += d.size()
	}
	for _, key := range m.keys {
		size += keySize(key)
	}
	return size
}

func readFill(r *wire.Reader) (m fill) {
	m.more = r.Bool()
	for range r.Count(MaxMembers, minDeltaBytes) {
		m.deltas = append(m.deltas, readDelta(r))
	}
	m.shared = readSharedList(r)
	m.owners = readOwnerDigests(r)
	for range r.Count(2*MaxShared, 2) {
		m.keys = append(m.keys, readSharedKey(r))
	}
	return m
}

func appendOwnerDigests(b []byte, list []ownerDigest) []byte {
	b = wire.AppendUvarint(b, uint64(len(list)))
	for _, d := range list {
		b = append(b, d.id[:]...)
		b = wire.AppendUvarint(b, d.generation)
		b = wire.AppendUvarint(b, d.version)
	}
	return b
}

func readOwnerDigests(r *wire.Reader) (list []ownerDigest) {
	for range r.Count(MaxMembers, 16+2) {
		d := ownerDigest{id: readNodeID(r), generation: r.Uvarint(), version: r.Uvarint()}
		if r.Err() == nil && (d.id.IsZero() || d.generation > maxCounter || d.version > maxCounter) {
			r.Fail(fmt.Errorf("%w: clock of an owner", wire.ErrMalformed))
		}
		list = append(list, d)
	}
	return list
}

func readSharedKey(r *wire.Reader) sharedKey {
	key := r.String(MaxKey)
	if key == "" && r.Err() == nil {
		r.Fail(fmt.Errorf("%w: empty key", wire.ErrMalformed))
	}
	return sharedKey(key)
}

func (d ownerDigest) size() int  { return 16 + varintSize(d.generation) + varintSize(d.version) }
func (d sharedDigest) size() int { return keySize(d.key) + 8 + 16 }
func keySize(key sharedKey) int  { return varintSize(len(key)) + len(key) }

const maxPositionBytes = 1 + 1 + varintBytes + MaxKey

func appendPosition(b []byte, p position) []byte {
	return wire.AppendBytes(append(wire.AppendBool(b, bool(p.section)), p.bucket), p.after)
}

func readPosition(r *wire.Reader) position {
	return position{section: section(r.Bool()), bucket: r.Uint8(), after: r.String(MaxKey)}
}
