package command

import (
	"bytes"
	"slices"
	"strings"
)

// commandAll: COMMAND
func commandAll(c *Context) {
	all := c.Table.Commands()
	c.Reply.Array(len(all))
	for _, row := range all {
		c.replyInfo(row)
	}
}

// commandCount: COMMAND COUNT
func commandCount(c *Context) { c.Reply.Int(int64(len(c.Table.Commands()))) }

// commandInfo: COMMAND INFO [command-name ...]
func commandInfo(c *Context) {
	if len(c.Args) == 2 {
		commandAll(c)
		return
	}
	c.Reply.Array(len(c.Args) - 2)
	for _, name := range c.Args[2:] {
		if row := c.Table.Lookup(name); row != nil {
			c.replyInfo(row)
		} else {
			c.Reply.Null()
		}
	}
}

// replyInfo describes one row, its subcommands included.
func (c *Context) replyInfo(row *Command) {
	w := c.Reply
	w.Array(10)
	w.BulkString(row.FullName())
	w.Int(int64(row.Arity))
	c.replySet(row.Flags.Names(), "")
	w.Int(int64(row.FirstKey))
	w.Int(int64(row.LastKey))
	w.Int(int64(row.KeyStep))
	c.replySet(row.Categories, "@")
	w.Set(len(row.Tips))
	for _, tip := range row.Tips {
		w.BulkString(tip)
	}
	w.Set(len(row.KeySpecs))
	for i := range row.KeySpecs {
		c.replyKeySpec(&row.KeySpecs[i])
	}
	if !row.Container() {
		w.Set(0)
		return
	}
	w.Array(len(row.Subcommands))
	for i := range row.Subcommands {
		c.replyInfo(&row.Subcommands[i])
	}
}

// replySet replies words as a set of simple strings.
func (c *Context) replySet(words []string, prefix string) {
	c.Reply.Set(len(words))
	for _, word := range words {
		c.Reply.Simple(prefix + word)
	}
}

// pair replies a name and an integer of a map.
func (c *Context) pair(name string, value int) {
	c.Reply.BulkString(name)
	c.Reply.Int(int64(value))
}

// replyKeySpec replies {notes, flags, begin_search {type, spec}, find_keys {type, spec}}.
func (c *Context) replyKeySpec(k *KeySpec) {
	w := c.Reply
	if k.Notes != "" {
		w.Map(4)
		w.BulkString("notes")
		w.BulkString(k.Notes)
	} else {
		w.Map(3)
	}
	w.BulkString("flags")
	c.replySet(k.Flags.Names(), "")
	w.BulkString("begin_search")
	c.replyKeyBegin(k)
	w.BulkString("find_keys")
	c.replyKeyRange(k)
}

// typed opens a map of a type and a specification with n entries.
func (c *Context) typed(kind string, n int) {
	c.Reply.Map(2)
	c.Reply.BulkString("type")
	c.Reply.BulkString(kind)
	c.Reply.BulkString("spec")
	c.Reply.Map(n)
}

func (c *Context) replyKeyBegin(k *KeySpec) {
	switch {
	case k.KeyStep == 0:
		c.typed("unknown", 0)
	case k.Keyword != "":
		c.typed("keyword", 2)
		c.Reply.BulkString("keyword")
		c.Reply.BulkString(k.Keyword)
		c.pair("startfrom", k.Index)
	default:
		c.typed("index", 1)
		c.pair("index", k.Index)
	}
}

func (c *Context) replyKeyRange(k *KeySpec) {
	switch {
	case k.KeyStep == 0:
		c.typed("unknown", 0)
	case k.Counted:
		c.typed("keynum", 3)
		c.pair("keynumidx", k.CountAt)
		c.pair("firstkey", k.FirstKey)
		c.pair("keystep", k.KeyStep)
	default:
		c.typed("range", 3)
		c.pair("lastkey", k.LastKey)
		c.pair("keystep", k.KeyStep)
		c.pair("limit", k.Limit)
	}
}

// commandList: COMMAND LIST [FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]
func commandList(c *Context) {
	wanted, ok := listFilter(c.Args[2:])
	if !ok {
		c.Reply.Error(errSyntax)
		return
	}
	mark, count := c.Reply.Mark(), 0
	reply := func(row *Command) {
		if wanted(row) {
			c.Reply.BulkString(row.FullName())
			count++
		}
	}
	for _, row := range c.Table.Commands() {
		reply(row)
		for i := range row.Subcommands {
			reply(&row.Subcommands[i])
		}
	}
	c.Reply.ArrayAt(mark, count)
}

// listFilter understands the words behind COMMAND LIST.
func listFilter(words [][]byte) (wanted func(*Command) bool, ok bool) {
	switch {
	case len(words) == 0:
		return func(*Command) bool { return true }, true
	case len(words) != 3 || !equalFold(words[0], "FILTERBY"):
		return nil, false
	case equalFold(words[1], "MODULE"): // there are no modules
		return func(*Command) bool { return false }, true
	case equalFold(words[1], "ACLCAT"):
		category := strings.ToLower(string(words[2]))
		return func(row *Command) bool { return slices.Contains(row.Categories, category) }, true
	case equalFold(words[1], "PATTERN"):
		pattern := bytes.Clone(words[2])
		return func(row *Command) bool { return matchFold(pattern, []byte(row.FullName())) }, true
	}
	return nil, false
}

// commandGetkeys: COMMAND GETKEYS command [arg ...]
func commandGetkeys(c *Context) {
	_, positions, ok := c.keysOfCall()
	if !ok {
		return
	}
	c.Reply.Array(len(positions))
	for _, position := range positions {
		c.Reply.Bulk(c.Args[2+position])
	}
}

// commandGetkeysandflags: COMMAND GETKEYSANDFLAGS command [arg ...]
func commandGetkeysandflags(c *Context) {
	row, positions, ok := c.keysOfCall()
	if !ok {
		return
	}
	call := c.Args[2:]
	c.Reply.Array(len(positions))
	for i := range row.KeySpecs {
		spec := &row.KeySpecs[i]
		flags := spec.Flags
		if flags&KeyVariable != 0 && row.VariableFlags != nil {
			flags = row.VariableFlags(call)
		}
		first, last, step, _ := spec.find(call)
		for position := first; position <= last; position += step {
			c.Reply.Array(2)
			c.Reply.Bulk(call[position])
			c.replySet(flags.Names(), "")
		}
	}
}

// keysOfCall finds the row and the keys of the call that follows COMMAND GETKEYS, or replies what is wrong with it.
func (c *Context) keysOfCall() (row *Command, positions []int, ok bool) {
	call := c.Args[2:]
	row = c.Table.lookup(call)
	switch {
	case row == nil || row.Container() && len(call) > 1: // the subcommand is unknown
		c.Reply.Error(errInvalidCommand)
	case len(row.KeySpecs) == 0:
		c.Reply.Error(errNoKeyArguments)
	case !row.Accepts(len(call)):
		c.Reply.Error(errGetKeysArity)
	default:
		positions, err := row.Keys(call, nil)
		if err != nil && row.Flags&NoMandatoryKeys == 0 {
			c.Reply.Error(errGetKeysInvalid)
			return nil, nil, false
		}
		if err != nil {
			c.Reply.Array(0)
			return nil, nil, false
		}
		return row, positions, true
	}
	return nil, nil, false
}

// commandHelp: COMMAND HELP
func commandHelp(c *Context) { c.ReplyHelp("command") }

// ReplyHelp replies the usage of a container's subcommands, as its HELP does.
func (c *Context) ReplyHelp(container string) {
	row := c.Table.Lookup([]byte(container))
	if row == nil {
		c.Reply.Error(errInvalidCommand)
		return
	}
	c.Reply.Array(1 + 2*len(row.Subcommands))
	c.Reply.Simple(strings.ToUpper(row.Name) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for i := range row.Subcommands {
		sub := &row.Subcommands[i]
		c.Reply.Simple(strings.TrimSpace(strings.ToUpper(sub.Name) + " " + syntax(sub.Arguments)))
		c.Reply.Simple("    " + sub.Summary + ".")
	}
}
