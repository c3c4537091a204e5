package command

import (
	"bytes"
	"math"
)

// setOptions are the words of SET behind the value, and of GETEX behind the key.
type setOptions struct {
	notExists, exists, get, keep, persist bool
	ifEqual                               []byte // compared with the old value when compare is set
	compare                               bool
	expire                                expiry
}

// expiry is a time to live as a call gives it.
type expiry struct {
	text     []byte // nil: none given
	seconds  bool   // else milliseconds
	absolute bool   // a Unix time, else relative to now
}

// expiryOptions are the words before a time, as SET and GETEX know them.
var expiryOptions = [...]struct {
	token             string
	seconds, absolute bool
}{
	{"EX", true, false}, {"PX", false, false}, {"EXAT", true, true}, {"PXAT", false, true},
}

// parseExpiry takes "EX seconds" and the like. A second time is accepted only in the same form, and wins.
func (o *setOptions) parseExpiry(option, next []byte) bool {
	for _, known := range expiryOptions {
		if !equalFold(option, known.token) {
			continue
		}
		given := expiry{text: next, seconds: known.seconds, absolute: known.absolute}
		other := o.expire.text != nil && (o.expire.seconds != given.seconds || o.expire.absolute != given.absolute)
		if next == nil || o.keep || o.persist || other {
			return false
		}
		o.expire = given
		return true
	}
	return false
}

// parseSet takes the words of SET from the third on.
func (o *setOptions) parseSet(words [][]byte) bool {
	for i := 0; i < len(words); i++ {
		var next []byte
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch word := words[i]; {
		case equalFold(word, "NX") && !o.exists && !o.compare:
			o.notExists = true
		case equalFold(word, "XX") && !o.notExists && !o.compare:
			o.exists = true
		case equalFold(word, "IFEQ") && i+1 < len(words) && !o.notExists && !o.exists:
			o.ifEqual, o.compare = next, true
			i++
		case equalFold(word, "GET"):
			o.get = true
		case equalFold(word, "KEEPTTL") && o.expire.text == nil:
			o.keep = true
		case o.parseExpiry(word, next):
			i++
		default:
			return false
		}
	}
	return true
}

// parseGetex takes the words of GETEX from the second on.
func (o *setOptions) parseGetex(words [][]byte) bool {
	for i := 0; i < len(words); i++ {
		var next []byte
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch word := words[i]; {
		case equalFold(word, "PERSIST") && o.expire.text == nil:
			o.persist = true
		case o.parseExpiry(word, next):
			i++
		default:
			return false
		}
	}
	return true
}

// deadline computes when a value given now expires, in Unix milliseconds; 0 when no time was given. It replies the
// error of a time that is no number, not positive, or too far away.
func (c *Context) deadline(e expiry, name string) (int64, bool) {
	if e.text == nil {
		return 0, true
	}
	at, ok := parseInteger(e.text)
	if !ok {
		c.Reply.Error(errNotInteger)
		return 0, false
	}
	if at > 0 && e.seconds && at <= math.MaxInt64/1000 {
		at *= 1000
	} else if e.seconds {
		at = 0
	}
	if at > 0 && !e.absolute {
		at += c.Now // wraps below zero when it is too far away
	}
	if at <= 0 {
		c.Reply.Error(errorExpire(name))
		return 0, false
	}
	return at, true
}

// set: SET key value [NX | XX | IFEQ comparison-value] [GET] [EX … | PX … | EXAT … | PXAT … | KEEPTTL]
func set(c *Context) {
	if len(c.Args) == 3 { // the common form
		c.put(0, c.Args[2], 0)
		c.Reply.OK()
		return
	}
	var o setOptions
	if !o.parseSet(c.Args[3:]) {
		c.Reply.Error(errSyntax)
		return
	}
	expireAt, ok := c.deadline(o.expire, "set")
	if !ok {
		return
	}
	record, found := c.peek(0)
	if (o.get || o.compare) && !c.isString(record, found) {
		return
	}
	if o.get {
		c.replyString(record, found)
	}
	if o.refuses(record.Value, found) {
		if !o.get {
			c.Reply.Null()
		}
		return
	}
	if o.keep && found {
		expireAt = record.ExpireAt
	}
	c.put(0, c.Args[2], expireAt)
	if !o.get {
		c.Reply.OK()
	}
}

// refuses tells whether the conditions keep SET from storing, given what is there.
func (o *setOptions) refuses(value []byte, found bool) bool {
	return o.notExists && found || o.exists && !found || o.compare && (!found || !bytes.Equal(value, o.ifEqual))
}

// setKeyFlags tells what SET does with its key.
func setKeyFlags(args [][]byte) KeyFlags {
	for i := 3; i < len(args); i++ {
		if equalFold(args[i], "GET") {
			return KeyReadWrite | KeyAccess | KeyUpdate
		}
	}
	return KeyOverwrite | KeyUpdate
}

// setnx: SETNX key value
func setnx(c *Context) {
	_, found := c.peek(0)
	if !found {
		c.put(0, c.Args[2], 0)
	}
	c.truth(!found)
}

// setex: SETEX key seconds value
func setex(c *Context) { c.setWithExpiry(expiry{text: c.Args[2], seconds: true}, "setex") }

// psetex: PSETEX key milliseconds value
func psetex(c *Context) { c.setWithExpiry(expiry{text: c.Args[2]}, "psetex") }

func (c *Context) setWithExpiry(e expiry, name string) {
	expireAt, ok := c.deadline(e, name)
	if !ok {
		return
	}
	c.put(0, c.Args[3], expireAt)
	c.Reply.OK()
}

// mset: MSET key value [key value ...]
func mset(c *Context) {
	if len(c.Args)%2 == 0 {
		c.arity("mset")
		return
	}
	c.putAll()
	c.Reply.OK()
}

// msetnx: MSETNX key value [key value ...]
func msetnx(c *Context) {
	if len(c.Args)%2 == 0 {
		c.arity("msetnx")
		return
	}
	for i := range c.Keys {
		if _, found := c.peek(i); found {
			c.Reply.Int(0)
			return
		}
	}
	c.putAll()
	c.Reply.Int(1)
}

func (c *Context) putAll() {
	for i := range c.Keys {
		c.put(i, c.Args[2+2*i], 0)
	}
}

// getex: GETEX key [EX … | PX … | EXAT … | PXAT … | PERSIST]
func getex(c *Context) {
	var o setOptions
	if !o.parseGetex(c.Args[2:]) {
		c.Reply.Error(errSyntax)
		return
	}
	record, found := c.read(0)
	if !found || !c.isString(record, found) {
		if !found {
			c.Reply.Null()
		}
		return
	}
	expireAt, ok := c.deadline(o.expire, "getex")
	if !ok {
		return
	}
	c.Reply.Bulk(record.Value)
	switch database := c.Database(c.Keys[0]); {
	case expireAt > 0 && expireAt <= c.Now:
		database.Delete(c.Now, c.Keys[0])
	case expireAt > 0:
		database.SetExpire(c.Now, c.Keys[0], expireAt)
	case o.persist && record.ExpireAt != 0:
		database.SetExpire(c.Now, c.Keys[0], 0)
	}
}
