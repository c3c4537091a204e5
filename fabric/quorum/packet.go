package quorum

import (
	"fmt"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/invariant"
	"github.com/egalcluster/egal/internal/wire"
)

// A message on the wire: | 1 version | 1 kind | uvarint and group | fields of the kind, in the order of its struct |.
// It travels over what the transport authenticates, so it has no checksum of its own.

const packetVersion = 1

// MaxPacket bounds an encoded message, in bytes.
const MaxPacket = MaxValue + 1024

type kind uint8

const (
	kindPrepare kind = iota + 1
	kindPromise
	kindAccept
	kindAccepted
	kindRefuse
	kindQuery
	kindReport
	kindRenew
	kindGranted
	kindSurrender
	kindRetire
)

// Encode appends the message, which must be one of Ready.Send or of Decode, to dst.
func Encode(dst []byte, m Message) []byte {
	begin := func(k kind, group GroupID) { dst = wire.AppendBytes(append(dst, packetVersion, byte(k)), group) }
	switch m := m.(type) {
	case prepare:
		begin(kindPrepare, m.group)
		dst = m.configuration.append(m.ballot.append(dst))
	case promise:
		begin(kindPromise, m.group)
		dst = appendOptional(m.accepted.append(m.ballot.append(dst)), m.state)
	case accept:
		begin(kindAccept, m.group)
		dst = m.state.append(m.ballot.append(dst))
	case accepted:
		begin(kindAccepted, m.group)
		dst = m.ballot.append(dst)
	case refuse:
		begin(kindRefuse, m.group)
		dst = append(m.turn.append(m.ballot.append(dst)), byte(m.reason))
		dst = appendKnown(m.accepted.append(m.promised.append(dst)), m.configuration)
	case query:
		begin(kindQuery, m.group)
		dst = m.turn.append(dst)
	case report:
		begin(kindReport, m.group)
		dst = appendOptional(m.accepted.append(m.turn.append(dst)), m.state)
	case renew:
		begin(kindRenew, m.group)
		dst = wire.AppendUint64(m.turn.append(dst), m.digest)
	case granted:
		begin(kindGranted, m.group)
		dst = wire.AppendBool(m.turn.append(dst), m.refused)
		dst = append(wire.AppendUvarint(dst, uint64(m.wait/time.Microsecond)), m.holder[:]...)
		dst = appendKnown(m.accepted.append(dst), m.configuration)
	case surrender:
		begin(kindSurrender, m.group)
		dst = m.turn.append(dst)
	case retire:
		begin(kindRetire, m.group)
		dst = m.configuration.append(m.ballot.append(dst))
	default:
		invariant.Check(false, "only messages for peers are encoded, not a %T", m)
	}
	return dst
}

func (t turn) append(dst []byte) []byte {
	return wire.AppendUvarint(wire.AppendUint64(dst, uint64(t.boot)), t.number)
}

func readTurn(r *wire.Reader) turn { return turn{gossip.BootID(r.Uint64()), r.Uvarint()} }

func appendKnown(dst []byte, f *Configuration) []byte {
	dst = wire.AppendBool(dst, f != nil)
	if f != nil {
		dst = f.append(dst)
	}
	return dst
}

// Decode reads one message. Nothing of it aliases b.
func Decode(b []byte) (Message, error) {
	r := wire.NewReader(b)
	if version := r.Uint8(); r.Err() == nil && version != packetVersion {
		return nil, fmt.Errorf("quorum: decode message: version %d: %w", version, wire.ErrVersion)
	}
	k := kind(r.Uint8())
	group := readGroup(r)
	m := readBody(r, k, group)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("quorum: decode message of kind %d: %w", k, err)
	}
	return m, nil
}

func readBody(r *wire.Reader, k kind, group GroupID) Message {
	switch k {
	case kindPrepare:
		return prepare{group, readBallot(r), readConfiguration(r)}
	case kindPromise:
		return promise{group, readBallot(r), readBallot(r), readOptional(r)}
	case kindAccept:
		return accept{group, readBallot(r), readState(r)}
	case kindAccepted:
		return accepted{group, readBallot(r)}
	case kindRefuse:
		m := refuse{group: group, ballot: readBallot(r), turn: readTurn(r), reason: reason(r.Uint8())}
		if m.reason == 0 || m.reason > reasonLast {
			r.Fail(wire.ErrMalformed)
		}
		m.promised, m.accepted, m.configuration = readBallot(r), readBallot(r), readKnown(r)
		return m
	case kindQuery:
		return query{group, readTurn(r)}
	case kindReport:
		return report{group, readTurn(r), readBallot(r), readOptional(r)}
	case kindRenew:
		return renew{group, readTurn(r), r.Uint64()}
	case kindGranted:
		m := granted{group: group, turn: readTurn(r), refused: r.Bool()}
		wait := r.Uvarint()
		if wait > uint64(MaxLease/time.Microsecond) {
			r.Fail(wire.ErrMalformed)
		}
		m.wait, m.holder = time.Duration(wait)*time.Microsecond, readID(r)
		m.accepted, m.configuration = readBallot(r), readKnown(r)
		return m
	case kindSurrender:
		return surrender{group, readTurn(r)}
	case kindRetire:
		return retire{group, readBallot(r), readConfiguration(r)}
	}
	r.Fail(wire.ErrMalformed)
	return nil
}

func readGroup(r *wire.Reader) GroupID {
	group := GroupID(r.String(MaxGroupID))
	if group == "" {
		r.Fail(wire.ErrMalformed)
	}
	return group
}

func readKnown(r *wire.Reader) *Configuration {
	if !r.Bool() {
		return nil
	}
	f := readConfiguration(r)
	return &f
}
