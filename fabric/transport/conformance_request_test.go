package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	kindEcho  = Kind(1)
	kindBulk  = Kind(2)<<14 | 1
	kindOther = Kind(1)<<14 | 7
)

func echo(_ context.Context, _ From, b []byte) ([]byte, error) { return b, nil }

// soon bounds a request of a test.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// asks is what every transport must do with requests and byte streams.
func asks(t *testing.T, open func(t *testing.T, n int) []Transport) {
	t.Helper()
	opened := func(t *testing.T, n int) ([]Transport, []*recorder) {
		t.Helper()
		noLeaks(t)
		transports := open(t, n)
		for _, tr := range transports {
			t.Cleanup(func() { must(t, tr.Close()) })
		}
		return transports, start(t, transports...)
	}
	t.Run("a request is answered, in both directions and by itself", func(t *testing.T) {
		tr, _ := opened(t, 2)
		for i := range tr {
			tr[i].Handle(kindEcho, func(_ context.Context, from From, b []byte) ([]byte, error) {
				return fmt.Appendf(b, " from %v at %d", from.Addr, i), nil
			})
		}
		for _, way := range [][2]int{{0, 1}, {1, 0}, {0, 0}} {
			got, err := tr[way[0]].Request(soon(t), tr[way[1]].Addr(), kindEcho, []byte("hello"))
			must(t, err)
			if want := fmt.Sprintf("hello from %v at %d", tr[way[0]].Addr(), way[1]); string(got) != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
	t.Run("the asker is known", func(t *testing.T) {
		noLeaks(t)
		tr := open(t, 2)
		who := []Identity{someone(), someone()}
		for i := range tr {
			tr[i].Start(who[i], newRecorder())
			t.Cleanup(func() { must(t, tr[i].Close()) })
		}
		tr[1].Handle(kindEcho, func(_ context.Context, from From, b []byte) ([]byte, error) {
			return fmt.Append(nil, from.Identity == who[0]), nil
		})
		if got, err := tr[0].Request(soon(t), tr[1].Addr(), kindEcho, nil); err != nil || string(got) != "true" {
			t.Fatalf("%s, %v", got, err)
		}
	})
	t.Run("sizes are bounded", func(t *testing.T) {
		tr, _ := opened(t, 2)
		tr[1].Handle(kindEcho, echo)
		tr[1].Handle(kindOther, func(_ context.Context, _ From, b []byte) ([]byte, error) { return make([]byte, MaxFrame+len(b)), nil })
		for _, size := range []int{0, 1, maxChunk - headBytes, maxChunk - headBytes + 1, MaxFrame - 1, MaxFrame} {
			body := bytes.Repeat([]byte{'x'}, size)
			if got, err := tr[0].Request(soon(t), tr[1].Addr(), kindEcho, body); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes: %d, %v", size, len(got), err)
			}
		}
		if _, err := tr[0].Request(soon(t), tr[1].Addr(), kindEcho, make([]byte, MaxFrame+1)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a request too large: %v", err)
		}
		if got, err := tr[0].Request(soon(t), tr[1].Addr(), kindOther, nil); err != nil || len(got) != MaxFrame {
			t.Errorf("the largest answer: %d, %v", len(got), err)
		}
		if _, err := tr[0].Request(soon(t), tr[1].Addr(), kindOther, []byte{1}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("an answer too large: %v", err)
		}
	})
	t.Run("what cannot be answered is said", func(t *testing.T) {
		tr, _ := opened(t, 3)
		long := strings.Repeat("x", MaxErrorText)
		tr[1].Handle(kindEcho, func(_ context.Context, _ From, b []byte) ([]byte, error) { return nil, errors.New(string(b) + long) })
		var remote *RemoteError
		if _, err := tr[0].Request(soon(t), tr[1].Addr(), kindEcho, []byte("no: ")); !errors.As(err, &remote) || remote.Text != ("no: " + long)[:MaxErrorText] {
			t.Errorf("a handler's error: %v", err)
		}
		if _, err := tr[0].Request(soon(t), tr[1].Addr(), kindOther, nil); !errors.Is(err, ErrNoHandler) {
			t.Errorf("no handler: %v", err)
		}
		tr[1].Handle(kindEcho, nil)
		if _, err := tr[0].Request(soon(t), tr[1].Addr(), kindEcho, nil); !errors.Is(err, ErrNoHandler) {
			t.Errorf("no handler any more: %v", err)
		}
		tr[1].Enter(ClusterID{1})
		if _, err := tr[0].Request(soon(t), tr[1].Addr(), kindEcho, nil); !errors.Is(err, ErrForeignCluster) {
			t.Errorf("another cluster: %v", err)
		}
		if _, err := tr[0].Request(soon(t), netip.AddrPort{}, kindEcho, nil); !errors.Is(err, ErrAddress) {
			t.Errorf("no address: %v", err)
		}
		must(t, tr[2].Close())
		if _, err := tr[0].Request(soon(t), tr[2].Addr(), kindEcho, nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("nobody there: %v", err)
		}
		if _, err := tr[2].Request(soon(t), tr[0].Addr(), kindEcho, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
	t.Run("a caller that gives up or has no time left is told to the handler", func(t *testing.T) {
		tr, _ := opened(t, 2)
		begun, ended := make(chan struct{}, 2), make(chan error, 2)
		tr[1].Handle(kindEcho, func(ctx context.Context, _ From, _ []byte) ([]byte, error) {
			begun <- struct{}{}
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		if _, err := tr[0].Request(ctx, tr[1].Addr(), kindEcho, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the handler of what was given up: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := tr[0].Request(ctx, tr[1].Addr(), kindEcho, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no time left: %v", err)
		}
		<-ended
	})
	t.Run("many requests at once come to their own answers", func(t *testing.T) {
		tr, _ := opened(t, 2)
		tr[1].Handle(kindEcho, echo)
		tr[1].Handle(kindBulk, echo)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				body := bytes.Repeat([]byte{byte(i)}, i*300)
				kind := kindEcho
				if i%2 == 0 {
					kind = kindBulk
				}
				if got, err := tr[0].Request(soon(t), tr[1].Addr(), kind, body); err != nil || !bytes.Equal(got, body) {
					t.Errorf("request %d: %d bytes, %v", i, len(got), err)
				}
			})
		}
		all.Wait()
	})
	t.Run("requests that wait are bounded, and end with the transport", func(t *testing.T) {
		tr, _ := opened(t, 2)
		begun := make(chan struct{}, MaxRequests)
		tr[1].Handle(kindEcho, func(ctx context.Context, _ From, b []byte) ([]byte, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		results := make(chan error, MaxRequests)
		for range MaxRequests {
			go func() {
				_, err := tr[0].Request(t.Context(), tr[1].Addr(), kindEcho, nil)
				results <- err
			}()
		}
		for range MaxRequests {
			<-begun
		}
		if _, err := tr[0].Request(soon(t), tr[1].Addr(), kindEcho, nil); !errors.Is(err, ErrQueueFull) {
			t.Errorf("request %d: %v", MaxRequests+1, err)
		}
		must(t, tr[1].Close())
		for range MaxRequests {
			if err := <-results; !errors.Is(err, ErrBroken) {
				t.Fatalf("the peer has closed: %v", err)
			}
		}
	})
	t.Run("a byte stream carries both directions to their ends", func(t *testing.T) {
		tr, _ := opened(t, 2)
		tr[1].HandleStream(kindBulk, func(_ context.Context, from From, s Stream) {
			sum := sha256.New()
			n, err := io.Copy(sum, s)
			if err == nil && from.Addr == tr[0].Addr() {
				_, _ = fmt.Fprintf(s, "%d %x", n, sum.Sum(nil))
				_ = s.CloseWrite()
			}
		})
		const size = 3*StreamWindow + 12345
		data := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		s, err := tr[0].OpenStream(soon(t), tr[1].Addr(), kindBulk)
		must(t, err)
		if n, err := s.Write(data); n != size || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		must(t, s.CloseWrite())
		got, err := io.ReadAll(s)
		must(t, err)
		if want := fmt.Sprintf("%d %x", size, sha256.Sum256(data)); string(got) != want {
			t.Fatalf("%s, want %s", got, want)
		}
		must(t, s.Close())
	})
	t.Run("a reader that rests stops the writer, and no control request", func(t *testing.T) {
		tr, _ := opened(t, 2)
		tr[1].Handle(kindEcho, echo)
		read := make(chan struct{})
		tr[1].HandleStream(kindBulk, func(ctx context.Context, _ From, s Stream) {
			select {
			case <-read:
			case <-ctx.Done():
				return
			}
			_, _ = io.Copy(io.Discard, s)
			_ = s.CloseWrite()
		})
		s, err := tr[0].OpenStream(soon(t), tr[1].Addr(), kindBulk)
		must(t, err)
		written := make(chan error, 1)
		go func() {
			_, err := s.Write(make([]byte, 4*StreamWindow))
			written <- errors.Join(err, s.CloseWrite())
		}()
		for range 20 { // the writer is under way or stopped, and these pass
			_, err := tr[0].Request(soon(t), tr[1].Addr(), kindEcho, []byte("control"))
			must(t, err)
		}
		select {
		case err := <-written:
			t.Fatalf("everything was written although nobody reads: %v", err)
		default:
		}
		close(read)
		must(t, <-written)
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		must(t, s.Close())
	})
	t.Run("a byte stream that is left unfinished is broken on the other side", func(t *testing.T) {
		tr, _ := opened(t, 2)
		half, seen := make(chan struct{}, 2), make(chan error, 2)
		tr[1].HandleStream(kindBulk, func(_ context.Context, _ From, s Stream) {
			_, _ = io.ReadFull(s, make([]byte, 4))
			half <- struct{}{}
			_, err := io.Copy(io.Discard, s)
			seen <- err
		})
		s, err := tr[0].OpenStream(soon(t), tr[1].Addr(), kindBulk)
		must(t, err)
		_, err = s.Write([]byte("half"))
		must(t, err)
		<-half
		must(t, s.Close())
		if err := <-seen; !errors.Is(err, ErrBroken) {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		s, err = tr[0].OpenStream(ctx, tr[1].Addr(), kindBulk)
		must(t, err)
		_, err = s.Write([]byte("half"))
		must(t, err)
		cancel()
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
	t.Run("a byte stream that nobody serves is refused, and their number is bounded", func(t *testing.T) {
		tr, _ := opened(t, 2)
		s, err := tr[0].OpenStream(soon(t), tr[1].Addr(), kindOther)
		must(t, err)
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, ErrNoHandler) {
			t.Fatal(err)
		}
		tr[1].HandleStream(kindBulk, func(ctx context.Context, _ From, _ Stream) { <-ctx.Done() })
		for i := range MaxStreams {
			if _, err := tr[0].OpenStream(soon(t), tr[1].Addr(), kindBulk); err != nil {
				t.Fatalf("stream %d: %v", i+1, err)
			}
		}
		if _, err := tr[0].OpenStream(soon(t), tr[1].Addr(), kindBulk); !errors.Is(err, ErrQueueFull) {
			t.Fatalf("stream %d: %v", MaxStreams+1, err)
		}
	})
}

func TestConformanceOfRequests(t *testing.T) {
	t.Run("net", func(t *testing.T) { asks(t, openNet) })
	t.Run("sealed net", func(t *testing.T) { asks(t, openSealed) })
	t.Run("memory", func(t *testing.T) { asks(t, openMemory) })
	t.Run("rules over net", func(t *testing.T) { asks(t, underRules(openNet)); cutRequests(t, openNet) })
	t.Run("rules over sealed net", func(t *testing.T) { asks(t, underRules(openSealed)); cutRequests(t, openSealed) })
	t.Run("rules over memory", func(t *testing.T) { asks(t, underRules(openMemory)); cutRequests(t, openMemory) })
}

// cutRequests is what rules must do to requests and byte streams.
func cutRequests(t *testing.T, open func(t *testing.T, n int) []Transport) {
	t.Helper()
	opened := func(t *testing.T) (*Rules, []Transport) {
		t.Helper()
		noLeaks(t)
		rules, tr := NewRules(), open(t, 2)
		for i := range tr {
			tr[i] = rules.Wrap(tr[i])
			t.Cleanup(func() { must(t, tr[i].Close()) })
		}
		start(t, tr...)
		return rules, tr
	}
	short := func(t *testing.T) context.Context {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	t.Run("a cut request never arrives, a cut answer is not heard", func(t *testing.T) {
		rules, tr := opened(t)
		arrived := make(chan string, 10)
		tr[1].Handle(kindEcho, func(_ context.Context, _ From, b []byte) ([]byte, error) {
			arrived <- string(b)
			return b, nil
		})
		_, err := tr[0].Request(soon(t), tr[1].Addr(), kindEcho, []byte("before"))
		must(t, err)
		rules.Cut(tr[0].Addr(), tr[1].Addr())
		if _, err := tr[0].Request(short(t), tr[1].Addr(), kindEcho, []byte("cut")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a cut request: %v", err)
		}
		rules.Heal()
		rules.Cut(tr[1].Addr(), tr[0].Addr())
		if _, err := tr[0].Request(short(t), tr[1].Addr(), kindEcho, []byte("unheard")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a cut answer: %v", err)
		}
		rules.Heal()
		_, err = tr[0].Request(soon(t), tr[1].Addr(), kindEcho, []byte("after"))
		must(t, err)
		for _, want := range []string{"before", "unheard", "after"} {
			if got := <-arrived; got != want {
				t.Fatalf("%q arrived, want %q", got, want)
			}
		}
	})
	for _, forth := range []bool{true, false} {
		t.Run(fmt.Sprintf("a cut breaks a byte stream, that of the writer's way: %t", forth), func(t *testing.T) {
			rules, tr := opened(t)
			tr[1].HandleStream(kindBulk, func(_ context.Context, _ From, s Stream) { _, _ = io.Copy(io.Discard, s) })
			s, err := tr[0].OpenStream(soon(t), tr[1].Addr(), kindBulk)
			must(t, err)
			_, err = s.Write([]byte("before"))
			must(t, err)
			from, to := tr[0].Addr(), tr[1].Addr()
			if !forth {
				from, to = to, from
			}
			rules.Cut(from, to)
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, ErrBroken) {
				t.Errorf("cut: %v", err)
			}
		})
	}
	t.Run("both ways are delayed", func(t *testing.T) {
		rules, tr := opened(t)
		tr[1].Handle(kindEcho, echo)
		rules.Delay(tr[0].Addr(), tr[1].Addr(), 10*time.Millisecond)
		rules.Delay(tr[1].Addr(), tr[0].Addr(), 20*time.Millisecond)
		begin := time.Now()
		_, err := tr[0].Request(soon(t), tr[1].Addr(), kindEcho, nil)
		must(t, err)
		if took := time.Since(begin); took < 30*time.Millisecond {
			t.Errorf("delays of 30 ms took %v", took)
		}
	})
}
