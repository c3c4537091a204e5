// Package proc starts the servers that are measured and reads what the system knows of them.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// patience is how long a server may take until it answers.
const patience = 20 * time.Second

// ticksPerSecond is the unit of processor times in /proc: USER_HZ, which Linux keeps at 100 for programs.
const ticksPerSecond = 100

// A Server is a running process that clients connect to.
type Server struct {
	Name string
	Addr string
	cmd  *exec.Cmd
}

// Find looks for a program in the directory PEERS and then in PATH.
func Find(name string) (string, error) {
	if dir := os.Getenv("PEERS"); dir != "" {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

// Build builds cmd/egal of the module above into a directory and returns the path of the binary.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/egalcluster/egal").Output()
	if err != nil {
		return "", fmt.Errorf("proc: go list: %w", err)
	}
	binary := filepath.Join(dir, "egal")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/egal")
	build.Dir = strings.TrimSpace(string(root))
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("proc: go build: %w\n%s", err, out)
	}
	return binary, nil
}

// FreePort returns a port of 127.0.0.1 that nobody listens on, below those that systems hand out for outgoing
// connections, of which the clients make many.
func FreePort() (string, error) {
	var failed error
	for range 100 {
		port := strconv.Itoa(20_000 + rand.IntN(12_000))
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return port, listener.Close()
		}
		failed = err
	}
	return "", fmt.Errorf("proc: no free port: %w", failed)
}

// Launch runs a server in a directory. What it prints goes to output.
func Launch(name, addr, dir string, output io.Writer, path string, args ...string) (*Server, error) {
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("proc: start %s: %w", name, err)
	}
	return &Server{Name: name, Addr: addr, cmd: cmd}, nil
}

// Start runs a server in a directory and waits until it stores keys at addr. What it prints goes to output.
func Start(name, addr, dir string, output io.Writer, path string, args ...string) (*Server, error) {
	s, err := Launch(name, addr, dir, output, path, args...)
	if err != nil {
		return nil, err
	}
	if err := Serving(addr); err != nil {
		s.Stop()
		return nil, fmt.Errorf("proc: start %s: %w", name, err)
	}
	return s, nil
}

// Serving waits until a server at addr answers to SET.
func Serving(addr string) error {
	end := time.Now().Add(patience)
	for {
		err := set(addr)
		if err == nil || time.Now().After(end) {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func set(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "*3\r\n$3\r\nSET\r\n$5\r\nready\r\n$1\r\n1\r\n"); err != nil {
		return err
	}
	answer := make([]byte, 64)
	n, err := conn.Read(answer)
	if err != nil {
		return err
	}
	if text := string(answer[:n]); !strings.HasPrefix(text, "+OK") && !strings.HasPrefix(text, "-MOVED") {
		return fmt.Errorf("proc: %s answers %q", addr, text)
	}
	return nil
}

// Stop kills the server and waits for its end.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// Processor is the processor time the server has used, in user and system mode.
func (s *Server) Processor() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("proc: %w", err)
	}
	// Fields are counted after the name in parentheses, which may contain spaces: utime is the 12th, stime the 13th.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("proc: stat of %d fields", len(fields))
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("proc: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// Resident is the server's memory in bytes (VmRSS).
func (s *Server) Resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("proc: %w", err)
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("proc: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, errors.New("proc: no VmRSS")
}
