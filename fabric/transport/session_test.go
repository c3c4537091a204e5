package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// chunks are those that a session would send now, without their payloads.
func chunks(t *testing.T, s *session) (all []chunk) {
	t.Helper()
	for {
		record, ok := s.fill(nil, s.now())
		if !ok || len(record) == 0 {
			return all
		}
		for len(record) > 0 {
			c, rest, err := readChunk(record)
			must(t, err)
			all, record = append(all, c), rest
		}
	}
}

func idle() {}

func TestControlGoesFirstAndBulkIsNotStarved(t *testing.T) {
	s := newSession(&exchange{}, true, idle)
	big := make([]byte, MaxFrame)
	for _, kind := range []Kind{kindBulk, kindOther, kindOther, kindEcho} {
		_, err := s.ask(t.Context(), kind, big)
		must(t, err)
	}
	must(t, s.sendFrame([]byte("frame")))
	all := chunks(t, s)
	lanes := map[uint64]Lane{} // by number, which is given as an exchange begins
	for _, c := range all {
		if c.kind == chunkRequest {
			h, _, err := readHead(c.payload)
			must(t, err)
			lanes[c.id] = h.kind.Lane()
		}
	}
	control, frame, since := 0, -1, 0
	for i, c := range all {
		switch {
		case c.id == 0:
			frame = i
		case lanes[c.id] == LaneControl:
			if control = i; i > MaxFrame/maxChunk+2 {
				t.Fatalf("chunk %d is of a control request, after others", i)
			}
		case lanes[c.id] == LaneOrdinary:
			if since++; since >= bulkShare && i < 2*MaxFrame/maxChunk {
				t.Fatalf("%d chunks without one of bulk, at %d", since, i)
			}
		case lanes[c.id] == LaneBulk:
			since = 0
		}
	}
	if frame < 0 || frame > 1 {
		t.Errorf("the frame is chunk %d of %d: it waited for a large request", frame, len(all))
	}
	for i := 1; i < control; i++ {
		if all[i].id != 0 && lanes[all[i].id] != LaneControl {
			t.Errorf("chunk %d of lane %d before control has ended", i, lanes[all[i].id])
		}
	}
}

func TestEqualRequestsShareTheirLane(t *testing.T) {
	s := newSession(&exchange{}, true, idle)
	for range 3 {
		_, err := s.ask(t.Context(), kindOther, make([]byte, 4*maxChunk))
		must(t, err)
	}
	all := chunks(t, s)
	for i := range 12 {
		if all[i].id != uint64(i%3)+1 {
			t.Fatalf("chunk %d is of request %d", i, all[i].id)
		}
	}
}

func TestRequestsToAPeerAreBounded(t *testing.T) {
	s := newSession(&exchange{}, true, idle)
	body := make([]byte, MaxFrame-headBytes)
	for range MaxQueuedBytes / MaxFrame {
		_, err := s.ask(t.Context(), kindBulk, body)
		must(t, err)
	}
	if _, err := s.ask(t.Context(), kindBulk, nil); !errors.Is(err, ErrQueueFull) {
		t.Errorf("over %d bytes: %v", MaxQueuedBytes, err)
	}
	chunks(t, s) // all are on their way
	if _, err := s.ask(t.Context(), kindBulk, nil); err != nil {
		t.Errorf("with room again: %v", err)
	}
	s.close(ErrClosed)
}

// asked is an acceptor's session whose handlers wait for their end.
func asked(t *testing.T) *session {
	t.Helper()
	x := &exchange{}
	x.Handle(kindEcho, func(ctx context.Context, _ From, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	x.HandleStream(kindBulk, func(ctx context.Context, _ From, _ Stream) { <-ctx.Done() })
	s := newSession(x, false, idle)
	t.Cleanup(func() { s.close(ErrClosed); x.serving.Wait() })
	return s
}

func asking(kind chunkKind, id uint64, of Kind, body []byte, last bool) []byte {
	h := head{kind: of}
	return appendChunk(nil, chunk{kind, last, id, append(h.append(nil), body...)})
}

// outcomes are those that a session answers now.
func outcomes(t *testing.T, s *session) (all []outcome) {
	t.Helper()
	for _, c := range chunks(t, s) {
		if c.kind == chunkResponse || c.kind == chunkCancel {
			all = append(all, outcome(c.payload[0]))
		}
	}
	return all
}

func TestWhatAPeerAsksIsBounded(t *testing.T) {
	t.Run("in number", func(t *testing.T) {
		s := asked(t)
		for id := range uint64(MaxServed) {
			must(t, s.receive(asking(chunkRequest, id+1, kindEcho, nil, true), 0))
		}
		if got := outcomes(t, s); len(got) > 0 {
			t.Fatalf("refused: %v", got)
		}
		must(t, s.receive(asking(chunkRequest, MaxServed+1, kindEcho, nil, true), 0))
		if got := outcomes(t, s); len(got) != 1 || got[0] != outcomeBusy {
			t.Fatalf("request %d: %v", MaxServed+1, got)
		}
	})
	t.Run("in bytes", func(t *testing.T) {
		s, id := asked(t), uint64(0)
		for range MaxHeldBytes / maxChunk {
			id++
			must(t, s.receive(asking(chunkRequest, id, kindEcho, nil, false), 0))
			must(t, s.receive(appendChunk(nil, chunk{chunkMore, false, id, make([]byte, maxChunk)}), 0))
			if id == 1000 {
				break // MaxServed is near: the rest goes on in what has begun
			}
		}
		for n := uint64(0); s.held+maxChunk <= MaxHeldBytes; n++ {
			must(t, s.receive(appendChunk(nil, chunk{chunkMore, false, n%id + 1, make([]byte, maxChunk)}), 0))
		}
		if got := outcomes(t, s); len(got) > 0 {
			t.Fatalf("refused: %v", got)
		}
		must(t, s.receive(appendChunk(nil, chunk{chunkMore, false, 1, make([]byte, maxChunk)}), 0))
		if got := outcomes(t, s); len(got) != 1 || got[0] != outcomeBusy || s.held > MaxHeldBytes {
			t.Fatalf("beyond the bytes: %v, %d held", got, s.held)
		}
	})
	t.Run("in streams", func(t *testing.T) {
		s := asked(t)
		for id := range uint64(MaxStreams) {
			must(t, s.receive(asking(chunkOpen, id+1, kindBulk, nil, false), 0))
		}
		must(t, s.receive(asking(chunkOpen, MaxStreams+1, kindBulk, nil, false), 0))
		if got := outcomes(t, s); len(got) != 1 || got[0] != outcomeBusy {
			t.Fatalf("stream %d: %v", MaxStreams+1, got)
		}
	})
}

// What breaks the protocol ends the stream; nothing is delivered of it.
func TestWhatBreaksTheProtocolIsAnError(t *testing.T) {
	request := asking(chunkRequest, 5, kindEcho, nil, false)
	stream := asking(chunkOpen, 5, kindBulk, nil, false)
	more := func(size int, last bool) []byte {
		return appendChunk(nil, chunk{chunkMore, last, 5, make([]byte, size)})
	}
	body := func(sizes ...int) (all []byte) {
		all = bytes.Clone(request)
		for _, size := range sizes {
			for size > 0 {
				all = append(all, more(min(size, maxChunk), false)...)
				size -= min(size, maxChunk)
			}
		}
		return all
	}
	for _, tc := range []struct {
		name   string
		record []byte
		want   bool
	}{
		{"a request", request, true},
		{"the largest request", body(MaxFrame), true},
		{"a request too large", body(MaxFrame, 1), false},
		{"a number that comes again", append(bytes.Clone(request), request...), false},
		{"a number that goes back", append(bytes.Clone(request), asking(chunkRequest, 4, kindEcho, nil, true)...), false},
		{"more of what has not begun", more(1, false), false},
		{"more after the last", append(append(bytes.Clone(request), more(1, true)...), more(1, true)...), false},
		{"a head that is cut off", appendChunk(nil, chunk{chunkRequest, true, 5, make([]byte, headBytes-1)}), false},
		{"an answer to nothing", appendChunk(nil, chunk{chunkResponse, true, 5, []byte{0}}), false},
		{"a frame with a number", appendChunk(nil, chunk{chunkFrame, true, 5, nil}), false},
		{"a whole window", append(append(bytes.Clone(stream), bytes.Repeat(more(maxChunk, false), StreamWindow/maxChunk)...), more(0, false)...), true},
		{"a byte beyond the window", append(append(bytes.Clone(stream), bytes.Repeat(more(maxChunk, false), StreamWindow/maxChunk)...), more(1, false)...), false},
		{"a window that was not used", append(bytes.Clone(stream), appendChunk(nil, chunk{chunkWindow, true, 5, []byte{1, 0, 0, 0}})...), false},
		{"a window of three bytes", append(bytes.Clone(stream), appendChunk(nil, chunk{chunkWindow, true, 5, []byte{0, 0, 0}})...), false},
		{"an unknown kind", appendChunk(nil, chunk{chunkKinds, true, 5, nil}), false},
		{"a chunk that is cut off", request[:len(request)-1], false},
		{"a chunk too large", append(binary.LittleEndian.AppendUint16(bytes.Clone(request[:9]), maxChunk+1), make([]byte, maxChunk+1)...), false},
		{"the cancel of nothing", appendChunk(nil, chunk{chunkCancel, true, 5, nil}), false},
		{"the cancel of what is served", append(bytes.Clone(request), appendChunk(nil, chunk{chunkCancel, true, 5, []byte{6}})...), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := asked(t).receive(tc.record, 0); (err == nil) != tc.want {
				t.Fatal(err)
			}
		})
	}
}

func TestAFrameInPartsIsBounded(t *testing.T) {
	s := newSession(&exchange{}, false, idle)
	sizes := []int{}
	s.frame = func(_ netip.AddrPort, b []byte) { sizes = append(sizes, len(b)) }
	send := func(size int) error {
		out := newSession(&exchange{}, true, idle)
		must(t, out.sendFrame(make([]byte, size)))
		for _, c := range chunks(t, out) {
			if err := s.receive(appendChunk(nil, c), 0); err != nil {
				return err
			}
		}
		return nil
	}
	for _, size := range []int{0, 1, maxChunk, maxChunk + 1, MaxFrame} {
		must(t, send(size))
	}
	if fmt.Sprint(sizes) != fmt.Sprint([]int{0, 1, maxChunk, maxChunk + 1, MaxFrame}) {
		t.Fatal(sizes)
	}
	if err := send(MaxFrame + 1); !errors.Is(err, errChunk) {
		t.Fatal(err)
	}
}

// What has not begun when a connection breaks goes over the next one; what has begun is lost, and said to be.
func TestWhatHasNotBegunOutlivesAConnection(t *testing.T) {
	s := newSession(&exchange{}, true, idle)
	begun, err := s.ask(t.Context(), kindEcho, nil)
	must(t, err)
	must(t, s.sendFrame([]byte("lost")))
	must(t, s.sendFrame([]byte("kept")))
	if record, _ := s.fill(nil, 0); len(record) == 0 {
		t.Fatal("nothing was sent")
	}
	must(t, s.sendFrame([]byte("later")))
	waiting, err := s.ask(t.Context(), kindEcho, nil)
	must(t, err)
	s.interrupt(ErrBroken)
	if <-begun.done; !errors.Is(begun.err, ErrBroken) {
		t.Error(begun.err)
	}
	if _, ok := s.fill(nil, 0); ok {
		t.Error("the broken connection goes on")
	}
	all := chunks(t, s)
	if len(all) != 2 || string(all[0].payload) != "later" || all[1].kind != chunkRequest {
		t.Errorf("%d chunks", len(all))
	}
	s.drop(ErrUnreachable)
	if <-waiting.done; !errors.Is(waiting.err, ErrUnreachable) {
		t.Error(waiting.err)
	}
}

// Requests over a memory network live in the bubble's time.
func TestRequestsTakeTheirWaysTime(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network, a, b Transport, ra, _ *recorder) {
		t.Helper()
		b.Handle(kindEcho, echo)
		n.SetLinkBetween(a.Addr(), b.Addr(), Link{Latency: 30 * time.Millisecond})
		n.SetLinkBetween(b.Addr(), a.Addr(), Link{Latency: 12 * time.Millisecond})
		begin := time.Now()
		_, err := a.Request(t.Context(), b.Addr(), kindEcho, make([]byte, 100_000))
		must(t, err)
		if took := time.Since(begin); took != 42*time.Millisecond {
			t.Errorf("%v", took)
		}
		n.Cut(b.Addr(), a.Addr())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Request(ctx, b.Addr(), kindEcho, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := a.Request(t.Context(), b.Addr(), kindEcho, nil); !errors.Is(err, ErrUnreachable) {
			t.Error(err)
		}
		n.Heal()
		_, err = a.Request(t.Context(), b.Addr(), kindEcho, nil)
		must(t, err)
		must(t, b.Close())
		if _, err := a.Request(t.Context(), b.Addr(), kindEcho, nil); !errors.Is(err, ErrUnreachable) {
			t.Error(err)
		}
		synctest.Wait()
		if len(ra.got().refused) == 0 {
			t.Error("no refusal was told")
		}
	})
}

func benchmarkPair(b *testing.B, keys *Keyring) (from, to Transport) {
	b.Helper()
	var all []Transport
	for range 2 {
		tr, err := Listen(b.Context(), NetConfig{Addr: "127.0.0.1:0", Keys: keys})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = tr.Close() })
		tr.Start(someone(), newRecorder())
		all = append(all, tr)
	}
	return all[0], all[1]
}

func BenchmarkRequest(b *testing.B) {
	for name, keys := range map[string]*Keyring{"plain": nil, "sealed": NewKeyring(testKey(1))} {
		for _, size := range []int{100, 64 << 10} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				from, to := benchmarkPair(b, keys)
				to.Handle(kindEcho, echo)
				body := make([]byte, size)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := from.Request(b.Context(), to.Addr(), kindEcho, body); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkControlBesideBulk is how long a control request takes while streams of bulk fill the same connection.
func BenchmarkControlBesideBulk(b *testing.B) {
	from, to := benchmarkPair(b, NewKeyring(testKey(1)))
	to.Handle(kindEcho, echo)
	to.HandleStream(kindBulk, func(_ context.Context, _ From, s Stream) { _, _ = io.Copy(io.Discard, s) })
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for range 4 {
		s, err := from.OpenStream(ctx, to.Addr(), kindBulk)
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			part := make([]byte, 64<<10)
			for err := error(nil); err == nil; _, err = s.Write(part) {
			}
		}()
	}
	var longest time.Duration
	for b.Loop() {
		begin := time.Now()
		if _, err := from.Request(ctx, to.Addr(), kindEcho, nil); err != nil {
			b.Fatal(err)
		}
		longest = max(longest, time.Since(begin))
	}
	b.ReportMetric(float64(longest.Microseconds()), "us-longest")
}

func BenchmarkStream(b *testing.B) {
	for name, keys := range map[string]*Keyring{"plain": nil, "sealed": NewKeyring(testKey(1))} {
		b.Run(name, func(b *testing.B) {
			from, to := benchmarkPair(b, keys)
			to.HandleStream(kindBulk, func(_ context.Context, _ From, s Stream) {
				_, _ = io.Copy(io.Discard, s)
				_ = s.CloseWrite()
			})
			s, err := from.OpenStream(b.Context(), to.Addr(), kindBulk)
			if err != nil {
				b.Fatal(err)
			}
			part := make([]byte, 64<<10)
			b.SetBytes(int64(len(part)))
			for b.Loop() {
				if _, err := s.Write(part); err != nil {
					b.Fatal(err)
				}
			}
			_ = s.CloseWrite()
			_, _ = s.Read(part)
		})
	}
}
