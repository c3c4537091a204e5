package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pageNote stands on top of generated pages.
const pageNote = "<!-- Generated from the command table in slots; a golden test keeps it equal. Run that test with -update, edit the table. -->\n"

// Reference renders docs/reference/commands.md: every row of the table, by group.
func Reference(t *Table) string {
	var b strings.Builder
	b.WriteString("# Commands\n\n" + pageNote + "\nWhat the hash-slot store understands. Names and keywords may be written in any case. `redis-cli` shows the same as hints: it asks `COMMAND DOCS`.\n")
	for _, group := range t.groups() {
		b.WriteString("\n## " + group + "\n")
		for _, row := range t.sorted {
			if row.Group != group {
				continue
			}
			writeRow(&b, row)
			for i := range row.Subcommands {
				writeRow(&b, &row.Subcommands[i])
			}
		}
	}
	return b.String()
}

// groups lists the groups of the table's rows in the order of the reference, unknown ones last.
func (t *Table) groups() []string {
	var groups []string
	for _, known := range referenceCommands {
		groups = append(groups, known.title)
	}
	for _, row := range t.sorted {
		if !slices.Contains(groups, row.Group) {
			groups = append(groups, row.Group)
		}
	}
	return slices.DeleteFunc(groups, func(group string) bool {
		return !slices.ContainsFunc(t.sorted, func(row *Command) bool { return row.Group == group })
	})
}

// writeRow writes a heading, the syntax, the summary and a line of facts.
func writeRow(b *strings.Builder, row *Command) {
	name := title(row.FullName())
	fmt.Fprintf(b, "\n### %s\n\n", name)
	if row.Container() {
		fmt.Fprintf(b, "%s. See its subcommands.\n", row.Summary)
	} else {
		fmt.Fprintf(b, "```\n%s\n```\n\n%s.", strings.TrimSpace(name+" "+syntax(row.Arguments)), row.Summary)
		if row.Deprecated != "" {
			fmt.Fprintf(b, " Deprecated since %s: use %s.", row.Deprecated, row.ReplacedBy)
		}
		b.WriteByte('\n')
	}
	facts := []string{"since " + row.Since, "arity " + strconv.Itoa(row.Arity)}
	if row.Complexity != "" {
		facts = append(facts, row.Complexity)
	}
	if flags := row.Flags.Names(); len(flags) > 0 {
		facts = append(facts, strings.Join(flags, " "))
	}
	facts = append(facts, "@"+strings.Join(row.Categories, " @"))
	fmt.Fprintf(b, "\n%s\n", strings.Join(facts, " · "))
	for _, change := range row.History {
		fmt.Fprintf(b, "\n- %s: %s", change.Version, change.Text)
	}
	if len(row.History) > 0 {
		b.WriteByte('\n')
	}
	if row.Differs != "" {
		fmt.Fprintf(b, "\nDiffers: %s.\n", row.Differs)
	}
}

// title is a full name as people write it: "CLIENT LIST".
func title(fullName string) string {
	return strings.ToUpper(strings.ReplaceAll(fullName, "|", " "))
}

// Compatibility renders docs/compat/redis.md: which commands of Redis 7.2 the table has, which differ and how, which
// are missing, and what it has beyond them. more are sentences about whole areas rather than single commands, to stand
// behind those of this package.
func Compatibility(t *Table, more ...string) string {
	var b strings.Builder
	rows := t.all()
	supported, known := 0, map[string]bool{}
	for _, group := range referenceCommands {
		for _, name := range group.all() {
			known[name] = true
			if rows[name] != nil {
				supported++
			}
		}
	}
	b.WriteString("# Compatibility with Redis 7.2\n\n" + pageNote)
	fmt.Fprintf(&b, "\n%d of the %d commands and subcommands of Redis 7.2 are supported. A missing one is answered as "+
		"an unknown command or subcommand. The replies of strings, keys, expiry and walks are compared byte for byte, in both "+
		"protocols, with a real `redis-server` (7.0, where it is installed) by "+
		"`TestDifferential` in `slots/internal/command`.\n", supported, len(known))
	b.WriteString("\n## What differs on the whole\n\n")
	for _, sentence := range slices.Concat(deviations, more) {
		b.WriteString("- " + sentence + "\n")
	}
	b.WriteString("\n## Commands\n")
	for _, group := range referenceCommands {
		t.writeGroup(&b, group.title, group.all(), rows)
	}
	var beyond []string
	for _, name := range t.names() {
		if !known[name] {
			beyond = append(beyond, name)
		}
	}
	if len(beyond) > 0 {
		t.writeGroup(&b, "beyond Redis 7.2", beyond, rows)
	}
	return b.String()
}

// writeGroup writes a table of the supported commands of a group and a line of the missing ones.
func (t *Table) writeGroup(b *strings.Builder, group string, names []string, rows map[string]*Command) {
	fmt.Fprintf(b, "\n### %s\n", group)
	var missing []string
	begun := false
	for _, name := range names {
		row := rows[name]
		if row == nil {
			missing = append(missing, "`"+title(name)+"`")
			continue
		}
		if !begun {
			b.WriteString("\n| command | state | how it differs | test |\n|---|---|---|---|\n")
			begun = true
		}
		state := "supported"
		if row.Differs != "" {
			state = "differs"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | `%s` |\n", title(name), state, row.Differs, t.testOf(row))
	}
	if len(missing) > 0 {
		fmt.Fprintf(b, "\nMissing: %s.\n", strings.Join(missing, ", "))
	}
}

// testOf is the test of a row; a subcommand without one has its container's, a container its first subcommand's.
func (t *Table) testOf(row *Command) string {
	if row.Test == "" && row.Container() {
		return row.Subcommands[0].Test
	}
	if container, _, isSub := strings.Cut(row.FullName(), "|"); isSub && row.Test == "" {
		return t.byName[container].Test
	}
	return row.Test
}

// names lists the full names of all rows, subcommands behind their containers.
func (t *Table) names() []string {
	var names []string
	for _, row := range t.sorted {
		names = append(names, row.FullName())
		for i := range row.Subcommands {
			names = append(names, row.Subcommands[i].FullName())
		}
	}
	return names
}

// all gives every row by its full name.
func (t *Table) all() map[string]*Command {
	rows := map[string]*Command{}
	for _, row := range t.sorted {
		rows[row.FullName()] = row
		for i := range row.Subcommands {
			rows[row.Subcommands[i].FullName()] = &row.Subcommands[i]
		}
	}
	return rows
}

// deviations are the sentences about the commands of this package.
var deviations = []string{
	"`KEYS`, `SCAN`, `DBSIZE`, `RANDOMKEY`, `FLUSHDB` and `FLUSHALL` visit one shard after another while others serve clients: what they report is not one moment's state. `ASYNC` and `SYNC` are the same.",
	"`SCAN` returns cursors of up to 63 bits and walks in another order; its guarantee is the same. `COMMAND` lists its rows by name.",
	"`COMMAND INFO` and `COMMAND DOCS` carry our own summaries and complexities, and the `display_text` of 7.2, which 7.0 does not have.",
	"`SET` also takes Valkey's `IFEQ`.",
	"An error that repeats a word of the call cuts it: `EXPIRE`'s unknown options to 4096 bytes, where the original repeats them whole.",
}
