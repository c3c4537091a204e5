package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Records carry chunks:
//
//	| bytes | chunk                                                                              |
//	|-------|------------------------------------------------------------------------------------|
//	| 1     | kind; + 128: the last one of what it belongs to                                    |
//	| 8     | number of the exchange; 0: frames                                                  |
//	| 2     | length, up to maxChunk                                                             |
//	| n     | payload                                                                            |
//
//	| kind     | says                                                                            |
//	|----------|---------------------------------------------------------------------------------|
//	| frame    | a frame begins                                                                  |
//	| request  | a request begins: head, then its body                                           |
//	| response | a response begins: outcome (1 byte), then its body or the error's text          |
//	| open     | a byte stream begins: head                                                      |
//	| more     | what has begun goes on                                                          |
//	| window   | a byte stream's reader takes so many bytes more (4)                             |
//	| cancel   | an exchange is given up: outcome (1 byte)                                       |
//
// The head is kind (2), cluster (16) and time left in milliseconds (4, 0: no deadline). The dialler numbers exchanges
// upwards from 1 as they begin. Chunks of different exchanges come in any order.
const (
	chunkHeader = 11
	maxChunk    = 16 << 10
	headBytes   = 2 + 16 + 4
	chunkLast   = 128
)

type chunkKind uint8

const (
	chunkFrame chunkKind = iota + 1
	chunkRequest
	chunkResponse
	chunkOpen
	chunkMore
	chunkWindow
	chunkCancel
	chunkKinds
)

var errChunk = errors.New("malformed chunk")

type chunk struct {
	kind    chunkKind
	last    bool
	id      uint64
	payload []byte
}

func appendChunk(b []byte, c chunk) []byte {
	kind := byte(c.kind)
	if c.last {
		kind |= chunkLast
	}
	b = binary.LittleEndian.AppendUint64(append(b, kind), c.id)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(c.payload)))
	return append(b, c.payload...)
}

// readChunk takes one chunk off a record. The payload aliases it.
func readChunk(record []byte) (c chunk, rest []byte, err error) {
	if len(record) < chunkHeader {
		return c, nil, fmt.Errorf("%w: %d bytes", errChunk, len(record))
	}
	size := int(binary.LittleEndian.Uint16(record[9:]))
	c.kind, c.last = chunkKind(record[0]&^chunkLast), record[0]&chunkLast != 0
	c.id = binary.LittleEndian.Uint64(record[1:])
	switch {
	case c.kind == 0 || c.kind >= chunkKinds:
		return c, nil, fmt.Errorf("%w: kind %d", errChunk, c.kind)
	case size > maxChunk || size > len(record)-chunkHeader:
		return c, nil, fmt.Errorf("%w: %d bytes of %d", errChunk, size, len(record)-chunkHeader)
	}
	c.payload = record[chunkHeader : chunkHeader+size]
	return c, record[chunkHeader+size:], nil
}

// head is what a request or a byte stream begins with.
type head struct {
	kind    Kind
	cluster ClusterID
	left    time.Duration // in whole milliseconds; 0: no deadline
}

func (h head) append(b []byte) []byte {
	b = append(binary.LittleEndian.AppendUint16(b, uint16(h.kind)), h.cluster[:]...)
	return binary.LittleEndian.AppendUint32(b, uint32(min(h.left.Milliseconds(), 1<<32-1)))
}

func readHead(b []byte) (h head, body []byte, err error) {
	if len(b) < headBytes {
		return h, nil, fmt.Errorf("%w: head of %d bytes", errChunk, len(b))
	}
	h.kind = Kind(binary.LittleEndian.Uint16(b))
	copy(h.cluster[:], b[2:])
	h.left = time.Duration(binary.LittleEndian.Uint32(b[18:])) * time.Millisecond
	return h, b[headBytes:], nil
}

// outcome is how an exchange ended.
type outcome uint8

const (
	outcomeDone outcome = iota
	outcomeError
	outcomeNoHandler
	outcomeBusy
	outcomeForeign
	outcomeTooLarge
	outcomeBroken
)

// err is what the caller sees; nil for outcomeDone.
func (o outcome) err(text []byte) error {
	switch o {
	case outcomeDone:
		return nil
	case outcomeError:
		return &RemoteError{Text: string(text[:min(len(text), MaxErrorText)])}
	case outcomeNoHandler:
		return ErrNoHandler
	case outcomeBusy:
		return ErrBusy
	case outcomeForeign:
		return ErrForeignCluster
	case outcomeTooLarge:
		return ErrTooLarge
	case outcomeBroken:
		return ErrBroken
	}
	return fmt.Errorf("%w: outcome %d", ErrBroken, o)
}
