package transport

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// This file puts requests and byte streams under rules. A request whose way is cut never arrives; one whose answer's way
// is cut is served, and the caller does not hear of it.

// travel waits as long as the way takes. cuts is the count when what travels left. Over a cut it waits for the end of
// ctx, or until the sender gives up, which is lost.
func (t *ruled) travel(ctx context.Context, w way, cuts uint64, lost error) error {
	rule, now := t.rules.look(w)
	takes, last := rule.delay, error(nil)
	if rule.cut || now != cuts {
		takes, last = dialTimeout, fmt.Errorf("%w: no answer", lost)
	}
	if takes == 0 {
		return nil
	}
	timer := time.NewTimer(takes)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.stop:
		return ErrClosed
	case <-timer.C:
	}
	if _, now = t.rules.look(w); last == nil && now != cuts {
		return fmt.Errorf("%w: no answer", lost)
	}
	return last
}

func (t *ruled) Request(ctx context.Context, to netip.AddrPort, kind Kind, b []byte) ([]byte, error) {
	forth, back := way{t.Addr(), to}, way{to, t.Addr()}
	_, there := t.rules.look(forth)
	_, here := t.rules.look(back)
	if err := t.travel(ctx, forth, there, ErrUnreachable); err != nil {
		return nil, err
	}
	response, err := t.Transport.Request(ctx, to, kind, b)
	if errors.Is(err, ErrClosed) || errors.Is(err, ErrQueueFull) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrAddress) {
		return nil, err // nothing has travelled, except for an answer that is too large
	}
	if lost := t.travel(ctx, back, here, ErrBroken); lost != nil {
		return nil, lost
	}
	return response, err
}

func (t *ruled) Handle(kind Kind, h RequestHandler) {
	if h == nil {
		t.Transport.Handle(kind, nil)
		return
	}
	t.Transport.Handle(kind, func(ctx context.Context, from From, b []byte) ([]byte, error) {
		if t.rules.isCut(way{from.Addr, t.Addr()}) {
			<-ctx.Done() // it has not arrived
			return nil, ctx.Err()
		}
		return h(ctx, from, b)
	})
}

func (t *ruled) OpenStream(ctx context.Context, to netip.AddrPort, kind Kind) (Stream, error) {
	forth := way{t.Addr(), to}
	_, cuts := t.rules.look(forth)
	if err := t.travel(ctx, forth, cuts, ErrUnreachable); err != nil {
		return nil, err
	}
	s, err := t.Transport.OpenStream(ctx, to, kind)
	if err != nil {
		return nil, err
	}
	return &ruledStream{Stream: s, ctx: ctx, transport: t, to: to}, nil
}

func (t *ruled) HandleStream(kind Kind, h StreamHandler) {
	if h == nil {
		t.Transport.HandleStream(kind, nil)
		return
	}
	t.Transport.HandleStream(kind, func(ctx context.Context, from From, s Stream) {
		if !t.rules.isCut(way{from.Addr, t.Addr()}) {
			h(ctx, from, &ruledStream{Stream: s, ctx: ctx, transport: t, to: from.Addr})
		}
	})
}

// ruledStream delays what is written. A cut, in either direction, breaks the stream below it.
type ruledStream struct {
	Stream
	ctx       context.Context //nolint:containedctx // that of the stream's whole life
	transport *ruled
	to        netip.AddrPort
}

func (s *ruledStream) Write(b []byte) (int, error) {
	w := way{s.transport.Addr(), s.to}
	_, cuts := s.transport.rules.look(w)
	if err := s.transport.travel(s.ctx, w, cuts, ErrBroken); err != nil {
		return 0, err
	}
	return s.Stream.Write(b)
}
