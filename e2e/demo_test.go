package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// demoPort finds the ports for clients in the demo's welcome.
var demoPort = regexp.MustCompile(`redis-cli -c -p (\d+)`)

// startDemo starts a demo and returns where its nodes serve clients.
func startDemo(t *testing.T, args ...string) (*process, []string) {
	t.Helper()
	p := start(t, nil, append([]string{"demo"}, args...)...)
	p.expect(t, 0, `\\quit to end`)
	var addrs []string
	for _, port := range demoPort.FindAllStringSubmatch(p.text(), -1) {
		addrs = append(addrs, "127.0.0.1:"+port[1])
	}
	return p, addrs
}

func TestDemoShowsAChangeReachEveryNode(t *testing.T) {
	p, addrs := startDemo(t)
	if len(addrs) != 3 {
		t.Fatalf("%d nodes, want 3:\n%s", len(addrs), p.text())
	}
	const took = ` after [0-9.]+ (µs|ms|s)`
	for i, value := range []string{"1", "2"} {
		from := p.say(t, `\set X `+value)
		p.expect(t, from, fmt.Sprintf(`X = %s written on node-1\n(?s:.*)node-1%s\n(?s:.*)node-2%s\n(?s:.*)node-3%s\n`, value, took, took, took))
		from = p.say(t, `\get X`)
		p.expect(t, from, fmt.Sprintf(`node-1 X = %s(?s:.*)node-2 X = %s(?s:.*)node-3 X = %s`, value, value, value))
		from = p.say(t, fmt.Sprintf(`\set Y %s %d`, value, i+2))
		p.expect(t, from, fmt.Sprintf(`Y = %s written on node-%d\n`, value, i+2))
	}
	p.say(t, `\quit`)
	if code := p.exit(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestDemoKillsAndRestartsANode(t *testing.T) {
	cli := tool(t, "redis-cli")
	p, addrs := startDemo(t)
	ask := func(addr string, args ...string) string {
		out, _ := try(t, nil, cli, append(append(hostPort(t, addr), "-c"), args...)...) // what it says counts
		return strings.TrimSpace(out)
	}
	for i, addr := range addrs {
		if got := ask(addr, "SET", fmt.Sprintf("demo:%d", i), "x"); got != "OK" {
			t.Fatalf("%s: SET: %q", addr, got)
		}
	}
	var lost string // a key of the third node
	owners := ownersOf(t, addrs[0])
	for i := 0; lost == ""; i++ {
		if key := fmt.Sprintf("lost:%d", i); owners[slotOf(key)] == addrs[2] {
			lost = key
		}
	}
	from := p.say(t, `\kill 3`)
	p.expect(t, from, `node-3 is killed(?s:.*)node-1 has noticed(?s:.*)node-2 has noticed`)
	if got := ask(addrs[0], "GET", lost); got != "CLUSTERDOWN Hash slot not served" {
		t.Errorf("GET %s: %q", lost, got)
	}
	from = p.say(t, `\status`)
	p.expect(t, from, `node-3 .*unreachable(?s:.*)node-1 reaches node-1, node-2, not node-3`)
	from = p.say(t, `\restart 3`)
	p.expect(t, from, `node-3 is back with its slots after`)
	eventually(t, "the key of the third node can be written again", func() bool { return ask(addrs[0], "SET", lost, "1") == "OK" })
}

func TestDemoPartitionsAndHeals(t *testing.T) {
	p, _ := startDemo(t)
	from := p.say(t, `\partition 1,2|3`)
	p.expect(t, from, `node-1 has noticed(?s:.*)node-2 has noticed(?s:.*)node-3 has noticed`)
	from = p.say(t, `\status`)
	p.expect(t, from, `node-1 reaches node-1, node-2, not node-3\n(?s:.*)node-3 reaches node-3, not node-1, node-2\n`)
	from = p.say(t, `\set X 2`)
	p.expect(t, from, `node-3 has not heard of it`)
	from = p.say(t, `\heal`)
	p.expect(t, from, `node-1 has noticed(?s:.*)node-2 has noticed(?s:.*)node-3 has noticed`)
	from = p.say(t, `\get X`)
	p.expect(t, from, `node-1 X = 2(?s:.*)node-2 X = 2`)
	eventually(t, "the change of the one side has reached the other", func() bool {
		from := p.say(t, `\get X`)
		return !strings.Contains(p.expect(t, from, `node-3 (X = 2|has no X)`)[0], "has no")
	})
}

func TestDemoExplainsWrongVerbs(t *testing.T) {
	p, _ := startDemo(t, "--nodes", "1")
	for line, want := range map[string]string{
		`\kil 1`:       `did you mean \\kill`,
		`\kill 7`:      `nodes are 1 to 1`,
		`\kill`:        `usage: \\kill N`,
		`\restart 1`:   `node-1 runs`,
		`\partition 1`: `one group is no partition`,
	} {
		p.expect(t, p.say(t, line), want)
	}
}
