package transport

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// call is a request that waits for its answer, on the dialler's side.
type call struct {
	flow     *flow
	size     int  // on the budget until it is sent
	answered bool // the outcome has come
	outcome  outcome
	body     []byte
	done     chan struct{} // closed when the result below stands
	result   []byte
	err      error
}

// end gives the result; the session's lock is held.
func (c *call) end(body []byte, err error) {
	c.result, c.err = body, err
	close(c.done)
}

// unask takes a request off what waits.
func (s *session) unask(c *call) {
	delete(s.calls, c)
	if c.flow.begun {
		delete(s.asked, c.flow.id)
	}
	s.unqueue(c.flow)
	if c.size > 0 {
		s.asking.give(c.size)
		c.size = 0
	}
}

// ask queues a request.
func (s *session) ask(ctx context.Context, kind Kind, body []byte) (*call, error) {
	h := head{kind: kind, cluster: s.exchange.in()}
	if deadline, ok := ctx.Deadline(); ok {
		h.left = max(time.Until(deadline), time.Millisecond)
	}
	payload := append(h.append(make([]byte, 0, headBytes+len(body))), body...)
	c := &call{size: len(payload), done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return nil, s.closed
	}
	if len(s.calls) >= MaxRequests {
		return nil, ErrQueueFull
	}
	if err := s.asking.take(c.size); err != nil {
		return nil, err
	}
	c.flow = &flow{lane: kind.Lane(), kind: chunkRequest, rest: payload, last: true}
	c.flow.begin = func(id uint64) { s.asked[id] = c }
	c.flow.sent = func(_ int, last bool) {
		if last && c.size > 0 {
			s.asking.give(c.size)
			c.size = 0
		}
	}
	s.calls[c] = struct{}{}
	s.queue(c.flow)
	return c, nil
}

// request asks and waits.
func (s *session) request(ctx context.Context, kind Kind, body []byte) ([]byte, error) {
	c, err := s.ask(ctx, kind, body)
	if err != nil {
		return nil, err
	}
	s.exchange.counters.requests.Add(1)
	s.wake()
	select {
	case <-c.done:
		return c.result, c.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	if _, waits := s.calls[c]; waits {
		if s.unask(c); c.flow.begun {
			s.signal(chunkCancel, c.flow.id, []byte{byte(outcomeBroken)})
		}
	}
	s.mu.Unlock()
	s.wake()
	return nil, ctx.Err()
}

// receiveAnswer takes a chunk that the acceptor sends.
func (s *session) receiveAnswer(c chunk) error {
	if c.id > s.newest {
		return fmt.Errorf("%w: exchange %d is not known", errChunk, c.id)
	}
	if b := s.opened[c.id]; b != nil {
		return s.receiveStream(b, c)
	}
	waiting := s.asked[c.id]
	if waiting == nil {
		return nil // given up
	}
	payload := c.payload
	switch {
	case c.kind == chunkResponse && !waiting.answered && len(payload) > 0:
		waiting.answered, waiting.outcome = true, outcome(payload[0])
		payload = payload[1:]
	case c.kind == chunkMore && waiting.answered:
	default:
		return fmt.Errorf("%w: kind %d in an answer", errChunk, c.kind)
	}
	if len(waiting.body)+len(payload) > MaxFrame {
		return fmt.Errorf("%w: an answer over %d bytes", errChunk, MaxFrame)
	}
	waiting.body = append(waiting.body, payload...)
	if !c.last {
		return nil
	}
	s.unask(waiting) // the answer may come before the whole request is sent
	if err := waiting.outcome.err(waiting.body); err != nil {
		waiting.end(nil, err)
	} else {
		waiting.end(waiting.body, nil)
	}
	return nil
}

// served is a request on the acceptor's side, from its first chunk until its answer is sent.
type served struct {
	kind   Kind
	left   time.Duration
	body   []byte
	held   int // bytes of it, on the session's account
	whole  bool
	cancel context.CancelFunc // nil: the handler has not begun
	answer *flow              // nil: there is none yet
}

// forget ends what is served; its handler is told by its context.
func (s *session) forget(id uint64, v *served) {
	delete(s.served, id)
	s.held -= v.held
	v.held = 0
	if v.answer != nil {
		s.unqueue(v.answer)
	}
	if v.cancel != nil {
		v.cancel()
	}
}

// hold puts bytes on the account of what is held; false: it is full.
func (s *session) hold(v *served, size int) bool {
	if s.held+size > MaxHeldBytes {
		return false
	}
	s.held += size
	v.held += size
	return true
}

// receiveAsked takes a chunk that the dialler sends.
func (s *session) receiveAsked(c chunk) error {
	switch c.kind {
	case chunkRequest, chunkOpen:
		return s.begin(c)
	case chunkCancel:
		if v := s.served[c.id]; v != nil {
			s.forget(c.id, v)
			return nil
		}
	case chunkMore:
		if v := s.served[c.id]; v != nil {
			return s.receiveBody(c.id, v, c)
		}
	case chunkWindow:
	case chunkFrame, chunkResponse, chunkKinds:
		return fmt.Errorf("%w: kind %d from the dialler", errChunk, c.kind)
	}
	if b := s.opened[c.id]; b != nil {
		return s.receiveStream(b, c)
	}
	if c.id > s.newest {
		return fmt.Errorf("%w: exchange %d has not begun", errChunk, c.id)
	}
	return nil // of an exchange that was refused or has ended
}

// begin takes the first chunk of an exchange.
func (s *session) begin(c chunk) error {
	if c.id <= s.newest {
		return fmt.Errorf("%w: exchange %d begins after %d", errChunk, c.id, s.newest)
	}
	s.newest = c.id
	h, body, err := readHead(c.payload)
	if err != nil {
		return err
	}
	answer, stream := s.exchange.handlers(h.kind)
	refusal := outcomeDone
	switch {
	case h.cluster != s.exchange.in():
		refusal = outcomeForeign
	case c.kind == chunkRequest && answer == nil, c.kind == chunkOpen && stream == nil:
		refusal = outcomeNoHandler
	case len(s.served)+len(s.streams) >= MaxServed, c.kind == chunkOpen && len(s.streams) >= MaxStreams:
		refusal = outcomeBusy
	}
	if refusal != outcomeDone {
		s.refuse(c.id, c.kind, refusal)
		return nil
	}
	if c.kind == chunkOpen {
		return s.accept(c, h, body, stream)
	}
	v := &served{kind: h.kind, left: h.left}
	s.served[c.id] = v
	c.payload = body
	return s.receiveBody(c.id, v, c)
}

// refuse answers without having begun.
func (s *session) refuse(id uint64, kind chunkKind, why outcome) {
	s.exchange.counters.unserved.Add(1)
	answer := chunkResponse
	if kind == chunkOpen {
		answer = chunkCancel
	}
	s.signal(answer, id, []byte{byte(why)})
}

func (s *session) receiveBody(id uint64, v *served, c chunk) error {
	switch {
	case v.whole:
		return fmt.Errorf("%w: more of request %d than there is", errChunk, id)
	case len(v.body)+len(c.payload) > MaxFrame:
		return fmt.Errorf("%w: a request over %d bytes", errChunk, MaxFrame)
	case !s.hold(v, len(c.payload)):
		s.forget(id, v)
		s.refuse(id, chunkRequest, outcomeBusy)
		return nil
	}
	v.body = append(v.body, c.payload...)
	if !c.last {
		return nil
	}
	v.whole = true
	ctx, cancel := context.WithCancel(context.Background())
	if v.left > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), v.left)
	}
	v.cancel = cancel
	h, _ := s.exchange.handlers(v.kind)
	from, body := s.from, v.body
	v.body = nil
	s.exchange.counters.served.Add(1)
	s.exchange.serving.Go(func() { s.serve(ctx, id, v, h, from, body) }) // ends with its handler, which Close waits for
	return nil
}

func (s *session) serve(ctx context.Context, id uint64, v *served, h RequestHandler, from From, body []byte) {
	defer v.cancel()
	response, err := []byte(nil), ErrNoHandler
	if h != nil {
		response, err = h(ctx, from, body)
	}
	if err != nil && ctx.Err() != nil { // the caller has no time left either, and says so itself
		s.mu.Lock()
		if s.served[id] == v {
			s.forget(id, v)
		}
		s.mu.Unlock()
		return
	}
	how := outcomeDone
	remote, passedOn := errors.AsType[*RemoteError](err)
	switch {
	case err == nil && len(response) > MaxFrame:
		how, response = outcomeTooLarge, nil
	case err == nil:
	case passedOn:
		how, response = outcomeError, []byte(remote.Text)
	default:
		how, response = outcomeError, []byte(err.Error())
	}
	if how == outcomeError {
		response = response[:min(len(response), MaxErrorText)]
	}
	s.respond(id, v, how, response)
}

// respond queues an answer.
func (s *session) respond(id uint64, v *served, how outcome, body []byte) {
	s.mu.Lock()
	if s.served[id] != v {
		s.mu.Unlock()
		return // given up
	}
	if !s.hold(v, len(body)) {
		how, body = outcomeBusy, nil
	}
	v.answer = &flow{
		id: id, lane: v.kind.Lane(), kind: chunkResponse, rest: append([]byte{byte(how)}, body...), last: true,
		sent: func(_ int, last bool) {
			if last {
				s.forget(id, v)
			}
		},
	}
	s.queue(v.answer)
	s.mu.Unlock()
	s.wake()
}
