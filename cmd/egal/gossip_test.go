package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip/lab"
)

const comparisonSchemes = "push,literal,seen,push-pull,transmit,median"

func TestTheLabPrintsItsRowsInEveryFormat(t *testing.T) {
	question := []string{"gossip", "lab", "--n", "64", "--k", "1,3", "--loss", "0,20", "--dead", "0", "--seeds", "2", "--schemes", comparisonSchemes}
	for _, format := range []string{"table", "brief", "csv", "json"} {
		got := egalRun(t, append(question, "-o", format)...)
		if got.code != exitOK {
			t.Fatalf("%s: %d %s", format, got.code, got.err)
		}
		golden(t, goldenFile("lab."+format), got.out)
		if !strings.Contains(got.err, "24 of 24: median n=64 k=3 loss=20 dead=0 missing=0 updates=1\n") {
			t.Errorf("%s: progress is\n%s", format, got.err)
		}
	}
	got := egalRun(t, append(question, "-o", "csv", "--no-headers")...)
	if strings.HasPrefix(got.out, "scheme,") || strings.Count(got.out, "\n") != 24 {
		t.Errorf("without headers:\n%s", got.out)
	}
}

func TestTheSameSeedPrintsTheSameBytes(t *testing.T) {
	all := strings.Join(lab.SchemeNames(), ",")
	for _, more := range []string{"--missing 0,5", "--updates 3"} {
		question := append([]string{"gossip", "lab", "--n", "30", "--k", "3", "--loss", "20", "--dead", "10", "--seeds", "2", "-o", "json", "--schemes", all}, strings.Fields(more)...)
		first := egalRun(t, question...)
		if second := egalRun(t, question...); first.code != exitOK || first.out != second.out {
			t.Errorf("%d, then\n%s\nand\n%s", first.code, first.out, second.out)
		}
		if !strings.Contains(first.err, "events of cores in ") {
			t.Errorf("says nothing of its speed:\n%s", first.err)
		}
		var document labDocument
		if err := json.NewDecoder(bytes.NewBufferString(first.out)).Decode(&document); err != nil {
			t.Fatal(err)
		}
		if document.Schema != 1 || document.Seed != 1 || len(document.Rows) < len(lab.SchemeNames()) {
			t.Errorf("schema %d, seed %d, %d rows", document.Schema, document.Seed, len(document.Rows))
		}
	}
	question := []string{"gossip", "lab", "--n", "30", "--seeds", "1", "--schemes", "push,inr", "-o", "csv"}
	if egalRun(t, question...).out == egalRun(t, append(question, "--seed", "2")...).out {
		t.Error("two seeds print the same")
	}
}

func TestWhatTheLabRefuses(t *testing.T) {
	tests := []struct{ name, args, err string }{
		{"a word for a number", "--n 10,x", `--n "10,x": "x" is none`},
		{"a scheme that is none", "--schemes push,pish", "schemes are push, literal, seen, push-pull, transmit, median, inr, core-literal, core-push"},
		{"one member", "--n 1", "n 1: want 2 to 100000"},
		{"too many members", "--n 100001", "n 100001: want 2 to 100000"},
		{"nobody to send to", "--k 0", "k 0: want 1 to 64"},
		{"too many to send to", "--k 65", "k 65: want 1 to 64"},
		{"all is lost", "--loss 91", "loss 91: want 0 to 90 percent"},
		{"less than nobody is dead", "--dead -1", "dead -1: want 0 to 90 percent"},
		{"no number", "--missing NaN", "missing NaN: want 0 to 90 percent"},
		{"no updates", "--updates 0", "updates 0: want 1 to 1000"},
		{"no seeds", "--seeds 0", "--seeds 0: want 1 to 10000"},
		{"too many seeds", "--seeds 10001", "--seeds 10001: want 1 to 10000"},
		{"a stream among very many cores", "--n 10001 --updates 2 --schemes inr", "above n 10000 the cores only spread one update"},
		{"seen-sets beyond all memory", "--n 100000 --updates 2 --schemes seen", "too much to keep"},
		{"too many combinations", "--n 2" + strings.Repeat(",2", 100) + " --k 1" + strings.Repeat(",1", 100), "more than 10000 combinations"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := egalRun(t, append([]string{"gossip", "lab"}, strings.Fields(test.args)...)...)
			if got.code != exitUsage || got.out != "" || !strings.Contains(got.err, test.err) || strings.Count(got.err, "error: ") != 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestTheLabPrintsFailuresInEveryFormat(t *testing.T) {
	question := []string{"gossip", "lab", "--failures", "--n", "5,12", "--seeds", "1", "--length", "30s"}
	rows := 2 * len(lab.Failures(5, time.Minute))
	for format, start := range map[string]string{
		"table": "FAULT              N   LOSS  DETECTED  MAX   KNOWN  MAX   MISSED  ALERTS  WRONG  SLOW  PAUSES  PACKETS  BYTES  ISOLATED\nnothing            5   0     0.00 ",
		"csv":   "fault,n,loss,detected,detected_max,known,known_max,missed,alerts,wrong,slow,pauses,packets,bytes,isolated\nnothing,5,0,0,0,0,0,0,0,0,0,0,",
		"json":  "{\n  \"schema\": 1,\n  \"seed\": 1,\n  \"rows\": [\n    {\n      \"fault\": \"nothing\",\n      \"n\": 5,\n",
	} {
		got := egalRun(t, append(question, "-o", format)...)
		if got.code != exitOK || !strings.HasPrefix(got.out, start) || !strings.Contains(got.err, "22 of 22: link cut n=10 loss=0\n") {
			t.Errorf("%s: %d\n%s\n%s", format, got.code, got.out, got.err)
		}
		if again := egalRun(t, append(question, "-o", format)...); again.out != got.out {
			t.Errorf("%s: the same seed prints\n%s\nand\n%s", format, got.out, again.out)
		}
		if lines := strings.Count(got.out, "\n"); format != "json" && lines != rows+1 {
			t.Errorf("%s: %d lines", format, lines)
		}
		var document failureDocument
		if format == "json" && (json.Unmarshal([]byte(got.out), &document) != nil || len(document.Rows) != rows || document.Rows[0].Packets < 7) {
			t.Errorf("%d rows: %+v", len(document.Rows), document)
		}
	}
}

func TestWhatTheLabRefusesOfFailures(t *testing.T) {
	for args, message := range map[string]string{
		"--failures --n 2":            "n 2: want 3 to 10000",
		"--failures --n 5,x":          `"x" is none`,
		"--failures --loss 5":         "--loss does not go with --failures",
		"--failures --seeds 0":        "--seeds 0: want 1 to 10000",
		"--failures --length 1s":      "length 1s: want 30s to 24h0m0s",
		"--failures --n 5 -o brief":   "-o brief does not go with --failures",
		"--length 1m":                 "--length goes with --failures",
		"--failures --schemes inr":    "--schemes does not go with --failures",
		"--failures --n 5 --dead 10%": "--dead does not go with --failures",
	} {
		got := egalRun(t, append([]string{"gossip", "lab"}, strings.Fields(args)...)...)
		if got.code != exitUsage || got.out != "" || !strings.Contains(got.err, message) {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestTheLabStopsWhenItIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var out, messages safe
	w := &world{out: &out, err: &messages, errTTY: true}
	code := run(ctx, w, []string{"gossip", "lab", "--n", "10000", "--seeds", "10000", "--schemes", "push-pull"})
	if code != exitInterrupted || out.text() != "" || !strings.HasPrefix(messages.text(), "\r\x1b[K1 of 6: push-pull n=10000") {
		t.Errorf("%d %q %q", code, out.text(), messages.text())
	}
}
