package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestEveryExitCode(t *testing.T) {
	waiting := t.TempDir()
	startNode(t, waiting, "--initial-members", "2") // for another one
	// What docs/reference/api.md says of every answer above 399, by whatever stands before a node.
	denying := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"schema": 1, "error": "not you", "hint": "ask somebody else"}`))
	}))
	defer denying.Close()
	denied := strings.TrimPrefix(denying.URL, "http://")
	tests := []struct {
		code int
		args string
		err  string
	}{
		{exitOK, "version", ""},
		{exitOK, "node ls --data " + waiting, ""},
		{exitFailed, "node status nobody --data " + waiting, "error: "},
		{exitUsage, "node status", "error: egal node status wants one node"},
		{exitUsage, "node leave x --yes=perhaps", "error: "},
		{exitUnreachable, "node ls --data nowhere", "nobody listens"},
		{exitUnreachable, "node leave x --yes --data nowhere", "nobody listens"},
		{exitUnreachable, "config show --running --data nowhere", "nobody listens"},
		{exitDenied, "status --addr " + denied, "error: " + denied + ": not you\nhint: ask somebody else\n"},
		{exitDenied, "config set name x --addr " + denied, "not you"},
		{exitDenied, "node leave x --yes --addr " + denied, "not you"},
		{exitDegraded, "status --data " + waiting, ""},
		{exitTimeout, "status --wait --timeout 1ms --data " + waiting, "not healthy after 1ms"},
	}
	for _, test := range tests {
		got := egalRun(t, strings.Fields(test.args)...)
		if got.code != test.code || !strings.Contains(got.err, test.err) || test.err == "" && got.err != "" {
			t.Errorf("egal %s: %+v, want %d", test.args, got, test.code)
		}
	}
	for _, args := range []string{"status --wait", "status --watch", "node ls --watch"} {
		b := egalInBackground(t, strings.NewReader(""), append(strings.Fields(args), "--data", waiting)...)
		if !strings.Contains(args, "--wait") {
			b.out.expect(t, "joining")
		}
		b.stop()
		if code := b.wait(t); code != exitInterrupted {
			t.Errorf("egal %s, interrupted: %d", args, code)
		}
	}
}

func TestEveryCommandHasExamplesAndListsTheExitCodes(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Example == "" || cmd.Short == "" {
			t.Errorf("%s has no example, or no line about it", cmd.CommandPath())
		}
		help := egalRun(t, append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
		if help.code != exitOK || !strings.HasSuffix(help.out, exitCodesHelp+"\n\nMore: docs/reference/cli.md\n") {
			t.Errorf("%s --help: %d %s%s", cmd.CommandPath(), help.code, help.out, help.err)
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRoot(&world{}))
	golden(t, goldenFile("help.txt"), egalRun(t, "--help").out)
	golden(t, goldenFile("node-leave-help.txt"), egalRun(t, "node", "leave", "--help").out)
}

func TestAnInterruptedRequestIsNoFailure(t *testing.T) {
	began := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	}))
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // ends with the request
		<-began
		cancel()
	}()
	var out, messages safe
	w := &world{out: &out, err: &messages, began: time.Now()}
	if code := run(ctx, w, []string{"node", "ls", "--addr", strings.TrimPrefix(silent.URL, "http://")}); code != exitInterrupted || messages.text() != "error: interrupted\n" {
		t.Errorf("%d %s", code, messages.text())
	}
}
