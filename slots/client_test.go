package slots

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// engines are the engines of this system.
func engines() []string {
	if runtime.GOOS == "linux" {
		return []string{EngineEpoll, EngineNet}
	}
	return []string{EngineNet}
}

// start runs a service for the length of a test.
func start(tb testing.TB, config Config) *Service {
	tb.Helper()
	s, err := Start(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// client is a connection of a test.
type client struct {
	t    testing.TB
	conn *net.TCPConn
	in   *bufio.Reader
}

func dial(tb testing.TB, s *Service) *client {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr().String(), patience)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		tb.Fatal(err)
	}
	return &client{t: tb, conn: conn.(*net.TCPConn), in: bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// expect reads exactly the bytes wanted.
func (c *client) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.in, got); err != nil {
		c.t.Fatalf("got %.200q, then %v; want %.200q", got[:n], err, want)
	}
	if string(got) != want {
		c.t.Fatalf("got %.200q, want %.200q", got, want)
	}
}

// expectEnd reads until the server closes the connection, before which nothing may come.
func (c *client) expectEnd() {
	c.t.Helper()
	rest, err := io.ReadAll(c.in)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatal(err)
	}
	if len(rest) > 0 {
		c.t.Fatalf("got %.200q, want the end", rest)
	}
}

// call sends a call given as words separated by blanks and returns the reply in one line: bulk strings without their
// length, aggregates in brackets.
func (c *client) call(line string) string {
	c.t.Helper()
	c.send(encode(strings.Fields(line)...))
	return c.reply()
}

func (c *client) reply() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	line = strings.TrimSuffix(line, "\r\n")
	if !strings.ContainsRune("$=*%~", rune(line[0])) || line[1] == '-' {
		return line
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil {
		c.t.Fatal(err)
	}
	if line[0] == '$' || line[0] == '=' {
		body := make([]byte, n+2)
		if _, err := io.ReadFull(c.in, body); err != nil {
			c.t.Fatal(err)
		}
		return string(body[:n])
	}
	if line[0] == '%' {
		n *= 2
	}
	parts := make([]string, n)
	for i := range parts {
		parts[i] = c.reply()
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// check fails unless a call has the reply wanted.
func (c *client) check(line, want string) {
	c.t.Helper()
	if got := c.call(line); got != want {
		c.t.Fatalf("%s: got %q, want %q", line, got, want)
	}
}

// encode is a call on the wire.
func encode(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b.String()
}

// eventually waits until a condition holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not within %v", what, patience)
		}
	}
}
