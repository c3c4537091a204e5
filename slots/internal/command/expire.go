package command

import (
	"bytes"
	"math"
)

// expire: EXPIRE key seconds [NX | XX | GT | LT]
func expire(c *Context) { c.expireAt("expire", 1000, c.Now) }

// pexpire: PEXPIRE key milliseconds [NX | XX | GT | LT]
func pexpire(c *Context) { c.expireAt("pexpire", 1, c.Now) }

// expireat: EXPIREAT key unix-time-seconds [NX | XX | GT | LT]
func expireat(c *Context) { c.expireAt("expireat", 1000, 0) }

// pexpireat: PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]
func pexpireat(c *Context) { c.expireAt("pexpireat", 1, 0) }

// expireCondition says when a time to live may be changed.
type expireCondition struct{ ifNone, ifSome, ifGreater, ifLess bool }

// parseExpireCondition takes the words of EXPIRE from the third on, or replies the error.
func (c *Context) parseExpireCondition() (o expireCondition, ok bool) {
	for _, word := range c.Args[3:] {
		switch {
		case equalFold(word, "NX"):
			o.ifNone = true
		case equalFold(word, "XX"):
			o.ifSome = true
		case equalFold(word, "GT"):
			o.ifGreater = true
		case equalFold(word, "LT"):
			o.ifLess = true
		default:
			c.Reply.Error("ERR Unsupported option " + printable(bytes.TrimRight(word, "\r\n"), maxOptionEchoed))
			return o, false
		}
	}
	switch {
	case o.ifNone && (o.ifSome || o.ifGreater || o.ifLess):
		c.Reply.Error(errNXAndOthers)
		return o, false
	case o.ifGreater && o.ifLess:
		c.Reply.Error(errGTAndLT)
		return o, false
	}
	return o, true
}

// allows compares the new deadline with the old one; 0 is no deadline and later than any.
func (o expireCondition) allows(before, after int64) bool {
	switch {
	case o.ifNone && before != 0:
		return false
	case o.ifSome && before == 0:
		return false
	case o.ifGreater && (before == 0 || after <= before):
		return false
	case o.ifLess && before != 0 && after >= before:
		return false
	}
	return true
}

// expireAt gives key 0 a deadline of base plus the second argument times unit. A deadline that has passed deletes it.
func (c *Context) expireAt(name string, unit, base int64) {
	condition, ok := c.parseExpireCondition()
	if !ok {
		return
	}
	at, ok := c.integer(2)
	if !ok {
		return
	}
	if at > math.MaxInt64/unit || at < math.MinInt64/unit || at*unit > math.MaxInt64-base {
		c.Reply.Error(errorExpire(name))
		return
	}
	at = at*unit + base
	record, found := c.peek(0)
	if !found || !condition.allows(record.ExpireAt, at) {
		c.Reply.Int(0)
		return
	}
	if at <= c.Now {
		c.remove(0)
	} else {
		c.Database(c.Keys[0]).SetExpire(c.Now, c.Keys[0], at)
	}
	c.Reply.Int(1)
}

// ttl: TTL key
func ttl(c *Context) { c.replyDeadline(1000, c.Now) }

// pttl: PTTL key
func pttl(c *Context) { c.replyDeadline(1, c.Now) }

// expiretime: EXPIRETIME key
func expiretime(c *Context) { c.replyDeadline(1000, 0) }

// pexpiretime: PEXPIRETIME key
func pexpiretime(c *Context) { c.replyDeadline(1, 0) }

// replyDeadline replies the deadline of key 0 minus base in the given unit, rounded to the nearest; -1 for a key
// without one, -2 for no key.
func (c *Context) replyDeadline(unit, base int64) {
	record, found := c.read(0)
	switch {
	case !found:
		c.Reply.Int(-2)
	case record.ExpireAt == 0:
		c.Reply.Int(-1)
	case unit == 1:
		c.Reply.Int(max(record.ExpireAt-base, 0))
	default:
		left := max(record.ExpireAt-base, 0)
		rounded := left / unit
		if left%unit >= unit/2 {
			rounded++
		}
		c.Reply.Int(rounded)
	}
}

// persist: PERSIST key
func persist(c *Context) {
	record, found := c.peek(0)
	if !found || record.ExpireAt == 0 {
		c.Reply.Int(0)
		return
	}
	c.Database(c.Keys[0]).SetExpire(c.Now, c.Keys[0], 0)
	c.Reply.Int(1)
}
