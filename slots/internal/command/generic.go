package command

import (
	"math"
	"strconv"

	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// del: DEL key [key ...]
func del(c *Context) {
	deleted := 0
	for i := range c.Keys {
		if c.remove(i) {
			deleted++
		}
	}
	c.Reply.Int(int64(deleted))
}

// unlink: UNLINK key [key ...]. Strings are given back at once: they are one block.
func unlink(c *Context) { del(c) }

// exists: EXISTS key [key ...]. A key named twice counts twice.
func exists(c *Context) {
	count := 0
	for i := range c.Keys {
		if _, found := c.read(i); found {
			count++
		}
	}
	c.Reply.Int(int64(count))
}

// touch: TOUCH key [key ...]
func touch(c *Context) { exists(c) }

// typeOf: TYPE key
func typeOf(c *Context) {
	record, found := c.read(0)
	if !found {
		c.Reply.Simple("none")
		return
	}
	c.Reply.Simple(record.Type.String())
}

// rename: RENAME key newkey
func rename(c *Context) {
	if c.move(true) {
		c.Reply.OK()
	}
}

// renamenx: RENAMENX key newkey
func renamenx(c *Context) {
	if c.move(false) {
		c.Reply.Int(1)
	}
}

// move gives the value of key 0 and its time to live to key 1. It replies, and reports false, when there is nothing to
// move, or when the new name is taken and must not be replaced.
func (c *Context) move(replace bool) bool {
	record, found := c.peek(0)
	if !found {
		c.Reply.Error(errNoSuchKey)
		return false
	}
	same := string(c.Keys[0].Name) == string(c.Keys[1].Name)
	if _, taken := c.peek(1); taken && !replace {
		c.Reply.Int(0)
		return false
	}
	if !same {
		// Peek may have dropped an expired neighbour, but never moves the record at hand.
		c.Database(c.Keys[1]).Set(c.Now, c.Keys[1], record.Type, record.Value, record.ExpireAt)
		c.remove(0)
	}
	return true
}

// databaseNumber reads word number i as the number of a database, or replies the error.
func (c *Context) databaseNumber(i int) (int, bool) {
	n, ok := c.integer(i)
	switch {
	case !ok:
		return 0, false
	case n < math.MinInt32 || n > math.MaxInt32:
		c.Reply.Error(errIntegerRange)
		return 0, false
	case n < 0 || n >= int64(c.databases()):
		c.Reply.Error(errDatabaseRange)
		return 0, false
	}
	return int(n), true
}

// databases is how many databases clients may name. In a cluster only the first may be used, and the others are named as
// by default.
func (c *Context) databases() int {
	if c.Cluster {
		return max(c.Store.Databases(), keyspace.DefaultDatabases)
	}
	return c.Store.Databases()
}

// copyKey: COPY source destination [DB destination-db] [REPLACE]
func copyKey(c *Context) {
	target, replace := c.Session.Database, false
	for i := 3; i < len(c.Args); i++ {
		switch word := c.Args[i]; {
		case equalFold(word, "REPLACE"):
			replace = true
		case equalFold(word, "DB") && i+1 < len(c.Args):
			i++
			var ok bool
			if target, ok = c.databaseNumber(i); !ok {
				return
			}
		default:
			c.Reply.Error(errSyntax)
			return
		}
	}
	if c.Cluster && target != 0 {
		c.Reply.Error(errCopyCluster)
		return
	}
	if target == c.Session.Database && string(c.Keys[0].Name) == string(c.Keys[1].Name) {
		c.Reply.Error(errSameObject)
		return
	}
	record, found := c.peek(0)
	if !found {
		c.Reply.Int(0)
		return
	}
	c.truth(c.give(record, c.Keys[1], target, replace))
}

// moveKey: MOVE key db
func moveKey(c *Context) {
	if c.Cluster {
		c.Reply.Error(errMoveCluster)
		return
	}
	target, ok := c.databaseNumber(2)
	if !ok {
		return
	}
	if target == c.Session.Database {
		c.Reply.Error(errSameObject)
		return
	}
	record, found := c.peek(0)
	if !found {
		c.Reply.Int(0)
		return
	}
	moved := c.give(record, c.Keys[0], target, false)
	if moved {
		c.remove(0)
	}
	c.truth(moved)
}

// give stores a record under a key of another database, unless the key is taken and must not be replaced.
func (c *Context) give(record keyspace.Record, key keyspace.Key, target int, replace bool) bool {
	database := c.DatabaseAt(key, target)
	if _, taken := database.Peek(c.Now, key); taken && !replace {
		return false
	}
	database.Set(c.Now, key, record.Type, record.Value, record.ExpireAt)
	return true
}

// randomkey: RANDOMKEY
func randomkey(c *Context) {
	name, found := c.Store.Random(c.Now, c.Session.Database, c.Random.Uint64N)
	if !found {
		c.Reply.Null()
		return
	}
	c.Reply.Bulk(name)
}

// embeddedLength is the longest string that counts as embedded in its key's entry.
const embeddedLength = 44

// objectEncoding: OBJECT ENCODING key
func objectEncoding(c *Context) {
	record, found := c.peek(0)
	if !found {
		c.Reply.Null()
		return
	}
	c.Reply.BulkString(encoding(record))
}

// encoding names the representation of a value.
func encoding(record keyspace.Record) string {
	if _, isInteger := parseInteger(record.Value); isInteger {
		return "int"
	}
	if len(record.Value) <= embeddedLength {
		return "embstr"
	}
	return "raw"
}

// sharedIntegers is how many small integers the compatible server holds once and for all.
const sharedIntegers = 10000

// objectReferences: OBJECT REFCOUNT key. Values are never shared here; for the small integers, which the compatible
// server shares, its constant is replied.
func objectReferences(c *Context) {
	record, found := c.peek(0)
	if !found {
		c.Reply.Null()
		return
	}
	if n, isInteger := parseInteger(record.Value); isInteger && n >= 0 && n < sharedIntegers {
		c.Reply.Int(math.MaxInt32)
		return
	}
	c.Reply.Int(1)
}

// objectHelp: OBJECT HELP
func objectHelp(c *Context) { c.ReplyHelp("object") }

// errIntegerRange is the reply to a number that does not fit 32 bits.
var errIntegerRange = "ERR value is out of range, value must between " + strconv.Itoa(math.MinInt32) + " and " + strconv.Itoa(math.MaxInt32)
