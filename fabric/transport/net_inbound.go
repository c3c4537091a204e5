package transport

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// inbound is one incoming stream.
type inbound struct {
	conn    net.Conn
	ip      netip.Addr
	wake    chan struct{}
	session *session
	proven  bool // guarded by the transport's lock
}

// end breaks the stream: nothing more of it is delivered.
func (in *inbound) end(err error) {
	in.session.close(err)
	_ = in.conn.Close() // the stream is over either way
}

func (t *netTransport) accept(h Handler) {
	pause := time.Duration(0)
	for {
		conn, err := t.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, or a connection that was gone again
			pause = min(max(2*pause, firstBackoff), longestBackoff)
			t.logger.Warn("accepting a fabric stream", "event", "transport_accept", "error", err)
			if !t.rest(pause) {
				return
			}
			continue
		}
		pause = 0
		in, ok := t.admit(conn, h)
		if !ok {
			t.counters.rejected.Add(1)
			_ = conn.Close() // it was not taken
			continue
		}
		t.running.Go(func() { t.serve(in) }) // ends with the connection, which Close closes
	}
}

// rest waits; false: the transport closes.
func (t *netTransport) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-t.stop:
		return false
	case <-timer.C:
		return true
	}
}

// admit takes a connection in, unless a bound is reached.
func (t *netTransport) admit(conn net.Conn, h Handler) (*inbound, bool) {
	boundUnsent(conn)
	ip := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.from[ip]
	if of == nil {
		of = &tally{}
	}
	if t.closed || len(t.inbound) >= MaxInbound || t.unproven >= MaxUnprovenInbound ||
		of.open >= MaxInboundPerAddress || of.unproven >= MaxUnprovenPerAddress {
		return nil, false
	}
	in := &inbound{conn: conn, ip: ip, wake: make(chan struct{}, 1)}
	in.session = newSession(&t.exchange, false, func() { poke(in.wake) })
	in.session.frame = h.Frame
	t.inbound[in] = struct{}{}
	t.from[ip] = of
	of.open++
	of.unproven++
	t.unproven++
	return in, true
}

// prove notes that a stream has proven itself.
func (t *netTransport) prove(in *inbound, peer *hello) {
	t.meet(in.session, peer)
	t.counters.accepted.Add(1)
	t.logger.Debug("fabric stream", slog.String("event", "transport_stream"), slog.String("from", peer.addr.String()))
	t.mu.Lock()
	t.provenLocked(in)
	p := t.peers[peer.addr]
	t.mu.Unlock()
	if p != nil {
		p.signOfLife()
	}
}

func (t *netTransport) provenLocked(in *inbound) {
	if !in.proven {
		in.proven = true
		t.from[in.ip].unproven--
		t.unproven--
	}
}

// dismiss takes a stream off the table.
func (t *netTransport) dismiss(in *inbound) {
	in.end(ErrBroken)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.provenLocked(in)
	delete(t.inbound, in)
	if of := t.from[in.ip]; of.open == 1 {
		delete(t.from, in.ip)
	} else {
		of.open--
	}
}

func (t *netTransport) serve(in *inbound) {
	err := t.receive(in)
	if !in.proven { // only this goroutine sets it
		t.counters.rejected.Add(1)
	}
	_, refused := errors.AsType[*greetError](err)
	switch {
	case refused:
		t.sayRefused(in, err)
	case !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed):
		t.logger.Debug("fabric stream ended", "event", "transport_stream_ended", "from", in.conn.RemoteAddr().String(), "error", err)
	}
	t.dismiss(in)
}

// refusalsSaidEvery is the least time between two log records about streams that are not taken: whoever reaches the
// port can cause them.
const refusalsSaidEvery = time.Minute

// sayRefused says in the log why a stream was not taken.
func (t *netTransport) sayRefused(in *inbound, err error) {
	t.mu.Lock()
	now := time.Now()
	silent := !t.said.IsZero() && now.Sub(t.said) < refusalsSaidEvery
	if !silent {
		t.said = now
	}
	t.mu.Unlock()
	if !silent {
		t.logger.Warn("a stream was not taken; more of them are only counted for a minute",
			"event", "transport_refused", "from", in.conn.RemoteAddr().String(), "error", err)
	}
}

// receive greets and takes what comes. Who does not prove to hold the key gets no answer.
func (t *netTransport) receive(in *inbound) error {
	_ = in.conn.SetDeadline(time.Now().Add(helloTimeout)) // an error shows in the read
	conn, proof, err := t.certificates.secure(context.Background(), in.conn, false)
	if err != nil {
		return &greetError{err}
	}
	reader := newReader(conn)
	peer, tag, err := readHello(reader)
	if err != nil {
		return err
	}
	reply, keys, err := t.handshake().answer(&peer, tag)
	if err == nil {
		err = proof.matches(&peer)
	}
	if err != nil {
		return &greetError{err}
	}
	l := newLink(in.conn, conn, reader, in.session, in.session.now(), keys, proof)
	first := func() { t.prove(in, &peer) } // until its first record has come, this may be the repetition of a hello
	if keys.key == nil {
		first()
		first = nil
	}
	written := make(chan struct{})
	broken := make(chan struct{})
	go func() { // ends by broken, below, or with the connection
		defer close(written)
		l.write(reply, 0, in.wake, broken, t.stop)
		_ = in.conn.Close() // the stream is over either way
	}()
	err = l.read(inboundIdle, first)
	close(broken)
	_ = in.conn.Close() // the stream is over either way
	<-written
	return err
}

// resetInbound breaks the streams from a peer: nothing of them is delivered any more.
func (t *netTransport) resetInbound(from netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for in := range t.inbound {
		if in.session.peer().Addr == from {
			in.end(ErrBroken)
		}
	}
}
