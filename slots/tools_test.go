package slots

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// tool runs a program of the compatible server against a service; the test is skipped where it is missing.
func tool(t *testing.T, s *Service, input, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: %s is not installed, so the store was not tried with it", name)
	}
	command := exec.CommandContext(t.Context(), path, append([]string{"-p", strconv.Itoa(int(s.Addr().Port()))}, args...)...)
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, output)
	}
	return string(output)
}

func TestRedisCLI(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine})
			if got := tool(t, s, "set greeting hello\nget greeting\nincr greeting\n", "redis-cli"); got !=
				"OK\nhello\nERR value is not an integer or out of range\n\n" {
				t.Errorf("redis-cli: %q", got)
			}
			if got := tool(t, s, "", "redis-cli", "-3", "hello"); !strings.Contains(got, "proto") {
				t.Errorf("redis-cli -3: %q", got)
			}
			const keys = 20_000
			var calls strings.Builder
			for i := range keys {
				calls.WriteString(encode("SET", fmt.Sprint("pipe:", i), fmt.Sprint(i)))
			}
			if got := tool(t, s, calls.String(), "redis-cli", "--pipe"); !strings.Contains(got, fmt.Sprintf("errors: 0, replies: %d", keys)) {
				t.Errorf("redis-cli --pipe: %q", got)
			}
			if got := tool(t, s, "", "redis-cli", "--scan", "--pattern", "pipe:*"); strings.Count(got, "\n") != keys {
				t.Errorf("redis-cli --scan found %d of %d keys", strings.Count(got, "\n"), keys)
			}
		})
	}
}

func TestRedisBenchmark(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine})
			got := tool(t, s, "", "redis-benchmark", "-t", "ping,set,get,incr,mset", "-n", "2000", "-c", "20", "-P", "8", "-r", "100", "--csv")
			for _, row := range []string{`"PING_INLINE"`, `"PING_MBULK"`, `"SET"`, `"GET"`, `"INCR"`, `"MSET (10 keys)"`} {
				if !strings.Contains(got, row) {
					t.Errorf("no row %s in\n%s", row, got)
				}
			}
			if m := s.Metrics(); m.Errors > 0 || m.Commands < 6*2000 {
				t.Errorf("%+v", m)
			}
		})
	}
}

// startOriginal runs the compatible server and returns its socket; the test is skipped where it is missing.
func startOriginal(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("SKIPPED: there is no redis-server in PATH to compare with")
	}
	directory := t.TempDir()
	socket := filepath.Join(directory, "s")
	command := exec.CommandContext(t.Context(), path, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	eventually(t, "the original is up", func() bool {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
	return socket
}
