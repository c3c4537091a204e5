package resp

import (
	"math"
	"strconv"
)

// Writer builds replies by appending; it does no I/O. The zero Writer speaks RESP2. What RESP2 has no type for is
// written as the nearest it has: maps, sets and pushes as arrays, doubles and big numbers as bulk strings, booleans
// as integers. Not safe for concurrent use.
type Writer struct {
	// Buf holds the replies so far. The owner takes and empties it between commands.
	Buf []byte
	// Protocol is 3 for RESP3; everything else is RESP2.
	Protocol int

	limit    int // of len(Buf); 0: none
	overflow int // 1 + len(Buf) when something did not fit; 0: everything did
}

// Bound sets how long Buf may become, 0 for no bound, and forgets an overflow.
func (w *Writer) Bound(limit int) { w.limit, w.overflow = limit, 0 }

// Left is how many more bytes fit; without a bound, as many as an int can count.
func (w *Writer) Left() int {
	if w.limit == 0 {
		return math.MaxInt
	}
	return max(0, w.limit-len(w.Buf))
}

// Overflow notes that a reply did not fit; the beginning of it may be there. Nothing is appended from then on, until Truncate takes the reply back.
func (w *Writer) Overflow() {
	if w.overflow == 0 {
		w.overflow = len(w.Buf) + 1
	}
}

// Overflown reports whether a reply did not fit: what Buf holds is not whole, and whoever builds a long reply can stop.
func (w *Writer) Overflown() bool { return w.overflow > 0 }

// fits reports whether n more bytes do; if not, that is an overflow.
func (w *Writer) fits(n int) bool {
	if w.limit == 0 {
		return true
	}
	if w.overflow > 0 || n > w.limit-len(w.Buf) {
		w.Overflow()
		return false
	}
	return true
}

func (w *Writer) resp3() bool { return w.Protocol == 3 }

// Simple appends a simple string. Line breaks in s become spaces.
func (w *Writer) Simple(s string) { w.line('+', s) }

// OK appends the simple string "OK".
func (w *Writer) OK() { w.literal("+OK\r\n") }

// Error appends an error: the whole text with its code, for example "ERR syntax error". Line breaks become spaces.
func (w *Writer) Error(s string) { w.line('-', s) }

func (w *Writer) line(kind byte, s string) {
	if !w.fits(len(s) + len("+\r\n")) {
		return
	}
	w.Buf = append(w.Buf, kind)
	start := len(w.Buf)
	w.Buf = append(w.Buf, s...)
	for i, c := range w.Buf[start:] {
		if c == '\r' || c == '\n' {
			w.Buf[start+i] = ' '
		}
	}
	w.end()
}

// Int appends an integer.
func (w *Writer) Int(n int64) { w.header(':', n) }

// Bulk appends a bulk string; a nil b is an empty one.
func (w *Writer) Bulk(b []byte) {
	w.header('$', int64(len(b)))
	if w.fits(len(b) + len("\r\n")) {
		w.Buf = append(w.Buf, b...)
		w.end()
	}
}

// BulkString appends a bulk string.
func (w *Writer) BulkString(s string) {
	w.header('$', int64(len(s)))
	if w.fits(len(s) + len("\r\n")) {
		w.Buf = append(w.Buf, s...)
		w.end()
	}
}

// BulkInt appends a bulk string that holds n in decimal.
func (w *Writer) BulkInt(n int64) {
	var digits [20]byte
	w.Bulk(strconv.AppendInt(digits[:0], n, 10))
}

// Null appends the null value: "_" in RESP3, the null bulk string in RESP2.
func (w *Writer) Null() {
	if w.resp3() {
		w.literal("_\r\n")
		return
	}
	w.literal("$-1\r\n")
}

// NullArray appends "_" in RESP3 and the null array in RESP2.
func (w *Writer) NullArray() {
	if w.resp3() {
		w.literal("_\r\n")
		return
	}
	w.literal("*-1\r\n")
}

// Array opens an array; n values follow.
func (w *Writer) Array(n int) { w.header('*', int64(n)) }

// Map opens a map; n pairs of values follow. In RESP2 it is an array of 2n values.
func (w *Writer) Map(n int) { w.aggregate('%', n, 2*n) }

// Set opens a set; n values follow. In RESP2 it is an array.
func (w *Writer) Set(n int) { w.aggregate('~', n, n) }

// Push opens an out-of-band message; n values follow. In RESP2 it is an array.
func (w *Writer) Push(n int) { w.aggregate('>', n, n) }

func (w *Writer) aggregate(kind byte, n, flat int) {
	if w.resp3() {
		w.header(kind, int64(n))
		return
	}
	w.header('*', int64(flat))
}

// Double appends a floating-point number: a double in RESP3, a bulk string in RESP2. See [AppendDouble].
func (w *Writer) Double(f float64) {
	var room [32]byte
	digits := AppendDouble(room[:0], f)
	if !w.resp3() {
		w.Bulk(digits)
		return
	}
	if w.fits(len(",\r\n") + len(digits)) {
		w.Buf = append(w.Buf, ',')
		w.Buf = append(w.Buf, digits...)
		w.end()
	}
}

// Bool appends a boolean; in RESP2 the integer 1 or 0.
func (w *Writer) Bool(b bool) {
	switch {
	case w.resp3() && b:
		w.literal("#t\r\n")
	case w.resp3():
		w.literal("#f\r\n")
	case b:
		w.Int(1)
	default:
		w.Int(0)
	}
}

// Verbatim appends a text with its three-letter format ("txt", "mkd"); in RESP2 a bulk string without the format.
// A format of another length is cut or filled with blanks.
func (w *Writer) Verbatim(format, s string) {
	if !w.resp3() {
		w.BulkString(s)
		return
	}
	w.header('=', int64(len(s)+4))
	if !w.fits(len("txt:") + len(s) + len("\r\n")) {
		return
	}
	w.Buf = append(w.Buf, (format + "   ")[:3]...)
	w.Buf = append(w.Buf, ':')
	w.Buf = append(w.Buf, s...)
	w.end()
}

// BigNumber appends an integer of any length given in decimal; in RESP2 a bulk string.
func (w *Writer) BigNumber(s string) {
	if w.resp3() {
		w.line('(', s)
		return
	}
	w.BulkString(s)
}

// Raw appends bytes that are encoded replies already.
func (w *Writer) Raw(b []byte) {
	if w.fits(len(b)) {
		w.Buf = append(w.Buf, b...)
	}
}

// Mark is the place up to which the replies are written now, for Truncate and the methods that open an aggregate later.
func (w *Writer) Mark() int { return len(w.Buf) }

// Truncate takes back everything written after the mark, an overflow included.
func (w *Writer) Truncate(mark int) {
	w.Buf = w.Buf[:mark]
	if w.overflow > mark {
		w.overflow = 0
	}
}

// ArrayAt puts the header of an array in front of the n values written since the mark, for replies whose count is
// known only at their end. It moves those bytes.
func (w *Writer) ArrayAt(mark, n int) {
	end := len(w.Buf)
	w.Array(n)
	w.rotate(mark, end)
}

// MapAt is ArrayAt for a map of n pairs.
func (w *Writer) MapAt(mark, n int) {
	end := len(w.Buf)
	w.Map(n)
	w.rotate(mark, end)
}

// rotate moves the header that was appended at end to mark.
func (w *Writer) rotate(mark, end int) {
	var room [32]byte
	header := append(room[:0], w.Buf[end:]...)
	copy(w.Buf[mark+len(header):], w.Buf[mark:end])
	copy(w.Buf[mark:], header)
}

func (w *Writer) literal(s string) {
	if w.fits(len(s)) {
		w.Buf = append(w.Buf, s...)
	}
}

func (w *Writer) header(kind byte, n int64) {
	if w.overflow > 0 {
		return
	}
	w.Buf = append(w.Buf, kind)
	w.Buf = strconv.AppendInt(w.Buf, n, 10)
	w.end()
	if w.limit > 0 && len(w.Buf) > w.limit {
		w.Overflow()
	}
}

func (w *Writer) end() { w.Buf = append(w.Buf, '\r', '\n') }

// AppendDouble appends f as Redis 7.2 prints doubles: "inf", "-inf", "nan"; integers below 2^52 in full; everything
// else in the fewest digits that read back as f, with an exponent ("1e+20", "5e-324") where it is shorter to read.
func AppendDouble(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "nan"...)
	case math.IsInf(f, 1):
		return append(b, "inf"...)
	case math.IsInf(f, -1):
		return append(b, "-inf"...)
	case f == 0 && math.Signbit(f):
		return append(b, "-0"...)
	case math.Abs(f) < 1<<52 && f == math.Trunc(f):
		return strconv.AppendInt(b, int64(f), 10)
	}
	if f < 0 {
		b, f = append(b, '-'), -f
	}
	var room [32]byte
	digits, exponent := shortest(room[:0], f)
	scale := exponent - len(digits) + 1 // f = digits × 10^scale
	switch {
	case scale >= 0 && exponent < len(digits)+7:
		b = append(b, digits...)
		for range scale {
			b = append(b, '0')
		}
		return b
	case scale < 0 && (scale > -7 || exponent > -4 && exponent < 4):
		return appendDecimal(b, digits, exponent)
	}
	b = append(b, digits[0])
	if len(digits) > 1 {
		b = append(append(b, '.'), digits[1:]...)
	}
	b = append(b, 'e')
	if exponent >= 0 {
		b = append(b, '+')
	}
	return strconv.AppendInt(b, int64(exponent), 10)
}

// shortest gives the significant digits of f > 0 and the decimal exponent of the first one.
func shortest(room []byte, f float64) (digits []byte, exponent int) {
	text := strconv.AppendFloat(room, f, 'e', -1, 64) // d.ddde±dd
	mark := len(text) - 1
	for text[mark] != 'e' {
		mark--
	}
	for _, c := range text[mark+2:] {
		exponent = exponent*10 + int(c-'0')
	}
	if text[mark+1] == '-' {
		exponent = -exponent
	}
	digits = append(text[:1], text[min(2, mark):mark]...)
	return digits, exponent
}

// appendDecimal writes digits with a decimal point, the first digit standing for 10^exponent.
func appendDecimal(b, digits []byte, exponent int) []byte {
	if exponent < 0 {
		b = append(b, "0."...)
		for range -exponent - 1 {
			b = append(b, '0')
		}
		return append(b, digits...)
	}
	b = append(b, digits[:exponent+1]...)
	return append(append(b, '.'), digits[exponent+1:]...)
}
