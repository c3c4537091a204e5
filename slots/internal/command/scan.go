package command

import (
	"bytes"
	"math"

	"github.com/egalcluster/egal/slots/internal/keyspace"
	"github.com/egalcluster/egal/slots/internal/resp"
)

// defaultScanCount is how many keys a step of SCAN looks at when COUNT is not given.
const defaultScanCount = 10

// keys: KEYS pattern
func keys(c *Context) {
	mark, count := c.Reply.Mark(), 0
	pattern := c.Args[1]
	c.Store.Scan(c.Now, c.Session.Database, 0, unlimited, func(name []byte, _ keyspace.Record) bool {
		if matchesAll(pattern) || Match(pattern, name) {
			c.Reply.Bulk(name)
			count++
		}
		return !c.Reply.Overflown()
	})
	c.Reply.ArrayAt(mark, count)
}

// scanOptions are the words of SCAN behind the cursor.
type scanOptions struct {
	count    int
	pattern  []byte
	matching bool
	kind     []byte
	kinds    bool
}

// parseScan takes the options, or replies the error.
func (c *Context) parseScan() (o scanOptions, ok bool) {
	o.count = defaultScanCount
	for i := 2; i < len(c.Args); i += 2 {
		switch word := c.Args[i]; {
		case i+1 == len(c.Args):
			c.Reply.Error(errSyntax)
			return o, false
		case equalFold(word, "COUNT"):
			n, ok := c.integer(i + 1)
			if !ok {
				return o, false
			}
			if n < 1 {
				c.Reply.Error(errSyntax)
				return o, false
			}
			o.count = int(min(n, int64(unlimited)))
		case equalFold(word, "MATCH"):
			o.pattern = c.Args[i+1]
			o.matching = !matchesAll(o.pattern)
		case equalFold(word, "TYPE"):
			o.kind, o.kinds = c.Args[i+1], true
		default:
			c.Reply.Error(errSyntax)
			return o, false
		}
	}
	return o, true
}

// scan: SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
func scan(c *Context) {
	cursor, ok := parseCursor(c.Args[1])
	if !ok {
		c.Reply.Error(errInvalidCursor)
		return
	}
	o, ok := c.parseScan()
	if !ok {
		return
	}
	found, names := 0, resp.Writer{Protocol: c.Reply.Protocol}
	names.Bound(max(1, c.Reply.Left()))
	next := c.Store.Scan(c.Now, c.Session.Database, cursor, o.count, func(name []byte, r keyspace.Record) bool {
		if o.kinds && !sameWord(o.kind, r.Type.String()) || o.matching && !Match(o.pattern, name) {
			return true
		}
		names.Bulk(name)
		found++
		return !names.Overflown()
	})
	if names.Overflown() {
		c.Reply.Overflow()
		return
	}
	c.Reply.Array(2)
	c.Reply.BulkInt(int64(next)) // cursors have 63 bits
	c.Reply.Array(found)
	c.Reply.Raw(names.Buf)
}

// parseCursor reads a cursor as strtoul does: a zero byte ends it, an empty word is 0, a leading sign is accepted and
// wraps around.
func parseCursor(text []byte) (uint64, bool) {
	text, _, _ = bytes.Cut(text, []byte{0})
	negative := false
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		negative = text[0] == '-'
		if text = text[1:]; len(text) == 0 {
			return 0, false
		}
	}
	var cursor uint64
	for _, b := range text {
		if b < '0' || b > '9' {
			return 0, false
		}
		digit := uint64(b - '0')
		if cursor > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		cursor = cursor*10 + digit
	}
	if negative {
		cursor = -cursor
	}
	return cursor, true
}

// sameWord compares two words, ignoring the case of ASCII letters.
func sameWord(word []byte, other string) bool {
	if len(word) != len(other) {
		return false
	}
	for i, b := range word {
		if lower(b) != lower(other[i]) {
			return false
		}
	}
	return true
}

// dbsize: DBSIZE
func dbsize(c *Context) { c.Reply.Int(int64(c.Store.Len(c.Session.Database))) }

// flushMode takes the words of FLUSHDB and FLUSHALL, or replies the error. Both modes do the same: memory is given
// back at once and no client waits for it.
func (c *Context) flushMode() bool {
	if len(c.Args) > 2 || len(c.Args) == 2 && !equalFold(c.Args[1], "ASYNC") && !equalFold(c.Args[1], "SYNC") {
		c.Reply.Error(errSyntax)
		return false
	}
	return true
}

// flushdb: FLUSHDB [ASYNC | SYNC]
func flushdb(c *Context) {
	if c.flushMode() {
		c.Store.Flush(c.Session.Database)
		c.Reply.OK()
	}
}

// flushall: FLUSHALL [ASYNC | SYNC]
func flushall(c *Context) {
	if !c.flushMode() {
		return
	}
	for database := range c.Store.Databases() {
		c.Store.Flush(database)
	}
	c.Reply.OK()
}
