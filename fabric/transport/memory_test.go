package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs a test with two started endpoints of a memory network inside of a synctest bubble.
func bubble(t *testing.T, test func(t *testing.T, n *Network, a, b Transport, ra, rb *recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(42)
		a, err := n.Listen(netip.MustParseAddrPort("10.0.0.1:7946"))
		must(t, err)
		b, err := n.Listen(netip.MustParseAddrPort("10.0.0.2:7946"))
		must(t, err)
		r := start(t, a, b)
		test(t, n, a, b, r[0], r[1])
		must(t, a.Close())
		must(t, b.Close())
	})
}

func TestLatencyIsExact(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network, a, b Transport, _, rb *recorder) {
		t.Helper()
		n.SetLink(Link{Latency: 30 * time.Millisecond})
		must(t, a.SendDatagram(b.Addr(), 0, []byte("x")))
		must(t, a.SendFrame(b.Addr(), []byte("x")))
		time.Sleep(30*time.Millisecond - time.Nanosecond) // the bubble's time
		synctest.Wait()
		if len(rb.got().datagrams)+len(rb.got().frames) > 0 {
			t.Fatal("too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if len(rb.got().datagrams) != 1 || len(rb.got().frames) != 1 {
			t.Fatal("late")
		}
	})
}

func TestFaultsOfALink(t *testing.T) {
	const count = 1000
	for _, tc := range []struct {
		name string
		link Link
		ok   func(arrived int, ordered bool) bool
	}{
		{"perfect", Link{}, func(n int, ordered bool) bool { return n == count && ordered }},
		{"loss", Link{Loss: 0.3}, func(n int, _ bool) bool { return n > 600 && n < 800 }},
		{"loss of everything", Link{Loss: 1}, func(n int, _ bool) bool { return n == 0 }},
		{"duplication", Link{Duplicate: 0.3}, func(n int, _ bool) bool { return n > 1200 && n < 1400 }},
		{"reordering", Link{Reorder: 0.1}, func(n int, ordered bool) bool { return n == count && !ordered }},
		{"jitter", Link{Latency: time.Millisecond, Jitter: time.Millisecond}, func(n int, ordered bool) bool { return n == count && !ordered }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *Network, a, b Transport, _, rb *recorder) {
				t.Helper()
				n.SetLinkBetween(a.Addr(), b.Addr(), tc.link)
				for i := range count {
					must(t, a.SendDatagram(b.Addr(), 0, fmt.Appendf(nil, "%04d", i)))
					must(t, a.SendFrame(b.Addr(), fmt.Appendf(nil, "%04d", i)))
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				ordered := slices.IsSortedFunc(rb.got().datagrams, func(x, y message) int { return cmpString(x.body, y.body) })
				if !tc.ok(len(rb.got().datagrams), ordered) {
					t.Errorf("%d of %d datagrams arrived, in order: %t", len(rb.got().datagrams), count, ordered)
				}
				if len(rb.got().frames) != count || !slices.IsSortedFunc(rb.got().frames, func(x, y message) int { return cmpString(x.body, y.body) }) {
					t.Errorf("%d of %d frames arrived", len(rb.got().frames), count)
				}
			})
		})
	}
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestTheSeedDecidesTheFaults(t *testing.T) {
	run := func(seed uint64) (arrived []message) {
		synctest.Test(t, func(t *testing.T) {
			n := NewNetwork(seed)
			n.SetLink(Link{Loss: 0.5, Duplicate: 0.2, Jitter: time.Second})
			a, _ := n.Listen(netip.MustParseAddrPort("10.0.0.1:1"))
			b, _ := n.Listen(netip.MustParseAddrPort("10.0.0.2:1"))
			r := start(t, a, b)
			for i := range 100 {
				must(t, a.SendDatagram(b.Addr(), 0, fmt.Appendf(nil, "%d", i)))
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			arrived = r[1].got().datagrams
			must(t, a.Close())
			must(t, b.Close())
		})
		return arrived
	}
	if one := run(1); !slices.Equal(one, run(1)) || slices.Equal(one, run(2)) {
		t.Fatal("equal seeds must give equal faults, and others not")
	}
}

func TestACutTakesAwayWhatIsOnItsWay(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network, a, b Transport, ra, rb *recorder) {
		t.Helper()
		n.SetLink(Link{Latency: time.Second})
		send := func(body string) {
			must(t, a.SendDatagram(b.Addr(), 0, []byte(body)))
			must(t, a.SendFrame(b.Addr(), []byte(body)))
			must(t, b.SendFrame(a.Addr(), []byte(body)))
		}
		send("on its way")
		n.Cut(a.Addr(), b.Addr())
		send("cut")
		n.Heal()
		send("after")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(rb.got().datagrams) != 1 || len(rb.got().frames) != 1 || rb.got().frames[0].body != "after" || rb.got().datagrams[0].body != "after" {
			t.Fatalf("datagrams %v, frames %v", rb.got().datagrams, rb.got().frames)
		}
		if len(ra.got().frames) != 3 || len(ra.got().refused)+len(rb.got().refused) > 0 {
			t.Fatalf("the other way: %v; refused %v %v", ra.got().frames, ra.got().refused, rb.got().refused)
		}
	})
}

func TestAResetLosesTheFramesOnTheirWay(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network, a, b Transport, _, rb *recorder) {
		t.Helper()
		n.SetLink(Link{Latency: time.Second})
		must(t, a.SendFrame(b.Addr(), []byte("lost")))
		must(t, a.SendDatagram(b.Addr(), 0, []byte("kept")))
		n.Reset(a.Addr(), b.Addr())
		must(t, a.SendFrame(b.Addr(), []byte("next")))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(rb.got().frames) != 1 || rb.got().frames[0].body != "next" || len(rb.got().datagrams) != 1 {
			t.Fatalf("datagrams %v, frames %v", rb.got().datagrams, rb.got().frames)
		}
	})
}

func TestTheQueueToAPeerIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, n *Network, a, b Transport, _, rb *recorder) {
		t.Helper()
		n.SetLink(Link{Latency: time.Second})
		for i := range MaxQueuedFrames {
			if err := a.SendFrame(b.Addr(), []byte("x")); err != nil {
				t.Fatalf("frame %d: %v", i+1, err)
			}
		}
		if err := a.SendFrame(b.Addr(), []byte("x")); !errors.Is(err, ErrQueueFull) {
			t.Fatalf("frame %d: %v", MaxQueuedFrames+1, err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		must(t, a.SendFrame(b.Addr(), []byte("x"))) // there is room again
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(rb.got().frames) != MaxQueuedFrames+1 {
			t.Fatalf("%d frames arrived", len(rb.got().frames))
		}
	})
}

func TestTheBudgetOfAQueue(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before budget
		size   int
		want   error
	}{
		{"the last frame", budget{frames: MaxQueuedFrames - 1}, 1, nil},
		{"one frame more", budget{frames: MaxQueuedFrames}, 1, ErrQueueFull},
		{"the last byte", budget{frames: 1, bytes: MaxQueuedBytes - 1}, 1, nil},
		{"one byte more", budget{frames: 1, bytes: MaxQueuedBytes - 1}, 2, ErrQueueFull},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.before.take(tc.size); !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
		})
	}
}
