package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/egalcluster/egal/internal/durable"
	"github.com/egalcluster/egal/web"
)

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestConfigSetInTheFileOfANodeThatDoesNotRun(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(data, "egal.yaml")
	got := egalRun(t, "config", "set", "fabric.fanout", "5", "--data", data)
	if got.code != exitOK || got.out != "fabric.fanout: 4 → 5, at the next start of the node; written to "+file+"\n" || content(t, file) != "fabric:\n  fanout: 5\n" {
		t.Errorf("%+v", got)
	}
	got = egalRun(t, "config", "set", "fabric.fanout", "6", "--data", data, "-o", "json")
	golden(t, goldenFile("config-set.json"), strings.ReplaceAll(got.out, file, "egal-data/egal.yaml"))
	tests := []struct {
		name string
		args []string
		code int
		err  string
	}{
		{"an unknown key", []string{"fabric.fanuot", "5", "--data", data}, exitUsage, "error: fabric.fanuot: no such setting\nhint: did you mean fabric.fanout?\n"},
		{"a value out of range", []string{"fabric.fanout", "17", "--data", data}, exitUsage, "error: fabric.fanout: want 1 to 16\n"},
		{"the whole would not do", []string{"slots.listen", "0.0.0.0:6379", "--data", data}, exitUsage, "open beyond this machine"},
		{"the directory itself", []string{"data", "/x", "--data", data}, exitUsage, "data: this file is found by it"},
		{"no directory", []string{"name", "a", "--data", filepath.Join(data, "none")}, exitUnreachable, "there is no directory"},
		{"nobody on a port", []string{"name", "a", "--addr", "127.0.0.1:1"}, exitUnreachable, "nobody listens"},
		{"a directory that is a file", []string{"name", "a", "--config", data}, exitFailed, "is a directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := egalRun(t, append([]string{"config", "set"}, test.args...)...); got.code != test.code || !strings.Contains(got.err, test.err) || got.out != "" {
				t.Errorf("%+v", got)
			}
		})
	}
	if content(t, file) != "fabric:\n  fanout: 6\n" {
		t.Errorf("the file is %q", content(t, file))
	}
}

func TestConfigSetLeavesTheFileOfALockedDirectoryAlone(t *testing.T) {
	data := t.TempDir()
	path := filepath.Join(data, "LOCK")
	lock, err := durable.Lock(durable.OS(), path)
	if err != nil {
		t.Fatal(err)
	}
	set := func() result { return egalRun(t, "config", "set", "name", "a", "--data", data) }
	if got := set(); got.code != exitUnreachable || !strings.Contains(got.err, "error: a node runs on "+data+", but has no socket there\nhint: ask it by --addr, or stop it first\n") {
		t.Errorf("%+v", got)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if got := set(); got.code != exitOK || content(t, filepath.Join(data, "egal.yaml")) != "name: a\n" {
		t.Errorf("%+v", got)
	}
}

func TestConfigSetInAFileThatIsNamed(t *testing.T) {
	file := write(t, "# mine\nname: a # me\n")
	if got := egalRun(t, "config", "set", "name", "b", "--config", file); got.code != exitOK || content(t, file) != "# mine\nname: b # me\n" {
		t.Errorf("%+v, %q", got, content(t, file))
	}
}

func TestConfigSetOnARunningNode(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(data, "egal.yaml")
	b := startNode(t, data, "--name", "n")
	serving(t, b)
	set := func(key, value string) string {
		t.Helper()
		got := egalRun(t, "config", "set", key, value, "--data", data)
		if got.code != exitOK {
			t.Errorf("%+v", got)
		}
		return got.out
	}
	if got, want := set("log_level", "error"), "log_level: info → error, at once; written to "+file+"\n"; got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if got, want := set("slots.max_clients", "1"), "slots.max_clients: 10000 → 1, at once; written to "+file+"\n"; got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if got, want := set("fabric.fanout", "5"), "fabric.fanout: 4 → 5, at the next start of the node; written to "+file+"\n"; got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if got, want := set("name", "m"), "name: stays n; written to "+file+", but flag --name wins\n"; got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	var node web.Node
	if err := json.Unmarshal([]byte(nodeDocument(t, data)), &node); err != nil || node.Counters["slots.max_clients"] != 1 {
		t.Errorf("the store has %d, %v", node.Counters["slots.max_clients"], err)
	}
	got := egalRun(t, "config", "show", "--running", "--data", data, "--origin")
	for _, want := range []string{"file " + file + ":1\n", "fabric.fanout                4 ", "default" + strings.Repeat(" ", len("file "+file+":1")-len("default")) + "  5\n", "flag --slots-listen\n"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("lacks %q:\n%s%s", want, got.out, got.err)
		}
	}
	b.stop()
	b.wait(t)
	if text := b.err.text(); strings.Contains(text, "node_stopping") {
		t.Errorf("the level is error, but it logs\n%s", text)
	}
}

// nodeDocument is what a node says of itself.
func nodeDocument(t *testing.T, data string) string {
	t.Helper()
	w := &world{}
	var document json.RawMessage
	if err := w.read(t.Context(), target{data: data}, "/api/v1/node", &document); err != nil {
		t.Fatal(err)
	}
	return string(document)
}
