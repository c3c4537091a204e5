package command

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestReference holds the rendering of both pages to files. The pages of the docs are made of the whole table, in
// package slots; these are made of the rows of this package.
func TestReference(t *testing.T) {
	table, err := NewTable(Keyspace())
	if err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string]string{
		"commands.md": Reference(table),
		"redis.md":    Compatibility(table),
	} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(golden) != page {
			t.Errorf("%s is out of date: go test ./slots/internal/command -run TestReference -update", path)
		}
	}
}

func TestEverySupportedRowNamesItsTest(t *testing.T) {
	table, err := NewTable(Keyspace())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(Compatibility(table), "\n") {
		if strings.HasPrefix(line, "| `") && strings.HasSuffix(line, "| `` |") {
			t.Errorf("without a test: %s", line)
		}
	}
}
