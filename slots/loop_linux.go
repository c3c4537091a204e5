package slots

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxEvents is how many ready sockets one wait reports.
	maxEvents = 512
	// maxAccepts is how many connections are taken in a turn.
	maxAccepts = 128
	// maxKeptBuffers is how many buffers a loop keeps for reuse.
	maxKeptBuffers = 256
)

// epollEngine serves connections by a few event loops. The first loop accepts.
type epollEngine struct {
	service *Service
	loops   []*eventLoop
	wait    sync.WaitGroup
}

// eventLoop owns its connections: it reads everything that is ready, executes it, and then writes one batch of
// replies to every connection that got some. Its goroutine runs from start until the engine's close.
type eventLoop struct {
	engine   *epollEngine
	service  *Service
	executor *executor
	epoll    int
	wake     int // an eventfd; readable: there is mail
	listener int // -1: another loop accepts
	spare    int // a descriptor given up to turn a client away when there are no more; -1: none

	sockets    []*socket // by descriptor
	open       atomic.Int64
	generation int32
	events     []unix.EpollEvent
	scratch    []byte    // read here first: a connection without leftovers needs no buffer of its own
	dirty      []*socket // have output to be written
	unfinished []*socket // have commands to be executed
	resumed    []*socket // unfinished of the turn before
	buffers    [][]byte

	mu      sync.Mutex
	mail    []mail // guarded by mu
	closing bool   // guarded by mu: no more mail
}

// mail is a request from another goroutine.
type mail struct {
	kind       mailKind
	socket     *socket // mailKilled
	descriptor int     // mailAccepted
	remote     unix.Sockaddr
}

type mailKind uint8

const (
	mailAccepted mailKind = iota // serve a new connection
	mailKilled                   // a connection was killed
	mailResume                   // the pause is over
	mailClose                    // end
)

func (e *epollEngine) start(listener *net.TCPListener) error {
	descriptor, err := duplicate(listener)
	if err := errors.Join(err, listener.Close()); err != nil {
		return err
	}
	for range e.service.config.Loops {
		l, err := newEventLoop(e)
		if err != nil {
			e.release()
			return errors.Join(err, unix.Close(descriptor))
		}
		e.loops = append(e.loops, l)
	}
	first := e.loops[0]
	first.listener = descriptor
	if err := first.watch(unix.EPOLL_CTL_ADD, descriptor, unix.EPOLLIN, 0); err != nil {
		e.release()
		return err
	}
	for _, l := range e.loops {
		e.wait.Go(l.run)
	}
	return nil
}

// duplicate takes the descriptor of a listener out of the Go runtime's hands.
func duplicate(listener *net.TCPListener) (descriptor int, err error) {
	raw, err := listener.SyscallConn()
	if err != nil {
		return -1, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		descriptor, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(controlErr, os.NewSyscallError("fcntl", err)); err != nil {
		return -1, err
	}
	return descriptor, nil
}

func newEventLoop(e *epollEngine) (*eventLoop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("eventfd", err), unix.Close(epoll))
	}
	l := &eventLoop{
		engine: e, service: e.service, executor: newExecutor(e.service), epoll: epoll, wake: wake, listener: -1,
		events: make([]unix.EpollEvent, maxEvents), scratch: make([]byte, readSize),
	}
	l.executor.sharesTime = true
	l.spare, _ = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err := l.watch(unix.EPOLL_CTL_ADD, wake, unix.EPOLLIN, 0); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func (e *epollEngine) resume() {
	for _, l := range e.loops {
		l.post(mail{kind: mailResume})
	}
}

func (e *epollEngine) close() {
	for _, l := range e.loops {
		l.post(mail{kind: mailClose})
	}
	e.wait.Wait()
	e.release()
}

// release gives the descriptors of loops that do not run back.
func (e *epollEngine) release() {
	for _, l := range e.loops {
		l.release()
	}
	e.loops = nil
}

func (l *eventLoop) release() {
	for _, descriptor := range []int{l.epoll, l.wake, l.listener, l.spare} {
		if descriptor >= 0 {
			_ = unix.Close(descriptor)
		}
	}
}

// post hands a request to the loop's goroutine. After the loop's end it only cleans up.
func (l *eventLoop) post(m mail) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		if m.kind == mailAccepted {
			_ = unix.Close(m.descriptor)
		}
		return
	}
	l.mail = append(l.mail, m)
	if len(l.mail) == 1 {
		_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

func (l *eventLoop) watch(operation, descriptor int, events uint32, generation int32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(descriptor), Pad: generation}
	if err := unix.EpollCtl(l.epoll, operation, descriptor, &event); err != nil {
		return fmt.Errorf("epoll: %w", os.NewSyscallError("epoll_ctl", err))
	}
	return nil
}

// run is the loop's goroutine.
func (l *eventLoop) run() {
	for {
		n := l.poll()
		l.executor.now = time.Time{} // one clock for the turns of a wake-up, which read it at their ends anyway
		alive := true
		for _, event := range l.events[:n] {
			switch int(event.Fd) {
			case l.wake:
				alive = l.readMail()
			case l.listener:
				l.accept()
			default:
				if s := l.sockets[event.Fd]; s != nil && s.generation == event.Pad {
					l.ready(s, event.Events)
				}
			}
		}
		l.finish()
		l.flush()
		if !alive {
			l.end()
			return
		}
	}
}

// poll waits for something to do. It looks without waiting first, which under load is all that happens. Only then does
// it wait, in a way that the scheduler knows of: other services and the collector of the process have the processor
// meanwhile. (Waiting a millisecond with the processor kept saves some of the scheduler's work for a single service
// that has the machine for itself, and makes everybody else in the process wait.)
func (l *eventLoop) poll() int {
	if n, errno := rawPoll(l.epoll, l.events, 0); errno == 0 && n > 0 || len(l.unfinished) > 0 {
		return max(n, 0)
	}
	n, err := unix.EpollWait(l.epoll, l.events, -1)
	if err != nil && !errors.Is(err, unix.EINTR) {
		l.service.config.Logger.Error("event loop cannot wait", slog.String("event", "slots_poll_failed"), slog.Any("error", err))
	}
	return max(n, 0)
}

// readMail does what other goroutines asked for, and returns false when the loop is to end.
func (l *eventLoop) readMail() bool {
	var counter [8]byte
	_, _ = unix.Read(l.wake, counter[:])
	l.mu.Lock()
	all := l.mail
	l.mail = nil
	l.mu.Unlock()
	alive := true
	for _, m := range all {
		switch m.kind {
		case mailAccepted:
			l.adopt(m.descriptor, m.remote)
		case mailKilled:
			l.drop(m.socket)
		case mailResume:
			for _, s := range l.sockets {
				if s != nil && s.state == turnPostponed {
					l.later(s)
				}
			}
		case mailClose:
			alive = false
		}
	}
	return alive
}

// end closes everything the loop owns.
func (l *eventLoop) end() {
	l.mu.Lock()
	l.closing = true
	left := l.mail
	l.mail = nil
	l.mu.Unlock()
	for _, m := range left {
		if m.kind == mailAccepted {
			_ = unix.Close(m.descriptor)
		}
	}
	for _, s := range l.sockets {
		if s != nil {
			l.drop(s)
		}
	}
}

// accept takes the connections that wait, and hands each to the loop that has the fewest.
func (l *eventLoop) accept() {
	for range maxAccepts {
		descriptor, remote, err := unix.Accept4(l.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
			l.turnAway(err)
			return
		default:
			return
		}
		least := l.engine.loops[0]
		for _, other := range l.engine.loops {
			if other.open.Load() < least.open.Load() {
				least = other
			}
		}
		least.open.Add(1)
		if least == l {
			l.adopt(descriptor, remote)
		} else {
			least.post(mail{kind: mailAccepted, descriptor: descriptor, remote: remote})
		}
	}
}

// turnAway closes a waiting connection that there is no descriptor for, so that it does not wake the loop forever.
func (l *eventLoop) turnAway(cause error) {
	l.service.statistics.refused.Add(1)
	l.service.config.Logger.Warn("connection refused, no file descriptor left", slog.String("event", "slots_descriptors_exhausted"), slog.Any("error", cause))
	if l.spare < 0 {
		return
	}
	_ = unix.Close(l.spare)
	if descriptor, _, err := unix.Accept4(l.listener, unix.SOCK_CLOEXEC); err == nil {
		_ = unix.Close(descriptor)
	}
	l.spare, _ = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// adopt begins to serve a new connection.
func (l *eventLoop) adopt(descriptor int, remote unix.Sockaddr) {
	_ = unix.SetsockoptInt(descriptor, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(descriptor, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = unix.SetsockoptInt(descriptor, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveSeconds)
	_ = unix.SetsockoptInt(descriptor, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAliveSeconds/3)
	local, _ := unix.Getsockname(descriptor)
	l.generation++
	s := &socket{loop: l, generation: l.generation, interest: unix.EPOLLIN}
	s.prepare(l.service, s, descriptor, socketAddress(remote), socketAddress(local))
	if !l.service.admit(&s.connection) {
		_, _ = unix.Write(descriptor, l.service.refusal())
		_ = unix.Close(descriptor)
		l.open.Add(-1)
		return
	}
	if err := l.watch(unix.EPOLL_CTL_ADD, descriptor, s.interest, s.generation); err != nil {
		l.service.clients.remove(&s.connection)
		_ = unix.Close(descriptor)
		l.open.Add(-1)
		return
	}
	for len(l.sockets) <= descriptor {
		l.sockets = append(l.sockets, nil)
	}
	l.sockets[descriptor] = s
}

func socketAddress(address unix.Sockaddr) string {
	switch address := address.(type) {
	case *unix.SockaddrInet4:
		return (&net.TCPAddr{IP: address.Addr[:], Port: address.Port}).String()
	case *unix.SockaddrInet6:
		return (&net.TCPAddr{IP: address.Addr[:], Port: address.Port}).String()
	}
	return "?:0"
}
