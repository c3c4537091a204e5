package slots

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// handLoop is an event loop that the test turns by hand, with one connection whose other end the test holds.
func handLoop(t *testing.T) (l *eventLoop, s *socket, other int) {
	t.Helper()
	e := &epollEngine{service: start(t, Config{Engine: EngineNet})}
	l, err := newEventLoop(e)
	if err != nil {
		t.Fatal(err)
	}
	e.loops = []*eventLoop{l}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.adopt(pair[0], nil)
	t.Cleanup(func() {
		l.end()
		e.release()
		_ = unix.Close(pair[1])
	})
	return l, l.sockets[pair[0]], pair[1]
}

// turn is one wake-up in which the socket is ready for what is given.
func (l *eventLoop) turn(s *socket, events uint32) {
	l.ready(s, events)
	l.finish()
	l.flush()
}

// drain reads what the loop has written.
func drain(descriptor int) (all string) {
	room := make([]byte, 1<<16)
	for {
		n, err := unix.Read(descriptor, room)
		if n <= 0 || err != nil {
			return all
		}
		all += string(room[:n])
	}
}

func TestIdleConnectionsOwnNoBuffers(t *testing.T) {
	l, s, other := handLoop(t)
	value := strings.Repeat("x", 1<<20)
	input, want := encode("SET", "k", value)+encode("GET", "k"), fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n", len(value), value)
	got := ""
	for len(got) < len(want) {
		n, _ := unix.Write(other, []byte(input))
		input = input[max(n, 0):]
		l.turn(s, s.interest)
		got += drain(other)
	}
	if got != want {
		t.Fatalf("got %d bytes, want %d", len(got), len(want))
	}
	l.turn(s, unix.EPOLLOUT)
	if s.input != nil || s.output != nil || s.parser != nil {
		t.Errorf("an idle connection holds %d bytes of input, %d of output, parser %v", cap(s.input), cap(s.output), s.parser)
	}
	for _, b := range l.buffers {
		if cap(b) > maxKeptBuffer {
			t.Errorf("the loop keeps a buffer of %d bytes", cap(b))
		}
	}
}

func TestAWriteThatIsCutShortIsContinued(t *testing.T) {
	l, s, other := handLoop(t)
	if err := unix.SetsockoptInt(s.descriptor, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096); err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", 100_000)
	if _, err := unix.Write(other, []byte(encode("ECHO", value)+encode("PING"))); err != nil {
		t.Fatal(err)
	}
	for l.turn(s, unix.EPOLLIN); s.interest&unix.EPOLLOUT == 0; l.turn(s, unix.EPOLLIN) {
	}
	got := drain(other)
	for s.interest&unix.EPOLLOUT != 0 {
		l.turn(s, unix.EPOLLOUT)
		got += drain(other)
	}
	if want := fmt.Sprintf("$%d\r\n%s\r\n+PONG\r\n", len(value), value); got != want {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
}

func TestATurnIsBounded(t *testing.T) {
	l, s, other := handLoop(t)
	if _, err := unix.Write(other, []byte(strings.Repeat("PING\r\n", maxTurn+1))); err != nil {
		t.Fatal(err)
	}
	l.ready(s, unix.EPOLLIN)
	if s.state != turnUnfinished || strings.Count(string(s.output), "PONG") != maxTurn {
		t.Errorf("state %d after %d replies", s.state, strings.Count(string(s.output), "PONG"))
	}
	l.finish()
	if s.state != turnDrained || strings.Count(string(s.output), "PONG") != maxTurn+1 {
		t.Errorf("state %d after %d replies", s.state, strings.Count(string(s.output), "PONG"))
	}
	l.flush()
	if _, err := unix.Write(other, []byte(strings.Repeat("PING\r\n", maxTurn))); err != nil {
		t.Fatal(err)
	}
	l.ready(s, unix.EPOLLIN)
	if s.state != turnDrained {
		t.Errorf("state %d after exactly a turn's share", s.state)
	}
}

func TestAnEventOfAClosedSocketIsNotItsSuccessors(t *testing.T) {
	l, s, _ := handLoop(t)
	before := s.generation
	l.drop(s)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l.adopt(pair[0], nil)
	t.Cleanup(func() { _ = unix.Close(pair[1]) })
	if next := l.sockets[pair[0]]; next.generation == before {
		t.Error("two sockets of one generation")
	}
}
