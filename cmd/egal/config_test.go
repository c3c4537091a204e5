package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "egal.yaml")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigCheck(t *testing.T) {
	good, bad := write(t, "fabric:\n  fanout: 5\n"), write(t, "fabric:\n  fanuot: 5\nslots:\n  max_clients: 0\n")
	if got := egalRun(t, "config", "check", good); got.code != exitOK || got.out != good+": ok\n" {
		t.Errorf("%+v", got)
	}
	got := egalRun(t, "config", "check", bad)
	want := "error: " + bad + ":2: fabric.fanuot: no such setting\nhint: did you mean fabric.fanout?\n" + bad + ":4: slots.max_clients: want 1 to 1048576\n"
	if got.code != exitUsage || got.err != want || got.out != "" {
		t.Errorf("%+v", got)
	}
}

func TestConfigShowTellsOrigins(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("egal.yaml", []byte("fabric:\n  fanout: 5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	environment := func(w *world) { w.environ = []string{"EGAL_ROLES=a,b"} }
	got := egalWith(t, environment, "config", "show", "--config", "egal.yaml", "--origin")
	for _, want := range []string{"KEY ", "fabric.fanout                5               file egal.yaml:2\n", "roles                        a,b             environment EGAL_ROLES\n", "127.0.0.1:6379  default\n"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("lacks %q:\n%s%s", want, got.out, got.err)
		}
	}
	if got := egalRun(t, "config", "show", "--no-headers"); strings.Contains(got.out, "KEY") || strings.Contains(got.out, "default") {
		t.Errorf("got %s", got.out)
	}
	got = egalWith(t, environment, "config", "show", "--config", "egal.yaml", "--origin", "--name", "n")
	if !strings.Contains(got.out, "name                         n               flag --name\n") {
		t.Errorf("a flag: %s%s", got.out, got.err)
	}
}

func TestTheFileInTheDataDirectoryIsReadWithoutBeingNamed(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(data, "egal.yaml")
	if err := os.WriteFile(file, []byte("name: here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := func(w *world) { w.environ = []string{"EGAL_DATA=" + data} }
	for _, got := range []result{egalRun(t, "config", "show", "--origin", "--data", data), egalWith(t, environment, "config", "show", "--origin")} {
		if !strings.Contains(got.out, " here ") || !strings.Contains(got.out, "file "+file+":1\n") {
			t.Errorf("%+v", got)
		}
	}
	if got := egalRun(t, "config", "show", "--data", data, "--config", write(t, "name: there\n")); strings.Contains(got.out, "here ") && !strings.Contains(got.out, "there") {
		t.Errorf("another file is named: %+v", got)
	}
	if err := os.WriteFile(file, []byte("data: elsewhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := egalRun(t, "config", "show", "--config", file); got.code != exitOK {
		t.Errorf("a file that is named may name the directory: %+v", got)
	}
	t.Chdir(data)
	if err := os.Mkdir("egal-data", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename("egal.yaml", filepath.Join("egal-data", "egal.yaml")); err != nil {
		t.Fatal(err)
	}
	if got := egalRun(t, "config", "show"); got.code != exitUsage || !strings.Contains(got.err, "egal-data/egal.yaml:1: data: this file is found by it\nhint: --data (EGAL_DATA)") {
		t.Errorf("%+v", got)
	}
}

func TestConfigShowAsJSON(t *testing.T) {
	golden(t, goldenFile("config.json"), egalRun(t, "config", "show", "-o", "json").out)
}

func TestAnUnknownVariableIsAFault(t *testing.T) {
	environment := func(w *world) { w.environ = []string{"EGAL_SLOTS_LISTN=x"} }
	got := egalWith(t, environment, "start")
	if got.code != exitUsage || got.err != "error: EGAL_SLOTS_LISTN: no setting has this variable\nhint: did you mean EGAL_SLOTS_LISTEN?\n" {
		t.Errorf("%+v", got)
	}
}
