package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal/web"
)

// changing is what differs from run to run, with what stands for it in golden files.
var changing = []struct {
	pattern *regexp.Regexp
	stand   string
}{
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), `<id>`},
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), `<hash>`},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), `127.0.0.1:<port>`},
	{regexp.MustCompile(`-p \d+`), `-p <port>`},
	{regexp.MustCompile(`(since"?): "[^"]+"`), `$1: "<time>"`},
	{regexp.MustCompile(`((?:incarnation|epoch)"?): \d+`), `$1: 1`},
}

func settled(text string) string {
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.stand)
	}
	return text
}

func TestStatusAsJSONAndYAML(t *testing.T) {
	data := t.TempDir()
	serving(t, startNode(t, data, "--name", "node-1"))
	for _, format := range []string{"json", "yaml"} {
		got := egalRun(t, "status", "--data", data, "-o", format)
		if got.code != exitOK || got.err != "" {
			t.Errorf("%+v", got)
		}
		golden(t, goldenFile("status."+format), settled(got.out))
	}
}

func TestADegradedClusterIsExitCodeFive(t *testing.T) {
	data := t.TempDir()
	startNode(t, data, "--initial-members", "2") // waits for another one
	got := egalRun(t, "status", "--data", data)
	if got.code != exitDegraded || got.err != "" || !strings.Contains(got.out, "starting: ") {
		t.Errorf("%+v", got)
	}
	if got := egalRun(t, "status", "--data", data, "--wait", "--timeout", "1ms"); got.code != exitTimeout {
		t.Errorf("%+v", got)
	}
}

var example = web.Status{
	Verdict: web.VerdictDegraded, Summary: "node-3 unreachable", Next: "egal status",
	Members: []web.Member{
		{Name: "node-1", Address: "127.0.0.1:7001", State: "up", Reachable: true, Leader: true, Location: "dc1/rack1", Owns: 0.3333, Slots: 5461, Incarnation: 1, Fabric: "127.0.0.1:7946", ID: "aa"},
		{Name: "node-2", State: "joining", Reachable: true, Incarnation: 1, Roles: []string{"a", "b"}, Fabric: "127.0.0.1:7947", ID: "bb"},
		{Name: "node-3", Address: "127.0.0.1:7003", State: "up", Location: "dc1/rack1", Owns: 0.3333, Slots: 5462, Incarnation: 3, Fabric: "127.0.0.1:7948", ID: "cc", Since: "2026-01-01T00:00:00.5Z"},
	},
	Causes: []web.Cause{
		{Kind: web.CauseUnreachable, Member: "cc", Since: "2026-01-01T00:00:00.5Z", Text: "node-3 unreachable from node-1"},
		{Kind: web.CauseJoining, Member: "bb", Text: "node-2 joining: not admitted yet"},
		{Kind: web.CauseSlots, Text: "5461 of 16384 slots not served"},
	},
}

func TestTheTableHasASymbolBesideEachColour(t *testing.T) {
	o := &output{format: "table"}
	now := time.Date(2026, 1, 1, 0, 0, 13, 0, time.UTC)
	want := `NODE    ADDRESS         STATE          ZONE       OWNS   SLOTS  INC  LAST-SEEN
node-1  127.0.0.1:7001  ● up, leader   dc1/rack1  33.3%  5461   1    now
node-2  -               ◐ joining      -          0.0%   0      1    now
node-3  127.0.0.1:7003  ○ unreachable  dc1/rack1  33.3%  5462   3    12 s ago
- node-3 unreachable from node-1 for 12 s
- node-2 joining: not admitted yet
degraded: node-3 unreachable; next: egal status`
	if got := o.status(example, false, now); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	colourful := o.status(example, true, now)
	for _, sequence := range []string{"\x1b[32m●\x1b[0m up", "\x1b[33m◐\x1b[0m joining", "\x1b[31m○\x1b[0m unreachable", "\x1b[31mdegraded\x1b[0m: "} {
		if !strings.Contains(colourful, sequence) {
			t.Errorf("lacks %q:\n%q", sequence, colourful)
		}
	}
	if plain := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(colourful, ""); plain != want {
		t.Errorf("colours change the layout:\n%s", plain)
	}
	o.format = "wide"
	if wide := o.status(example, false, now); !strings.Contains(wide, "INC  LAST-SEEN  EPOCH  FABRIC          ROLES  ID\n") || !strings.Contains(wide, "127.0.0.1:7947  a,b    bb\n") {
		t.Errorf("wide:\n%s", wide)
	}
}

func TestColourIsForTerminalsThatWantIt(t *testing.T) {
	tests := []struct {
		name    string
		tty     bool
		environ []string
		flag    string
		want    painter
	}{
		{"a terminal", true, nil, "auto", true},
		{"a pipe", false, nil, "auto", false},
		{"NO_COLOR", true, []string{"NO_COLOR=1"}, "auto", false},
		{"an empty NO_COLOR", true, []string{"NO_COLOR="}, "auto", true},
		{"a dumb terminal", true, []string{"TERM=dumb"}, "auto", false},
		{"always beats NO_COLOR", false, []string{"NO_COLOR=1"}, "always", true},
		{"never", true, nil, "never", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := &world{outTTY: test.tty, environ: test.environ}
			root := newRoot(w)
			if err := root.PersistentFlags().Set("color", test.flag); err != nil {
				t.Fatal(err)
			}
			if got, err := w.paints(root); err != nil || got != test.want {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}
