package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience bounds every wait for an event; nothing waits that long unless it is broken.
const patience = 20 * time.Second

type message struct {
	from netip.AddrPort
	body string
}

// seen is what a Handler got.
type seen struct {
	datagrams, frames []message
	refused           []netip.AddrPort
}

// recorder is a Handler that keeps what it gets.
type recorder struct {
	mu      sync.Mutex
	seen    seen
	changed chan struct{}
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) note(f func(*seen)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.seen)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) Datagram(from netip.AddrPort, b []byte) {
	r.note(func(s *seen) { s.datagrams = append(s.datagrams, message{from, string(b)}) })
}

func (r *recorder) Frame(from netip.AddrPort, b []byte) {
	r.note(func(s *seen) { s.frames = append(s.frames, message{from, string(b)}) })
}

func (r *recorder) Refused(peer netip.AddrPort) {
	r.note(func(s *seen) { s.refused = append(s.refused, peer) })
}

// got is what came until now.
func (r *recorder) got() seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// until waits until ok holds. It asks after each event, and now and then, so that ok may repeat what can get lost.
func (r *recorder) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-again.C:
		case <-timer.C:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func (r *recorder) untilFrame(t *testing.T, body string) {
	t.Helper()
	r.until(t, "frame "+body, func() bool {
		return len(r.got().frames) > 0 && r.got().frames[len(r.got().frames)-1].body == body
	})
}

// untilDatagram repeats a datagram until it arrives: datagrams may be lost.
func untilDatagram(t *testing.T, from Transport, to Transport, r *recorder, body string) {
	t.Helper()
	r.until(t, "datagram "+body, func() bool {
		for _, d := range r.got().datagrams {
			if d.body == body {
				return true
			}
		}
		must(t, from.SendDatagram(to.Addr(), 0, []byte(body)))
		return false
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// boots counts the processes of a test run.
var boots atomic.Uint64

// someone is a process that nobody else is.
func someone() Identity {
	boot := boots.Add(1)
	return Identity{Node: [16]byte{byte(boot), byte(boot >> 8)}, Boot: boot}
}

// start starts transports and closes them with the test.
func start(t *testing.T, transports ...Transport) []*recorder {
	t.Helper()
	recorders := make([]*recorder, len(transports))
	for i, tr := range transports {
		recorders[i] = newRecorder()
		tr.Start(someone(), recorders[i])
	}
	return recorders
}

// noLeaks fails the test when goroutines of this package outlive it. One that has said that it ends may still be seen
// for a moment.
func noLeaks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		var left string
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
			if left = ownGoroutines(); left == "" {
				return
			}
		}
		t.Errorf("goroutines are left:\n%s", left)
	})
}

func ownGoroutines() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var own []string
	for goroutine := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(goroutine, "fabric/transport.(") && !strings.Contains(goroutine, "testing.tRunner") {
			own = append(own, goroutine)
		}
	}
	return strings.Join(own, "\n\n")
}

// conforms is what every transport must do. open gives n transports that reach each other without faults, and a rule
// table if they have one.
func conforms(t *testing.T, open func(t *testing.T, n int) []Transport) {
	t.Helper()
	opened := func(t *testing.T, n int) []Transport {
		t.Helper()
		noLeaks(t)
		transports := open(t, n)
		for _, tr := range transports {
			t.Cleanup(func() { must(t, tr.Close()) })
		}
		return transports
	}
	t.Run("datagrams and frames arrive, with the sender's address", func(t *testing.T) {
		tr := opened(t, 2)
		r := start(t, tr...)
		untilDatagram(t, tr[0], tr[1], r[1], "datagram")
		must(t, tr[0].SendFrame(tr[1].Addr(), []byte("frame")))
		r[1].untilFrame(t, "frame")
		if r[1].got().datagrams[0].from != tr[0].Addr() || r[1].got().frames[0].from != tr[0].Addr() {
			t.Fatalf("from %v and %v, want %v", r[1].got().datagrams[0].from, r[1].got().frames[0].from, tr[0].Addr())
		}
	})
	t.Run("the sender may reuse its buffer", func(t *testing.T) {
		tr := opened(t, 2)
		b := []byte("first")
		must(t, tr[0].SendFrame(tr[1].Addr(), b))
		copy(b, "XXXXX")
		r := start(t, tr...)
		r[1].untilFrame(t, "first")
	})
	t.Run("a transport reaches itself", func(t *testing.T) {
		tr := opened(t, 1)
		r := start(t, tr...)
		must(t, tr[0].SendFrame(tr[0].Addr(), []byte("me")))
		r[0].untilFrame(t, "me")
	})
	t.Run("frames of one sender keep their order", func(t *testing.T) {
		tr := opened(t, 3)
		r := start(t, tr...)
		const count = 500
		for i := range count {
			for _, sender := range []int{0, 2} {
				must(t, tr[sender].SendFrame(tr[1].Addr(), fmt.Appendf(nil, "%d", i)))
			}
		}
		r[1].until(t, "all frames", func() bool { return len(r[1].got().frames) == 2*count })
		next := map[netip.AddrPort]int{}
		for _, f := range r[1].got().frames {
			if f.body != fmt.Sprint(next[f.from]) {
				t.Fatalf("frame %s of %v, want %d", f.body, f.from, next[f.from])
			}
			next[f.from]++
		}
	})
	t.Run("sizes are bounded", func(t *testing.T) {
		tr := opened(t, 2)
		r := start(t, tr...)
		datagram := func(to netip.AddrPort, b []byte) error { return tr[0].SendDatagram(to, 0, b) }
		for _, tc := range []struct {
			send func(netip.AddrPort, []byte) error
			size int
			want error
		}{
			{datagram, 0, nil},
			{datagram, MaxDatagram, nil},
			{datagram, MaxDatagram + 1, ErrTooLarge},
			{tr[0].SendFrame, 0, nil},
			{tr[0].SendFrame, MaxFrame - 1, nil},
			{tr[0].SendFrame, MaxFrame, nil},
			{tr[0].SendFrame, MaxFrame + 1, ErrTooLarge},
		} {
			if err := tc.send(tr[1].Addr(), bytes.Repeat([]byte("x"), tc.size)); !errors.Is(err, tc.want) {
				t.Errorf("%d bytes: %v, want %v", tc.size, err, tc.want)
			}
		}
		r[1].until(t, "three frames", func() bool { return len(r[1].got().frames) == 3 })
		for i, want := range []int{0, MaxFrame - 1, MaxFrame} {
			if got := len(r[1].got().frames[i].body); got != want {
				t.Errorf("frame %d has %d bytes, want %d", i, got, want)
			}
		}
	})
	t.Run("an address without a port is an error", func(t *testing.T) {
		tr := opened(t, 1)
		for _, to := range []netip.AddrPort{{}, netip.MustParseAddrPort("127.0.0.1:0")} {
			if err := tr[0].SendDatagram(to, 0, nil); !errors.Is(err, ErrAddress) {
				t.Error(err)
			}
			if err := tr[0].SendFrame(to, nil); !errors.Is(err, ErrAddress) {
				t.Error(err)
			}
		}
	})
	t.Run("a peer that does not read fills its queue and nothing else", func(t *testing.T) {
		tr := opened(t, 3) // the second is never started
		r2 := start(t, tr[0], tr[2])[1]
		frame := bytes.Repeat([]byte("x"), MaxFrame)
		var err error
		for n := 0; err == nil; n++ {
			if n > 1000 {
				t.Fatal("a gigabyte was taken")
			}
			err = tr[0].SendFrame(tr[1].Addr(), frame)
		}
		if !errors.Is(err, ErrQueueFull) {
			t.Fatal(err)
		}
		must(t, tr[0].SendFrame(tr[2].Addr(), []byte("others are served")))
		r2.untilFrame(t, "others are served")
	})
	t.Run("nobody there is a refusal", func(t *testing.T) {
		tr := opened(t, 2)
		r := start(t, tr[0])
		must(t, tr[1].Close())
		must(t, tr[0].SendFrame(tr[1].Addr(), []byte("frame")))
		r[0].until(t, "a refusal", func() bool { return len(r[0].got().refused) > 0 })
		if r[0].got().refused[0] != tr[1].Addr() {
			t.Fatalf("%v refused, want %v", r[0].got().refused[0], tr[1].Addr())
		}
	})
	t.Run("a peer that closes is noticed as refusing", func(t *testing.T) {
		tr := opened(t, 2)
		r := start(t, tr...)
		must(t, tr[0].SendFrame(tr[1].Addr(), []byte("frame")))
		r[1].untilFrame(t, "frame")
		must(t, tr[1].Close())
		r[0].until(t, "a refusal", func() bool { return len(r[0].got().refused) > 0 })
	})
	t.Run("a closed transport sends nothing and closes again", func(t *testing.T) {
		tr := opened(t, 2)
		start(t, tr...)
		must(t, tr[0].Close())
		if err := tr[0].SendDatagram(tr[1].Addr(), 0, nil); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := tr[0].SendFrame(tr[1].Addr(), nil); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("closing while sending waits for everything and delivers nothing after it", func(t *testing.T) {
		tr := opened(t, 3)
		r := start(t, tr...)
		var senders sync.WaitGroup
		for _, from := range tr {
			for _, to := range tr {
				senders.Go(func() {
					for range 2000 {
						if err := from.SendFrame(to.Addr(), []byte("frame")); errors.Is(err, ErrClosed) {
							return
						}
						if err := from.SendDatagram(to.Addr(), 0, []byte("datagram")); errors.Is(err, ErrClosed) {
							return
						}
					}
				})
			}
		}
		r[0].until(t, "some frames", func() bool { return len(r[0].got().frames) > 10 })
		for i, c := range tr {
			must(t, c.Close())
			frames, datagrams := len(r[i].got().frames), len(r[i].got().datagrams)
			t.Cleanup(func() {
				if len(r[i].got().frames) != frames || len(r[i].got().datagrams) != datagrams {
					t.Error("something was delivered after Close")
				}
			})
		}
		senders.Wait()
	})
	t.Run("a restart on the same address is reached", func(t *testing.T) {
		tr := opened(t, 2)
		r := start(t, tr...)
		must(t, tr[0].SendFrame(tr[1].Addr(), []byte("one")))
		r[1].untilFrame(t, "one")
		must(t, tr[1].Close())
		again := reopen(t, tr[1])
		t.Cleanup(func() { must(t, again.Close()) })
		r1 := start(t, again)[0]
		r1.until(t, "a frame", func() bool {
			must(t, tr[0].SendFrame(again.Addr(), []byte("two")))
			return len(r1.got().frames) > 0
		})
	})
}

func listenLoopback(t *testing.T, addr string, keys *Keyring) Transport {
	t.Helper()
	tr, err := Listen(t.Context(), NetConfig{Addr: addr, Keys: keys})
	must(t, err)
	return tr
}

// reopen opens a transport like one that was closed, at its address.
func reopen(t *testing.T, closed Transport) Transport {
	t.Helper()
	switch c := closed.(type) {
	case *netTransport:
		return listenLoopback(t, c.Addr().String(), c.ring)
	case *memoryTransport:
		again, err := c.network.Listen(c.addr)
		must(t, err)
		return again
	case *ruled:
		return c.rules.Wrap(reopen(t, c.Transport))
	}
	t.Fatalf("%T", closed)
	return nil
}

func openNet(t *testing.T, n int) (transports []Transport) {
	t.Helper()
	for range n {
		transports = append(transports, listenLoopback(t, "127.0.0.1:0", nil))
	}
	return transports
}

func testKey(b byte) (key Key) {
	for i := range key {
		key[i] = b + byte(i)
	}
	return key
}

func openSealed(t *testing.T, n int) (transports []Transport) {
	t.Helper()
	for range n {
		transports = append(transports, listenLoopback(t, "127.0.0.1:0", NewKeyring(testKey(1))))
	}
	return transports
}

func openMemory(t *testing.T, n int) (transports []Transport) {
	t.Helper()
	network := NewNetwork(1)
	for range n {
		tr, err := network.Listen(netip.MustParseAddrPort("10.0.0.1:0"))
		must(t, err)
		transports = append(transports, tr)
	}
	return transports
}

func underRules(open func(*testing.T, int) []Transport) func(*testing.T, int) []Transport {
	return func(t *testing.T, n int) []Transport {
		t.Helper()
		rules := NewRules()
		transports := open(t, n)
		for i := range transports {
			transports[i] = rules.Wrap(transports[i])
		}
		return transports
	}
}

func TestConformance(t *testing.T) {
	t.Run("net", func(t *testing.T) { conforms(t, openNet) })
	t.Run("sealed net", func(t *testing.T) { conforms(t, openSealed) })
	t.Run("sealed net over IPv6", func(t *testing.T) {
		if probe, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
			t.Skip("no IPv6 loopback here: ", err)
		} else {
			_ = probe.Close()
		}
		conforms(t, func(t *testing.T, n int) (transports []Transport) {
			t.Helper()
			for range n {
				transports = append(transports, listenLoopback(t, "[::1]:0", NewKeyring(testKey(1))))
			}
			return transports
		})
	})
	t.Run("memory", func(t *testing.T) { conforms(t, openMemory) })
	t.Run("rules over net", func(t *testing.T) { conforms(t, underRules(openNet)); cuts(t, openNet) })
	t.Run("rules over sealed net", func(t *testing.T) { conforms(t, underRules(openSealed)); cuts(t, openSealed) })
	t.Run("rules over memory", func(t *testing.T) { conforms(t, underRules(openMemory)); cuts(t, openMemory) })
}

// cuts is what rules must do over any transport.
func cuts(t *testing.T, open func(t *testing.T, n int) []Transport) {
	t.Helper()
	type world struct {
		rules *Rules
		tr    []Transport
		r     []*recorder
	}
	opened := func(t *testing.T) world {
		t.Helper()
		noLeaks(t)
		w := world{rules: NewRules(), tr: open(t, 3)}
		for i, tr := range w.tr {
			w.tr[i] = w.rules.Wrap(tr)
			t.Cleanup(func() { must(t, w.tr[i].Close()) })
		}
		w.r = start(t, w.tr...)
		return w
	}
	passes := func(t *testing.T, w world, from, to int, body string) {
		t.Helper()
		untilDatagram(t, w.tr[from], w.tr[to], w.r[to], body)
		must(t, w.tr[from].SendFrame(w.tr[to].Addr(), []byte(body)))
		w.r[to].untilFrame(t, body)
	}
	t.Run("a cut holds in its direction only, at once, and nothing is refused", func(t *testing.T) {
		w := opened(t)
		passes(t, w, 0, 1, "before")
		w.rules.Cut(w.tr[0].Addr(), w.tr[1].Addr())
		for range 50 {
			must(t, w.tr[0].SendDatagram(w.tr[1].Addr(), 0, []byte("cut")))
			must(t, w.tr[0].SendFrame(w.tr[1].Addr(), []byte("cut")))
		}
		passes(t, w, 1, 0, "the other way")
		passes(t, w, 0, 2, "elsewhere")
		w.rules.Heal()
		passes(t, w, 0, 1, "after")
		for _, m := range slices.Concat(w.r[1].got().frames, w.r[1].got().datagrams) {
			if m.body == "cut" {
				t.Fatal("something passed the cut")
			}
		}
		if len(w.r[0].got().refused) > 0 {
			t.Fatalf("refused: %v", w.r[0].got().refused)
		}
	})
	t.Run("a peer that dies behind a cut is silent", func(t *testing.T) {
		w := opened(t)
		passes(t, w, 0, 1, "before")
		w.rules.Partition([]netip.AddrPort{w.tr[0].Addr(), w.tr[2].Addr()}, []netip.AddrPort{w.tr[1].Addr()})
		must(t, w.tr[1].Close())
		must(t, w.tr[0].SendFrame(w.tr[1].Addr(), []byte("cut")))
		must(t, w.tr[0].SendDatagram(w.tr[1].Addr(), 0, []byte("cut")))
		passes(t, w, 0, 2, "elsewhere")
		if len(w.r[0].got().refused) > 0 {
			t.Fatalf("refused: %v", w.r[0].got().refused)
		}
		w.rules.Heal()
		must(t, w.tr[0].SendFrame(w.tr[1].Addr(), []byte("healed")))
		w.r[0].until(t, "a refusal", func() bool { return len(w.r[0].got().refused) > 0 })
	})
	t.Run("what is delayed comes in order, and not at all after a cut", func(t *testing.T) {
		w := opened(t)
		w.rules.Delay(w.tr[0].Addr(), w.tr[1].Addr(), 20*time.Millisecond)
		begin := time.Now()
		for i := range 20 {
			must(t, w.tr[0].SendFrame(w.tr[1].Addr(), fmt.Appendf(nil, "%d", i)))
		}
		w.rules.Heal() // what follows without delay does not overtake
		must(t, w.tr[0].SendFrame(w.tr[1].Addr(), []byte("20")))
		w.r[1].untilFrame(t, "20")
		if took := time.Since(begin); took < 20*time.Millisecond {
			t.Fatalf("the delay of 20 ms took %v", took)
		}
		for i, f := range w.r[1].got().frames {
			if f.body != fmt.Sprint(i) {
				t.Fatalf("frame %d is %q", i, f.body)
			}
		}
		w.rules.Delay(w.tr[0].Addr(), w.tr[1].Addr(), 20*time.Millisecond)
		must(t, w.tr[0].SendFrame(w.tr[1].Addr(), []byte("lost")))
		w.rules.Cut(w.tr[0].Addr(), w.tr[1].Addr())
		w.rules.Heal()
		w.rules.Delay(w.tr[0].Addr(), w.tr[1].Addr(), 30*time.Millisecond)
		must(t, w.tr[0].SendFrame(w.tr[1].Addr(), []byte("kept")))
		w.r[1].untilFrame(t, "kept")
		if len(w.r[1].got().frames) != 22 {
			t.Fatalf("%d frames, want 22", len(w.r[1].got().frames))
		}
	})
	t.Run("a drop of 1 loses all datagrams and no frame", func(t *testing.T) {
		w := opened(t)
		w.rules.Drop(w.tr[0].Addr(), w.tr[1].Addr(), 1)
		for range 20 {
			must(t, w.tr[0].SendDatagram(w.tr[1].Addr(), 0, []byte("dropped")))
		}
		must(t, w.tr[0].SendFrame(w.tr[1].Addr(), []byte("frame")))
		w.r[1].untilFrame(t, "frame")
		w.rules.Heal()
		untilDatagram(t, w.tr[0], w.tr[1], w.r[1], "healed")
		if w.r[1].got().datagrams[0].body != "healed" {
			t.Fatal("a datagram passed")
		}
	})
}

func TestPlainTextStaysOnLoopback(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config NetConfig
		want   error
	}{
		{"every address", NetConfig{Addr: "0.0.0.0:0"}, ErrNotLoopback},
		{"no host", NetConfig{Addr: ":0"}, ErrNotLoopback},
		{"a public address", NetConfig{Addr: "192.0.2.1:7946"}, ErrNotLoopback},
		{"every address, allowed, without one to advertise", NetConfig{Addr: "0.0.0.0:0", AllowPlain: true}, ErrAddress},
		{"every address, allowed", NetConfig{Addr: "0.0.0.0:0", AllowPlain: true, Advertise: netip.MustParseAddrPort("127.0.0.1:0")}, nil},
		{"no port", NetConfig{Addr: "127.0.0.1"}, ErrAddress},
		{"a port too large", NetConfig{Addr: "127.0.0.1:65536"}, ErrAddress},
		{"localhost", NetConfig{Addr: "localhost:0"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr, err := Listen(context.Background(), tc.config)
			if !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if err == nil {
				must(t, tr.Close())
			}
			if errors.Is(tc.want, ErrNotLoopback) && !strings.Contains(err.Error(), "\nhint: ") {
				t.Fatalf("no hint: %v", err)
			}
		})
	}
}

func TestAPortInUseIsSaid(t *testing.T) {
	tr := openNet(t, 1)[0]
	defer func() { must(t, tr.Close()) }()
	if _, err := Listen(t.Context(), NetConfig{Addr: tr.Addr().String()}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "hint: ") {
		t.Fatal(err)
	}
	if memory := openMemory(t, 1)[0].(*memoryTransport); true {
		if _, err := memory.network.Listen(memory.addr); !errors.Is(err, ErrInUse) {
			t.Fatal(err)
		}
	}
}
