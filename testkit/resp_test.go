package testkit_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal/testkit"
)

// client speaks as much RESP2 as these tests need.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(tb testing.TB, addr string) *client {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return &client{conn: conn, in: bufio.NewReader(conn)}
}

// do sends one command and returns its reply as text: errors begin with "-", null is "(nil)", arrays are in brackets.
func (c *client) do(args ...string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if err := c.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c.conn, b.String()); err != nil {
		return "", err
	}
	return c.reply()
}

func (c *client) reply() (string, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	kind, rest := line[:1], line[1:]
	switch kind {
	case "+", ":":
		return rest, nil
	case "-":
		return line, nil
	case "$":
		size, err := strconv.Atoi(rest)
		if err != nil || size < 0 {
			return "(nil)", err
		}
		body := make([]byte, size+2)
		_, err = io.ReadFull(c.in, body)
		return string(body[:size]), err
	case "*":
		count, err := strconv.Atoi(rest)
		if err != nil || count < 0 {
			return "(nil)", err
		}
		items := make([]string, count)
		for i := range items {
			if items[i], err = c.reply(); err != nil {
				return "", err
			}
		}
		return "[" + strings.Join(items, " ") + "]", nil
	}
	return "", fmt.Errorf("reply of an unknown kind: %q", line)
}

// ask opens a connection to a node for one command.
func ask(tb testing.TB, n *testkit.Node, args ...string) string {
	tb.Helper()
	reply, err := dial(tb, n.RESPAddr()).do(args...)
	if err != nil {
		tb.Fatalf("%s: %v: %v", n, args, err)
	}
	return reply
}

// answer expects a reply.
func answer(tb testing.TB, n *testkit.Node, want string, args ...string) {
	tb.Helper()
	if got := ask(tb, n, args...); got != want {
		tb.Fatalf("%s: %v: got %q, want %q", n, args, got, want)
	}
}
