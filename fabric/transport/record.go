package transport

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// After the hellos a stream is a sequence of records in each direction:
//
//	| bytes | record                                            |
//	|-------|---------------------------------------------------|
//	| 4     | length of what follows, up to maxRecord           |
//	| n     | chunks (layout beside appendChunk); may be sealed |
//	| 16    | tag, when sealed                                  |
//
// The nonce of a sealed record is its number in this direction of this stream, from 0: a record that is missing, doubled
// or out of place does not open.
const (
	recordHeader = 4
	// fillRecord is how many bytes a record is filled to; the last chunk may go beyond it.
	fillRecord = 32 << 10
	maxRecord  = fillRecord + chunkHeader + maxChunk + tagBytes
	// readStep is how much a record's buffer grows before that much has been received.
	readStep = 16 << 10
)

var errRecordTooLarge = errors.New("record over the maximum")

// records numbers and seals the records of one direction; a nil cipher leaves them plain.
type records struct {
	aead   cipher.AEAD
	number uint64
	nonce  [nonceBytes]byte
	header [recordHeader]byte // of the record being read
}

func (r *records) next() []byte {
	binary.LittleEndian.PutUint64(r.nonce[4:], r.number)
	r.number++
	return r.nonce[:]
}

// finish makes a record of b, which begins with room for its header.
func (r *records) finish(b []byte) []byte {
	size := len(b) - recordHeader
	if r.aead == nil {
		binary.LittleEndian.PutUint32(b, uint32(size))
		return b
	}
	binary.LittleEndian.PutUint32(b, uint32(size+tagBytes))
	return r.aead.Seal(b[:recordHeader], r.next(), b[recordHeader:], b[:recordHeader])
}

// read reads one record into buffer, which it returns grown, and opens it there. The buffer never grows more than
// readStep ahead of what has been received.
func (r *records) read(from io.Reader, buffer []byte) ([]byte, error) {
	buffer = buffer[:0]
	if _, err := io.ReadFull(from, r.header[:]); err != nil {
		return buffer, err
	}
	size := int(binary.LittleEndian.Uint32(r.header[:]))
	if size > maxRecord {
		return buffer, fmt.Errorf("%w: %d bytes", errRecordTooLarge, size)
	}
	for len(buffer) < size {
		have := len(buffer)
		step := min(size-have, readStep)
		buffer = slices.Grow(buffer, step)[:have+step]
		if _, err := io.ReadFull(from, buffer[have:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return buffer[:0], err
		}
	}
	if r.aead == nil {
		return buffer, nil
	}
	opened, err := r.aead.Open(buffer[:0], r.next(), buffer, r.header[:])
	if err != nil {
		return buffer[:0], errForged
	}
	return opened, nil
}
