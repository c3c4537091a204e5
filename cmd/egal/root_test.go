package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestExitCodesAndHints(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := taken.Addr().String()
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args string
		code int
		err  []string
	}{
		{"help", "--help", exitOK, nil},
		{"no command is help", "", exitOK, nil},
		{"an unknown command", "stauts", exitUsage, []string{`error: unknown command "stauts"`, "hint: did you mean status?"}},
		{"an unknown command like no other", "frobnicate", exitUsage, []string{"hint: `egal --help` lists all"}},
		{"an unknown command below another", "config chekc", exitUsage, []string{"did you mean config check?"}},
		{"an unknown flag", "status --ouptut json", exitUsage, []string{`error: unknown flag "--ouptut"`, "hint: did you mean --output?"}},
		{"an unknown short flag", "status -z", exitUsage, []string{"`egal status --help` shows the flags"}},
		{"a flag without its value", "status --addr", exitUsage, []string{"flag needs an argument"}},
		{"an argument too many", "version 2", exitUsage, []string{`egal version takes no argument: "2"`}},
		{"an argument too few", "config check", exitUsage, []string{"egal config check wants one file"}},
		{"an unknown format", "status -o xml", exitUsage, []string{`--output "xml": want table, wide, name, json, yaml, go-template=`}},
		{"an unknown colour mode", "status --color pink", exitUsage, []string{`--color "pink": want auto, always, never`}},
		{"two nodes to ask", "status --addr a:1 --data b", exitUsage, []string{"addr", "data"}},
		{"nobody listens", "status --addr " + port, exitUnreachable, []string{"error: " + port + ": nobody listens", "hint: is a node running? `egal start` starts one"}},
		{"nobody runs on a directory", "status --data nowhere", exitUnreachable, []string{filepath.Join("nowhere", "egal.sock") + ": nobody listens"}},
		{"waiting for nobody", "status --wait --timeout 1ms --addr " + port, exitTimeout, []string{"error: not healthy after 1ms: no answer"}},
		{"a configuration that is not there", "start --config nowhere.yaml", exitUsage, []string{"no configuration file nowhere.yaml"}},
		{"a value out of range", "start --initial-members 1025", exitUsage, []string{"--initial-members: fabric.initial_members: want 0 to 1024"}},
		{"open beyond this machine", "start --slots-listen 0.0.0.0:6379", exitUsage, []string{"--slots-listen: slots.listen: 0.0.0.0:6379: open beyond this machine", "add --insecure"}},
		{"a demo without nodes", "demo --nodes 0", exitUsage, []string{"--nodes 0: want 1 to 64"}},
		{"a demo of too many nodes", "demo --nodes 65", exitUsage, []string{"--nodes 65: want 1 to 64"}},
		{"a demo with too few ports", "demo --ports 7001", exitUsage, []string{"--ports names 1 ports for 3 nodes"}},
		{"a demo that spreads changes in an unknown way", "demo --gossip rumour", exitUsage, []string{`--gossip "rumour": want inr, literal, push`}},
		{"a demo with words for ports", "demo --ports a,b,c", exitUsage, []string{`--ports "a,b,c": want ports`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := egalRun(t, strings.Fields(test.args)...)
			if got.code != test.code {
				t.Errorf("exit code %d, want %d", got.code, test.code)
			}
			for _, want := range test.err {
				if !strings.Contains(got.err, want) {
					t.Errorf("lacks %q:\n%s", want, got.err)
				}
			}
			if test.code == exitOK && (got.err != "" || !strings.Contains(got.out, "Exit codes:\n  0 ")) {
				t.Errorf("help prints %q on stderr and %q on stdout", got.err, got.out)
			}
			if test.code != exitOK && (got.out != "" || strings.Count(got.err, "error: ") != 1) {
				t.Errorf("prints %q on stdout and %q on stderr", got.out, got.err)
			}
		})
	}
}

func TestAnErrorWithoutACodeIsAFailureAndAnEndOfTheContextAnInterruption(t *testing.T) {
	var b strings.Builder
	for err, code := range map[error]int{errors.New("x"): exitFailed, context.Canceled: exitInterrupted, silently(exitDegraded): exitDegraded} {
		if got := report(&b, err); got != code {
			t.Errorf("%v: %d, want %d", err, got, code)
		}
	}
}

func TestCompletionForFourShells(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := egalRun(t, "completion", shell); got.code != exitOK || !strings.Contains(got.out, "egal") {
			t.Errorf("%s: %d %s", shell, got.code, got.err)
		}
	}
	if got := egalRun(t, "__complete", "status", "-o", ""); !strings.Contains(got.out, "wide\nname\njson\nyaml\ngo-template=\n") {
		t.Errorf("values of -o: %q", got.out)
	}
}

func TestTheReferencePageIsMadeFromTheCommands(t *testing.T) {
	golden(t, filepath.Join("..", "..", "docs", "reference", "cli.md"), page(newRoot(&world{})))
}
