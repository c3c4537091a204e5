package transport

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// This file carries requests and byte streams over a Network: the same sessions as over TCP, whose records travel as
// parcels.

func (t *memoryTransport) Request(ctx context.Context, to netip.AddrPort, kind Kind, b []byte) ([]byte, error) {
	if err := checkSend(to, len(b), MaxFrame); err != nil {
		return nil, err
	}
	s, err := t.dial(ctx, to)
	if err != nil {
		return nil, err
	}
	return s.request(ctx, kind, b)
}

func (t *memoryTransport) OpenStream(ctx context.Context, to netip.AddrPort, kind Kind) (Stream, error) {
	if err := checkSend(to, 0, MaxFrame); err != nil {
		return nil, err
	}
	s, err := t.dial(ctx, to)
	if err != nil {
		return nil, err
	}
	b, err := s.open(ctx, kind)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// dial finds or makes the stream to an address. Over a cut it waits in vain; where nobody listens it is refused.
func (t *memoryTransport) dial(ctx context.Context, to netip.AddrPort) (*session, error) {
	n, w := t.network, way{t.addr, to}
	n.mu.Lock()
	peer := n.endpoints[to]
	cut := n.route(w).cut || n.route(way{to, t.addr}).cut
	switch {
	case t.closed:
		n.mu.Unlock()
		return nil, ErrClosed
	case cut:
		n.mu.Unlock()
		return nil, t.rest(ctx, dialTimeout, "no answer")
	case peer == nil:
		takes := n.travel(n.linkOf(n.route(w))) + n.travel(n.linkOf(n.route(way{to, t.addr})))
		n.refuse(w, time.Now())
		n.mu.Unlock()
		return nil, t.rest(ctx, takes, "connection refused")
	}
	defer n.mu.Unlock()
	if p := n.pairs[w]; p != nil {
		return p.dialler, nil
	}
	p := &pair{way: w}
	p.dialler = newSession(&t.exchange, true, func() { n.pump(p, p.dialler, p.acceptor, w) })
	p.acceptor = newSession(&peer.exchange, false, func() { n.pump(p, p.acceptor, p.dialler, way{to, t.addr}) })
	p.dialler.meet(peer.self, to)
	p.acceptor.meet(t.self, t.addr)
	n.pairs[w] = p
	return p.dialler, nil
}

// rest waits before it says why a peer cannot be reached.
func (t *memoryTransport) rest(ctx context.Context, d time.Duration, why string) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.stop:
		return ErrClosed
	case <-timer.C:
		return fmt.Errorf("%w: %s", ErrUnreachable, why)
	}
}

// pump sends all that waits in a session. The network's lock is taken before a session's.
func (n *Network) pump(p *pair, from, to *session, w way) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for !p.broken {
		record, ok := from.fill(nil, from.now())
		if !ok || len(record) == 0 {
			return
		}
		r := n.route(w)
		n.dispatch(parcel{way: w, kind: parcelRecord, payload: record, pair: p, to: to}, r.inOrder(n.retransmit(n.linkOf(r))))
	}
}

// breakPairs ends streams; what was on its way is lost.
func (n *Network) breakPairs(which func(way) bool, err error) {
	for w, p := range n.pairs {
		if which(w) {
			n.breakPair(p, err)
		}
	}
}

func (n *Network) breakPair(p *pair, err error) {
	p.broken = true
	if n.pairs[p.way] == p {
		delete(n.pairs, p.way)
	}
	p.dialler.close(err)
	p.acceptor.close(err)
}
