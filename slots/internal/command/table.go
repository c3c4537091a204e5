package command

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/egalcluster/egal/slots/internal/keyspace"
	"github.com/egalcluster/egal/slots/internal/resp"
)

// Bounds of what a row may say; NewTable refuses rows beyond them.
const (
	// MaxNameLength is the longest name of a command or subcommand in bytes. Longer words are unknown commands.
	MaxNameLength = 64
	// MaxSubcommands bounds the subcommands of one container.
	MaxSubcommands = 128
)

// Command is one row of the command table: what clients may ask about it, and the function that runs it.
//
// A row with Subcommands is a container: its Arity counts the container's name and at least the subcommand's. A
// container may have a Run of its own, which then serves calls that name no subcommand (as COMMAND does).
type Command struct {
	// Name is the command's name in lower case; of a subcommand only the second word.
	Name string
	// Arity counts the words of a call, the name included (of a subcommand: both names). Negative: at least -Arity.
	Arity int
	// Flags say how the command behaves.
	Flags Flags
	// FirstKey, LastKey and KeyStep are the old form of KeySpecs: the positions of the first range of keys. A
	// negative LastKey counts from the end of the call (-1: the last word). All zero: no keys, or none so simple.
	FirstKey, LastKey, KeyStep int
	// KeySpecs say where the keys are and what happens to them.
	KeySpecs []KeySpec
	// VariableFlags tells the flags of the keys of one call, for a KeySpec with KeyVariable.
	VariableFlags func(args [][]byte) KeyFlags
	// Categories are the access categories without the leading "@", such as "string". Those that follow from Flags
	// (read, write, fast, slow, admin, dangerous, blocking, pubsub) are added by NewTable.
	Categories []string
	// Group is the chapter of the reference, such as "string" or "generic".
	Group string
	// Summary is one sentence for COMMAND DOCS and the reference, without a full stop.
	Summary string
	// Complexity is the cost in O notation.
	Complexity string
	// Since is the version of the compatible server that brought the command.
	Since string
	// Deprecated, when not empty, is the version since which ReplacedBy is preferred.
	Deprecated, ReplacedBy string
	// History lists the changes of the command's form.
	History []Change
	// Tips are hints for clients and proxies, such as "request_policy:all_shards".
	Tips []string
	// Arguments is the syntax, for COMMAND DOCS and the hints of interactive clients.
	Arguments []Argument
	// Subcommands are the rows of a container, in the order of the reference.
	Subcommands []Command
	// Differs says in a sentence how the command deviates from the compatible server; empty: it does not.
	Differs string
	// Test names the test that holds the row to its promise, for the support matrix.
	Test string
	// Run executes the call. The caller has checked the arity, resolved Context.Keys and locked their shards.
	Run func(*Context)

	fullName string // "client|list"; set by NewTable
	byName   map[string]*Command
}

// Change is one line of a command's history.
type Change struct{ Version, Text string }

// FullName is the name as COMMAND INFO prints it: "get", or "client|list" for a subcommand.
func (c *Command) FullName() string {
	if c.fullName == "" {
		return c.Name
	}
	return c.fullName
}

// Container reports whether the command has subcommands.
func (c *Command) Container() bool { return len(c.Subcommands) > 0 }

// Accepts reports whether a call of n words satisfies the arity.
func (c *Command) Accepts(n int) bool {
	if c.Arity < 0 {
		return n >= -c.Arity
	}
	return n == c.Arity
}

// Table finds commands by name. It is immutable after NewTable and safe for use by any goroutine.
type Table struct {
	byName map[string]*Command
	sorted []*Command
}

// NewTable builds a table out of rows and checks them: names are lower case, unique and bounded, every row can be
// run, arities and key specifications make sense. The rows are copied.
func NewTable(lists ...[]Command) (*Table, error) {
	t := &Table{byName: map[string]*Command{}}
	for _, list := range lists {
		for i := range list {
			row := list[i]
			if t.byName[row.Name] != nil {
				return nil, fmt.Errorf("command: table: %q is listed twice", row.Name)
			}
			if err := row.settle(""); err != nil {
				return nil, fmt.Errorf("command: table: %w", err)
			}
			t.byName[row.Name] = &row
			t.sorted = append(t.sorted, &row)
		}
	}
	slices.SortFunc(t.sorted, func(a, b *Command) int { return cmp.Compare(a.Name, b.Name) })
	return t, nil
}

// settle checks a row, gives it its full name and categories, and does the same for its subcommands.
func (c *Command) settle(parent string) error {
	c.fullName = c.Name
	if parent != "" {
		c.fullName = parent + "|" + c.Name
	}
	if err := c.validate(); err != nil {
		return fmt.Errorf("%q: %w", c.fullName, err)
	}
	c.Categories = categories(c.Categories, c.Flags)
	c.settleKeys()
	if !c.Container() {
		return nil
	}
	c.Subcommands = slices.Clone(c.Subcommands)
	c.byName = make(map[string]*Command, len(c.Subcommands))
	for i := range c.Subcommands {
		sub := &c.Subcommands[i]
		if c.byName[sub.Name] != nil {
			return fmt.Errorf("%q: subcommand %q is listed twice", c.fullName, sub.Name)
		}
		if err := sub.settle(c.fullName); err != nil {
			return err
		}
		c.byName[sub.Name] = sub
	}
	return nil
}

// Commands returns the top rows sorted by name. The slice is not to be changed.
func (t *Table) Commands() []*Command { return t.sorted }

// Find returns the row that serves a call, or the exact text of the error reply when there is none: an unknown
// command, an unknown subcommand, or a wrong number of words. args must hold at least one word. Finding a known
// command allocates nothing.
func (t *Table) Find(args [][]byte) (*Command, string) {
	c := t.lookup(args)
	if c == nil {
		return nil, errorUnknownCommand(args)
	}
	if c.Container() && len(args) > 1 {
		return nil, errorUnknownSubcommand(c, args[1])
	}
	if !c.Accepts(len(args)) || c.Run == nil {
		return nil, errorArity(c)
	}
	return c, ""
}

// lookup finds the row of a call without judging the number of its words: the subcommand's where args names one,
// else the container itself, also when args names a subcommand that it does not have. nil: the command is unknown.
func (t *Table) lookup(args [][]byte) *Command {
	c := find(t.byName, args[0])
	if c == nil || !c.Container() || len(args) == 1 {
		return c
	}
	if sub := find(c.byName, args[1]); sub != nil {
		return sub
	}
	return c
}

// Lookup finds a row by its full name, such as "get" or "client|list"; nil if there is none.
func (t *Table) Lookup(fullName []byte) *Command {
	for i, b := range fullName {
		if b != '|' {
			continue
		}
		container := find(t.byName, fullName[:i])
		if container == nil {
			return nil
		}
		return find(container.byName, fullName[i+1:])
	}
	return find(t.byName, fullName)
}

// find looks a word of any case up without allocating.
func find(m map[string]*Command, word []byte) *Command {
	var buffer [MaxNameLength]byte
	if len(word) > len(buffer) {
		return nil
	}
	for i, b := range word {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		buffer[i] = b
	}
	return m[string(buffer[:len(word)])]
}

// Session is the state of one connection that commands may read and change.
type Session struct {
	// ID is the connection's number, unique for the life of the service.
	ID int64
	// Database is the selected database.
	Database int
	// Name is what CLIENT SETNAME gave; LibName and LibVersion what CLIENT SETINFO gave.
	Name, LibName, LibVersion string
	// Protocol is 2 or 3.
	Protocol int
	// ReadOnly is set between READONLY and READWRITE; Asking for the one command after ASKING.
	ReadOnly, Asking bool
	// Close asks the connection to be closed after the reply.
	Close bool
}

// Context is one call of a command. It belongs to the caller and is valid during Run only; the caller reuses it.
type Context struct {
	// Now is the time of the call in milliseconds since 1970.
	Now int64
	// Args are the words of the call, the command's name first. They alias the connection's buffer.
	Args [][]byte
	// Keys are the resolved keys in the order of Command.Keys. Their shards are locked by the caller.
	Keys []keyspace.Key
	// Reply takes the answer.
	Reply *resp.Writer
	// Session is the connection.
	Session *Session
	// Store holds the data.
	Store *keyspace.Store
	// Random is the seeded source of everything that draws lots.
	Random *rand.Rand
	// Table is the table the command was found in, for COMMAND.
	Table *Table
	// Cluster is set on a server that is part of a cluster.
	Cluster bool
	// MaxString bounds the size of a value in bytes; 0 means keyspace.MaxString, and more than that counts as that.
	MaxString int
}

// Database returns the part of the session's database that holds a key. The key's shard must be locked.
func (c *Context) Database(k keyspace.Key) *keyspace.Database {
	return c.DatabaseAt(k, c.Session.Database)
}

// DatabaseAt returns the part of database number db that holds a key. The key's shard must be locked.
func (c *Context) DatabaseAt(k keyspace.Key, db int) *keyspace.Database {
	return c.Store.ShardOf(k.Slot).Database(db)
}
