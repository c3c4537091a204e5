package command

import (
	"math"
	"strconv"
)

// incr: INCR key
func incr(c *Context) { c.increment(1) }

// decr: DECR key
func decr(c *Context) { c.increment(-1) }

// incrby: INCRBY key increment
func incrby(c *Context) {
	if by, ok := c.integer(2); ok {
		c.increment(by)
	}
}

// decrby: DECRBY key decrement
func decrby(c *Context) {
	by, ok := c.integer(2)
	if !ok {
		return
	}
	if by == math.MinInt64 {
		c.Reply.Error(errDecrOverflow)
		return
	}
	c.increment(-by)
}

// increment adds to the integer at the key; an absent key counts as 0. The time to live stays.
func (c *Context) increment(by int64) {
	record, found := c.peek(0)
	if !c.isString(record, found) {
		return
	}
	var value int64
	if found {
		var ok bool
		if value, ok = parseInteger(record.Value); !ok {
			c.Reply.Error(errNotInteger)
			return
		}
	}
	if by > 0 && value > math.MaxInt64-by || by < 0 && value < math.MinInt64-by {
		c.Reply.Error(errOverflow)
		return
	}
	value += by
	var digits [maxIntegerLength]byte
	c.put(0, strconv.AppendInt(digits[:0], value, 10), record.ExpireAt)
	c.Reply.Int(value)
}

// incrbyfloat: INCRBYFLOAT key increment
func incrbyfloat(c *Context) {
	record, found := c.peek(0)
	if !c.isString(record, found) {
		return
	}
	var value longDouble
	if found {
		var ok bool
		if value, ok = parseLongDouble(record.Value); !ok {
			c.Reply.Error(errNotFloat)
			return
		}
	}
	by, ok := parseLongDouble(c.Args[2])
	if !ok {
		c.Reply.Error(errNotFloat)
		return
	}
	sum, ok := value.add(by)
	if !ok {
		c.Reply.Error(errNaN)
		return
	}
	text := sum.text()
	c.put(0, text, record.ExpireAt)
	c.Reply.Bulk(text)
}
