package slots

import (
	"golang.org/x/sys/unix"
)

// socket is a connection of an event loop.
type socket struct {
	connection
	loop       *eventLoop
	generation int32
	interest   uint32 // what epoll is asked for
	ended      bool   // the client sends no more
	dirty      bool   // listed in loop.dirty
	waiting    bool   // listed in loop.unfinished
	closed     bool
}

// interrupt is called by other goroutines when the connection was killed.
func (s *socket) interrupt() { s.loop.post(mail{kind: mailKilled, socket: s}) }

// ready is called when epoll reports something about a socket.
func (l *eventLoop) ready(s *socket, events uint32) {
	if s.interest&unix.EPOLLIN == 0 && events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.drop(s)
		return
	}
	if events&unix.EPOLLOUT != 0 {
		l.soil(s)
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 && s.state == turnDrained && !s.ended {
		l.read(s)
	}
}

// read takes what a socket has received and executes it.
func (l *eventLoop) read(s *socket) {
	if len(s.input) == 0 {
		n, ok := l.receive(s, l.scratch)
		if ok && n > 0 {
			consumed := l.execute(s, l.scratch[:n])
			if consumed < n && !s.closed {
				s.input = append(l.buffer(), l.scratch[consumed:n]...)
			}
		}
		return
	}
	s.input = grow(s.input, l.service.config.InputLimit)
	n, ok := l.receive(s, s.input[len(s.input):min(cap(s.input), len(s.input)+maxRead)])
	if ok && n > 0 {
		s.input = s.input[:len(s.input)+n]
		l.proceed(s)
	}
}

// receive reads once. It returns false when there is nothing, or the connection was dropped. The end of what the client
// sends closes the connection as soon as its last reply is sent.
func (l *eventLoop) receive(s *socket, room []byte) (int, bool) {
	n, errno := rawRead(s.descriptor, room)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, false
	case errno != 0:
		l.drop(s)
		return 0, false
	case n == 0:
		s.ended = true
		l.soil(s)
		return 0, true
	}
	l.service.statistics.inputBytes.Add(uint64(n))
	return n, true
}

// proceed executes from the input a socket has kept.
func (l *eventLoop) proceed(s *socket) {
	consumed := l.execute(s, s.input)
	if s.closed {
		return
	}
	s.input = s.input[:copy(s.input, s.input[consumed:])]
	if len(s.input) == 0 {
		l.recycle(s.input)
		s.input = nil
	}
}

// execute runs one turn and does what its outcome asks for.
func (l *eventLoop) execute(s *socket, input []byte) (consumed int) {
	if s.output == nil {
		s.output = l.buffer()
	}
	consumed = l.executor.turn(&s.connection, input)
	if s.state == turnAbort {
		l.drop(s)
		return consumed
	}
	if s.state == turnUnfinished {
		l.later(s)
	}
	l.soil(s)
	return consumed
}

// later has a socket's kept input executed in the next turn.
func (l *eventLoop) later(s *socket) {
	if !s.waiting {
		s.waiting = true
		l.unfinished = append(l.unfinished, s)
	}
}

// soil has a socket's output written at the end of the turn.
func (l *eventLoop) soil(s *socket) {
	if !s.dirty {
		s.dirty = true
		l.dirty = append(l.dirty, s)
	}
}

// finish gives every socket with unfinished input another turn.
func (l *eventLoop) finish() {
	l.resumed, l.unfinished = l.unfinished, l.resumed[:0]
	for i, s := range l.resumed {
		l.resumed[i] = nil
		s.waiting = false
		if !s.closed {
			l.proceed(s)
		}
	}
}

// flush writes the output of every socket that has some, and settles what epoll is to watch.
func (l *eventLoop) flush() {
	for i, s := range l.dirty {
		l.dirty[i] = nil
		s.dirty = false
		if !s.closed {
			l.send(s)
		}
	}
	l.dirty = l.dirty[:0]
}

// send writes as much of a socket's output as the system takes.
func (l *eventLoop) send(s *socket) {
	before := s.sent
	for s.sent < len(s.output) {
		n, errno := rawWrite(s.descriptor, s.output[s.sent:])
		if errno == unix.EAGAIN || errno == unix.EINTR {
			break
		}
		if errno != 0 {
			l.drop(s)
			return
		}
		s.sent += n
		l.service.statistics.outputBytes.Add(uint64(n))
	}
	if s.sent > before && s.interest&unix.EPOLLOUT != 0 { // it was blocked and has read since
		s.reads(l.service.config.Now().UnixMilli())
	}
	blocked := s.sent < len(s.output)
	switch {
	case !blocked:
		l.recycle(s.output)
		s.output, s.sent = nil, 0
	case s.sent >= len(s.output)/2: // what is sent need not be kept, and is moved over at most once a doubling
		s.output = s.output[:copy(s.output, s.output[s.sent:])]
		s.sent = 0
	}
	if s.state == turnFull && len(s.output)-s.sent <= outputHighWater {
		s.state = turnUnfinished
		l.later(s)
	}
	if !blocked && (s.state == turnClose || s.ended && s.state == turnDrained) {
		l.drop(s)
		return
	}
	var interest uint32
	if !s.ended && (s.state == turnDrained || s.state == turnUnfinished) {
		interest |= unix.EPOLLIN
	}
	if blocked {
		interest |= unix.EPOLLOUT
	}
	if interest == s.interest {
		return
	}
	s.interest = interest
	if err := l.watch(unix.EPOLL_CTL_MOD, s.descriptor, interest, s.generation); err != nil {
		l.drop(s)
	}
}

// drop closes a socket at once.
func (l *eventLoop) drop(s *socket) {
	if s.closed {
		return
	}
	s.closed = true
	l.sockets[s.descriptor] = nil
	_ = unix.Close(s.descriptor)
	l.service.clients.remove(&s.connection)
	l.open.Add(-1)
	l.recycle(s.output)
	s.input, s.output = nil, nil
}

// buffer returns an empty buffer.
func (l *eventLoop) buffer() []byte {
	if last := len(l.buffers) - 1; last >= 0 {
		b := l.buffers[last]
		l.buffers[last] = nil
		l.buffers = l.buffers[:last]
		return b
	}
	return make([]byte, 0, firstBuffer)
}

// recycle keeps a buffer for reuse, unless it is large or there are enough.
func (l *eventLoop) recycle(b []byte) {
	if cap(b) > 0 && cap(b) <= maxKeptBuffer && len(l.buffers) < maxKeptBuffers {
		l.buffers = append(l.buffers, b[:0])
	}
}
