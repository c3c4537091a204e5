// Package wire is the bounded codec under every message and record of Egal: little-endian integers, unsigned
// varints and length-prefixed bytes.
//
// A [Reader] never panics and never allocates from a declared length or count: it checks what is declared against
// the bytes that are there and against the caller's maximum. Its first error sticks; after it every read gives the
// zero value, so decoders read straight through and ask [Reader.Err] or [Reader.Done] once.
//
// A sealed record ([Seal], [Open]) is
//
//	| bytes | meaning                                  |
//	|-------|------------------------------------------|
//	| 1     | version                                  |
//	| n     | payload                                  |
//	| 4     | CRC-32C of version and payload           |
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Errors that decoding gives; test with errors.Is.
var (
	ErrTruncated = errors.New("truncated")
	ErrTooLong   = errors.New("too long")
	ErrTrailing  = errors.New("trailing bytes")
	ErrMalformed = errors.New("malformed")
	ErrChecksum  = errors.New("wrong checksum")
	ErrVersion   = errors.New("unknown version")
)

// AppendUint16 appends v in two little-endian bytes.
func AppendUint16(b []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(b, v) }

// AppendUint32 appends v in four little-endian bytes.
func AppendUint32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }

// AppendUint64 appends v in eight little-endian bytes.
func AppendUint64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

// AppendUvarint appends v in one to ten bytes.
func AppendUvarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// AppendBytes appends a uvarint length and the bytes.
func AppendBytes[T ~string | ~[]byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// AppendBool appends one byte, 0 or 1.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// Reader decodes one message or record. The zero Reader is an empty one.
type Reader struct {
	rest []byte
	err  error
}

// NewReader reads from b, which it neither changes nor copies.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

// Err is the first error, or nil.
func (r *Reader) Err() error { return r.err }

// Remaining is the count of bytes not yet read; 0 after an error.
func (r *Reader) Remaining() int { return len(r.rest) }

// Done is the first error, or ErrTrailing if bytes are left.
func (r *Reader) Done() error {
	if r.err == nil && len(r.rest) > 0 {
		r.Fail(fmt.Errorf("%w: %d", ErrTrailing, len(r.rest)))
	}
	return r.err
}

// Fail makes err the sticky error unless there is one already; decoders use it for values out of range.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// Raw reads exactly n bytes. The result aliases the input.
func (r *Reader) Raw(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.Fail(ErrTruncated)
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Uint8 reads one byte.
func (r *Reader) Uint8() uint8 {
	if b := r.Raw(1); b != nil {
		return b[0]
	}
	return 0
}

// Bool reads one byte that must be 0 or 1.
func (r *Reader) Bool() bool {
	v := r.Uint8()
	if v > 1 {
		r.Fail(fmt.Errorf("%w: boolean %d", ErrMalformed, v))
	}
	return v == 1
}

// Uint16 reads two little-endian bytes.
func (r *Reader) Uint16() uint16 {
	if b := r.Raw(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// Uint32 reads four little-endian bytes.
func (r *Reader) Uint32() uint32 {
	if b := r.Raw(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads eight little-endian bytes.
func (r *Reader) Uint64() uint64 {
	if b := r.Raw(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Uvarint reads an unsigned varint in its shortest form.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	switch {
	case n == 0:
		r.Fail(ErrTruncated)
		return 0
	case n < 0:
		r.Fail(fmt.Errorf("%w: varint over 64 bits", ErrMalformed))
		return 0
	case n > 1 && r.rest[n-1] == 0:
		r.Fail(fmt.Errorf("%w: varint with a needless byte", ErrMalformed))
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Bytes reads length-prefixed bytes of at most maximum. The result aliases the input.
func (r *Reader) Bytes(maximum int) []byte {
	n := r.Uvarint()
	if n > uint64(maximum) {
		r.Fail(fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, n, maximum))
		return nil
	}
	return r.Raw(int(n))
}

// String reads length-prefixed bytes of at most maximum as a string of its own.
func (r *Reader) String(maximum int) string { return string(r.Bytes(maximum)) }

// Count reads the count of a list whose elements take at least elementBytes (≥ 1) each. It fails when the count is
// above maximum or when so many elements cannot be in the bytes that are left: allocating Count elements is safe.
func (r *Reader) Count(maximum, elementBytes int) int {
	n := r.Uvarint()
	if n > uint64(maximum) {
		r.Fail(fmt.Errorf("%w: %d elements, at most %d", ErrTooLong, n, maximum))
		return 0
	}
	if n > uint64(len(r.rest)/max(elementBytes, 1)) {
		r.Fail(fmt.Errorf("%w: %d elements declared", ErrTruncated, n))
		return 0
	}
	return int(n)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const sealBytes = 1 + 4

// Seal makes a record of version and payload that Open can verify.
func Seal(version uint8, payload []byte) []byte {
	return AppendSealed(make([]byte, 0, len(payload)+sealBytes), version, payload)
}

// AppendSealed appends the record that Seal makes.
func AppendSealed(b []byte, version uint8, payload []byte) []byte {
	begin := len(b)
	b = append(append(b, version), payload...)
	return AppendUint32(b, crc32.Checksum(b[begin:], castagnoli))
}

// Open verifies a sealed record and returns its payload, which aliases record. A version above newest gives
// ErrVersion, a damaged record ErrChecksum, a short one ErrTruncated.
func Open(record []byte, newest uint8) (version uint8, payload []byte, err error) {
	if len(record) < sealBytes {
		return 0, nil, ErrTruncated
	}
	body, sum := record[:len(record)-4], binary.LittleEndian.Uint32(record[len(record)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return 0, nil, ErrChecksum
	}
	if body[0] > newest {
		return 0, nil, fmt.Errorf("%w: %d, newest known %d", ErrVersion, body[0], newest)
	}
	return body[0], body[1:], nil
}

// Hash64 is a stable 64-bit hash of a seed and bytes: FNV-1a with the finaliser of SplitMix64, so that close inputs
// give far outputs. It is part of our wire format (orders, digests) and must never change; it is no defence against
// chosen keys.
func Hash64[T ~string | ~[]byte](seed uint64, b T) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := Mix64(seed) ^ offset
	for i := range len(b) {
		h = (h ^ uint64(b[i])) * prime
	}
	return Mix64(h)
}

// Mix64 is SplitMix64's finaliser, a bijection on 64-bit words (Steele, Lea and Flood, OOPSLA 2014).
func Mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
