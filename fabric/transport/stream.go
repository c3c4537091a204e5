package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// byteStream is one side of a Stream. Its fields are guarded by the session's lock.
type byteStream struct {
	session *session
	changed sync.Cond // something below has changed

	out    flow
	memory []byte // what out.rest lies in
	window int    // bytes that the other side still takes
	wrote  bool   // the last chunk is on its way

	in    buffered // received and not read
	owed  int      // bytes read that the other side has not been told of
	ended bool     // the other side has said its last

	err    error // the stream is broken
	closed bool
	cancel context.CancelFunc
	stop   func() bool // of the context that bounds the stream
}

// sendBuffer is how many bytes of one stream wait in its lane.
const sendBuffer = 4 * maxChunk

func (s *session) newStream(lane Lane, first chunkKind) *byteStream {
	b := &byteStream{session: s, window: StreamWindow}
	b.changed.L = &s.mu
	b.out = flow{lane: lane, kind: first}
	b.out.sent = func(_ int, last bool) {
		b.wrote = b.wrote || last
		b.changed.Broadcast()
		s.settle(b)
	}
	s.streams[b] = struct{}{}
	return b
}

// remove forgets a stream.
func (s *session) remove(b *byteStream) {
	s.unqueue(&b.out)
	delete(s.streams, b)
	delete(s.opened, b.out.id)
}

// open begins a byte stream on the dialler's side.
func (s *session) open(ctx context.Context, kind Kind) (*byteStream, error) {
	s.mu.Lock()
	switch {
	case s.closed != nil:
		s.mu.Unlock()
		return nil, s.closed
	case len(s.streams) >= MaxStreams:
		s.mu.Unlock()
		return nil, ErrQueueFull
	}
	b := s.newStream(kind.Lane(), chunkOpen)
	b.out.begin = func(id uint64) { s.opened[id] = b }
	h := head{kind: kind, cluster: s.exchange.in()}
	b.out.rest = h.append(nil)
	s.queue(&b.out)
	b.stop = context.AfterFunc(ctx, func() { b.abort(context.Cause(ctx)) })
	s.mu.Unlock()
	s.wake()
	return b, nil
}

// accept begins a byte stream on the acceptor's side.
func (s *session) accept(c chunk, h head, body []byte, serve StreamHandler) error {
	b := s.newStream(h.kind.Lane(), chunkMore)
	b.out.id = c.id
	s.opened[c.id] = b
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	from := s.from
	s.exchange.counters.served.Add(1)
	s.exchange.serving.Go(func() { // ends with its handler, which Close waits for
		defer cancel()
		serve(ctx, from, b)
		_ = b.Close() // always nil
	})
	c.kind, c.payload = chunkMore, body
	return s.receiveStream(b, c)
}

// receiveStream takes a chunk of a byte stream.
func (s *session) receiveStream(b *byteStream, c chunk) error {
	defer b.changed.Broadcast()
	switch c.kind {
	case chunkMore:
		if b.ended || b.in.size()+b.owed+len(c.payload) > StreamWindow {
			return fmt.Errorf("%w: more of stream %d than was asked for", errChunk, b.out.id)
		}
		b.ended = c.last
		if b.closed {
			b.owed += len(c.payload)
			b.grant()
		} else {
			b.in.write(c.payload)
		}
	case chunkWindow:
		if len(c.payload) != 4 {
			return fmt.Errorf("%w: window of %d bytes", errChunk, len(c.payload))
		}
		more := int(binary.LittleEndian.Uint32(c.payload))
		if more > StreamWindow || b.window+more > StreamWindow {
			return fmt.Errorf("%w: window of %d", errChunk, more)
		}
		b.window += more
	case chunkCancel:
		why := outcomeBroken
		if len(c.payload) == 1 {
			why = outcome(c.payload[0])
		}
		s.remove(b)
		b.fail(why.err(nil))
		return nil
	case chunkFrame, chunkRequest, chunkResponse, chunkOpen, chunkKinds:
		return fmt.Errorf("%w: kind %d in a stream", errChunk, c.kind)
	}
	s.settle(b)
	return nil
}

// settle forgets a stream that is over on both sides.
func (s *session) settle(b *byteStream) {
	if b.closed && b.wrote && b.ended {
		s.remove(b)
	}
}

// grant tells the other side of room, when it is worth a chunk.
func (b *byteStream) grant() {
	if b.owed >= StreamWindow/2 && !b.ended && b.session.signal(chunkWindow, b.out.id, binary.LittleEndian.AppendUint32(nil, uint32(b.owed))) {
		b.owed = 0
	}
}

// fail breaks the stream; the session's lock is held.
func (b *byteStream) fail(err error) {
	if b.err == nil {
		b.err = err
	}
	if b.err == nil {
		b.err = ErrBroken
	}
	if b.cancel != nil {
		b.cancel()
	}
	if b.stop != nil {
		b.stop()
	}
	b.changed.Broadcast()
}

// abort gives the stream up and tells the other side.
func (b *byteStream) abort(err error) {
	s := b.session
	s.mu.Lock()
	if _, open := s.streams[b]; open {
		s.remove(b)
		if b.out.begun || !s.dialler {
			s.signal(chunkCancel, b.out.id, []byte{byte(outcomeBroken)})
		}
	}
	b.fail(err)
	s.mu.Unlock()
	s.wake()
}

func (b *byteStream) Read(p []byte) (int, error) {
	s := b.session
	s.mu.Lock()
	for b.in.size() == 0 && !b.ended && b.err == nil && !b.closed && len(p) > 0 {
		b.changed.Wait()
	}
	n := 0
	var err error
	switch {
	case b.closed:
		err = io.ErrClosedPipe
	case b.in.size() > 0 || len(p) == 0:
		n = b.in.read(p)
		b.owed += n
		b.grant()
	case b.ended:
		err = io.EOF
	default:
		err = b.err
	}
	s.mu.Unlock()
	s.wake()
	return n, err
}

func (b *byteStream) Write(p []byte) (n int, err error) {
	s := b.session
	for len(p) > 0 && err == nil {
		s.mu.Lock()
		for b.err == nil && !b.closed && !b.out.last && (b.window == 0 || len(b.out.rest) >= sendBuffer) {
			b.changed.Wait()
		}
		size := min(len(p), b.window, sendBuffer-len(b.out.rest))
		switch {
		case b.err != nil:
			err = b.err
		case b.closed || b.out.last:
			err = io.ErrClosedPipe
		default:
			b.queueBytes(p[:size])
			b.window -= size
			s.queue(&b.out)
			p, n = p[size:], n+size
		}
		s.mu.Unlock()
		s.wake()
	}
	return n, err
}

// queueBytes puts bytes at the end of what waits, in the memory of what has been sent where there is room.
func (b *byteStream) queueBytes(p []byte) {
	if rest := b.out.rest; cap(rest)-len(rest) < len(p) && len(rest)+len(p) <= cap(b.memory) {
		b.out.rest = b.memory[:copy(b.memory[:cap(b.memory)], rest)]
	}
	grown := cap(b.out.rest)-len(b.out.rest) < len(p)
	b.out.rest = append(b.out.rest, p...)
	if grown {
		b.memory = b.out.rest[:0]
	}
}

// buffered is bytes that were written and not read.
type buffered struct {
	b  []byte
	at int // what comes before it was read
}

func (q *buffered) size() int { return len(q.b) - q.at }

func (q *buffered) write(p []byte) {
	if q.at > 0 && len(q.b)+len(p) > cap(q.b) {
		q.b, q.at = q.b[:copy(q.b, q.b[q.at:])], 0
	}
	q.b = append(q.b, p...)
}

func (q *buffered) read(p []byte) int {
	n := copy(p, q.b[q.at:])
	if q.at += n; q.at == len(q.b) {
		q.b, q.at = q.b[:0], 0
	}
	return n
}

func (b *byteStream) CloseWrite() error {
	s := b.session
	s.mu.Lock()
	if b.err == nil && !b.out.last {
		b.out.last = true
		s.queue(&b.out)
	}
	s.mu.Unlock()
	s.wake()
	return nil
}

func (b *byteStream) Close() error {
	s := b.session
	s.mu.Lock()
	unfinished := b.err == nil && !b.out.last
	b.closed = true
	b.owed += b.in.size()
	b.in = buffered{}
	b.grant()
	if b.stop != nil && !unfinished {
		b.stop()
	}
	s.settle(b)
	b.changed.Broadcast()
	s.mu.Unlock()
	if unfinished {
		b.abort(ErrBroken)
	}
	s.wake()
	return nil
}

// breakStreams aborts all byte streams.
func (s *session) breakStreams() {
	s.mu.Lock()
	var all []*byteStream
	for b := range s.streams {
		all = append(all, b)
	}
	s.mu.Unlock()
	for _, b := range all {
		b.abort(ErrBroken)
	}
}
