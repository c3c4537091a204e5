package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal/web"
)

// startPair starts two members of one cluster and returns their data directories.
func startPair(t *testing.T) (one, two string, second *background) {
	t.Helper()
	one, two = t.TempDir(), t.TempDir()
	seed := "127.0.0.1:" + freePorts(t, 1)[0]
	planned := []string{"--join", seed, "--initial-members", "2"} // so that each gets its half at once
	first := startNode(t, one, append(planned, "--name", "one", "--fabric-listen", seed)...)
	second = startNode(t, two, append(planned, "--name", "two")...)
	serving(t, first)
	serving(t, second)
	for _, data := range []string{one, two} {
		if got := egalRun(t, "status", "--data", data, "--wait"); got.code != exitOK {
			t.Fatalf("%+v", got)
		}
	}
	return one, two, second
}

func TestNodeListInAllFormats(t *testing.T) {
	data := t.TempDir()
	serving(t, startNode(t, data, "--name", "node-1"))
	list := func(args ...string) string {
		t.Helper()
		got := egalRun(t, append([]string{"node", "ls", "--data", data}, args...)...)
		if got.code != exitOK || got.err != "" {
			t.Errorf("%v: %+v", args, got)
		}
		return got.out
	}
	for _, format := range []string{"json", "yaml"} {
		golden(t, goldenFile("node-ls."+format), settled(list("-o", format)))
	}
	for _, test := range []struct{ format, want string }{
		{"table", "NODE    ADDRESS  STATE  ZONE  OWNS  SLOTS  INC  LAST-SEEN"},
		{"wide", "NODE    ADDRESS  STATE  ZONE  OWNS  SLOTS  INC  LAST-SEEN  EPOCH  FABRIC  ROLES  ID"},
	} {
		head, rest, _ := strings.Cut(list("-o", test.format), "\n")
		if strings.Join(strings.Fields(head), " ") != strings.Join(strings.Fields(test.want), " ") || !strings.Contains(rest, "● up, leader") {
			t.Errorf("%s: %s\n%s", test.format, head, rest)
		}
		if without := list("-o", test.format, "--no-headers"); without != rest && strings.Contains(without, "NODE") {
			t.Errorf("%s without a head: %s", test.format, without)
		}
	}
	if got := list("-o", "name"); got != "node-1\n" {
		t.Errorf("names: %q", got)
	}
	if got := list("-o", `go-template={{range .members}}{{.name}} has {{.slots}}{{"\n"}}{{end}}`); got != "node-1 has 16384\n" {
		t.Errorf("a template: %q", got)
	}
}

func TestATemplateThatDoesNotFit(t *testing.T) {
	for template, want := range map[string]string{
		"{{.vrsion}}":             `map has no entry for key "vrsion"`,
		"{{.version":              "unclosed action",
		"{{.version}}{{.vrsion}}": `map has no entry for key "vrsion"`,
	} {
		got := egalRun(t, "version", "-o", "go-template="+template)
		if got.code != exitUsage || got.out != "" || !strings.Contains(got.err, want) || !strings.Contains(got.err, "hint: the fields are those of -o json") {
			t.Errorf("%s: %+v", template, got)
		}
	}
	if got := egalRun(t, "version", "-o", "name"); got.code != exitOK || strings.Count(got.out, "\n") != 1 {
		t.Errorf("%+v", got)
	}
}

func TestNodeStatus(t *testing.T) {
	one, two, second := startPair(t)
	got := egalRun(t, "node", "status", "one", "--data", one, "-o", "json")
	golden(t, goldenFile("node-status.json"), settled(got.out))
	got = egalRun(t, "node", "status", "two", "--data", one)
	for _, want := range []string{"NODE       two\n", "STATE      ● up\n", "LAST-SEEN  now\n", "SLOTS      8192, 50.0%: "} {
		if got.code != exitOK || !strings.Contains(got.out, want) {
			t.Errorf("lacks %q: %+v", want, got)
		}
	}
	if got := egalRun(t, "node", "status", "two", "--data", two); !strings.Contains(got.out, "READY      + slots: 16384 of 16384 have an owner\n") {
		t.Errorf("the asked node: %+v", got)
	}
	if got := egalRun(t, "node", "status", "tow", "--data", one); got.code != exitFailed || !strings.Contains(got.err, "no member \"tow\"\nhint: did you mean two?") {
		t.Errorf("%+v", got)
	}
	second.stop()
	second.wait(t)
	awaitStatus(t, one, "degraded: two unreachable, 1 member up, 8192 of 16384 slots not served")
	got = egalRun(t, "node", "status", "two", "--data", one)
	if got.code != exitDegraded || !strings.Contains(got.out, "STATE      ○ unreachable\n") || !strings.Contains(got.out, "- two unreachable from one for ") {
		t.Errorf("after it has gone: %+v", got)
	}
	got = egalRun(t, "status", "--data", one)
	if got.code != exitDegraded || !strings.Contains(got.out, "- two unreachable from one for ") || !strings.Contains(got.out, "degraded: two unreachable, 1 member up, 8192 of 16384 slots not served; next: start the missing ones") {
		t.Errorf("%+v", got)
	}
}

// awaitStatus waits until a node has a verdict with this summary.
func awaitStatus(t *testing.T, data, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w := &world{}
	c, err := w.connect(target{data: data})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for ctx.Err() == nil {
		status, err := c.status(ctx)
		if err == nil && status.Verdict+": "+status.Summary == want {
			return
		}
	}
	t.Fatalf("never became %q", want)
}

func TestWatchShowsEveryChangeUntilItIsInterrupted(t *testing.T) {
	for _, verb := range []string{"status", "node ls"} {
		t.Run(verb, func(t *testing.T) {
			one, _, second := startPair(t)
			args := append(strings.Fields(verb), "--data", one, "--watch", "-o", "json")
			b := egalInBackground(t, strings.NewReader(""), args...)
			b.out.expect(t, `"name": "two"(?s:.*)\n}\n`)
			second.stop()
			b.out.expect(t, `\n}\n{\n(?s:.*)"reachable": false`)
			b.stop()
			if code := b.wait(t); code != exitInterrupted {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestWatchOnATerminalPaintsOnePicture(t *testing.T) {
	data := t.TempDir()
	serving(t, startNode(t, data))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out safe
	code := make(chan int, 1)
	go func() { // ends at cancel
		code <- run(ctx, &world{out: &out, err: &safe{}, outTTY: true, began: time.Now()}, []string{"node", "ls", "--data", data, "--watch", "--color", "never"})
	}()
	out.expect(t, `^\x1b\[H\x1b\[JNODE (?s:.*)\x1b\[H\x1b\[JNODE `)
	cancel()
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit code %d", got)
	}
}

func TestCompletionOffersWhatIsThere(t *testing.T) {
	one, _, _ := startPair(t)
	for _, test := range []struct{ args, want string }{
		{"node status --data " + one + " |", "one\t● up, leader\ntwo\t● up\n:4\n"},
		{"node leave --data " + one + " |", "one\t● up, leader\ntwo\t● up\n:4\n"},
		{"node status --data " + one + " one |", ":4\n"},
		{"node status --data nowhere |", ":4\n"},
		{"config set log_level |", "debug\ninfo\nwarn\nerror\n:4\n"},
		{"config set insecure |", "true\nfalse\n:4\n"},
		{"config check |", "yaml\nyml\n:8\n"},
		{"status -o |", "table\nwide\nname\njson\nyaml\ngo-template=\n:4\n"},
		{"status --color |", "auto\nalways\nnever\n:4\n"},
	} {
		args := strings.Fields(strings.TrimSuffix(test.args, "|"))
		if strings.HasSuffix(test.args, " |") {
			args = append(args, "")
		}
		if got := egalRun(t, append([]string{"__complete"}, args...)...); got.out != test.want {
			t.Errorf("%s: got %q, want %q", test.args, got.out, test.want)
		}
	}
	if got := egalRun(t, "__complete", "config", "set", "fabric.fa"); !strings.Contains(got.out, "fabric.fanout\tTo how many members a node hands a rumor.\n") {
		t.Errorf("keys: %q", got.out)
	}
}

func TestANodeThatLeavesEndsWithZeroAndJoinsAgain(t *testing.T) {
	one, two, second := startPair(t)
	args := []string{"node", "leave", "two", "--data", two}
	if got := egalRun(t, append(args, "--dry-run", "-o", "json")...); got.code == exitOK {
		golden(t, goldenFile("node-leave.json"), settled(got.out))
	} else {
		t.Errorf("%+v", got)
	}
	got := egalRun(t, append(args, "--dry-run")...)
	if got.code != exitOK || got.out != "leave two:\n- two says goodbye: the others (1) take it out of the cluster at once\n- its 8192 slots go to the others, empty\n- its process ends with exit code 0; started again on its data directory, it joins again\n" {
		t.Errorf("%+v", got)
	}
	if got := egalRun(t, args...); got.code != exitUsage || got.err != "error: nobody to ask: the input is no terminal\nhint: --yes does it without asking, --dry-run prints the plan\n" {
		t.Errorf("without a terminal: %+v", got)
	}
	typing := func(text string) result {
		return egalWith(t, func(w *world) { w.inTTY, w.in = true, strings.NewReader(text) }, append(args, "--wait")...)
	}
	if got := typing("one\n"); got.code != exitFailed || !strings.Contains(got.err, `"one" is not two: nothing has been done`) {
		t.Errorf("another name: %+v", got)
	}
	if got := egalRun(t, "node", "leave", "two", "--data", one, "--yes"); got.code != exitFailed || !strings.Contains(got.err, "error: two is not the node that was asked\nhint: ask it itself: --data or --addr of two\n") {
		t.Errorf("another node: %+v", got)
	}
	if got := egalRun(t, "node", "ls", "--data", one, "-o", "name"); got.out != "one\ntwo\n" {
		t.Fatalf("something has been done: %+v", got)
	}
	if got := typing("two\n"); got.code != exitOK || got.out != "two: leave done\n" || !strings.Contains(got.err, "type two to go on: ") {
		t.Errorf("%+v", got)
	}
	if code := second.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	awaitStatus(t, one, "starting: 1 of 2 planned members up")
	seed := strings.TrimSpace(egalRun(t, "node", "ls", "--data", one, "-o", "go-template={{range .members}}{{.fabric}}{{end}}").out)
	serving(t, startNode(t, two, "--name", "two", "--join", seed))
	awaitStatus(t, one, "healthy: 2 members up, all 16384 slots served")
}

func TestWaitingForAProcessThatDoesNotEnd(t *testing.T) {
	data := t.TempDir()
	serving(t, startNode(t, data))
	w := &world{}
	c, err := w.connect(target{data: data})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	f := (*fault)(nil)
	if err := c.gone(t.Context(), "one", time.Nanosecond); !asError(err, &f) || f.code != exitTimeout {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.gone(ctx, "one", patience); !asError(err, &f) || f.code != exitInterrupted {
		t.Errorf("got %v", err)
	}
}

func TestTheOnlyNodeWithKeysLeavesWhereTheyMayBeLost(t *testing.T) {
	data := t.TempDir()
	b := startNode(t, data, "--name", "one")
	serving(t, b)
	client := b.err.expect(t, `"slots":"([^"]+)"`)[1]
	speak(t, client, "SET k v", "+OK")
	args := []string{"node", "leave", "one", "--data", data, "--yes"}
	if got := egalRun(t, args...); got.code != exitFailed || !strings.Contains(got.err, "error: one holds 1 key that no other node has\nhint: copy them elsewhere first, or agree to lose them: --lose-keys\n") {
		t.Errorf("%+v", got)
	}
	got := egalRun(t, append(args, "--lose-keys", "-o", "json")...)
	var plan web.Plan
	if err := json.Unmarshal([]byte(got.out), &plan); err != nil || !plan.Done || plan.Keys != 1 || got.code != exitOK {
		t.Errorf("%v, %+v", err, got)
	}
	if code := b.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(filepath.Join(data, web.SocketName)); err == nil {
		t.Error("the socket is still there")
	}
}

func TestAgesAreInTheUnitsThatMatter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0 s", 59*time.Second + 999*time.Millisecond: "59 s", time.Minute: "1 min 0 s", 59*time.Minute + 59*time.Second: "59 min 59 s",
		time.Hour: "1 h 0 min", 25*time.Hour + time.Minute: "1 d 1 h", 24 * time.Hour: "1 d 0 h", 23*time.Hour + 59*time.Minute: "23 h 59 min",
	} {
		if got, known := age(now.Add(-ago).Format(time.RFC3339Nano), now); got != want || !known {
			t.Errorf("%v: got %q, want %q", ago, got, want)
		}
	}
	if _, known := age("", now); known {
		t.Error("an unknown moment has an age")
	}
	if got := lastSeen(web.Member{}, now); got != "-" {
		t.Errorf("never seen: %q", got)
	}
	if got := fmt.Sprint(lasting("2026-03-01T11:59:48Z", now), lasting("", now)); got != " for 12 s" {
		t.Errorf("got %q", got)
	}
}
