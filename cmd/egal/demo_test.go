package main

import (
	"context"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
)

const demoNodes = 3

// script runs a demo on free ports with verbs from a pipe.
func script(t *testing.T, verbs ...string) result {
	t.Helper()
	in := func(w *world) { w.in = strings.NewReader(strings.Join(verbs, "\n")) }
	return egalWith(t, in, "demo", "--ports", ports(t), "--web-listen", "127.0.0.1:0")
}

// ports are free ones for the nodes of a demo.
func ports(t *testing.T) string {
	t.Helper()
	return strings.Join(freePorts(t, demoNodes), ",")
}

func contains(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("lacks %q:\n%s", pattern, text)
		}
	}
}

func TestAChangeReachesEveryNode(t *testing.T) {
	got := script(t, `\set X 1`, `\set X 2 3`, `\get X`)
	if got.code != exitOK || got.err != "" {
		t.Errorf("%d %s", got.code, got.err)
	}
	const took = ` after [\d.]+ (µs|ms)\n`
	contains(t, got.out,
		`3 equal nodes serve all 16384 slots, [\d.]+ m?s after the command`,
		`node-1 +redis-cli -c -p \d+\n +node-2 +redis-cli -c -p \d+\n +node-3 +redis-cli -c -p \d+\n`,
		`X = 1 written on node-1\n +node-1`+took+` +node-2`+took+` +node-3`+took,
		`X = 2 written on node-3\n +node-1`+took+` +node-2`+took+` +node-3`+took,
		`node-1 X = 2, written .*\n +node-2 X = 2, written .*\n +node-3 X = 2`)
}

// Everybody sends to everybody, or everybody is sent to once and answers once.
func TestTheLiteralRuleTakesMoreMessages(t *testing.T) {
	for strategy, line := range map[string]string{
		"inr":     `\n  4 messages on the wire: 2 with the change, 2 answers \(--gossip inr\)\n`,
		"literal": `\n  6 messages on the wire: 6 with the change, 0 answers \(--gossip literal\)\n`,
	} {
		in := func(w *world) { w.in = strings.NewReader(`\set X 3`) }
		got := egalWith(t, in, "demo", "--ports", ports(t), "--web-listen", "127.0.0.1:0", "--gossip", strategy)
		contains(t, got.out, line)
	}
}

func TestAKilledNodeComesBackAsTheSame(t *testing.T) {
	got := script(t, `\kill 3`, `\status`, `\kill 3`, `\get X`, `\restart 3`, `\status`)
	contains(t, got.out,
		`node-3 is killed: its slots answer CLUSTERDOWN until \\restart 3\n +node-1 has noticed after .*\n +node-2 has noticed after`,
		`node-3 .* ○ unreachable .*\n- node-3 unreachable from node-1.* for 0 s\ndegraded: node-3 unreachable, 2 members up, 546\d of 16384 slots not served; next: \\restart 3\n`,
		`node-1 reaches node-1, node-2, not node-3\n`,
		`node-3 is killed\n`,
		`node-3 is back with its slots after .*, as the same node [0-9a-f]{8}\n`,
		`healthy: 3 members up, all 16384 slots served; next: redis-cli -c -p \d+\n`)
	if got.err != "error: node-3 is killed already\nhint: \\restart 3\n" {
		t.Errorf("messages: %s", got.err)
	}
}

func TestTheLastNodeMayBeKilledToo(t *testing.T) {
	got := script(t, `\kill 1`, `\kill 2`, `\kill 3`, `\status`, `\set X 2`, `\restart 2`, `\restart 1`, `\restart 3`, `\status`)
	contains(t, got.out, `no node runs; next: \\restart 1`, `healthy: 3 members up`)
	contains(t, got.err, "error: no node runs")
}

func TestAPartitionStopsNewsUntilItIsHealed(t *testing.T) {
	got := script(t, `\partition 1,2|3`, `\set X 2`, `\status`, `\heal`, `\set X 3`, `\status`)
	contains(t, got.out,
		`the network is cut: 1,2\|3; \\heal ends it\n +node-1 has noticed after .*\n +node-2 has noticed after .*\n +node-3 has noticed after`,
		`X = 2 written on node-1\n +node-1 after .*\n +node-2 after .*\n +node-3 has not heard of it after 2000 ms`,
		`node-3 reaches node-3, not node-1, node-2\n`,
		`the network is whole\n +node-1 has noticed after .*\n +node-2 has noticed after .*\n +node-3 has noticed after`,
		`X = 3 written on node-1\n +node-1 after .*\n +node-2 after .*\n +node-3 after .*\n`,
		`healthy: 3 members up`)
}

func TestVerbsThatAreNone(t *testing.T) {
	got := script(t, `\stauts`, `frobnicate`, `\kill 9`, `\kill`, `\partition 1,2,3`, `\partition 1|1`, `\slow 2 soon`, `\slow 2 1ms`, `\heal`, `\help`, `\quit`, `\kill 1`)
	if want := strings.Join([]string{
		`error: no verb \stauts`, `hint: did you mean \status? \help lists all`,
		`error: no verb \frobnicate`, `hint: \help lists all`,
		`error: no node "9"`, `hint: nodes are 1 to 3`,
		`error: usage: \kill N`,
		`error: one group is no partition`, `hint: for example \partition 1,2|3`,
		`error: node-1 is in two groups`, `hint: for example \partition 1,2|3`,
		`error: no delay: "soon"`, `hint: for example \slow 2 200ms`, ``,
	}, "\n"); got.err != want {
		t.Errorf("got\n%s\nwant\n%s", got.err, want)
	}
	contains(t, got.out, `everything from and to node-2 takes 1.0 ms longer`, `\\partition 1,2\|3 +cut the network`)
	if strings.Contains(got.out, "killed:") {
		t.Error(`a verb after \quit was carried out`)
	}
}

func TestADemoWithoutVerbsRunsUntilASignal(t *testing.T) {
	b := egalInBackground(t, strings.NewReader(""), "demo", "--ports", ports(t), "--web-listen", "127.0.0.1:0")
	socket := b.out.expect(t, `--data (\S+)\n`)[1]
	api := b.out.expect(t, `--addr (\S+)\n`)[1]
	for _, args := range [][]string{{"--data", socket}, {"--addr", api}} {
		if got := egalRun(t, append([]string{"status"}, args...)...); got.code != exitOK || !strings.Contains(got.out, "healthy: 3 members up") {
			t.Errorf("%v: %+v", args, got)
		}
	}
	b.stop()
	if code := b.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Errorf("%s is left behind", socket)
	}
}

func TestTheAPIAnswersAsLongAsANodeRuns(t *testing.T) {
	in, verbs := io.Pipe()
	defer verbs.Close()
	b := egalInBackground(t, in, "demo", "--ports", ports(t), "--web-listen", "127.0.0.1:0")
	api := b.out.expect(t, `--addr (\S+)\n`)[1]
	if _, err := io.WriteString(verbs, "\\kill 1\n"); err != nil {
		t.Fatal(err)
	}
	b.out.expect(t, `node-3 has noticed`)
	if got := egalRun(t, "status", "--addr", api); got.code != exitDegraded || !strings.Contains(got.out, "node-1 unreachable") {
		t.Errorf("%+v", got)
	}
}

func TestATakenPortOfADemoIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	got := egalRun(t, "demo", "--nodes", "1", "--ports", port, "--web-listen", "127.0.0.1:0")
	if got.code != exitFailed || got.err != "error: port "+port+" is in use\nhint: choose other ports: --ports, or --ports auto\n" {
		t.Errorf("%+v", got)
	}
	got = egalRun(t, "demo", "--nodes", "1", "--web-listen", taken.Addr().String())
	if got.code != exitFailed || !strings.Contains(got.err, "the port is in use") {
		t.Errorf("%+v", got)
	}
}

func TestTheAPIOfADemoIsOpenBeyondThisMachineOnlyIfAsked(t *testing.T) {
	open := []string{"demo", "--nodes", "1", "--web-listen", "0.0.0.0:0"}
	got := egalRun(t, open...)
	want := "error: --web-listen: web.listen: 0.0.0.0:0: open beyond this machine, where nothing is encrypted and nobody logs in\n" +
		"hint: listen on 127.0.0.1, or add --insecure if whoever reaches the port may read and write\n"
	if got.code != exitUsage || got.err != want || got.out != "" {
		t.Errorf("%+v", got)
	}
	quit := func(w *world) { w.in = strings.NewReader(`\quit`) }
	if got := egalWith(t, quit, append(open, "--insecure")...); got.code != exitOK || got.err != "" {
		t.Errorf("%+v", got)
	}
}

func TestTheNextFreeBlockOfPortsIsTaken(t *testing.T) {
	first, err := demoFlags{nodes: demoNodes, ports: "auto"}.clientPorts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", loopback(first[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	next, err := demoFlags{nodes: demoNodes, ports: "auto"}.clientPorts(context.Background())
	if err != nil || next[0] < first[0]+demoPortStep || next[2] != next[0]+2 {
		t.Errorf("after %v with %d taken: %v, %v", first, first[1], next, err)
	}
}
