//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAHangupReloadsTheConfiguration(t *testing.T) {
	data := t.TempDir()
	b := startNode(t, data)
	serving(t, b)
	hangup := func(file string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(data, "egal.yaml"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	hangup("slots: {max_clients: 7}\n")
	b.err.expect(t, `"event":"config_changed","key":"slots.max_clients","before":"10000","value":"7"`)
	hangup("slots: {max_clients: many}\n")
	b.err.expect(t, `"event":"config_refused"`)
}

func TestAHangupReloadsTheClusterKey(t *testing.T) {
	data, key := t.TempDir(), keyFile(t, "A")
	b := startNode(t, data, "--cluster-key-file", key)
	serving(t, b)
	hangup := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(key, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	other, err := os.ReadFile(keyFile(t, "B"))
	if err != nil {
		t.Fatal(err)
	}
	hangup(append([]byte("7:"), other[len("# for a test\n"):]...))
	b.err.expect(t, `"event":"cluster_key_reloaded","key":7,`)
	hangup([]byte("nothing\n"))
	b.err.expect(t, `"event":"secrets_refused"`)
}
