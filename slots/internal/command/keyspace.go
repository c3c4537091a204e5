package command

import (
	"slices"

	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// Keyspace returns the rows of strings, of keys of any type, of the keyspace as a whole, and of COMMAND itself.
func Keyspace() []Command {
	rows := slices.Concat(stringRows, genericRows, expireRows, serverRows)
	for i := range rows {
		rows[i].Test = "command.TestCommands/" + rows[i].Name
	}
	return rows
}

// unlimited lets Store.Scan and the like visit everything in one go.
const unlimited = int(^uint(0) >> 1)

// read looks key number i up for reading: it counts as a hit or a miss.
func (c *Context) read(i int) (keyspace.Record, bool) {
	return c.Database(c.Keys[i]).Get(c.Now, c.Keys[i])
}

// peek looks key number i up for a change, or for a question that is no use of the value.
func (c *Context) peek(i int) (keyspace.Record, bool) {
	return c.Database(c.Keys[i]).Peek(c.Now, c.Keys[i])
}

// put stores a string under key number i.
func (c *Context) put(i int, value []byte, expireAt int64) {
	c.Database(c.Keys[i]).Set(c.Now, c.Keys[i], keyspace.TypeString, value, expireAt)
}

// remove deletes key number i and reports whether it was there.
func (c *Context) remove(i int) bool {
	return c.Database(c.Keys[i]).Delete(c.Now, c.Keys[i])
}

// isString replies an error, and reports false, when a record exists and is no string.
func (c *Context) isString(r keyspace.Record, found bool) bool {
	if found && r.Type != keyspace.TypeString {
		c.Reply.Error(errWrongType)
		return false
	}
	return true
}

// integer reads word number i, or replies the error that it is no integer.
func (c *Context) integer(i int) (int64, bool) {
	n, ok := parseInteger(c.Args[i])
	if !ok {
		c.Reply.Error(errNotInteger)
	}
	return n, ok
}

// truth replies 1 or 0.
func (c *Context) truth(b bool) {
	if b {
		c.Reply.Int(1)
		return
	}
	c.Reply.Int(0)
}

// arity replies that the number of words is wrong, for commands whose arity does not tell it all.
func (c *Context) arity(name string) {
	c.Reply.Error("ERR wrong number of arguments for '" + name + "' command")
}
