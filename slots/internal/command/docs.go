package command

import "strings"

// commandDocs: COMMAND DOCS [command-name ...]
func commandDocs(c *Context) {
	var rows []*Command
	if len(c.Args) == 2 {
		rows = c.Table.Commands()
	}
	for _, name := range c.Args[2:] {
		if row := c.Table.Lookup(name); row != nil {
			rows = append(rows, row)
		}
	}
	c.Reply.Map(len(rows))
	for _, row := range rows {
		c.Reply.BulkString(row.FullName())
		c.replyDocs(row)
	}
}

// entries writes a map whose size is known at its end.
type entries struct {
	c     *Context
	mark  int
	count int
}

func (c *Context) entries() *entries { return &entries{c: c, mark: c.Reply.Mark()} }

// name begins an entry; its value follows.
func (e *entries) name(name string) {
	e.c.Reply.BulkString(name)
	e.count++
}

// text adds an entry unless its value is empty.
func (e *entries) text(name, value string) {
	if value != "" {
		e.name(name)
		e.c.Reply.BulkString(value)
	}
}

func (e *entries) close() { e.c.Reply.MapAt(e.mark, e.count) }

// replyDocs documents one row, its subcommands included.
func (c *Context) replyDocs(row *Command) {
	e := c.entries()
	e.text("summary", row.Summary)
	e.text("since", row.Since)
	e.text("group", row.Group)
	e.text("complexity", row.Complexity)
	if row.Deprecated != "" {
		e.name("doc_flags")
		c.replySet([]string{"deprecated"}, "")
		e.text("deprecated_since", row.Deprecated)
		e.text("replaced_by", row.ReplacedBy)
	}
	if len(row.History) > 0 {
		e.name("history")
		c.Reply.Set(len(row.History))
		for _, change := range row.History {
			c.Reply.Array(2)
			c.Reply.BulkString(change.Version)
			c.Reply.BulkString(change.Text)
		}
	}
	if len(row.Arguments) > 0 {
		e.name("arguments")
		c.replyArguments(row.Arguments)
	}
	if row.Container() {
		e.name("subcommands")
		c.Reply.Map(len(row.Subcommands))
		for i := range row.Subcommands {
			c.Reply.BulkString(row.Subcommands[i].FullName())
			c.replyDocs(&row.Subcommands[i])
		}
	}
	e.close()
}

func (c *Context) replyArguments(arguments []Argument) {
	c.Reply.Array(len(arguments))
	for i := range arguments {
		c.replyArgument(&arguments[i])
	}
}

func (c *Context) replyArgument(a *Argument) {
	e := c.entries()
	e.text("name", a.Name)
	e.text("type", a.Type.String())
	if len(a.Arguments) == 0 {
		e.text("display_text", a.Name)
	}
	if a.Type == KeyArgument {
		e.name("key_spec_index")
		c.Reply.Int(int64(a.KeySpec))
	}
	e.text("token", a.Token)
	e.text("since", a.Since)
	if flags := a.flags(); len(flags) > 0 {
		e.name("flags")
		c.replySet(flags, "")
	}
	if len(a.Arguments) > 0 {
		e.name("arguments")
		c.replyArguments(a.Arguments)
	}
	e.close()
}

// flags lists the flags of an argument under the names of COMMAND DOCS.
func (a *Argument) flags() []string {
	var names []string
	if a.Optional {
		names = append(names, "optional")
	}
	if a.Multiple {
		names = append(names, "multiple")
	}
	if a.MultipleToken {
		names = append(names, "multiple_token")
	}
	return names
}

// syntax prints arguments the way manuals do: "key value [NX | XX] [EX seconds]".
func syntax(arguments []Argument) string {
	words := make([]string, len(arguments))
	for i := range arguments {
		words[i] = arguments[i].syntax()
	}
	return strings.Join(words, " ")
}

func (a *Argument) syntax() string {
	body := a.body()
	if a.Token != "" && a.Type != PureToken {
		body = a.Token + " " + body
	}
	if a.Multiple {
		again := body
		if a.Token != "" && !a.MultipleToken {
			again = strings.TrimPrefix(body, a.Token+" ")
		}
		body += " [" + again + " ...]"
	}
	if a.Optional {
		body = "[" + body + "]"
	}
	return body
}

// body is what stands in the argument's place, without its own token but for a pure one.
func (a *Argument) body() string {
	if a.Type == PureToken {
		return a.Token
	}
	if a.Type == Block {
		return syntax(a.Arguments)
	}
	if a.Type != OneOf {
		return a.Name
	}
	choices := make([]string, len(a.Arguments))
	for i := range a.Arguments {
		choices[i] = a.Arguments[i].syntax()
	}
	if a.Optional && a.Token == "" {
		return strings.Join(choices, " | ")
	}
	return "<" + strings.Join(choices, " | ") + ">"
}
