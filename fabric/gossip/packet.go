package gossip

import (
	"fmt"

	"github.com/egalcluster/egal/internal/hlc"
	"github.com/egalcluster/egal/internal/wire"
)

// Limits of packets.
const (
	// MaxDatagram is how many bytes of a packet travel as one datagram; a larger packet needs a stream.
	MaxDatagram = 1200
	// MaxPacket is the largest packet.
	MaxPacket = 1 << 20
	// maxChunk is how many bytes of state are put into one packet. One owner's whole state, or one shared key,
	// on top still makes less than MaxPacket.
	maxChunk = 256 << 10
	// maxReason is the longest reason of a refusal in bytes.
	maxReason = 128
)

const packetVersion = 1

// Packet is the one Message that crosses the network.
//
//	| bytes  | meaning                                                           |
//	|--------|-------------------------------------------------------------------|
//	| 1      | version                                                           |
//	| 1      | kind of body                                                      |
//	| 16     | cluster; zero: the sender is in none                              |
//	| 16     | sender                                                            |
//	| varint | sender's generation                                               |
//	| 8      | sender's boot                                                     |
//	| 8      | receiver's boot; zero: whoever is there (joins, lost members)     |
//	| n      | body                                                              |
type Packet struct {
	Cluster      ClusterID
	Sender       NodeID
	Generation   uint64
	Boot         BootID
	ReceiverBoot BootID
	body         body
}

// body is what a packet says. The type is sealed.
type body interface {
	kind() uint8
	append(b []byte) []byte
	size() int // an upper bound of what append appends
}

// probe asks a member whether it is there; ack answers. Both carry the sender's root and wall clock.
type probe struct {
	sequence uint64
	root     uint64
	wall     int64 // Unix microseconds
}

type ack probe

// rumor carries a batch of one origin's writes to the members of an interval.
type rumor struct {
	id      rumorID
	span    span
	payload *payload
}

// joinRequest asks a member to let the node into its cluster, and brings the node's own state.
type joinRequest struct {
	own   delta
	whole bool  // the asking node lacks the cluster's state
	next  place // from where on
}

// joinRefusal answers a joinRequest in the negative.
type joinRefusal struct{ reason string }

// stateChunk is a part of the sender's whole state. Each part can be merged by itself.
type stateChunk struct {
	root   uint64 // of the sender
	last   bool
	next   place // where the next part begins, unless this is the last
	owners []delta
	shared []*shared
}

const (
	kindProbe uint8 = iota + 1
	kindAck
	kindRumor
	kindJoinRequest
	kindJoinRefusal
	kindStateChunk
)

func (probe) kind() uint8       { return kindProbe }
func (ack) kind() uint8         { return kindAck }
func (rumor) kind() uint8       { return kindRumor }
func (joinRequest) kind() uint8 { return kindJoinRequest }
func (joinRefusal) kind() uint8 { return kindJoinRefusal }
func (stateChunk) kind() uint8  { return kindStateChunk }

// Reliable reports whether the packet must go over a stream: it makes a connection's first contact, carries whole
// state, or is larger than a datagram.
func (p Packet) Reliable() bool {
	switch p.body.(type) {
	case joinRequest, joinRefusal, stateChunk:
		return true
	default:
		return headerBytes+p.body.size() > MaxDatagram
	}
}

// String is for traces and scenario files.
func (p Packet) String() string {
	switch b := p.body.(type) {
	case probe:
		return "probe"
	case ack:
		return "ack"
	case rumor:
		return fmt.Sprintf("rumor %d of %.4v", b.id.sequence, b.id.origin)
	case joinRequest:
		return "join"
	case joinRefusal:
		return "join refused: " + b.reason
	case stateChunk:
		return fmt.Sprintf("state: %d owners, %d shared", len(b.owners), len(b.shared))
	case fmt.Stringer:
		return b.String()
	default:
		return "empty packet"
	}
}

const (
	varintBytes = 10
	headerBytes = 2 + 16 + 16 + varintBytes + 8 + 8
)

// Encode appends the packet. A packet with a rumor larger than MaxPacket is never made by a core.
func Encode(dst []byte, p Packet) []byte {
	dst = append(dst, packetVersion, p.body.kind())
	dst = append(dst, p.Cluster[:]...)
	dst = append(dst, p.Sender[:]...)
	dst = wire.AppendUvarint(dst, p.Generation)
	dst = wire.AppendUint64(dst, uint64(p.Boot))
	dst = wire.AppendUint64(dst, uint64(p.ReceiverBoot))
	return p.body.append(dst)
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
	kind := r.Uint8()
	p := Packet{Cluster: ClusterID(readNodeID(r)), Sender: readNodeID(r)}
	p.Generation, p.Boot, p.ReceiverBoot = r.Uvarint(), BootID(r.Uint64()), BootID(r.Uint64())
	switch kind {
	case kindProbe:
		p.body = readProbe(r)
	case kindAck:
		p.body = ack(readProbe(r))
	case kindRumor:
		p.body = readRumor(r)
	case kindJoinRequest:
		p.body = joinRequest{own: readDelta(r), whole: r.Bool(), next: readPlace(r)}
	case kindJoinRefusal:
		p.body = joinRefusal{reason: r.String(maxReason)}
	case kindStateChunk:
		p.body = readStateChunk(r)
	default:
		p.body = readEntropy(r, kind)
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

func (m rumor) append(b []byte) []byte {
	b = append(b, m.id.origin[:]...)
	b = wire.AppendUvarint(b, m.id.generation)
	b = wire.AppendUvarint(b, m.id.sequence)
	b = wire.AppendUint64(b, m.span.low)
	b = wire.AppendUint64(b, m.span.high)
	b = wire.AppendBool(b, m.payload.own != nil)
	if m.payload.own != nil {
		b = appendDelta(b, *m.payload.own)
	}
	return appendSharedList(b, m.payload.shared)
}

func (m rumor) size() int { return 16 + 2*varintBytes + 16 + 1 + m.payload.size }

func readRumor(r *wire.Reader) rumor {
	m := rumor{payload: &payload{}}
	m.id = rumorID{origin: readNodeID(r), generation: r.Uvarint(), sequence: r.Uvarint()}
	m.span = span{low: r.Uint64(), high: r.Uint64()}
	if r.Bool() {
		own := readDelta(r)
		if own.owner != m.id.origin || own.generation != m.id.generation {
			r.Fail(fmt.Errorf("%w: a rumor about another node", wire.ErrMalformed))
		}
		m.payload.own = &own
	}
	m.payload.shared = readSharedList(r)
	if m.span.low > m.span.high {
		r.Fail(fmt.Errorf("%w: an empty interval", wire.ErrMalformed))
	}
	m.payload.measure()
	return m
}

func (j joinRequest) append(b []byte) []byte {
	return appendPlace(wire.AppendBool(appendDelta(b, j.own), j.whole), j.next)
}
func (j joinRequest) size() int { return deltaSize(j.own) + 1 + maxPlaceBytes }

func (j joinRefusal) append(b []byte) []byte { return wire.AppendBytes(b, j.reason) }
func (j joinRefusal) size() int              { return varintBytes + len(j.reason) }

func (s stateChunk) append(b []byte) []byte {
	b = wire.AppendUint64(b, s.root)
	b = wire.AppendBool(b, s.last)
	b = appendPlace(b, s.next)
	b = wire.AppendUvarint(b, uint64(len(s.owners)))
	for _, d := range s.owners {
		b = appendDelta(b, d)
	}
	return appendSharedList(b, s.shared)
}

func (s stateChunk) size() int {
	size := 8 + 1 + maxPlaceBytes + varintBytes + sharedListSize(s.shared)
	for _, d := range s.owners {
		size += deltaSize(d)
	}
	return size
}

func readStateChunk(r *wire.Reader) stateChunk {
	s := stateChunk{root: r.Uint64(), last: r.Bool(), next: readPlace(r)}
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
	size := deltaBytes
	for _, e := range d.entries {
		size += entrySize(e)
	}
	return size
}

func entrySize(e entry) int { return len(e.key) + len(e.value) + 3*varintBytes + 1 }

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
	size := varintBytes
	for _, s := range list {
		size += sharedSize(s)
	}
	return size
}

func sharedSize(s *shared) int { return s.bytes() + 2*varintBytes + 8 + 16 + 1 }

func readSharedList(r *wire.Reader) []*shared {
	var list []*shared
	for range r.Count(2*MaxShared, 1+8+16+1) {
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
