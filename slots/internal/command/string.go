package command

import (
	"math"

	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// get: GET key
func get(c *Context) {
	record, found := c.read(0)
	c.replyString(record, found)
}

// replyString replies a string, null for none, or the error for another type; it reports false for the error.
func (c *Context) replyString(record keyspace.Record, found bool) bool {
	if !c.isString(record, found) {
		return false
	}
	if !found {
		c.Reply.Null()
		return true
	}
	c.Reply.Bulk(record.Value)
	return true
}

// mget: MGET key [key ...]. A key of another type counts as absent.
func mget(c *Context) {
	c.Reply.Array(len(c.Keys))
	for i := range c.Keys {
		if c.Reply.Overflown() {
			return
		}
		record, found := c.read(i)
		if !found || record.Type != keyspace.TypeString {
			c.Reply.Null()
			continue
		}
		c.Reply.Bulk(record.Value)
	}
}

// strlen: STRLEN key
func strlen(c *Context) {
	record, found := c.read(0)
	if c.isString(record, found) {
		c.Reply.Int(int64(len(record.Value)))
	}
}

// getdel: GETDEL key
func getdel(c *Context) {
	record, found := c.read(0)
	if c.replyString(record, found) && found {
		c.remove(0)
	}
}

// getset: GETSET key value
func getset(c *Context) {
	record, found := c.read(0)
	if c.replyString(record, found) {
		c.put(0, c.Args[2], 0)
	}
}

// getrange: GETRANGE key start end, both ends included, negative ones counted from the end of the string.
func getrange(c *Context) {
	start, ok := c.integer(2)
	if !ok {
		return
	}
	end, ok := c.integer(3)
	if !ok {
		return
	}
	record, found := c.read(0)
	if !c.isString(record, found) {
		return
	}
	from, to := span(start, end, int64(len(record.Value)))
	c.Reply.Bulk(record.Value[from:to])
}

// substr: SUBSTR key start end, the old name of GETRANGE.
func substr(c *Context) { getrange(c) }

// span turns an inclusive range with negative positions into offsets of a string of the given length.
func span(start, end, length int64) (from, to int64) {
	if start < 0 && end < 0 && start > end {
		return 0, 0
	}
	if start < 0 {
		start = max(start+length, 0)
	}
	if end < 0 {
		end = max(end+length, 0)
	}
	end = min(end, length-1)
	if start > end || length == 0 {
		return 0, 0
	}
	return start, end + 1
}

// appendString: APPEND key value
func appendString(c *Context) {
	record, found := c.peek(0)
	if !c.isString(record, found) {
		return
	}
	added := c.Args[2]
	if !found {
		c.put(0, added, 0)
		c.Reply.Int(int64(len(added)))
		return
	}
	before := len(record.Value)
	if !c.fits(int64(before), int64(len(added))) {
		return
	}
	if len(added) > 0 {
		value := c.Database(c.Keys[0]).Grow(c.Now, c.Keys[0], before+len(added))
		copy(value[before:], added)
	}
	c.Reply.Int(int64(before + len(added)))
}

// setrange: SETRANGE key offset value. What lies between the old end and the offset is filled with zero bytes; an empty
// value changes nothing.
func setrange(c *Context) {
	offset, ok := c.integer(2)
	if !ok {
		return
	}
	if offset < 0 {
		c.Reply.Error(errOffset)
		return
	}
	record, found := c.peek(0)
	if !c.isString(record, found) {
		return
	}
	patch, size := c.Args[3], len(record.Value)
	if len(patch) == 0 {
		c.Reply.Int(int64(size))
		return
	}
	if !c.fits(offset, int64(len(patch))) {
		return
	}
	size = max(size, int(offset)+len(patch))
	value := c.Database(c.Keys[0]).Grow(c.Now, c.Keys[0], size)
	copy(value[offset:], patch)
	c.Reply.Int(int64(size))
}

// fits replies an error, and reports false, when size+added bytes are more than a string may have.
func (c *Context) fits(size, added int64) bool {
	if size > math.MaxInt64-added || size+added > int64(c.maxString()) {
		c.Reply.Error(errStringTooLong)
		return false
	}
	return true
}

// maxString is the bound on strings: what the server is set to, but never more than the keyspace can hold.
func (c *Context) maxString() int {
	if c.MaxString <= 0 {
		return keyspace.MaxString
	}
	return min(c.MaxString, keyspace.MaxString)
}
