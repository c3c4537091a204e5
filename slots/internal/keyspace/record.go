package keyspace

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/egalcluster/egal/internal/invariant"
)

// Type is what kind of value a record holds.
type Type uint8

// The types of values. The numbers are not stored anywhere but in memory.
const (
	TypeString Type = iota
	TypeList
	TypeSet
	TypeSortedSet
	TypeHash
	TypeStream
)

var typeNames = [...]string{"string", "list", "set", "zset", "hash", "stream"}

// String is the name that TYPE answers: "string", "list", "set", "zset", "hash", "stream".
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// MaxString is the longest key and the longest value in bytes.
const MaxString = 512 << 20

// Record is what is stored under a key.
type Record struct {
	// Type is the kind of value.
	Type Type
	// Value aliases the store's memory: valid until the shard's lock is released or the record changes, and not to
	// be written to.
	Value []byte
	// ExpireAt is the time from which the record is gone, in Unix milliseconds; 0 means never.
	ExpireAt int64
}

// A record in its block, little-endian:
//
//	| bytes | meaning                                                                                  |
//	|-------|------------------------------------------------------------------------------------------|
//	| 8     | header: 30 bits length of the value, 15 bits length of the name, 4 bits type, 1 bit expiry |
//	| 0, 8  | length of the name, when it does not fit its 15 bits (they hold longName then)            |
//	| 0, 8  | expiry in Unix milliseconds, when the header says so                                     |
//	| n     | name                                                                                     |
//	| n     | value                                                                                    |
const (
	headerSize  = 8
	valueBits   = 30
	nameBits    = 15
	typeBits    = 4
	longName    = 1<<nameBits - 1
	typeShift   = valueBits + nameBits
	expiryFlag  = 1 << (typeShift + typeBits)
	valueMask   = 1<<valueBits - 1
	extraLength = 8
)

// recordSize is the number of bytes a record takes.
func recordSize(name, value int, expires bool) int {
	n := headerSize + name + value
	if name >= longName {
		n += extraLength
	}
	if expires {
		n += 8
	}
	return n
}

// layout is where the parts of a record are in its block.
type layout struct {
	header           uint64
	name, value, end int // offsets
}

func layoutOf(block []byte) layout {
	h := binary.LittleEndian.Uint64(block)
	l := layout{header: h, name: headerSize}
	length := int(h >> valueBits & longName)
	if length == longName {
		length = int(binary.LittleEndian.Uint64(block[headerSize:]))
		l.name += extraLength
	}
	if h&expiryFlag != 0 {
		l.name += 8
	}
	l.value = l.name + length
	l.end = l.value + int(h&valueMask)
	return l
}

func (l layout) typ() Type { return Type(l.header >> typeShift & (1<<typeBits - 1)) }

func (l layout) expireAt(block []byte) int64 {
	if l.header&expiryFlag == 0 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(block[l.name-8:]))
}

// hasName tells whether the block holds the record of name.
func hasName(block, name []byte) bool {
	l := layoutOf(block)
	return bytes.Equal(block[l.name:l.value], name)
}

// nameOf is the record's name, aliasing the block.
func nameOf(block []byte) []byte {
	l := layoutOf(block)
	return block[l.name:l.value:l.value]
}

// recordOf reads a block.
func recordOf(block []byte) Record {
	l := layoutOf(block)
	return Record{Type: l.typ(), Value: block[l.value:l.end:l.end], ExpireAt: l.expireAt(block)}
}

// writeRecord fills a block, which has room. The value may alias the block's old value: it is moved first, and what
// is written after it lies before it.
func writeRecord(block, name []byte, t Type, value []byte, expireAt int64) {
	if len(name) > MaxString || len(value) > MaxString || t >= 1<<typeBits {
		invariant.Check(false, "keyspace: a record with a name of %d bytes and a value of %d", len(name), len(value))
	}
	header := uint64(len(value)) | uint64(min(len(name), longName))<<valueBits | uint64(t)<<typeShift
	start := headerSize
	if len(name) >= longName {
		start += extraLength
	}
	if expireAt != 0 {
		header |= expiryFlag
		start += 8
	}
	copy(block[start+len(name):], value)
	copy(block[start:], name)
	if expireAt != 0 {
		binary.LittleEndian.PutUint64(block[start-8:], uint64(expireAt))
	}
	if len(name) >= longName {
		binary.LittleEndian.PutUint64(block[headerSize:], uint64(len(name)))
	}
	binary.LittleEndian.PutUint64(block, header)
}

// setValueLength changes the length of the value, which has room.
func setValueLength(block []byte, n int) {
	header := binary.LittleEndian.Uint64(block)
	binary.LittleEndian.PutUint64(block, header&^valueMask|uint64(n))
}
