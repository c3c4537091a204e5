package quorum

import (
	"errors"
	"fmt"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/invariant"
	"github.com/egalcluster/egal/internal/wire"
)

// The log is a sequence of records (internal/durable keeps them apart): one for each group that changed; the last one of
// a group counts. A record is sealed (internal/wire): version, | 1 kind | fields |, CRC-32C. The first record of a log
// says whose it is. Ready.Save is records, each with its length before it.

const (
	recordVersion = 1
	overhead      = 5 // what a record has besides kind and fields: version and checksum
)

// MaxRecord bounds a record of the log, in bytes.
const MaxRecord = MaxValue + 1024

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

func appendRecord(dst, payload []byte) []byte {
	return wire.AppendSealed(wire.AppendUvarint(dst, uint64(len(payload)+overhead)), recordVersion, payload)
}

func saveNode(id gossip.NodeID) []byte {
	return appendRecord(nil, append([]byte{byte(recordNode)}, id[:]...))
}

// append appends the record of a register, with its length. It may overwrite scratch, and gives back what has become of
// it.
func (g *register) append(dst, scratch []byte) (record, reuse []byte) {
	k := recordGroup
	if g.left != nil {
		k = recordLeft
	}
	payload := g.accepted.append(g.promised.append(wire.AppendBytes(append(scratch[:0], byte(k)), g.group)))
	if g.left != nil {
		payload = g.left.append(payload)
	} else {
		payload = appendOptional(payload, g.state)
	}
	return appendRecord(dst, payload), payload
}

func readRegister(r *wire.Reader, k recordKind) *register {
	g := &register{group: readGroup(r), promised: readBallot(r), accepted: readBallot(r)}
	if k == recordLeft {
		f := readConfiguration(r)
		g.left = &f
		return g
	}
	g.state = readOptional(r)
	if (g.state == nil) != g.accepted.IsZero() {
		r.Fail(wire.ErrMalformed)
	}
	return g
}

// Records are what Ready.Save is made of, each at most MaxRecord bytes. They may become durable one by one, in their
// order. They alias save.
func Records(save []byte) (records [][]byte) {
	r := wire.NewReader(save)
	for r.Remaining() > 0 {
		records = append(records, r.Bytes(MaxRecord))
	}
	invariant.Check(r.Err() == nil, "a core saves whole records: %v", r.Err())
	return records
}

// readRecord gives a record's kind and, in r, its fields.
func readRecord(record []byte) (k recordKind, r *wire.Reader, err error) {
	_, payload, err := wire.Open(record, recordVersion)
	if err != nil {
		return 0, nil, err
	}
	r = wire.NewReader(payload)
	return recordKind(r.Uint8()), r, nil
}

// restore takes over what the log says. An empty log is a fresh node's.
func (c *Core) restore(records [][]byte) error {
	if len(records) == 0 {
		if !c.cfg.Fresh {
			return fmt.Errorf("quorum: log: nothing in it: %w", ErrLost)
		}
		return nil
	}
	for i, record := range records {
		k, r, err := readRecord(record)
		if err == nil && (k == recordNode) != (i == 0) {
			err = wire.ErrMalformed
		}
		if err == nil {
			err = c.take(k, r)
		}
		if errors.Is(err, ErrOtherNode) {
			return err
		}
		if err != nil {
			return fmt.Errorf("quorum: log: record %d: %w: %w", i, err, ErrLost)
		}
	}
	c.named = true
	return nil
}

// take takes over one record.
func (c *Core) take(k recordKind, r *wire.Reader) error {
	switch k {
	case recordNode:
		owner := readID(r)
		if err := r.Done(); err != nil {
			return err
		}
		if owner != c.cfg.ID {
			return fmt.Errorf("quorum: log: of %v: %w", owner, ErrOtherNode)
		}
		return nil
	case recordGroup, recordLeft:
		g := readRegister(r, k)
		if err := r.Done(); err != nil {
			return err
		}
		if c.registers[g.group] = g; len(c.registers) > MaxGroups {
			return wire.ErrTooLong
		}
		return nil
	}
	return wire.ErrMalformed
}

// Log is everything the node has promised, in as few records as it takes: a shell replaces a log by it that has grown
// long. It must be called when Ready was just carried out.
func (c *Core) Log() [][]byte {
	save := saveNode(c.cfg.ID)
	var scratch []byte
	for _, group := range c.Groups() {
		save, scratch = c.registers[group].append(save, scratch)
	}
	return Records(save)
}
