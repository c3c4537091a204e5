package quorum

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestTimersAreInOrder(t *testing.T) {
	choose := rand.New(rand.NewPCG(1, 1))
	var heap timers
	var all []*proposer
	for serial := range uint64(100) {
		all = append(all, &proposer{serial: serial, place: -1})
	}
	for range 10_000 {
		p := all[choose.IntN(len(all))]
		p.due = simStart.Add(time.Duration(choose.IntN(50)) * time.Second)
		if choose.IntN(4) == 0 {
			p.due = time.Time{}
		}
		heap.set(p)
		var first *proposer
		waiting := 0
		for _, p := range all {
			if p.place < 0 {
				continue
			}
			if waiting++; first == nil || heap.before(p, first) {
				first = p
			}
		}
		if heap.empty() != (waiting == 0) || len(heap.heap) != waiting || waiting > 0 && heap.first() != first {
			t.Fatal("the first is not the earliest")
		}
		if i := slices.IndexFunc(heap.heap, func(p *proposer) bool { return p.due.IsZero() }); i >= 0 {
			t.Fatal("somebody without a deadline waits")
		}
	}
}
