package resp

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Kind is the type of a reply: the byte it begins with on the wire.
type Kind byte

// The kinds of replies. Attributes are read over.
const (
	KindSimple    Kind = '+'
	KindError     Kind = '-'
	KindInt       Kind = ':'
	KindBulk      Kind = '$'
	KindArray     Kind = '*'
	KindNull      Kind = '_'
	KindDouble    Kind = ','
	KindBool      Kind = '#'
	KindBulkError Kind = '!'
	KindVerbatim  Kind = '='
	KindBigNumber Kind = '('
	KindMap       Kind = '%'
	KindSet       Kind = '~'
	KindPush      Kind = '>'
	kindAttribute Kind = '|'
)

// MaxDepth is the deepest nesting of aggregates that Read follows.
const MaxDepth = 32

// Errors of Read.
var (
	// ErrIncomplete means that more bytes are needed.
	ErrIncomplete = errors.New("resp: incomplete reply")
	// ErrMalformed means that the bytes are no reply.
	ErrMalformed = errors.New("resp: malformed reply")
)

// Value is a reply. RESP2's null bulk string and null array are KindNull.
type Value struct {
	// Kind is the type.
	Kind Kind
	// Text is the content of simple strings, errors, bulk strings, verbatim texts (without the format) and big
	// numbers.
	Text string
	// Format is the three letters before a verbatim text.
	Format string
	// Int is the content of integers, and 1 or 0 for booleans.
	Int int64
	// Float is the content of doubles.
	Float float64
	// Items are the content of aggregates; of maps: key, value, key, value.
	Items []Value
}

// Read reads one reply from the beginning of b, and the number of bytes it took. It copies what it keeps.
func Read(b []byte, limits Limits) (v Value, n int, err error) {
	r := reader{rest: b, limits: limits}
	v, err = r.value(MaxDepth)
	return v, len(b) - len(r.rest), err
}

type reader struct {
	rest   []byte
	limits Limits
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

func (r *reader) value(depth int) (Value, error) {
	line, err := r.line()
	if err != nil {
		return Value{}, err
	}
	if line == "" {
		return Value{}, malformed("empty line")
	}
	v, content := Value{Kind: Kind(line[0])}, line[1:]
	switch v.Kind {
	case KindSimple, KindError:
		v.Text = content
	case KindBigNumber:
		v.Text = content
		if digits := strings.TrimPrefix(content, "-"); digits == "" || strings.Trim(digits, "0123456789") != "" {
			return Value{}, malformed("big number %q", content)
		}
	case KindInt:
		v.Int, err = strconv.ParseInt(content, 10, 64)
	case KindNull:
		if content != "" {
			return Value{}, malformed("null %q", content)
		}
	case KindBool:
		if content != "t" && content != "f" {
			return Value{}, malformed("boolean %q", content)
		}
		v.Int = int64(strings.Index("ft", content))
	case KindDouble:
		v.Float, err = parseDouble(content)
	case KindBulk, KindBulkError, KindVerbatim:
		return r.bulk(v, content)
	case KindArray, KindSet, KindPush, KindMap:
		return r.aggregate(v, content, depth)
	case kindAttribute:
		if _, err := r.aggregate(v, content, depth); err != nil {
			return Value{}, err
		}
		return r.value(depth - 1)
	default:
		return Value{}, malformed("type %q", line[0])
	}
	if err != nil {
		return Value{}, malformed("number %q", content)
	}
	return v, nil
}

func parseDouble(s string) (float64, error) {
	switch s {
	case "inf":
		return math.Inf(1), nil
	case "-inf":
		return math.Inf(-1), nil
	case "nan":
		return math.NaN(), nil
	}
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, ErrMalformed
	}
	return strconv.ParseFloat(s, 64)
}

// line takes a line off, without its end.
func (r *reader) line() (string, error) {
	end := bytes.IndexByte(r.rest, '\n')
	switch {
	case end < 0 && len(r.rest) > r.limits.inline():
		return "", malformed("line of more than %d bytes", r.limits.inline())
	case end < 0:
		return "", ErrIncomplete
	case end == 0 || r.rest[end-1] != '\r' || end-1 > r.limits.inline():
		return "", malformed("line end")
	}
	line := string(r.rest[:end-1])
	r.rest = r.rest[end+1:]
	return line, nil
}

// length reads a declared length; -1 stands for null.
func length(s string, limit int) (int, error) {
	n, ok := integer([]byte(s))
	if !ok || n < -1 || n > int64(limit) {
		return 0, malformed("length %q", s)
	}
	return int(n), nil
}

func (r *reader) bulk(v Value, declared string) (Value, error) {
	n, err := length(declared, r.limits.bulk())
	switch {
	case err != nil:
		return Value{}, err
	case n < 0 && v.Kind == KindBulk:
		return Value{Kind: KindNull}, nil
	case n < 0:
		return Value{}, malformed("length %q", declared)
	case len(r.rest) < n+2:
		return Value{}, ErrIncomplete
	case r.rest[n] != '\r' || r.rest[n+1] != '\n':
		return Value{}, malformed("end of a bulk string")
	}
	v.Text = string(r.rest[:n])
	r.rest = r.rest[n+2:]
	if v.Kind == KindVerbatim {
		if n < 4 || v.Text[3] != ':' {
			return Value{}, malformed("verbatim text without a format")
		}
		v.Format, v.Text = v.Text[:3], v.Text[4:]
	}
	return v, nil
}

// aggregate reads the items; memory grows with what is there, not with what is declared.
func (r *reader) aggregate(v Value, declared string, depth int) (Value, error) {
	n, err := length(declared, r.limits.args())
	switch {
	case err != nil:
		return Value{}, err
	case n < 0 && v.Kind == KindArray:
		return Value{Kind: KindNull}, nil
	case n < 0:
		return Value{}, malformed("length %q", declared)
	case depth <= 0:
		return Value{}, malformed("more than %d levels", MaxDepth)
	}
	if v.Kind == KindMap || v.Kind == kindAttribute {
		n *= 2
	}
	for range n {
		item, err := r.value(depth - 1)
		if err != nil {
			return Value{}, err
		}
		v.Items = append(v.Items, item)
	}
	return v, nil
}
