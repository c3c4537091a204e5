package gossip

import (
	"fmt"

	"github.com/egalcluster/egal/internal/wire"
)

// The bodies of rumors: what is handed over, and what comes back.

// rumor hands an interval to its receiver: a batch of writes, or a question, for the members in it.
//
//	| bytes   | meaning                                                                    |
//	|---------|----------------------------------------------------------------------------|
//	| 16      | origin                                                                     |
//	| varints | generation, sequence, slot                                                 |
//	| 16      | interval: low, high                                                        |
//	| 1       | flags                                                                      |
//	| n       | avoided: count (varint), places (8 each)                                   |
//	| n       | with flagQuestion: view (8), owner (16), generation, version (varints)     |
//	| n       | with flagPayload: count of deltas (varint), deltas, shared entries         |
type rumor struct {
	id      RumorID
	slot    uint64
	span    span
	flags   uint8
	avoid   []uint64  // places of members in the interval that are silent
	about   *question // nil: not a Gather
	payload *payload  // nil: the receiver should have it, or there is none
}

const (
	flagPayload  uint8 = 1 << iota // carries a payload
	flagQuestion                   // belongs to a Gather
	flagLazy                       // answers may wait for company
	flagCollect                    // the receiver is to make one rumor of this and others
	flagUrgent                     // with flagLazy: this time the answer is not to wait
	flagPlain                      // no interval: the receiver spreads it by its own strategy, and does not answer
)

// maxAvoid is how many silent members a rumor names.
const maxAvoid = 8

// question is what a Gather asks.
type question struct {
	view                uint64
	owner               NodeID
	generation, version uint64
}

// payload is what a rumor carries: immutable, shared by all the packets that carry it.
type payload struct {
	own    []delta // what nodes wrote about themselves
	shared []*shared
	size   int // encoded
}

func (p *payload) measure() {
	p.size = varintSize(len(p.own)) + sharedListSize(p.shared)
	for _, d := range p.own {
		p.size += deltaSize(d)
	}
}

// answer tells a delegator how its part stands: received, or done with a result.
type answer struct {
	id      RumorID
	span    span
	done    bool
	confirm bool // with done: it comes again until it is settled
	result  result
}

// result is what came out of an interval.
type result struct {
	count   int      // members that have it, or say yes
	xor     uint64   // of their points
	min     uint64   // the least version among them
	missing []NodeID // the others
	unequal bool     // somewhere a delegate saw other members than its delegator
}

// maxMissing is how many missing members a result names; of a Gather, maxNaysayers.
const (
	maxMissing   = 4096
	maxNaysayers = 256
)

// settled acknowledges an answer that asked for it.
type settled struct {
	id   RumorID
	span span
}

func (rumor) kind() uint8   { return kindRumor }
func (answer) kind() uint8  { return kindAnswer }
func (settled) kind() uint8 { return kindSettled }

func (m rumor) String() string {
	switch {
	case m.about != nil:
		return fmt.Sprintf("question %d of %.4v", m.id.Sequence, m.id.Origin)
	case m.payload == nil:
		return fmt.Sprintf("reminder %d of %.4v", m.id.Sequence, m.id.Origin)
	default:
		return fmt.Sprintf("rumor %d of %.4v", m.id.Sequence, m.id.Origin)
	}
}

func (a answer) String() string {
	if a.done {
		return fmt.Sprintf("done %d of %.4v: %d", a.id.Sequence, a.id.Origin, a.result.count)
	}
	return fmt.Sprintf("receipt %d of %.4v", a.id.Sequence, a.id.Origin)
}

func (s settled) String() string {
	return fmt.Sprintf("settled %d of %.4v", s.id.Sequence, s.id.Origin)
}

func (id RumorID) append(b []byte) []byte {
	b = append(b, id.Origin[:]...)
	b = wire.AppendUvarint(b, id.Generation)
	return wire.AppendUvarint(b, id.Sequence)
}

func (id RumorID) size() int { return 16 + varintSize(id.Generation) + varintSize(id.Sequence) }

func readRumorID(r *wire.Reader) RumorID {
	id := RumorID{Origin: readNodeID(r), Generation: r.Uvarint(), Sequence: r.Uvarint()}
	if r.Err() == nil && (id.Origin.IsZero() || id.Generation == 0) {
		r.Fail(fmt.Errorf("%w: id of a rumor", wire.ErrMalformed))
	}
	return id
}

func (s span) append(b []byte) []byte { return wire.AppendUint64(wire.AppendUint64(b, s.low), s.high) }

func readSpan(r *wire.Reader) span {
	s := span{low: r.Uint64(), high: r.Uint64()}
	if s.low > s.high {
		r.Fail(fmt.Errorf("%w: an empty interval", wire.ErrMalformed))
	}
	return s
}

func (m rumor) append(b []byte) []byte {
	flags := m.flags
	if m.payload != nil {
		flags |= flagPayload
	}
	if m.about != nil {
		flags |= flagQuestion
	}
	b = m.span.append(wire.AppendUvarint(m.id.append(b), m.slot))
	b = wire.AppendUvarint(append(b, flags), uint64(len(m.avoid)))
	for _, place := range m.avoid {
		b = wire.AppendUint64(b, place)
	}
	if q := m.about; q != nil {
		b = append(wire.AppendUint64(b, q.view), q.owner[:]...)
		b = wire.AppendUvarint(wire.AppendUvarint(b, q.generation), q.version)
	}
	if m.payload != nil {
		b = wire.AppendUvarint(b, uint64(len(m.payload.own)))
		for _, d := range m.payload.own {
			b = appendDelta(b, d)
		}
		b = appendSharedList(b, m.payload.shared)
	}
	return b
}

func (m rumor) size() int {
	size := m.id.size() + varintSize(m.slot) + 16 + 1 + varintSize(len(m.avoid)) + 8*len(m.avoid)
	if q := m.about; q != nil {
		size += 8 + 16 + varintSize(q.generation) + varintSize(q.version)
	}
	if m.payload != nil {
		size += m.payload.size
	}
	return size
}

func readRumor(r *wire.Reader) rumor {
	m := rumor{id: readRumorID(r), slot: r.Uvarint(), span: readSpan(r), flags: r.Uint8()}
	for range r.Count(maxAvoid, 8) {
		m.avoid = append(m.avoid, r.Uint64())
	}
	if m.flags&flagQuestion != 0 {
		m.about = &question{view: r.Uint64(), owner: readNodeID(r), generation: r.Uvarint(), version: r.Uvarint()}
	}
	if m.flags&flagPayload != 0 {
		m.payload = &payload{}
		for range r.Count(MaxMembers, minDeltaBytes) {
			m.payload.own = append(m.payload.own, readDelta(r))
		}
		m.payload.shared = readSharedList(r)
		m.payload.measure()
	}
	m.flags &^= flagPayload | flagQuestion
	if m.payload != nil && m.about != nil {
		r.Fail(fmt.Errorf("%w: a question with a payload", wire.ErrMalformed))
	}
	return m
}

const (
	answerDone uint8 = 1 << iota
	answerConfirm
	answerUnequal
)

func (a answer) append(b []byte) []byte {
	var flags uint8
	for i, set := range []bool{a.done, a.confirm, a.result.unequal} {
		if set {
			flags |= 1 << i
		}
	}
	b = append(a.span.append(a.id.append(b)), flags)
	if !a.done {
		return b
	}
	b = wire.AppendUint64(wire.AppendUvarint(b, uint64(a.result.count)), a.result.xor)
	b = wire.AppendUvarint(wire.AppendUvarint(b, a.result.min), uint64(len(a.result.missing)))
	for _, id := range a.result.missing {
		b = append(b, id[:]...)
	}
	return b
}

func (a answer) size() int {
	size := a.id.size() + 16 + 1
	if a.done {
		size += varintSize(a.result.count) + 8 + varintSize(a.result.min) + varintSize(len(a.result.missing)) + 16*len(a.result.missing)
	}
	return size
}

func readAnswer(r *wire.Reader) answer {
	a := answer{id: readRumorID(r), span: readSpan(r)}
	flags := r.Uint8()
	a.done, a.confirm, a.result.unequal = flags&answerDone != 0, flags&answerConfirm != 0, flags&answerUnequal != 0
	if a.done {
		count := r.Uvarint()
		if count > MaxMembers {
			r.Fail(fmt.Errorf("%w: count of an answer", wire.ErrMalformed))
			return a
		}
		a.result.count, a.result.xor, a.result.min = int(count), r.Uint64(), r.Uvarint()
		for range r.Count(maxMissing, 16) {
			a.result.missing = append(a.result.missing, readNodeID(r))
		}
	}
	return a
}

func (s settled) append(b []byte) []byte { return s.span.append(s.id.append(b)) }
func (s settled) size() int              { return s.id.size() + 16 }

func readSettled(r *wire.Reader) settled { return settled{id: readRumorID(r), span: readSpan(r)} }
