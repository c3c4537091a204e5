package transport

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// inbound is one incoming stream.
type inbound struct {
	conn  net.Conn
	ip    netip.Addr
	from  netip.AddrPort // what the preamble says; guarded by the transport's lock
	reset atomic.Bool    // nothing more is delivered
}

const inboundBuffer = 16 << 10

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
		in, ok := t.admit(conn)
		if !ok {
			t.counters.rejected.Add(1)
			_ = conn.Close() // it was not taken
			continue
		}
		t.running.Go(func() { t.serve(in, h) }) // ends with the connection, which Close closes
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
func (t *netTransport) admit(conn net.Conn) (*inbound, bool) {
	ip := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.inbound) >= MaxInbound || t.waiting >= MaxUnprovenInbound || t.unproven[ip] >= MaxUnprovenPerAddress {
		return nil, false
	}
	in := &inbound{conn: conn, ip: ip}
	t.inbound[in] = struct{}{}
	t.unproven[ip]++
	t.waiting++
	return in, true
}

// prove takes note of the sender's address, or of its failure to say it.
func (t *netTransport) prove(in *inbound, from netip.AddrPort) {
	t.mu.Lock()
	t.waiting--
	if t.unproven[in.ip]--; t.unproven[in.ip] == 0 {
		delete(t.unproven, in.ip)
	}
	in.from = from
	p := t.peers[from]
	t.mu.Unlock()
	if p != nil {
		p.signOfLife()
	}
}

func (t *netTransport) serve(in *inbound, h Handler) {
	err := t.receive(in, h)
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		t.logger.Debug("fabric stream ended", "event", "transport_stream_ended", "from", in.conn.RemoteAddr().String(), "error", err)
	}
	t.mu.Lock()
	delete(t.inbound, in)
	t.mu.Unlock()
	_ = in.conn.Close() // the stream is over either way
}

func (t *netTransport) receive(in *inbound, h Handler) error {
	_ = in.conn.SetReadDeadline(time.Now().Add(preambleTimeout)) // an error shows in the read
	reader := bufio.NewReaderSize(in.conn, inboundBuffer)
	from, err := readPreamble(reader)
	t.prove(in, from)
	if err != nil {
		t.counters.rejected.Add(1)
		return err
	}
	_ = in.conn.SetReadDeadline(time.Time{})
	t.counters.accepted.Add(1)
	t.logger.Debug("fabric stream", slog.String("event", "transport_stream"), slog.String("from", from.String()))
	var frame []byte
	for {
		if frame, err = readFrame(reader, frame); err != nil {
			return err
		}
		if in.reset.Load() {
			return net.ErrClosed
		}
		t.counters.framesReceived.Add(1)
		h.Frame(from, frame)
		if cap(frame) > readStep { // the large ones are rare
			frame = nil
		}
	}
}

// resetInbound breaks the streams from a peer: nothing of them is delivered any more.
func (t *netTransport) resetInbound(from netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for in := range t.inbound {
		if in.from == from {
			in.reset.Store(true)
			_ = in.conn.Close() // the stream is over either way
		}
	}
}
