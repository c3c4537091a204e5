package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// verifyDials is how often a peer is dialled to find out what became of it: a process that is ending may take a
// connection after it has let go of the others.
const verifyDials = 3

// peer is the outgoing side to one address: the dialler's session and the goroutine that dials when there is something
// to send, writes, and ends after a time of silence. A stream that breaks after it was used is dialled again, to find
// out whether the process behind it is gone.
type peer struct {
	transport *netTransport
	addr      netip.AddrPort
	wake      chan struct{} // there is something to look at: something to send, a sign of life
	session   *session

	unanswered int // dials in a row that the peer ended; only run's goroutine touches it
	attempt    int // dials since a stream that came about, or the first; as unanswered

	mu     sync.Mutex // guards what follows
	conn   net.Conn
	cancel context.CancelFunc // ends the dial in progress
	alive  bool               // the peer showed a sign of life: backing off ends
}

func poke(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

func (t *netTransport) SendFrame(to netip.AddrPort, b []byte) error {
	if err := checkSend(to, len(b), MaxFrame); err != nil {
		return err
	}
	return t.withPeer(to, func(s *session) error { return s.sendFrame(b) })
}

func (t *netTransport) Request(ctx context.Context, to netip.AddrPort, kind Kind, b []byte) (response []byte, err error) {
	if err := checkSend(to, len(b), MaxFrame); err != nil {
		return nil, err
	}
	err = t.withPeer(to, func(s *session) error {
		response, err = s.request(ctx, kind, b)
		return err
	})
	return response, err
}

func (t *netTransport) OpenStream(ctx context.Context, to netip.AddrPort, kind Kind) (stream Stream, err error) {
	if err := checkSend(to, 0, MaxFrame); err != nil {
		return nil, err
	}
	err = t.withPeer(to, func(s *session) error {
		stream, err = s.open(ctx, kind)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stream, nil
}

// withPeer does something with the session to a peer, made if need be.
func (t *netTransport) withPeer(to netip.AddrPort, f func(*session) error) error {
	for {
		p, err := t.peer(to)
		if err != nil {
			return err
		}
		if err = f(p.session); !errors.Is(err, errRetired) {
			return err
		}
	}
}

// peer finds or makes the peer of an address.
func (t *netTransport) peer(addr netip.AddrPort) (*peer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	if p := t.peers[addr]; p != nil {
		return p, nil
	}
	if len(t.peers) >= MaxPeers {
		return nil, ErrQueueFull
	}
	p := &peer{transport: t, addr: addr, wake: make(chan struct{}, 1)}
	p.session = newSession(&t.exchange, true, func() { poke(p.wake) })
	t.peers[addr] = p
	t.running.Go(p.run) // ends when idle and by Close, which waits
	return p, nil
}

// signOfLife ends backing off: the peer has just reached us.
func (p *peer) signOfLife() {
	p.mu.Lock()
	p.alive = true
	p.mu.Unlock()
	poke(p.wake)
}

// interrupt ends the session, the stream and the dial in progress; the transport is closing.
func (p *peer) interrupt() {
	p.session.close(ErrClosed)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
	}
	if p.conn != nil {
		_ = p.conn.Close() // the stream is over either way
	}
}

// reset drops everything queued or on its way.
func (p *peer) reset() {
	p.session.drop(ErrBroken)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
	}
	if p.conn != nil {
		if tcp, ok := p.conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // the system must not deliver what it holds
		}
		_ = p.conn.Close()
	}
}

func (p *peer) run() {
	select {
	case <-p.transport.started:
	case <-p.transport.stop:
		return
	}
	var backoff time.Duration
	for verify := 0; ; {
		if verify == 0 && !p.waitForWork() {
			return
		}
		verifying := verify > 0
		verify = max(verify-1, 0)
		epoch := p.session.now()
		link, greeting, err := p.dial()
		switch {
		case err == nil:
			backoff, p.attempt = 0, 0
			link.epoch = epoch
			switch used, broken := p.stream(link, greeting); {
			case used && broken:
				verify = verifyDials
			case !broken:
				verify = 0
			case verifying && !p.backOff(firstBackoff):
				return
			}
			continue
		case p.stopping():
			return
		case p.session.now() != epoch: // reset
			continue
		}
		p.session.drop(fmt.Errorf("%w: %w", ErrUnreachable, err))
		if errors.Is(err, syscall.ECONNREFUSED) {
			p.transport.reportRefused(p.addr)
		}
		p.tell(err)
		p.attempt++
		backoff = min(max(2*backoff, firstBackoff), longestBackoff)
		if !p.backOff(backoff) {
			return
		}
	}
}

// tellAfter is after how many dials without an answer a person is told: a peer that is ending soon refuses.
const tellAfter = 5

// tell says in the log, once, what a person must see to.
func (p *peer) tell(err error) {
	if _, refused := errors.AsType[*greetError](err); !refused {
		p.unanswered = 0
		return
	}
	if p.unanswered++; p.unanswered != tellAfter {
		return
	}
	attributes := []any{"event", "transport_not_taken", "peer", p.addr.String(), "error", err}
	if p.transport.ring == nil {
		p.transport.logger.Warn("there is no stream to a peer: this node has no cluster key", attributes...)
		return
	}
	use := p.transport.ring.current.Load().use
	p.transport.logger.Warn("there is no stream to a peer: another cluster key, or a certificate that is not taken",
		append(attributes, "key", use.id, "key_hash", use.secret.Hash())...)
}

func (p *peer) stopping() bool {
	select {
	case <-p.transport.stop:
		return true
	default:
		return false
	}
}

// waitForWork waits until there is something to send; false ends the goroutine: the transport closes, or nothing came
// for the idle time.
func (p *peer) waitForWork() bool {
	idle := time.NewTimer(idleTimeout)
	defer idle.Stop()
	for {
		if p.session.waiting() {
			return !p.stopping()
		}
		select {
		case <-p.transport.stop:
			return false
		case <-p.wake:
		case <-idle.C:
			if p.retire() {
				return false
			}
			idle.Reset(idleTimeout)
		}
	}
}

// retire takes the peer off the transport's table, unless something came at the last moment.
func (p *peer) retire() bool {
	p.transport.mu.Lock()
	defer p.transport.mu.Unlock()
	if !p.session.retire() {
		return false
	}
	delete(p.transport.peers, p.addr)
	return true
}

// backOff waits before the next dial, shorter if the peer shows a sign of life; false: the transport closes.
func (p *peer) backOff(d time.Duration) bool {
	p.mu.Lock()
	p.alive = false
	p.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-p.transport.stop:
			return false
		case <-timer.C:
			return true
		case <-p.wake:
			p.mu.Lock()
			alive := p.alive
			p.mu.Unlock()
			if alive {
				return true
			}
		}
	}
}

// dial opens a stream: the connection, and the hellos when sealed.
func (p *peer) dial() (l *link, greeting []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	p.mu.Lock()
	p.cancel = cancel
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.cancel = nil
		p.mu.Unlock()
	}()
	if p.stopping() { // Close did not see cancel
		return nil, nil, ErrClosed
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", p.addr.String())
	if err != nil {
		return nil, nil, err
	}
	if conn.LocalAddr().String() == conn.RemoteAddr().String() {
		// TCP's simultaneous open: nobody listens, and the system chose that very port for our side.
		_ = conn.Close()
		return nil, nil, syscall.ECONNREFUSED
	}
	p.transport.counters.dialled.Add(1)
	boundUnsent(conn)
	l, greeting, err = p.greet(ctx, conn)
	if err != nil {
		_ = conn.Close() // it is of no use
		return nil, nil, err
	}
	return l, greeting, nil
}

// greetError is what went wrong between a connection and the first record: one side does not take the other.
type greetError struct{ error }

func (e *greetError) Unwrap() error { return e.error }

// greet exchanges the hellos on a connection that was dialled.
func (p *peer) greet(ctx context.Context, conn net.Conn) (*link, []byte, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // what is read or written ends
	secured, proof, err := p.transport.certificates.secure(ctx, conn, true)
	if err != nil {
		return nil, nil, &greetError{err}
	}
	shaking := p.transport.handshake()
	shaking.attempt = p.attempt
	greeting, peer, keys, err := shaking.dial(secured)
	if err == nil {
		err = proof.matches(&peer)
	}
	if err != nil {
		return nil, nil, &greetError{err}
	}
	if keys.key != nil {
		p.transport.meet(p.session, &peer)
	}
	return newLink(conn, secured, newReader(secured), p.session, 0, keys, proof), greeting, nil
}

// stream carries the session until the connection breaks, is reset, idles or the transport closes. It reports whether
// something was sent, and whether the other side has broken it.
func (p *peer) stream(l *link, greeting []byte) (used, broke bool) {
	p.mu.Lock()
	p.conn = l.raw
	p.mu.Unlock()
	broken := make(chan struct{})
	var err error // of the reading goroutine, until broken is closed
	go func() {   // ends with the connection, below
		defer close(broken)
		err = p.read(l)
	}()
	var idled bool
	if !p.stopping() { // else Close did not see the connection
		used, idled = l.write(greeting, idleTimeout, p.wake, broken, p.transport.stop)
	}
	p.mu.Lock()
	p.conn = nil
	p.mu.Unlock()
	broke = !idled && p.session.now() == l.epoch && !p.stopping()
	_ = l.raw.Close() // the stream is over either way
	<-broken
	p.session.interrupt(ErrBroken)
	if !p.stopping() && p.session.now() == l.epoch+1 {
		p.tell(err)
	}
	return used, broke
}

// read takes what comes back.
func (p *peer) read(l *link) error {
	if l.secrets.key == nil {
		peer, _, err := readHello(l.reader)
		switch {
		case errors.Is(err, io.EOF) || isReset(err):
			return &greetError{ErrNoAnswer}
		case err != nil:
			return err
		case peer.sealed:
			return &greetError{errSealed}
		}
		p.transport.meet(p.session, &peer)
	}
	return l.read(0, nil)
}

func (t *netTransport) reportRefused(peer netip.AddrPort) {
	t.mu.Lock()
	h := t.handler
	t.mu.Unlock()
	t.counters.refused.Add(1)
	if h != nil {
		h.Refused(peer)
	}
}

// resetPeer breaks the stream to a peer: what is queued or on its way is lost.
func (t *netTransport) resetPeer(addr netip.AddrPort) {
	t.mu.Lock()
	p := t.peers[addr]
	t.mu.Unlock()
	if p != nil {
		p.reset()
	}
}

// resetStreams breaks the byte streams that were opened to a peer.
func (t *netTransport) resetStreams(to netip.AddrPort) {
	t.mu.Lock()
	p := t.peers[to]
	t.mu.Unlock()
	if p != nil {
		p.session.breakStreams()
	}
}
