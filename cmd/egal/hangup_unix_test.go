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
