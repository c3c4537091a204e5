package transport

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var simSeed = flag.Uint64("sim.seed", 0, "the one seed to run")

// Under loss, cuts, resets and impatience every request comes to its own answer or to an error, every byte stream to its
// own bytes, and afterwards nothing is left on any account.
func TestSim(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, 7, 8, rand.Uint64()}
	if *simSeed != 0 {
		seeds = []uint64{*simSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
			if t.Failed() {
				t.Logf("go test ./fabric/transport -run '^TestSim$' -sim.seed=%d", seed)
			}
		})
	}
}

func simulate(t *testing.T, seed uint64) {
	t.Helper()
	n, random := NewNetwork(seed), rand.New(rand.NewPCG(seed, 1))
	n.SetLink(Link{Latency: 5 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.05})
	var nodes []Transport
	for i := range 3 {
		tr, err := n.Listen(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 1))
		must(t, err)
		tr.Start(someone(), newRecorder())
		tr.Handle(kindEcho, echo)
		tr.Handle(kindBulk, echo)
		tr.Handle(kindOther, func(ctx context.Context, _ From, b []byte) ([]byte, error) { // takes its time
			select {
			case <-time.After(time.Duration(len(b)) * time.Microsecond):
				return b, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		tr.HandleStream(kindBulk, func(_ context.Context, _ From, s Stream) {
			if _, err := io.Copy(s, s); err == nil {
				_ = s.CloseWrite()
			}
		})
		nodes = append(nodes, tr)
	}
	var (
		callers sync.WaitGroup
		mu      sync.Mutex
		done    = map[string]int{}
	)
	for i := range 600 {
		from, to := nodes[random.IntN(3)], nodes[random.IntN(3)]
		kind := []Kind{kindEcho, kindBulk, kindOther}[random.IntN(3)]
		body := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, random.IntN(1<<random.IntN(18)+1))
		patience, begin, streams := time.Duration(random.IntN(400)+1)*time.Millisecond, time.Duration(random.IntN(3000))*time.Millisecond, random.IntN(8) == 0
		callers.Go(func() {
			time.Sleep(begin) // the bubble's time
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var got []byte
			var err error
			if streams {
				got, err = throughStream(ctx, from, to.Addr(), body)
			} else {
				got, err = from.Request(ctx, to.Addr(), kind, body)
			}
			outcome := "answered"
			switch {
			case err == nil && !bytes.Equal(got, body):
				t.Errorf("request %d: %d bytes came back as %d", i, len(body), len(got))
			case err == nil:
			case errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrBroken), errors.Is(err, ErrUnreachable):
				outcome = "lost"
			case errors.Is(err, ErrQueueFull), errors.Is(err, ErrBusy):
				outcome = "refused"
			default:
				t.Errorf("request %d: %v", i, err)
			}
			mu.Lock()
			done[outcome]++
			mu.Unlock()
		})
	}
	for range 30 {
		time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond) // the bubble's time
		a, b := nodes[random.IntN(3)].Addr(), nodes[random.IntN(3)].Addr()
		switch random.IntN(3) {
		case 0:
			n.Cut(a, b)
		case 1:
			n.Reset(a, b)
		case 2:
			n.Heal()
		}
	}
	n.Heal()
	callers.Wait()
	time.Sleep(time.Minute)
	synctest.Wait()
	if done["answered"] < 100 || done["lost"] == 0 {
		t.Errorf("the run shows nothing: %v", done)
	}
	n.mu.Lock()
	for w, p := range n.pairs {
		for _, s := range []*session{p.dialler, p.acceptor} {
			s.mu.Lock()
			if len(s.calls)+len(s.asked)+len(s.served)+len(s.streams)+len(s.opened) > 0 || s.held != 0 || s.asking != (budget{}) || s.waitingLocked() {
				t.Errorf("%v, dialler %t: left %d calls, %d served, %d streams, %d held, %+v asking, something to send: %t",
					w, s.dialler, len(s.calls), len(s.served), len(s.streams), s.held, s.asking, s.waitingLocked())
			}
			s.mu.Unlock()
		}
	}
	n.mu.Unlock()
	for _, tr := range nodes {
		must(t, tr.Close())
	}
}

// throughStream sends bytes through a byte stream and reads them back.
func throughStream(ctx context.Context, from Transport, to netip.AddrPort, body []byte) ([]byte, error) {
	s, err := from.OpenStream(ctx, to, kindBulk)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	go func() { // ends with the stream
		_, _ = s.Write(body)
		_ = s.CloseWrite()
	}()
	return io.ReadAll(s)
}
