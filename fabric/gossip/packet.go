package gossip

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/egalcluster/egal/internal/hlc"
	"github.com/egalcluster/egal/internal/wire"
)

// Limits of packets.
const (
	// MaxDatagram is how many bytes of a packet travel as one datagram: what sealing leaves of 1200. A larger packet
	// needs a stream.
	MaxDatagram = 1152
	// MaxPacket is the largest packet.
	MaxPacket = 1 << 20
	// maxChunk is how many bytes of state are put into one packet. One owner's whole state, or one shared key,
	// on top still makes less than MaxPacket.
	maxChunk = 256 << 10
	// maxReason is the longest reason of a refusal in bytes.
	maxReason = 128
)

const packetVersion = 2

// Packet is the one Message that crosses the network: a header and up to maxBodies things to say.
//
//	| bytes  | meaning                                                           |
//	|--------|-------------------------------------------------------------------|
//	| 1      | version                                                           |
//	| 16     | cluster; zero: the sender is in none                              |
//	| 16     | sender                                                            |
//	| varint | sender's generation                                               |
//	| 8      | sender's boot                                                     |
//	| 8      | receiver's boot; zero: whoever is there (joins, lost members)     |
//	| n      | bodies: kind (1 byte), length (varint), value                     |
//
// A receiver skips bodies of odd kinds that it does not know; with one of an even kind it refuses the packet.
type Packet struct {
	Cluster      ClusterID
	Sender       NodeID
	Generation   uint64
	Boot         BootID
	ReceiverBoot BootID
	bodies       []body
	bytes        int // upper bound of the encoded size; zero: not known yet
}

// maxBodies is how many bodies a packet has at most.
const maxBodies = 256

// body is one of the things that a packet says. The type is sealed.
type body interface {
	kind() uint8
	append(b []byte) []byte
	size() int // an upper bound of what append appends
	String() string
}

// probe asks a member whether it is there; ack answers. Both carry the sender's root and wall clock.
type probe struct {
	sequence uint64
	root     uint64
	wall     int64 // Unix microseconds
	stream   bool  // goes over a stream, for the sender; not encoded
}

type ack probe

// joinRequest asks a member to let the node into its cluster, and brings the node's own state.
type joinRequest struct {
	own   delta
	whole bool     // the asking node lacks the cluster's state
	next  position // from where on
}

// joinRefusal answers a joinRequest in the negative.
type joinRefusal struct{ reason string }

// stateChunk is a part of the sender's whole state. Each part can be merged by itself.
type stateChunk struct {
	root   uint64 // of the sender
	last   bool
	next   position // where the next part begins, unless this is the last
	owners []delta
	shared []*shared
}

// Kinds of bodies. Even ones must be understood.
const (
	kindProbe       uint8 = 2
	kindAck         uint8 = 4
	kindRumor       uint8 = 6
	kindAnswer      uint8 = 8
	kindSettled     uint8 = 10
	kindJoinRequest uint8 = 12
	kindJoinRefusal uint8 = 14
	kindStateChunk  uint8 = 16
)

func (probe) kind() uint8       { return kindProbe }
func (ack) kind() uint8         { return kindAck }
func (joinRequest) kind() uint8 { return kindJoinRequest }
func (joinRefusal) kind() uint8 { return kindJoinRefusal }
func (stateChunk) kind() uint8  { return kindStateChunk }

func (probe) String() string         { return "probe" }
func (ack) String() string           { return "ack" }
func (joinRequest) String() string   { return "join" }
func (j joinRefusal) String() string { return "join refused: " + j.reason }
func (s stateChunk) String() string {
	return fmt.Sprintf("state: %d owners, %d shared", len(s.owners), len(s.shared))
}

// readBody reads the value of a body; nil: its kind is unknown.
func readBody(kind uint8, r *wire.Reader) body {
	switch kind {
	case kindProbe:
		return readProbe(r)
	case kindAck:
		return ack(readProbe(r))
	case kindRumor:
		return readRumor(r)
	case kindAnswer:
		return readAnswer(r)
	case kindSettled:
		return readSettled(r)
	case kindJoinRequest:
		return joinRequest{own: readDelta(r), whole: r.Bool(), next: readPosition(r)}
	case kindJoinRefusal:
		return joinRefusal{reason: r.String(maxReason)}
	case kindStateChunk:
		return readStateChunk(r)
	default:
		return readEntropy(kind, r)
	}
}

// Reliable reports whether the packet must go over a stream: it makes a connection's first contact, carries whole
// state, or is larger than a datagram.
func (p Packet) Reliable() bool {
	return p.size() > MaxDatagram || slices.ContainsFunc(p.bodies, needsStream)
}

// needsStream reports whether a body needs a stream whatever its size.
func needsStream(b body) bool {
	switch b := b.(type) {
	case probe:
		return b.stream
	case joinRequest, joinRefusal, stateChunk:
		return true
	default:
		return false
	}
}

// size is an upper bound of the packet's encoded size.
func (p Packet) size() int {
	if p.bytes > 0 {
		return p.bytes
	}
	size := headerBytes
	for _, b := range p.bodies {
		size += bodyBytes(b)
	}
	return size
}

// String is for traces and scenario files.
func (p Packet) String() string {
	texts := make([]string, len(p.bodies))
	for i, b := range p.bodies {
		texts[i] = b.String()
	}
	return strings.Join(texts, "; ")
}

const (
	varintBytes = 10
	headerBytes = 1 + 16 + 16 + varintBytes + 8 + 8
)

// bodyBytes is an upper bound of what a body takes in a packet.
func bodyBytes(b body) int {
	size := b.size()
	return 1 + varintSize(size) + size
}

// varintSize is the size of a varint.
func varintSize[T int | uint64](v T) int { return (bits.Len64(uint64(v)|1) + 6) / 7 }

// Encode appends the packet.
func Encode(dst []byte, p Packet) []byte {
	dst = append(dst, packetVersion)
	dst = append(dst, p.Cluster[:]...)
	dst = append(dst, p.Sender[:]...)
	dst = wire.AppendUvarint(dst, p.Generation)
	dst = wire.AppendUint64(dst, uint64(p.Boot))
	dst = wire.AppendUint64(dst, uint64(p.ReceiverBoot))
	for _, b := range p.bodies {
		dst = append(dst, b.kind(), 0)
		from := len(dst)
		dst = b.append(dst)
		if length := uint64(len(dst) - from); length < 128 {
			dst[from-1] = byte(length)
		} else {
			dst = slices.Replace(dst, from-1, from, wire.AppendUvarint(nil, length)...)
		}
	}
	return dst
}

// Decode reads one packet. It copies what it keeps: b may be reused.
func Decode(b []byte) (Packet, error) {
	if len(b) > MaxPacket {
		return Packet{}, fmt.Errorf("gossip: decode packet: %w: %d bytes", wire.ErrTooLong, len(b))
	}
	r := wire.NewReader(b)
	if v := r.Uint8(); r.Err() == nil && v != packetVersion {
		return Packet{}, fmt.Errorf("gossip: decode packet: %w: %d", wire.ErrVersion, v)
	}
	p := Packet{Cluster: ClusterID(readNodeID(r)), Sender: readNodeID(r)}
	p.Generation, p.Boot, p.ReceiverBoot = r.Uvarint(), BootID(r.Uint64()), BootID(r.Uint64())
	for count := 0; r.Err() == nil && r.Remaining() > 0; count++ {
		kind := r.Uint8()
		value := wire.NewReader(r.Bytes(MaxPacket))
		if r.Err() != nil {
			break
		}
		known := readBody(kind, value)
		switch err := value.Done(); {
		case count == maxBodies:
			r.Fail(fmt.Errorf("%w: more than %d bodies", wire.ErrTooLong, maxBodies))
		case known == nil && kind%2 == 0:
			r.Fail(fmt.Errorf("%w: kind %d", wire.ErrMalformed, kind))
		case known == nil:
		case err != nil:
			r.Fail(err)
		default:
			p.bodies = append(p.bodies, known)
		}
	}
	if err := r.Done(); err != nil {
		return Packet{}, fmt.Errorf("gossip: decode packet: %w", err)
	}
	return p, nil
}

func (p probe) append(b []byte) []byte {
	b = wire.AppendUint64(b, p.sequence)
	b = wire.AppendUint64(b, p.root)
	return wire.AppendUint64(b, uint64(p.wall))
}
func (p probe) size() int { return 24 }

func (a ack) append(b []byte) []byte { return probe(a).append(b) }
func (a ack) size() int              { return probe(a).size() }

func readProbe(r *wire.Reader) probe {
	return probe{sequence: r.Uint64(), root: r.Uint64(), wall: int64(r.Uint64())}
}

func (j joinRequest) append(b []byte) []byte {
	return appendPosition(wire.AppendBool(appendDelta(b, j.own), j.whole), j.next)
}
func (j joinRequest) size() int { return deltaSize(j.own) + 1 + maxPositionBytes }

func (j joinRefusal) append(b []byte) []byte { return wire.AppendBytes(b, j.reason) }
func (j joinRefusal) size() int              { return varintBytes + len(j.reason) }

func (s stateChunk) append(b []byte) []byte {
	b = wire.AppendUint64(b, s.root)
	b = wire.AppendBool(b, s.last)
	b = appendPosition(b, s.next)
	b = wire.AppendUvarint(b, uint64(len(s.owners)))
	for _, d := range s.owners {
		b = appendDelta(b, d)
	}
	return appendSharedList(b, s.shared)
}

func (s stateChunk) size() int {
	size := 8 + 1 + maxPositionBytes + varintBytes + sharedListSize(s.shared)
	for _, d := range s.owners {
		size += deltaSize(d)
	}
	return size
}

func readStateChunk(r *wire.Reader) stateChunk {
	s := stateChunk{root: r.Uint64(), last: r.Bool(), next: readPosition(r)}
	for range r.Count(MaxMembers, minDeltaBytes) {
		s.owners = append(s.owners, readDelta(r))
	}
	s.shared = readSharedList(r)
	return s
}

const (
	minDeltaBytes = 16 + 5
	maxCounter    = 1 << 63 // generations and versions that can always be followed by a later one
)

func appendDelta(b []byte, d delta) []byte {
	b = append(b, d.owner[:]...)
	b = wire.AppendUvarint(b, d.generation)
	b = wire.AppendUvarint(b, d.since)
	b = wire.AppendUvarint(b, d.upto)
	b = wire.AppendUvarint(b, d.collected)
	b = wire.AppendUvarint(b, uint64(len(d.entries)))
	for _, e := range d.entries {
		b = wire.AppendBytes(b, e.key)
		b = wire.AppendUvarint(b, e.version)
		b = wire.AppendBool(b, e.deleted)
		if !e.deleted {
			b = wire.AppendBytes(b, e.value)
		}
	}
	return b
}

// deltaBytes is an upper bound of a delta without entries.
const deltaBytes = 16 + 5*varintBytes

func deltaSize(d delta) int {
	size := 16 + varintSize(d.generation) + varintSize(d.since) + varintSize(d.upto) + varintSize(d.collected) + varintSize(len(d.entries))
	for _, e := range d.entries {
		size += entrySize(e)
	}
	return size
}

func entrySize(e entry) int {
	size := varintSize(len(e.key)) + len(e.key) + varintSize(e.version) + 1
	if !e.deleted {
		size += varintSize(len(e.value)) + len(e.value)
	}
	return size
}

// readDelta refuses what no owner writes: keys out of order, versions outside of (since, upto].
func readDelta(r *wire.Reader) delta {
	d := delta{owner: readNodeID(r), generation: r.Uvarint(), since: r.Uvarint(), upto: r.Uvarint(), collected: r.Uvarint()}
	last := ""
	for range r.Count(2*MaxOwnKeys, 3) {
		e := entry{key: r.String(MaxKey), version: r.Uvarint(), deleted: r.Bool()}
		if !e.deleted {
			e.value = readValue(r)
		}
		if r.Err() == nil && (e.key <= last || e.version <= d.since || e.version > d.upto) {
			r.Fail(fmt.Errorf("%w: entries of a delta", wire.ErrMalformed))
		}
		last = e.key
		d.entries = append(d.entries, e)
	}
	if r.Err() == nil && (d.since >= d.upto || d.collected > d.upto || d.upto > maxCounter || d.generation == 0 || d.generation > maxCounter || d.owner.IsZero()) {
		r.Fail(fmt.Errorf("%w: clock of a delta", wire.ErrMalformed))
	}
	return d
}

func readValue(r *wire.Reader) []byte { return append([]byte(nil), r.Bytes(MaxValue)...) }

func appendSharedList(b []byte, list []*shared) []byte {
	b = wire.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = wire.AppendBytes(b, s.key)
		b = wire.AppendUint64(b, uint64(s.stamp))
		b = append(b, s.node[:]...)
		b = wire.AppendBool(b, s.deleted)
		if !s.deleted {
			b = wire.AppendBytes(b, s.value)
		}
	}
	return b
}

func sharedListSize(list []*shared) int {
	size := varintSize(len(list))
	for _, s := range list {
		size += sharedSize(s)
	}
	return size
}

func sharedSize(s *shared) int {
	size := varintSize(len(s.key)) + len(s.key) + 8 + 16 + 1
	if !s.deleted {
		size += varintSize(len(s.value)) + len(s.value)
	}
	return size
}

func readSharedList(r *wire.Reader) []*shared {
	var list []*shared
	for range r.Count(maxReplicated, 1+8+16+1) {
		key, stamp, node, deleted := r.String(MaxKey), hlc.Timestamp(r.Uint64()), readNodeID(r), r.Bool()
		var value []byte
		if !deleted {
			value = readValue(r)
		}
		if r.Err() == nil && (key == "" || stamp >= maxStamp) {
			r.Fail(fmt.Errorf("%w: shared entry", wire.ErrMalformed))
		}
		list = append(list, newShared(key, value, deleted, stamp, node))
	}
	return list
}
