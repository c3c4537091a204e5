package slots

import (
	"errors"
	"net"
	"sync"
	"time"
)

// maxWrite is how many bytes are written at once, so that the client's progress is seen.
const maxWrite = 64 << 10

// netEngine serves every connection by a goroutine of its own over net.Conn. It works on every system.
type netEngine struct {
	service  *Service
	listener net.Listener
	wait     sync.WaitGroup

	mu      sync.Mutex
	open    map[*stream]struct{} // guarded by mu
	closing bool                 // guarded by mu
	resumed chan struct{}        // guarded by mu; closed and replaced when a pause ends
}

// stream is a connection of a netEngine.
type stream struct {
	connection
	conn net.Conn
}

func newNetEngine(s *Service) *netEngine {
	return &netEngine{service: s, open: map[*stream]struct{}{}, resumed: make(chan struct{})}
}

func (e *netEngine) start(listener *net.TCPListener) error {
	e.listener = listener
	e.wait.Go(e.accept)
	return nil
}

// accept is a goroutine that ends when the listener is closed.
func (e *netEngine) accept() {
	for {
		conn, err := e.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptor left, most likely; the backlog waits
			select {
			case <-e.service.closing:
				return
			case <-time.After(housekeepingInterval):
			}
			continue
		}
		e.serve(conn)
	}
}

// serve starts the goroutine of a new connection, which ends with the connection.
func (e *netEngine) serve(conn net.Conn) {
	s := &stream{conn: conn}
	s.prepare(e.service, s, -1, conn.RemoteAddr().String(), conn.LocalAddr().String())
	if !e.service.admit(&s.connection) {
		_, _ = conn.Write(e.service.refusal())
		_ = conn.Close()
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		e.service.clients.remove(&s.connection)
		_ = conn.Close()
		return
	}
	e.open[s] = struct{}{}
	e.wait.Go(func() { e.run(s) })
}

// run is a connection's goroutine.
func (e *netEngine) run(s *stream) {
	defer func() {
		_ = s.conn.Close()
		e.service.clients.remove(&s.connection)
		e.mu.Lock()
		delete(e.open, s)
		e.mu.Unlock()
	}()
	x := newExecutor(e.service)
	for ended := false; ; {
		if s.state == turnDrained && !ended {
			ended = !e.receive(s)
		}
		resumed := e.resumption()
		consumed := x.turn(&s.connection, s.input)
		s.input = s.input[:copy(s.input, s.input[consumed:])]
		if cap(s.input) > maxKeptBuffer && len(s.input) == 0 {
			s.input = nil
		}
		if s.state == turnAbort || !e.send(s) {
			return
		}
		if s.state == turnClose || ended && s.state == turnDrained {
			return
		}
		if s.state == turnPostponed {
			select {
			case <-resumed:
			case <-e.service.closing:
				return
			}
			if s.killed.Load() {
				return
			}
		}
	}
}

// receive reads once; false: the client sends no more.
func (e *netEngine) receive(s *stream) bool {
	s.input = grow(s.input, e.service.config.InputLimit)
	n, err := s.conn.Read(s.input[len(s.input):min(cap(s.input), len(s.input)+maxRead)])
	s.input = s.input[:len(s.input)+n]
	e.service.statistics.inputBytes.Add(uint64(n))
	return err == nil
}

// send writes the output; false: the connection is broken.
func (e *netEngine) send(s *stream) bool {
	if len(s.output) == 0 {
		return true
	}
	var err error
	for rest := s.output; len(rest) > 0 && err == nil; {
		var n int
		n, err = s.conn.Write(rest[:min(len(rest), maxWrite)])
		rest = rest[n:]
		e.service.statistics.outputBytes.Add(uint64(n))
		s.reads(e.service.config.Now().UnixMilli())
	}
	s.output = s.output[:0]
	if cap(s.output) > maxKeptBuffer {
		s.output = nil
	}
	return err == nil
}

// resumption is the channel that is closed at the end of the pause there is now.
func (e *netEngine) resumption() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.resumed
}

func (e *netEngine) resume() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.resumed)
	e.resumed = make(chan struct{})
}

// interrupt closes the connection under its goroutine.
func (s *stream) interrupt() { _ = s.conn.Close() }

func (e *netEngine) close() {
	_ = e.listener.Close()
	e.mu.Lock()
	e.closing = true
	for s := range e.open {
		_ = s.conn.Close()
	}
	e.mu.Unlock()
	e.wait.Wait()
}
