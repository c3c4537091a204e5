package slots

import (
	"flag"
	"os"
	"testing"

	"github.com/egalcluster/egal/slots/internal/command"
)

var update = flag.Bool("update", false, "write the generated pages")

// deviations are what differs for more than one command.
var deviations = []string{
	"There are no passwords. A listener that others could reach is refused unless it is allowed explicitly.",
	"Everything is kept in memory; nothing is written to files. A node that ends takes its keys with it.",
	"A client that does not read its replies is not executed any further until it does, so its replies take little memory. " +
		"A single batch of replies above the output limit (1 GiB) closes it.",
	"A client that has sent its last byte still gets every reply before the connection is closed.",
	"Commands of different clients run at the same time when their keys are in different shards. " +
		"Each command is atomic over its keys; commands over the whole keyspace visit one shard after another.",
	"In a cluster there is one database, and its map of slots comes from the fabric: there is no cluster bus, and no `nodes.conf`.",
	"`redis_version` says 7.2.4, the version clients may rely on; `egal_version` says what really runs.",
}

// The pages of the reference are made from the full command table, and are checked in.
func TestReferencePagesAreUpToDate(t *testing.T) {
	table, err := new(Service).commands()
	if err != nil {
		t.Fatal(err)
	}
	for path, render := range map[string]func(*command.Table) string{
		"../docs/reference/commands.md": command.Reference,
		"../docs/compat/redis.md":       func(table *command.Table) string { return command.Compatibility(table, deviations...) },
	} {
		want := render(table)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is not what the command table says (%v); run go test ./slots -run TestReferencePages -update", path, err)
		}
	}
}

// Every row names the test that holds it to its promise.
func TestEveryRowNamesItsTest(t *testing.T) {
	table, err := new(Service).commands()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table.Commands() {
		for i := range row.Subcommands {
			if row.Test == "" && row.Subcommands[i].Test == "" {
				t.Errorf("%s names no test", row.Subcommands[i].FullName())
			}
		}
		if row.Test == "" && !row.Container() {
			t.Errorf("%s names no test", row.Name)
		}
	}
}
