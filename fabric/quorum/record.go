package quorum

import (
	"errors"
	"fmt"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
)

// The log: frames, one for each group that changed, the last one of a group counts. A frame is
//
//	| bytes | meaning                                                    |
//	|-------|------------------------------------------------------------|
//	| 4     | n, the length of the record                                |
//	| 4     | check of n, so that a damaged length is not taken for a cut |
//	| n     | the record, sealed (internal/wire): version, fields, CRC    |
//
// and a record | 1 kind | fields |. The first record of a log says whose it is.

const (
	recordVersion = 1
	frameBytes    = 8
	maxRecord     = MaxValue + 1024
)

type recordKind uint8

const (
	recordNode  recordKind = iota + 1 // id
	recordGroup                       // group, promised, accepted, optional state
	recordLeft                        // group, promised, accepted, the configuration that the node is not in
)

// Errors of New that a shell branches on.
var (
	// ErrLost: the log of a node that may have voted is gone or damaged. The node must join with a new id.
	ErrLost = errors.New("the log of votes is lost; hint: let the node join with a new id")
	// ErrOtherNode: the log belongs to another node.
	ErrOtherNode = errors.New("the log of votes is another node's; hint: was the data directory copied?")
)

func appendFrame(dst, payload []byte) []byte {
	record := wire.Seal(recordVersion, payload)
	length := uint32(len(record))
	dst = wire.AppendUint32(wire.AppendUint32(dst, length), lengthCheck(length))
	return append(dst, record...)
}

func lengthCheck(length uint32) uint32 { return uint32(wire.Mix64(uint64(length) + 1)) }

func appendNode(dst []byte, id gossip.NodeID) []byte {
	return appendFrame(dst, append([]byte{byte(recordNode)}, id[:]...))
}

// append appends the frame of a register.
func (g *register) append(dst []byte) []byte {
	k := recordGroup
	if g.left != nil {
		k = recordLeft
	}
	payload := g.accepted.append(g.promised.append(wire.AppendBytes([]byte{byte(k)}, g.group)))
	if g.left != nil {
		return appendFrame(dst, g.left.append(payload))
	}
	return appendFrame(dst, appendOptional(payload, g.state))
}

func readRegister(r *wire.Reader, k recordKind) *register {
	g := &register{group: readGroup(r), promised: readBallot(r), accepted: readBallot(r)}
	if k == recordLeft {
		f := readConfiguration(r)
		g.left = &f
		return g
	}
	g.state = readOptional(r)
	if g.accepted.IsZero() {
		r.Fail(wire.ErrMalformed)
	}
	return g
}

// Intact is how many bytes of the log are whole frames. Less than a frame may be missing at the end: a Save that was
// never finished, and so never answered; the shell cuts it off before it appends. Anything else is damage: the error
// is ErrLost.
func Intact(log []byte) (int, error) { return readLog(log, func(recordKind, *wire.Reader) {}) }

// readLog visits the records, and gives the length of what is whole.
func readLog(log []byte, visit func(recordKind, *wire.Reader)) (at int, err error) {
	damaged := func(cause error) (int, error) {
		return at, fmt.Errorf("quorum: log: at byte %d: %w: %w", at, cause, ErrLost)
	}
	for len(log)-at >= frameBytes {
		header := wire.NewReader(log[at : at+frameBytes])
		length, check := header.Uint32(), header.Uint32()
		switch {
		case length == 0 && allZero(log[at:]):
			return at, nil // the file grew, and nothing was written
		case check != lengthCheck(length):
			return damaged(wire.ErrChecksum)
		case length > maxRecord:
			return damaged(wire.ErrTooLong)
		case uint64(length) > uint64(len(log)-at-frameBytes):
			return at, nil
		}
		end := at + frameBytes + int(length)
		_, payload, err := wire.Open(log[at+frameBytes:end], recordVersion)
		if err != nil {
			return damaged(err)
		}
		r := wire.NewReader(payload)
		visit(recordKind(r.Uint8()), r)
		if err := r.Err(); err != nil {
			return damaged(err)
		}
		at = end
	}
	return at, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// restore takes over what the log says. An empty log is a fresh node's.
func (c *Core) restore(log []byte) error {
	var owner gossip.NodeID
	var fault error
	records := 0
	whole, err := readLog(log, func(k recordKind, r *wire.Reader) {
		records++
		switch {
		case (k == recordNode) != (records == 1):
			r.Fail(wire.ErrMalformed)
		case k == recordNode:
			owner = readID(r)
		case k == recordGroup || k == recordLeft:
			if g := readRegister(r, k); r.Err() == nil {
				c.registers[g.group] = g
			}
		default:
			r.Fail(wire.ErrMalformed)
		}
		if len(c.registers) > MaxGroups {
			r.Fail(wire.ErrTooLong)
		}
		if err := r.Done(); err != nil {
			r.Fail(err)
		}
	})
	switch {
	case err != nil:
		fault = err
	case whole != len(log):
		fault = fmt.Errorf("quorum: log: %d bytes after the last whole frame: %w; hint: cut them off, see Intact", len(log)-whole, wire.ErrTrailing)
	case owner.IsZero() && !c.cfg.Fresh:
		fault = fmt.Errorf("quorum: log: nothing in it: %w", ErrLost)
	case !owner.IsZero() && owner != c.cfg.ID:
		fault = fmt.Errorf("quorum: log: of %v: %w", owner, ErrOtherNode)
	}
	c.named = !owner.IsZero()
	return fault
}

// Log is everything the node has promised, in as few bytes as it takes: a shell writes it into a new file, makes that
// durable and takes it in place of a log that has grown long. It must be called when Ready was just carried out.
func (c *Core) Log() []byte {
	dst := appendNode(nil, c.cfg.ID)
	for _, group := range c.Groups() {
		dst = c.registers[group].append(dst)
	}
	return dst
}
