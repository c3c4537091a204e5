package gossip

import (
	"fmt"
	"testing"
	"time"
)

// overIP is what IPv4 and UDP add to a datagram.
const overIP = 20 + 8

// idleBytes is how many bytes a node of a converged cluster of n sends per second, IP and UDP headers included, when
// nothing happens.
func idleBytes(t *testing.T, n int, during time.Duration) float64 {
	t.Helper()
	w, _ := standing(t, n, 4, 0)
	w.RunUntil(simStart.Add(2 * time.Second))
	bytes := 0
	var buffer []byte
	w.OnSend(func(_ time.Time, _, _ Peer, m Message) {
		p := m.(Packet)
		buffer = Encode(buffer[:0], p)
		bytes += len(buffer) + overIP
		if p.Reliable() && p.bodies[0].kind() != kindProbe {
			t.Fatalf("%v over a stream", p)
		}
	})
	w.RunUntil(w.Now().Add(during))
	return float64(bytes) / float64(n) / during.Seconds()
}

// An idle cluster costs at most half a kilobyte per second and node when it is small, at most two when it is not,
// however large.
func TestIdleTraffic(t *testing.T) {
	sizes := map[int]time.Duration{9: 100 * time.Second, 10: 100 * time.Second, 100: 20 * time.Second, 1000: 10 * time.Second, 10_000: 2 * time.Second}
	if testing.Short() || raceEnabled {
		delete(sizes, 10_000)
	}
	if got := idleBytes(t, 3, 100*time.Second); got > 500 {
		t.Errorf("3 nodes: %.0f bytes per second and node", got)
	} else {
		t.Logf("3 nodes: %.0f bytes per second and node", got)
	}
	var least, most float64
	for _, n := range []int{9, 10, 100, 1000, 10_000} {
		if sizes[n] == 0 {
			continue
		}
		t.Run(fmt.Sprintf("n=%d", n), func(t *testing.T) {
			got := idleBytes(t, n, sizes[n])
			t.Logf("%.0f bytes per second and node", got)
			if least, most = min(got, least), max(got, most); least == 0 {
				least = got
			}
			if got > 2000 {
				t.Error("more than 2 KB/s")
			}
		})
	}
	if middle := (least + most) / 2; most > 1.1*middle {
		t.Errorf("not flat: %.0f to %.0f", least, most)
	}
}
