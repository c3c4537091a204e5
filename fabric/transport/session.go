package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Bounds of what one stream carries at once.
const (
	// MaxRequests is how many requests to one peer wait for their answers.
	MaxRequests = 1024
	// MaxServed is how many requests and byte streams of one stream are served at once.
	MaxServed = 1024
	// MaxHeldBytes is how many bytes of requests and responses of one stream the serving side holds.
	MaxHeldBytes = 16 << 20
	// MaxStreams is how many byte streams to one peer are open at once.
	MaxStreams = 64
	// StreamWindow is how many bytes of a byte stream are on their way without having been read.
	StreamWindow = 256 << 10
	// MaxErrorText is how many bytes of a handler's error the caller sees.
	MaxErrorText = 512
	// bulkShare: of so many chunks beside LaneControl, one at least is LaneBulk's.
	bulkShare = 8
	maxSignal = 4 * (MaxServed + MaxStreams) // windows and cancels that wait to be sent
)

// exchange is what all streams of one transport share: who this is and who serves what.
type exchange struct {
	counters counters
	cluster  atomic.Pointer[ClusterID]
	serving  sync.WaitGroup // handlers

	mu       sync.RWMutex // guards what follows
	requests map[Kind]RequestHandler
	streams  map[Kind]StreamHandler
}

func (x *exchange) Enter(cluster ClusterID) { x.cluster.Store(&cluster) }

func (x *exchange) in() ClusterID {
	if c := x.cluster.Load(); c != nil {
		return *c
	}
	return ClusterID{}
}

func (x *exchange) Handle(kind Kind, h RequestHandler) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.requests == nil {
		x.requests = map[Kind]RequestHandler{}
	}
	x.requests[kind] = h
}

func (x *exchange) HandleStream(kind Kind, h StreamHandler) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.streams == nil {
		x.streams = map[Kind]StreamHandler{}
	}
	x.streams[kind] = h
}

func (x *exchange) handlers(kind Kind) (RequestHandler, StreamHandler) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.requests[kind], x.streams[kind]
}

// Metrics counts what the transport did.
func (x *exchange) Metrics() Metrics { return x.counters.metrics() }

// session is one side of a stream without its bytes: what waits to be sent, chunk by chunk, and what the chunks that
// come mean. The dialler's session outlives connections: what has not begun when one breaks goes over the next. It
// neither blocks nor calls a handler of the application with its lock held.
type session struct {
	exchange *exchange
	dialler  bool
	frame    func(from netip.AddrPort, b []byte) // nil: no frames are expected
	wake     func()                              // there is something to send; called without the lock

	mu      sync.Mutex // guards what follows
	from    From       // the other side
	epoch   uint64     // grows whenever what was on its way is lost
	closed  error      // nil: open
	lanes   [laneCount][]*flow
	turn    int // chunks since the last one of LaneBulk
	frames  []*flow
	budget  budget // of frames that wait
	asking  budget // of requests that wait for being sent
	calls   map[*call]struct{}
	asked   map[uint64]*call // those of calls that have begun
	served  map[uint64]*served
	held    int // bytes of what is served
	streams map[*byteStream]struct{}
	opened  map[uint64]*byteStream // those of streams that have begun
	newest  uint64                 // number of the newest exchange

	partial []byte // of the frame that is coming; only receive touches it
	coming  bool   // a frame has begun; as partial
}

// flow is something that is sent in chunks.
type flow struct {
	id     uint64
	lane   Lane
	kind   chunkKind // of its next chunk
	rest   []byte
	last   bool            // the chunk that empties rest is the last one
	queued bool            // in its lane
	begun  bool            // a chunk was taken
	total  int             // bytes at the beginning
	begin  func(id uint64) // gives the number, when the first chunk is taken; nil: it has one
	sent   func(size int, last bool)
}

func newSession(x *exchange, dialler bool, wake func()) *session {
	return &session{
		exchange: x, dialler: dialler, wake: wake,
		calls: map[*call]struct{}{}, asked: map[uint64]*call{}, served: map[uint64]*served{},
		streams: map[*byteStream]struct{}{}, opened: map[uint64]*byteStream{},
	}
}

// queue puts a flow at the end of its lane.
func (s *session) queue(f *flow) {
	if !f.queued {
		f.queued = true
		s.lanes[f.lane] = append(s.lanes[f.lane], f)
	}
}

// unqueue takes a flow out of its lane.
func (s *session) unqueue(f *flow) {
	if !f.queued {
		return
	}
	f.queued = false
	lane := s.lanes[f.lane]
	for i, other := range lane {
		if other == f {
			s.lanes[f.lane] = append(lane[:i], lane[i+1:]...)
			return
		}
	}
}

// pick takes the flow whose turn it is; nil: there is nothing.
func (s *session) pick() *flow {
	order := [laneCount]Lane{LaneControl, LaneOrdinary, LaneBulk}
	if s.turn >= bulkShare-1 {
		order = [laneCount]Lane{LaneControl, LaneBulk, LaneOrdinary}
	}
	for _, lane := range order {
		if len(s.lanes[lane]) == 0 {
			continue
		}
		f := s.lanes[lane][0]
		s.lanes[lane][0] = nil
		s.lanes[lane] = s.lanes[lane][1:]
		f.queued = false
		switch lane {
		case LaneOrdinary:
			s.turn++
		case LaneBulk:
			s.turn = 0
		case LaneControl, laneCount:
		}
		return f
	}
	return nil
}

// fill appends the chunks of one record; ok is false when the session has gone on to another epoch or has ended.
func (s *session) fill(b []byte, epoch uint64) (record []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil || s.epoch != epoch {
		return b, false
	}
	for len(b) < fillRecord {
		f := s.pick()
		if f == nil {
			break
		}
		if !f.begun && f.begin != nil {
			s.newest++
			f.id = s.newest
			f.begin(f.id)
		}
		size := min(len(f.rest), maxChunk)
		last := f.last && size == len(f.rest)
		b = appendChunk(b, chunk{f.kind, last, f.id, f.rest[:size]})
		f.rest, f.kind, f.begun = f.rest[size:], chunkMore, true
		if len(f.rest) > 0 {
			s.queue(f)
		}
		if f.sent != nil {
			f.sent(size, last)
		}
	}
	return b, true
}

// waiting reports whether there is something to send.
func (s *session) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waitingLocked()
}

func (s *session) waitingLocked() bool {
	return len(s.lanes[LaneControl])+len(s.lanes[LaneOrdinary])+len(s.lanes[LaneBulk]) > 0
}

// busy reports whether something is going on: the stream must stay open although nothing moves.
func (s *session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waitingLocked() || len(s.calls)+len(s.served)+len(s.streams) > 0
}

// answering reports whether something of the dialler's is under way that would break with the stream.
func (s *session) answering() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)+len(s.opened) > 0 || len(s.frames) > 0 && s.frames[0].begun
}

// retire ends a session that has nothing to do; false: it has.
func (s *session) retire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waitingLocked() || len(s.calls)+len(s.streams) > 0 {
		return false
	}
	s.closed = errRetired
	return true
}

// errRetired says that another session must be taken: this one had been idle.
var errRetired = errors.New("retired")

func (s *session) now() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// sendFrame queues a frame: one frame is in its lane at a time, so that they keep their order.
func (s *session) sendFrame(b []byte) error {
	s.mu.Lock()
	if s.closed != nil {
		s.mu.Unlock()
		return s.closed
	}
	size := len(b)
	if err := s.budget.take(size); err != nil {
		s.mu.Unlock()
		return err
	}
	f := &flow{lane: LaneControl, kind: chunkFrame, rest: bytes.Clone(b), last: true, total: size}
	f.sent = func(_ int, last bool) {
		if !last {
			return
		}
		s.budget.give(size)
		s.exchange.counters.framesSent.Add(1)
		s.frames[0] = nil
		if s.frames = s.frames[1:]; len(s.frames) > 0 {
			s.queue(s.frames[0])
		}
	}
	s.frames = append(s.frames, f)
	if len(s.frames) == 1 {
		s.queue(f)
	}
	s.mu.Unlock()
	s.wake()
	return nil
}

// signal queues a chunk of a few bytes before everything that waits; false: too many wait.
func (s *session) signal(kind chunkKind, id uint64, payload []byte) bool {
	if len(s.lanes[LaneControl]) >= maxSignal {
		return false
	}
	s.queue(&flow{id: id, lane: LaneControl, kind: kind, rest: payload, last: true})
	return true
}

// interrupt notes that the connection has ended: what was on its way is lost, what has not begun stays.
func (s *session) interrupt(err error) { s.lose(err, false) }

// drop loses everything; the session goes on.
func (s *session) drop(err error) { s.lose(err, true) }

// close loses everything, for good.
func (s *session) close(err error) {
	s.mu.Lock()
	if s.closed == nil {
		s.closed = err
	}
	s.mu.Unlock()
	s.lose(err, true)
}

func (s *session) lose(err error, everything bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	var kept []*flow
	for _, f := range s.frames {
		if !everything && !f.begun {
			kept = append(kept, f)
			continue
		}
		s.unqueue(f)
		s.budget.frames--
		s.budget.bytes -= f.total
		s.exchange.counters.framesLost.Add(1)
	}
	if s.frames = kept; len(kept) > 0 {
		s.queue(kept[0])
	}
	for c := range s.calls {
		if everything || c.flow.begun {
			s.unask(c)
			c.end(nil, err)
		}
	}
	for b := range s.streams {
		if everything || b.out.begun || !s.dialler {
			s.remove(b)
			b.fail(err)
		}
	}
	for id, v := range s.served {
		s.forget(id, v)
	}
	for lane := range s.lanes { // windows, cancels and responses of exchanges that are gone
		var rest []*flow
		for _, f := range s.lanes[lane] {
			if f.begun || everything || f.kind == chunkWindow || f.kind == chunkCancel || f.kind == chunkResponse {
				f.queued = false
				continue
			}
			rest = append(rest, f)
		}
		s.lanes[lane] = rest
	}
}

// receive takes a record of the other side. After an error the connection must end.
func (s *session) receive(record []byte, epoch uint64) error {
	for len(record) > 0 {
		c, rest, err := readChunk(record)
		if err != nil {
			return err
		}
		if record = rest; c.id == 0 {
			err = s.receiveFrame(c, epoch)
		} else {
			err = s.receiveChunk(c, epoch)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// receiveFrame hands over a frame when it is complete; one in a single chunk is not copied.
func (s *session) receiveFrame(c chunk, epoch uint64) error {
	begins := c.kind == chunkFrame
	if s.frame == nil || !begins && c.kind != chunkMore || begins == s.coming {
		return fmt.Errorf("%w: kind %d among frames", errChunk, c.kind)
	}
	if s.now() != epoch {
		return ErrBroken
	}
	if len(s.partial)+len(c.payload) > MaxFrame {
		return fmt.Errorf("%w: a frame over %d bytes", errChunk, MaxFrame)
	}
	whole := c.payload
	if !begins || !c.last {
		s.partial = append(s.partial, c.payload...)
		whole, s.coming = s.partial, true
	}
	if !c.last {
		return nil
	}
	s.exchange.counters.framesReceived.Add(1)
	s.frame(s.peer().Addr, whole)
	s.partial, s.coming = nil, false
	return nil
}

func (s *session) peer() From {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.from
}

func (s *session) meet(who Identity, addr netip.AddrPort) {
	s.mu.Lock()
	s.from = From{addr, who}
	s.mu.Unlock()
}

// receiveChunk takes a chunk of a request or a byte stream.
func (s *session) receiveChunk(c chunk, epoch uint64) error {
	s.mu.Lock()
	if s.closed != nil || s.epoch != epoch {
		s.mu.Unlock()
		return ErrBroken
	}
	var err error
	switch {
	case s.dialler:
		err = s.receiveAnswer(c)
	default:
		err = s.receiveAsked(c)
	}
	some := s.waitingLocked()
	s.mu.Unlock()
	if some {
		s.wake()
	}
	return err
}
