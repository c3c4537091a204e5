package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write golden files and the reference page")

const patience = 30 * time.Second

// result is what a command has left.
type result struct {
	code     int
	out, err string
}

// egal runs a command line in this process.
func egalRun(t *testing.T, args ...string) result {
	t.Helper()
	return egalWith(t, func(*world) {}, args...)
}

func egalWith(t *testing.T, change func(*world), args ...string) result {
	t.Helper()
	var out, messages safe
	w := &world{in: strings.NewReader(""), out: &out, err: &messages, began: time.Now()}
	change(w)
	code := run(t.Context(), w, args)
	return result{code: code, out: out.text(), err: messages.text()}
}

// safe is a buffer that is written and read by several goroutines.
type safe struct {
	mu    sync.Mutex
	b     bytes.Buffer
	grown chan struct{}
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
	return s.b.Write(p)
}

func (s *safe) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// expect waits until the text after from matches and returns the submatches.
func (s *safe) expect(t *testing.T, pattern string) []string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	end := time.After(patience)
	for {
		s.mu.Lock()
		if s.grown == nil {
			s.grown = make(chan struct{})
		}
		text, grown := s.b.String(), s.grown
		s.mu.Unlock()
		if found := expression.FindStringSubmatch(text); found != nil {
			return found
		}
		select {
		case <-grown:
		case <-end:
			t.Fatalf("never printed %q, but\n%s", pattern, text)
		}
	}
}

// background is a command that runs until stop.
type background struct {
	out, err safe
	stop     context.CancelFunc
	code     chan int
}

func egalInBackground(t *testing.T, in io.Reader, args ...string) *background {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	b := &background{stop: cancel, code: make(chan int, 1)}
	w := &world{in: in, out: &b.out, err: &b.err, began: time.Now()}
	go func() { b.code <- run(ctx, w, args) }() // ends at stop, or by itself
	t.Cleanup(func() {
		b.stop()
		b.wait(t)
		if t.Failed() {
			t.Logf("egal %s printed\n%s%s", strings.Join(args, " "), b.out.text(), b.err.text())
		}
	})
	return b
}

// wait returns the exit code.
func (b *background) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-b.code:
		b.code <- code
		return code
	case <-time.After(patience):
		t.Fatal("the command does not end")
		return 0
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\nif that is meant: go test ./cmd/egal -update", path, got, want)
	}
}

func goldenFile(name string) string { return filepath.Join("testdata", name) }

// speak sends a command to a store and expects the first line of a reply.
func speak(t *testing.T, address, command, reply string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, command+"\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != reply+"\r\n" {
		t.Fatalf("%s: %q, %v", command, line, err)
	}
}

// freePorts are ports that are free now. They are none of those that the system gives to whoever asks for any port, so
// that nobody else gets them in between.
func freePorts(t *testing.T, count int) []string {
	t.Helper()
	var ports []string
	for range 100 * count {
		if len(ports) == count {
			break
		}
		port := strconv.Itoa(20_000 + rand.IntN(12_000))
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer listener.Close()
		ports = append(ports, port)
	}
	if len(ports) < count {
		t.Fatalf("no %d free ports", count)
	}
	return ports
}
