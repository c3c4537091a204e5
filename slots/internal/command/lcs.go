package command

import (
	"math"

	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// Texts of LCS.
const (
	errLCSType   = "ERR The specified keys must contain string values"
	errLCSBoth   = "ERR If you want both the length and indexes, please just use IDX."
	errLCSLength = "ERR String too long for LCS"
	errLCSMemory = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
)

// lcsOptions are the words of LCS behind the keys.
type lcsOptions struct {
	length, indexes, matchLength bool
	minimum                      int64
}

// lcs: LCS key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]
func lcs(c *Context) {
	var text [2][]byte
	for i := range text {
		record, found := c.read(i)
		if found && record.Type != keyspace.TypeString {
			c.Reply.Error(errLCSType)
			return
		}
		text[i] = record.Value
	}
	o, ok := c.parseLCS()
	if !ok {
		return
	}
	a, b := text[0], text[1]
	if len(a) >= math.MaxUint32-1 || len(b) >= math.MaxUint32-1 {
		c.Reply.Error(errLCSLength)
		return
	}
	if (uint64(len(a))+1)*(uint64(len(b))+1) > uint64(c.maxString())/4 {
		c.Reply.Error(errLCSMemory)
		return
	}
	table := newLCSTable(a, b)
	switch {
	case o.length:
		c.Reply.Int(int64(table.at(len(a), len(b))))
	case o.indexes:
		c.replyMatches(table, o)
	default:
		c.Reply.Bulk(table.subsequence())
	}
}

// parseLCS takes the options, or replies the error.
func (c *Context) parseLCS() (o lcsOptions, ok bool) {
	for i := 3; i < len(c.Args); i++ {
		switch word := c.Args[i]; {
		case equalFold(word, "IDX"):
			o.indexes = true
		case equalFold(word, "LEN"):
			o.length = true
		case equalFold(word, "WITHMATCHLEN"):
			o.matchLength = true
		case equalFold(word, "MINMATCHLEN") && i+1 < len(c.Args):
			i++
			if o.minimum, ok = c.integer(i); !ok {
				return o, false
			}
			o.minimum = max(o.minimum, 0)
		default:
			c.Reply.Error(errSyntax)
			return o, false
		}
	}
	if o.indexes && o.length {
		c.Reply.Error(errLCSBoth)
		return o, false
	}
	return o, true
}

// lcsTable holds, for all prefixes of a and b, the length of their longest common subsequence.
type lcsTable struct {
	a, b    []byte
	lengths []uint32
}

func newLCSTable(a, b []byte) *lcsTable {
	width := len(b) + 1
	t := &lcsTable{a: a, b: b, lengths: make([]uint32, (len(a)+1)*width)}
	for i := 1; i <= len(a); i++ {
		above, row := t.lengths[(i-1)*width:i*width], t.lengths[i*width:(i+1)*width]
		for j := 1; j <= len(b); j++ {
			if a[i-1] == b[j-1] {
				row[j] = above[j-1] + 1
			} else {
				row[j] = max(above[j], row[j-1])
			}
		}
	}
	return t
}

func (t *lcsTable) at(i, j int) uint32 { return t.lengths[i*(len(t.b)+1)+j] }

// walk goes from the ends of both strings to their beginnings along one longest subsequence, and visits the position
// behind each common byte. Where two ways are equally long it shortens b.
func (t *lcsTable) walk(visit func(i, j int)) {
	for i, j := len(t.a), len(t.b); i > 0 && j > 0; {
		switch {
		case t.a[i-1] == t.b[j-1]:
			visit(i, j)
			i, j = i-1, j-1
		case t.at(i-1, j) > t.at(i, j-1):
			i--
		default:
			j--
		}
	}
}

func (t *lcsTable) subsequence() []byte {
	next := int(t.at(len(t.a), len(t.b)))
	result := make([]byte, next)
	t.walk(func(i, _ int) {
		next--
		result[next] = t.a[i-1]
	})
	return result
}

// run is a stretch of common bytes: a[startA:endA] equals b[startB:endB].
type run struct{ startA, endA, startB, endB int }

// replyMatches replies the runs of the subsequence from the last to the first, and its length.
func (c *Context) replyMatches(t *lcsTable, o lcsOptions) {
	c.Reply.Map(2)
	c.Reply.BulkString("matches")
	mark, count := c.Reply.Mark(), 0
	var current run
	flush := func() {
		length := int64(current.endA - current.startA)
		if length == 0 || length < o.minimum {
			return
		}
		count++
		c.replyMatch(current, o.matchLength)
	}
	t.walk(func(i, j int) {
		if current.endA > 0 && current.startA == i && current.startB == j {
			current.startA, current.startB = i-1, j-1
			return
		}
		flush()
		current = run{startA: i - 1, endA: i, startB: j - 1, endB: j}
	})
	flush()
	c.Reply.ArrayAt(mark, count)
	c.Reply.BulkString("len")
	c.Reply.Int(int64(t.at(len(t.a), len(t.b))))
}

func (c *Context) replyMatch(m run, withLength bool) {
	if withLength {
		c.Reply.Array(3)
	} else {
		c.Reply.Array(2)
	}
	for _, ends := range [...][2]int{{m.startA, m.endA}, {m.startB, m.endB}} {
		c.Reply.Array(2)
		c.Reply.Int(int64(ends[0]))
		c.Reply.Int(int64(ends[1] - 1))
	}
	if withLength {
		c.Reply.Int(int64(m.endA - m.startA))
	}
}
