package resp

import (
	"bytes"
)

// Defaults of Limits.
const (
	DefaultBulk   = 512 << 20
	DefaultArgs   = 1 << 20
	DefaultInline = 64 << 10
)

// Bounds before authentication.
const (
	UnauthenticatedArgs = 10
	UnauthenticatedBulk = 16 << 10
)

// Limits bound what a client may send. Zero fields mean the defaults.
type Limits struct {
	// Bulk is the longest argument in bytes.
	Bulk int
	// Args is the largest number of arguments of one command.
	Args int
	// Inline is the longest inline command, and the longest line with a length, in bytes.
	Inline int
	// Unauthenticated tightens the bounds to UnauthenticatedArgs and UnauthenticatedBulk.
	Unauthenticated bool
}

func (l Limits) bulk() int   { return orDefault(l.Bulk, DefaultBulk) }
func (l Limits) args() int   { return orDefault(l.Args, DefaultArgs) }
func (l Limits) inline() int { return orDefault(l.Inline, DefaultInline) }

func orDefault(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}

// ProtocolError is what a client did wrong, in Redis' own words ("Protocol error: …", without the "ERR " in front).
// The connection is to be closed after telling it.
type ProtocolError struct{ text string }

func (e *ProtocolError) Error() string { return "Protocol error: " + e.text }

// Parser reads commands from a buffer that the caller fills. It remembers how far it came in an unfinished command,
// so bytes are looked at once however slowly they come. The zero Parser is ready; after an error it is of no use.
type Parser struct {
	// Limits may be changed between commands.
	Limits Limits

	// The unfinished command: offsets count from its first byte, so the buffer may move between calls.
	missing  int    // arguments still to come; 0: the command begins
	length   int    // of the argument that comes, -1: its length line comes
	position int    // first byte not understood yet
	bounds   []span // of the arguments so far

	args    [][]byte
	scratch []byte // arguments of an inline command with quotes
}

type span struct{ start, end int }

// keptArgs is the room for arguments that is kept from one command to the next.
const keptArgs = 1024

// Next reads one command from the beginning of buf: its arguments and the number of bytes it took. The arguments
// alias buf or the parser, and are valid until buf changes or Next is called again.
//
//   - n > 0 and no arguments: an empty command, to be skipped.
//   - n == 0 and no error: the command is not complete. Call again with the same bytes and more.
//   - a *ProtocolError: the client is wrong.
func (p *Parser) Next(buf []byte) (args [][]byte, n int, err error) {
	if cap(p.args) > keptArgs {
		p.args = nil
	}
	p.args, n, err = p.Append(p.args[:0], buf)
	return p.args, n, err
}

// Append is Next with room of the caller's: it appends the arguments to dst, which it returns unchanged when there is
// no command. Those of an array stay valid until buf changes, however often it is called; those of an inline command
// until the next call only.
func (p *Parser) Append(dst [][]byte, buf []byte) (_ [][]byte, n int, err error) {
	if p.missing == 0 {
		if len(buf) == 0 {
			return dst, 0, nil
		}
		if buf[0] != '*' {
			return p.inline(dst, buf)
		}
		if args, n := p.short(dst, buf); n > 0 {
			return args, n, nil
		}
		count, n, err := p.count(buf)
		if err != nil || n == 0 {
			return dst, 0, err
		}
		if count <= 0 {
			return dst, n, nil
		}
		p.missing, p.length, p.position = count, -1, n
		if cap(p.bounds) > keptArgs {
			p.bounds = nil
		}
		p.bounds = p.bounds[:0]
	}
	for p.missing > 0 {
		if p.length < 0 {
			more, err := p.bulkLength(buf)
			if err != nil || more {
				return dst, 0, err
			}
		}
		end := p.position + p.length
		if len(buf) < end+2 {
			return dst, 0, nil
		}
		p.bounds = append(p.bounds, span{p.position, end})
		p.position, p.length = end+2, -1
		p.missing--
	}
	for _, b := range p.bounds {
		dst = append(dst, buf[b.start:b.end:b.end])
	}
	n, p.position = p.position, 0
	return dst, n, nil
}

// Reset forgets an unfinished command, or an error: the next call begins with the first byte of a command.
func (p *Parser) Reset() { p.missing, p.position = 0, 0 }

// short reads a command that is complete and has fewer than ten arguments of fewer than 10,000 bytes, which most are,
// without remembering where it is. n is 0 for all others, and for what is wrong: the long way tells.
func (p *Parser) short(dst [][]byte, buf []byte) (_ [][]byte, n int) {
	count, at := shortNumber(buf, 1)
	if count < 1 || count > min(9, p.Limits.args()) {
		return dst, 0
	}
	limit, before := p.Limits.bulk(), len(dst)
	for range count {
		if at >= len(buf) || buf[at] != '$' {
			return dst[:before], 0
		}
		length, start := shortNumber(buf, at+1)
		end := start + length
		if length < 0 || length > limit || end+2 > len(buf) {
			return dst[:before], 0
		}
		dst = append(dst, buf[start:end:end])
		at = end + 2
	}
	return dst, at
}

// shortNumber reads up to four digits from a position on, and a line end; next is behind it. n is -1 for anything else.
func shortNumber(buf []byte, at int) (n, next int) {
	for i := at; i < at+5 && i+1 < len(buf); i++ {
		c := buf[i] - '0'
		if c <= 9 {
			n = n*10 + int(c)
			continue
		}
		if i == at || buf[i] != '\r' || buf[at] == '0' && i > at+1 {
			break
		}
		return n, i + 2
	}
	return -1, at
}

// count reads the line "*<count>"; n is 0 when it is not complete.
func (p *Parser) count(buf []byte) (count, n int, err error) {
	line, n, err := p.line(buf, "too big mbulk count string")
	if n == 0 || err != nil {
		return 0, 0, err
	}
	number, ok := integer(line[1:])
	switch {
	case !ok || number > int64(p.Limits.args()):
		return 0, 0, &ProtocolError{"invalid multibulk length"}
	case number > UnauthenticatedArgs && p.Limits.Unauthenticated:
		return 0, 0, &ProtocolError{"unauthenticated multibulk length"}
	}
	return int(max(number, 0)), n, nil
}

// bulkLength reads the line "$<length>" at the position; more means that it is not complete.
func (p *Parser) bulkLength(buf []byte) (more bool, err error) {
	if len(buf) > p.position && buf[p.position] != '$' {
		return false, &ProtocolError{"expected '$', got '" + string(buf[p.position:p.position+1]) + "'"}
	}
	line, n, err := p.line(buf[p.position:], "too big bulk count string")
	if n == 0 || err != nil {
		return true, err
	}
	number, ok := integer(line[1:])
	switch {
	case !ok || number < 0 || number > int64(p.Limits.bulk()):
		return false, &ProtocolError{"invalid bulk length"}
	case number > UnauthenticatedBulk && p.Limits.Unauthenticated:
		return false, &ProtocolError{"unauthenticated bulk length"}
	}
	p.length = int(number)
	p.position += n
	return false, nil
}

// line finds the line at the beginning of b, which ends with a carriage return and any byte after it. n is 0 when it
// is not complete. Its first byte says what it is.
func (p *Parser) line(b []byte, tooLong string) (line []byte, n int, err error) {
	limit := p.Limits.inline()
	if len(b) == 0 {
		return nil, 0, nil
	}
	end := bytes.IndexByte(b[1:min(len(b), limit+1)], '\r') + 1
	switch {
	case end > 0 && end+1 < len(b):
		return b[:end], end + 2, nil
	case end == 0 && len(b) > limit:
		return nil, 0, &ProtocolError{tooLong}
	}
	return nil, 0, nil
}

// integer reads a decimal number as strictly as the original: no plus sign, blanks or leading zeros, at most 64 bits.
func integer(b []byte) (int64, bool) {
	negative := len(b) > 1 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 || b[0] == '0' && (len(b) > 1 || negative) {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0') // 19 digits fit
	}
	if negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n < 1<<63
}

// inline reads a command that is one line of words.
func (p *Parser) inline(dst [][]byte, buf []byte) (args [][]byte, n int, err error) {
	limit := p.Limits.inline()
	window := min(len(buf), limit+1)
	from := min(p.position, window)
	end := bytes.IndexByte(buf[from:window], '\n')
	if end < 0 {
		p.position = window // no line end before
		if len(buf) > limit {
			return dst, 0, &ProtocolError{"too big inline request"}
		}
		return dst, 0, nil
	}
	end += from
	p.position = 0
	args, ok := p.words(dst, bytes.TrimSuffix(buf[:end], []byte{'\r'}))
	if !ok {
		return dst, 0, &ProtocolError{"unbalanced quotes in request"}
	}
	return args, end + 1, nil
}
