package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for a process to say or become something before it fails.
const patience = 30 * time.Second

// binary is the path of the built egal.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "egal-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "egal")
	build := exec.Command("go", "build", "-o", binary, "./cmd/egal")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build ./cmd/egal: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// tool returns the path of a program that a test needs. Without it the test is skipped loudly, or fails where the
// environment says that everything must run.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("EGAL_E2E_REQUIRE") == "1" {
		t.Fatalf("%s is missing, and EGAL_E2E_REQUIRE=1", name)
	}
	fmt.Fprintf(os.Stderr, "SKIP %s: %s is not installed (Debian: apt-get install redis-tools)\n", t.Name(), name)
	t.SkipNow()
	return ""
}

// output runs a program to its end and returns what it has printed on both streams.
func output(t *testing.T, stdin io.Reader, name string, args ...string) string {
	t.Helper()
	out, err := try(t, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return out
}

func try(t *testing.T, stdin io.Reader, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// process is a running egal.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed after the last byte of output and the end

	mu    sync.Mutex
	out   bytes.Buffer  // both streams
	grown chan struct{} // closed when out grows
}

// start runs egal until the end of the test.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), env...)
	return follow(t, cmd)
}

// startIn runs egal in a network namespace, until the end of the test.
func startIn(t *testing.T, namespace string, args ...string) *process {
	t.Helper()
	return follow(t, exec.Command("ip", append([]string{"netns", "exec", namespace, binary}, args...)...))
}

// follow runs a command until the end of the test.
func follow(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{}), grown: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = p, p
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed:\n%s", strings.Join(cmd.Args, " "), p.text())
		}
	})
	return p
}

// Write takes what the process prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.grown)
	p.grown = make(chan struct{})
	return p.out.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// kill is a SIGKILL, and waits for the end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// say writes one line to the process and returns where its answer begins.
func (p *process) say(t *testing.T, line string) (from int) {
	t.Helper()
	from = len(p.text())
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return from
}

// expect waits until what the process has printed after from matches, and returns the submatches.
func (p *process) expect(t *testing.T, from int, pattern string) []string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	end := time.After(patience)
	for {
		p.mu.Lock()
		text, grown := p.out.String()[from:], p.grown
		p.mu.Unlock()
		if found := expression.FindStringSubmatch(text); found != nil {
			return found
		}
		select {
		case <-grown:
		case <-p.ended:
			if found := expression.FindStringSubmatch(p.text()[from:]); found != nil {
				return found
			}
			t.Fatalf("the process has ended (%v) and never printed %q, but\n%s", p.cmd.ProcessState, pattern, text)
		case <-end:
			t.Fatalf("after %v the process has not printed %q, but\n%s", patience, pattern, text)
		}
	}
}

// exit waits for the end of the process and returns its exit code.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("the process does not end; it printed\n%s", p.text())
	}
	return p.cmd.ProcessState.ExitCode()
}

// freePorts returns ports of 127.0.0.1 that nobody listens on, TCP and UDP. They are below those that systems hand out
// for outgoing connections, of which the clients here make many.
func freePorts(t *testing.T, count int) []string {
	t.Helper()
	var ports []string
	for range 100 * count {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			continue // taken
		}
		defer tcp.Close()
		udp, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		defer udp.Close()
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		if ports = append(ports, port); len(ports) == count {
			return ports
		}
	}
	t.Fatalf("no %d free ports", count)
	return nil
}

// eventually asks until the answer is yes, several times a second.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	end := time.After(patience)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !yes() {
		select {
		case <-again.C:
		case <-end:
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// bulk asks a server by one inline command on a connection of its own and returns the answer, a bulk string.
func bulk(addr, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	head, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	var size int
	if _, err := fmt.Sscanf(head, "$%d", &size); err != nil || size < 0 || size > 1<<20 {
		return "", fmt.Errorf("%s answers %q", addr, head)
	}
	body := make([]byte, size)
	_, err = io.ReadFull(in, body)
	return string(body), err
}
