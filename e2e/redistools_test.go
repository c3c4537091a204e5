package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// hostPort is an address as flags of redis-cli and redis-benchmark.
func hostPort(t *testing.T, addr string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"-h", host, "-p", port}
}

func TestRedisCLITalksToEveryNode(t *testing.T) {
	cli := tool(t, "redis-cli")
	addrs := startCluster(t, 3).resp
	ask := func(addr string, args ...string) string {
		return strings.TrimSpace(output(t, nil, cli, append(append(hostPort(t, addr), "-c"), args...)...))
	}
	for i := range 30 {
		key := fmt.Sprintf("cli:%d", i)
		if got := ask(addrs[i%3], "SET", key, fmt.Sprint(i)); got != "OK" {
			t.Fatalf("SET %s: got %q", key, got)
		}
		for _, addr := range addrs {
			if got := ask(addr, "GET", key); got != fmt.Sprint(i) {
				t.Fatalf("%s: GET %s: got %q, want %d", addr, key, got, i)
			}
		}
	}
	for _, addr := range addrs {
		out := output(t, strings.NewReader("HELLO 3\nCLIENT SETNAME tester\nCLIENT GETNAME\nINFO server\nDBSIZE\n"), cli, hostPort(t, addr)...)
		for _, want := range []string{"tester", "redis_version:7.2.4", "egal_version:"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: the answers lack %q:\n%s", addr, want, out)
			}
		}
	}
}

func TestRedisCLIChecksTheCluster(t *testing.T) {
	cli := tool(t, "redis-cli")
	addrs := startCluster(t, 3).resp
	for _, addr := range addrs {
		check := output(t, nil, cli, "--cluster", "check", addr)
		for _, want := range []string{"[OK] All nodes agree about slots configuration.", "[OK] All 16384 slots covered."} {
			if !strings.Contains(check, want) {
				t.Errorf("redis-cli --cluster check %s lacks %q:\n%s", addr, want, check)
			}
		}
		info := output(t, nil, cli, "--cluster", "info", addr)
		if strings.Count(info, " keys | ") != len(addrs) {
			t.Errorf("redis-cli --cluster info %s:\n%s", addr, info)
		}
		called := output(t, nil, cli, "--cluster", "call", addr, "PING")
		if strings.Count(called, "PONG") != len(addrs) {
			t.Errorf("redis-cli --cluster call %s PING:\n%s", addr, called)
		}
	}
}

func TestRedisBenchmarkDrivesTheCluster(t *testing.T) {
	benchmark := tool(t, "redis-benchmark")
	addrs := startCluster(t, 3).resp
	for _, depth := range []string{"1", "16"} {
		out := output(t, nil, benchmark, append(hostPort(t, addrs[0]), "--cluster", "-t", "set,get", "-n", "200000", "-P", depth, "-q")...)
		lower := strings.ToLower(out)
		if strings.Contains(lower, "error") || strings.Count(lower, "requests per second") != 2 {
			t.Errorf("redis-benchmark --cluster -P %s says\n%s", depth, out)
		}
		for line := range strings.SplitSeq(out, "\n") {
			if at := strings.LastIndexByte(line, '\r'); strings.Contains(line, "requests per second") {
				t.Logf("-P %s %s", depth, strings.TrimSpace(line[at+1:]))
			}
		}
	}
}
