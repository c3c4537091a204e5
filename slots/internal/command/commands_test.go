package command

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// behaviour is a sentence and the calls that prove it, each as "CALL → reply". Before the arrow stand words, quoted as
// in Go where they need it; behind it the reply: strings in quotes, integers bare, nil, errors and simple strings as
// they are, [arrays], ~[sets], {maps}. Some calls are not commands: "CLOCK ms" moves the time on, "LIST key" stores a
// list, "LIMIT n" bounds strings, "RESP3" changes the protocol.
type behaviour struct {
	says  string
	calls []string
}

// TestCommands proves, for every row of the table, what its command does.
func TestCommands(t *testing.T) {
	behaviours := map[string][]behaviour{}
	for _, list := range []map[string][]behaviour{stringBehaviours, numberBehaviours, keyBehaviours, expiryBehaviours, walkBehaviours, commandBehaviours} {
		for name, cases := range list {
			behaviours[name] = append(behaviours[name], cases...)
		}
	}
	for _, row := range Keyspace() {
		cases := behaviours[row.Name]
		delete(behaviours, row.Name)
		t.Run(row.Name, func(t *testing.T) {
			if len(cases) == 0 {
				t.Fatal("nothing proves this row")
			}
			for _, b := range cases {
				t.Run(b.says, func(t *testing.T) { prove(t, b.calls) })
			}
		})
	}
	for name := range behaviours {
		t.Errorf("no row is called %q", name)
	}
}

func prove(t *testing.T, calls []string) {
	t.Helper()
	s := newServer(t)
	for _, line := range calls {
		call, want, _ := strings.Cut(line, "→")
		words := split(t, call)
		switch words[0] {
		case "CLOCK":
			ms, err := strconv.ParseInt(words[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			s.now += ms
			continue
		case "LIST":
			s.put(words[1], keyspace.TypeList)
			continue
		case "LIMIT":
			s.limit, _ = strconv.Atoi(words[1])
			continue
		case "RESP3":
			s.session.Protocol = 3
			continue
		}
		if got := strings.TrimSpace(show(s.do(words...))); got != strings.TrimSpace(want) {
			t.Errorf("%s\n got  %s\n want %s", strings.TrimSpace(call), got, strings.TrimSpace(want))
		}
	}
}

// put stores a value of any type.
func (s *server) put(name string, kind keyspace.Type) {
	key := s.store.Key([]byte(name))
	shard := s.store.ShardOf(key.Slot)
	shard.Lock()
	defer shard.Unlock()
	shard.Database(s.session.Database).Set(s.now, key, kind, []byte("x"), 0)
}

// split cuts a line into words.
func split(t *testing.T, line string) (words []string) {
	t.Helper()
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				t.Fatal(err)
			}
			word, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatal(err)
			}
			words, line = append(words, word), line[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		words, line = append(words, word), rest
	}
	return words
}

// show prints a reply for people.
func show(reply string) string {
	return showReply(bufio.NewReader(strings.NewReader(reply)))
}

func showReply(r *bufio.Reader) string {
	b, err := readReply(nil, r)
	if err != nil {
		return ""
	}
	header, body, _ := bytes.Cut(b, []byte("\r\n"))
	var parts []string
	if strings.IndexByte("*~%", header[0]) >= 0 {
		inner := bufio.NewReader(bytes.NewReader(body))
		for part := showReply(inner); part != ""; part = showReply(inner) {
			parts = append(parts, part)
		}
	}
	switch {
	case header[0] == '_' || strings.IndexByte("$*", header[0]) >= 0 && string(header[1:]) == "-1":
		return "nil"
	case header[0] == '$':
		return strconv.Quote(string(bytes.TrimSuffix(body, []byte("\r\n"))))
	case header[0] == '*':
		return "[" + strings.Join(parts, " ") + "]"
	case header[0] == '~':
		return "~[" + strings.Join(parts, " ") + "]"
	case header[0] == '%':
		return "{" + strings.Join(parts, " ") + "}"
	case header[0] == '-':
		return string(header)
	}
	return string(header[1:])
}

func TestEveryCallRepliesExactlyOnce(t *testing.T) {
	s, g := newServer(t), newGenerator(7)
	for range 5_000 {
		args := g.command()
		reply := bytes.NewReader(s.call(args...))
		r := bufio.NewReader(reply)
		if _, err := readReply(nil, r); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		if r.Buffered()+reply.Len() > 0 {
			t.Fatalf("%q: more than one reply", args)
		}
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	s := newServer(t)
	positions := make([]int, 0, 8)
	for _, words := range [][]string{{"GET", "k"}, {"mSet", "k", "v", "k", "v"}, {"OBJECT", "encoding", "k"}} {
		var args [][]byte
		for _, word := range words {
			args = append(args, []byte(word))
		}
		allocations := testing.AllocsPerRun(100, func() {
			row, text := s.table.Find(args)
			if text != "" {
				t.Fatal(text)
			}
			if _, err := row.Keys(args, positions[:0]); err != nil {
				t.Fatal(err)
			}
		})
		if allocations != 0 {
			t.Errorf("%v: %v allocations", words, allocations)
		}
	}
}

func TestReadingAndWritingAllocateNothing(t *testing.T) {
	s := newServer(t)
	s.do("SET", "k", strings.Repeat("v", 32))
	s.do("SET", "n", "1")
	for _, words := range [][]string{{"GET", "k"}, {"SET", "k", strings.Repeat("w", 32)}, {"INCR", "n"}, {"TTL", "k"}, {"EXISTS", "k"}} {
		var args [][]byte
		for _, word := range words {
			args = append(args, []byte(word))
		}
		row, _ := s.table.Find(args)
		c := s.context(row, args)
		allocations := testing.AllocsPerRun(100, func() {
			c.Reply.Buf = c.Reply.Buf[:0]
			row.Run(c)
		})
		if allocations != 0 {
			t.Errorf("%v: %v allocations", words, allocations)
		}
	}
}

func TestNamesMayBeAsLongAsTheBound(t *testing.T) {
	row := Command{Arity: 1, Group: "server", Summary: "Does nothing", Since: "1.0.0", Run: func(*Context) {}}
	for length, fine := range map[int]bool{MaxNameLength - 1: true, MaxNameLength: true, MaxNameLength + 1: false} {
		row.Name = strings.Repeat("x", length)
		table, err := NewTable([]Command{row})
		if (err == nil) != fine {
			t.Errorf("a name of %d bytes: %v", length, err)
		}
		if err != nil {
			continue
		}
		if found, text := table.Find([][]byte{[]byte(strings.ToUpper(row.Name))}); found == nil {
			t.Errorf("a name of %d bytes is not found: %s", length, text)
		}
	}
}

func TestTableRefusesRowsThatMakeNoSense(t *testing.T) {
	good := Command{Name: "x", Arity: 2, Group: "server", Summary: "Does nothing", Since: "1.0.0", Run: func(*Context) {}}
	with := func(change func(*Command)) []Command {
		row := good
		change(&row)
		return []Command{row}
	}
	for says, rows := range map[string][]Command{
		"a name twice":             {good, good},
		"no name":                  with(func(c *Command) { c.Name = "" }),
		"an upper-case name":       with(func(c *Command) { c.Name = "X" }),
		"a name of two words":      with(func(c *Command) { c.Name = "x y" }),
		"no arity":                 with(func(c *Command) { c.Arity = 0 }),
		"nothing to run":           with(func(c *Command) { c.Run = nil }),
		"no summary":               with(func(c *Command) { c.Summary = "" }),
		"keys without a step":      with(func(c *Command) { c.KeySpecs = []KeySpec{{Index: 1}} }),
		"a key of no spec":         with(func(c *Command) { c.Arguments = []Argument{{Name: "key", Type: KeyArgument}} }),
		"a choice of nothing":      with(func(c *Command) { c.Arguments = []Argument{{Name: "a", Type: OneOf}} }),
		"a subcommand twice":       with(func(c *Command) { c.Subcommands = []Command{good, good} }),
		"too many subcommands":     with(func(c *Command) { c.Subcommands = many(good, MaxSubcommands+1) }),
		"a subcommand cannot run":  with(func(c *Command) { c.Subcommands = []Command{{Name: "y", Arity: 2}} }),
		"an argument has no name":  with(func(c *Command) { c.Arguments = []Argument{{}} }),
		"an unknown argument type": with(func(c *Command) { c.Arguments = []Argument{{Name: "a", Type: Block + 1}} }),
	} {
		if _, err := NewTable(rows); err == nil {
			t.Errorf("accepted: %s", says)
		}
	}
	if _, err := NewTable(with(func(c *Command) { c.Subcommands = many(good, MaxSubcommands) })); err != nil {
		t.Errorf("%d subcommands: %v", MaxSubcommands, err)
	}
}

func many(row Command, n int) []Command {
	rows := slices.Repeat([]Command{row}, n)
	for i := range rows {
		rows[i].Name = fmt.Sprint("s", i)
	}
	return rows
}
