package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// peer is the outgoing side to one address: a bounded queue of frames and the goroutine that dials when there is
// something to send, writes, and ends after a time of silence. A stream that breaks after it was used is dialled once
// more, to find out whether the process behind it is gone.
type peer struct {
	transport *netTransport
	addr      netip.AddrPort
	wake      chan struct{} // there is something to look at: frames, a sign of life

	mu      sync.Mutex // guards what follows
	queue   [][]byte   // with their headers
	budget  budget     // of the queue and of what is being written
	conn    *net.TCPConn
	cancel  context.CancelFunc // ends the dial in progress
	resets  uint64
	alive   bool // the peer showed a sign of life: backing off ends
	retired bool // the goroutine has ended
}

func (t *netTransport) SendFrame(to netip.AddrPort, b []byte) error {
	if err := checkSend(to, len(b), MaxFrame); err != nil {
		return err
	}
	frame := newFrame(b)
	for {
		p, err := t.peer(to)
		if err != nil {
			return err
		}
		if retired, err := p.enqueue(frame); !retired {
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
	t.peers[addr] = p
	t.running.Go(p.run) // ends when idle and by Close, which waits
	return p, nil
}

func (p *peer) enqueue(frame []byte) (retired bool, err error) {
	p.mu.Lock()
	if p.retired {
		p.mu.Unlock()
		return true, nil
	}
	err = p.budget.take(len(frame))
	if err == nil {
		p.queue = append(p.queue, frame)
	}
	p.mu.Unlock()
	p.poke()
	return false, err
}

func (p *peer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// signOfLife ends backing off: the peer has just reached us.
func (p *peer) signOfLife() {
	p.mu.Lock()
	p.alive = true
	p.mu.Unlock()
	p.poke()
}

// interrupt breaks the stream and the dial in progress; the transport is closing.
func (p *peer) interrupt() {
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
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resets++
	p.dropLocked()
	if p.cancel != nil {
		p.cancel()
	}
	if p.conn != nil {
		_ = p.conn.SetLinger(0) // the system must not deliver what it holds
		_ = p.conn.Close()
	}
}

func (p *peer) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked()
}

func (p *peer) dropLocked() {
	p.transport.counters.framesLost.Add(uint64(len(p.queue)))
	for _, frame := range p.queue {
		p.budget.give(len(frame))
	}
	p.queue = nil
}

func (p *peer) run() {
	defer p.drop()
	var backoff time.Duration
	for verify := false; ; {
		if !verify && !p.waitForFrames() {
			return
		}
		verify = false
		conn, resets, err := p.dial()
		switch {
		case err == nil:
			backoff = 0
			verify = p.stream(conn, resets)
			continue
		case p.stopping():
			return
		case p.resetSince(resets):
			continue
		}
		p.drop()
		if errors.Is(err, syscall.ECONNREFUSED) {
			p.transport.reportRefused(p.addr)
		}
		backoff = min(max(2*backoff, firstBackoff), longestBackoff)
		if !p.backOff(backoff) {
			return
		}
	}
}

func (p *peer) stopping() bool {
	select {
	case <-p.transport.stop:
		return true
	default:
		return false
	}
}

func (p *peer) resetSince(resets uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resets != resets
}

// waitForFrames waits until there is something to send; false ends the goroutine: the transport closes, or nothing
// came for the idle time.
func (p *peer) waitForFrames() bool {
	idle := time.NewTimer(idleTimeout)
	defer idle.Stop()
	for {
		p.mu.Lock()
		some := len(p.queue) > 0
		p.mu.Unlock()
		if some {
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

// retire takes the peer off the transport's table, unless a frame came at the last moment.
func (p *peer) retire() bool {
	p.transport.mu.Lock()
	defer p.transport.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) > 0 {
		return false
	}
	p.retired = true
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

// dial opens a stream; resets is the count at its begin, so that a reset during or after it is noticed.
func (p *peer) dial() (conn *net.TCPConn, resets uint64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	p.mu.Lock()
	p.cancel, resets = cancel, p.resets
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.cancel = nil
		p.mu.Unlock()
	}()
	if p.stopping() { // Close did not see cancel
		return nil, resets, ErrClosed
	}
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", p.addr.String())
	if err != nil {
		return nil, resets, err
	}
	conn = c.(*net.TCPConn)
	if conn.LocalAddr().String() == conn.RemoteAddr().String() {
		// TCP's simultaneous open: nobody listens, and the system chose that very port for our side.
		_ = conn.Close()
		return nil, resets, syscall.ECONNREFUSED
	}
	p.transport.counters.dialled.Add(1)
	return conn, resets, nil
}

// stream writes frames until the connection breaks, is reset, idles or the transport closes. It reports whether the
// connection was used and then broken by the other side: worth a dial to see what became of it.
func (p *peer) stream(conn *net.TCPConn, resets uint64) (verify bool) {
	p.mu.Lock()
	p.conn = conn
	usable := p.resets == resets && !p.stopping() // else reset or Close did not see the connection
	p.mu.Unlock()
	broken := make(chan struct{})
	go func() { // ends with the connection, below
		defer close(broken)
		var none [1]byte
		_, _ = conn.Read(none[:]) // peers never write on this stream: whatever comes is its end
	}()
	var used, idled bool
	if usable {
		used, idled = p.write(conn, resets, broken)
	}
	p.mu.Lock()
	p.conn = nil
	verify = used && !idled && p.resets == resets
	p.mu.Unlock()
	_ = conn.Close() // the stream is over either way
	<-broken
	return verify && !p.stopping()
}

func (p *peer) write(conn *net.TCPConn, resets uint64, broken <-chan struct{}) (used, idled bool) {
	idle := time.NewTimer(idleTimeout)
	defer idle.Stop()
	buffers := net.Buffers{p.transport.preamble}
	for {
		frames, size, ok := p.take(resets)
		if !ok {
			return used, false
		}
		buffers = append(buffers, frames...)
		if len(buffers) > 0 {
			_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // an error shows in the write
			_, err := buffers.WriteTo(conn)
			p.written(len(frames), size, err)
			if err != nil {
				return used, false
			}
			used = used || len(frames) > 0
			buffers = nil
			idle.Reset(idleTimeout)
			continue
		}
		select {
		case <-p.transport.stop:
			return used, false
		case <-broken:
			return used, false
		case <-p.wake:
		case <-idle.C:
			return used, true
		}
	}
}

// take hands over the queue; what it holds stays on the budget until written. After a reset it hands over nothing: what
// was queued since then belongs to the next stream.
func (p *peer) take(resets uint64) (frames [][]byte, size int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resets != resets {
		return nil, 0, false
	}
	frames, p.queue = p.queue, nil
	for _, frame := range frames {
		size += len(frame)
	}
	return frames, size, true
}

func (p *peer) written(count, size int, err error) {
	p.mu.Lock()
	p.budget.frames -= count
	p.budget.bytes -= size
	p.mu.Unlock()
	if err != nil {
		p.transport.counters.framesLost.Add(uint64(count))
	} else {
		p.transport.counters.framesSent.Add(uint64(count))
	}
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

// resetPeer breaks the stream to a peer: frames queued or on their way are lost.
func (t *netTransport) resetPeer(addr netip.AddrPort) {
	t.mu.Lock()
	p := t.peers[addr]
	t.mu.Unlock()
	if p != nil {
		p.reset()
	}
}

// Metrics counts what the transport did.
func (t *netTransport) Metrics() Metrics { return t.counters.metrics() }
