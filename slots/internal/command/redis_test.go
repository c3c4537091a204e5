package command

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// redis is a real server of the compatible kind, for tests that compare bytes.
type redis struct {
	tb     testing.TB
	conn   net.Conn
	reader *bufio.Reader
}

// startRedis runs redis-server out of PATH on a socket of its own, or skips the test where there is none.
func startRedis(tb testing.TB) *redis {
	tb.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Skip("SKIPPED: nothing to compare with, there is no redis-server in PATH")
	}
	directory := tb.TempDir()
	socket := filepath.Join(directory, "s")
	cmd := exec.CommandContext(tb.Context(), binary, "--port", "0", "--unixsocket", socket, "--save", "",
		"--dir", directory, "--enable-debug-command", "yes")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	drained := make(chan struct{})
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-drained
		_ = cmd.Wait()
	})
	ready := make(chan struct{})
	go func() { // ends with the process
		defer close(drained)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if strings.Contains(strings.ToLower(lines.Text()), "ready to accept connections") {
				close(ready)
				_, _ = io.Copy(io.Discard, stdout)
				return
			}
		}
	}()
	select {
	case <-ready:
	case <-drained:
		tb.Fatal("redis-server ended before it was ready")
	}
	conn, err := (&net.Dialer{}).DialContext(tb.Context(), "unix", socket)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	r := &redis{tb: tb, conn: conn, reader: bufio.NewReader(conn)}
	r.do("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	return r
}

// call sends one command and gives the bytes of its reply.
func (r *redis) call(args ...[]byte) []byte {
	request := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		request = fmt.Appendf(request, "$%d\r\n", len(arg))
		request = append(append(request, arg...), "\r\n"...)
	}
	if _, err := r.conn.Write(request); err != nil {
		r.tb.Fatal(err)
	}
	reply, err := readReply(nil, r.reader)
	if err != nil {
		r.tb.Fatalf("redis: %v after %q", err, args)
	}
	return reply
}

func (r *redis) do(words ...string) string {
	args := make([][]byte, len(words))
	for i, word := range words {
		args[i] = []byte(word)
	}
	return string(r.call(args...))
}

// readReply appends the bytes of one reply.
func readReply(b []byte, r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return b, err
	}
	b = append(b, line...)
	count := 0
	if strings.IndexByte("$=*%~>", line[0]) >= 0 {
		if count, err = strconv.Atoi(string(bytes.TrimSpace(line[1:]))); err != nil {
			return b, err
		}
	}
	switch line[0] {
	case '$', '=':
		if count < 0 {
			return b, nil
		}
		start := len(b)
		b = append(b, make([]byte, count+2)...)
		_, err = io.ReadFull(r, b[start:])
		return b, err
	case '%':
		count *= 2
	}
	for range count {
		if b, err = readReply(b, r); err != nil {
			return b, err
		}
	}
	return b, nil
}
