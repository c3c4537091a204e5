package slab

import "testing"

func TestPrefetchTouchesNoMemory(t *testing.T) {
	a, o := newOwner(t)
	o.Lock()
	small, _ := o.Alloc(100)
	large, _ := o.Alloc(2 * chunkSize)
	refs := []Ref{0, 1, small, large, makeRef(7*chunkSize, 3), 1<<RefBits - 1, ^Ref(0)}
	for _, r := range refs {
		a.Prefetch(r)
	}
	o.Free(small)
	o.Free(large) // its memory is unmapped
	o.Unlock()
	for _, r := range refs {
		a.Prefetch(r)
	}
	a.Close()
	for _, r := range refs {
		a.Prefetch(r)
	}
	Prefetch[uint64](nil)
	word := uint64(42)
	Prefetch(&word)
	if got := Glimpse(&word); got != 42 {
		t.Errorf("%d", got)
	}
}

func TestPublished(t *testing.T) {
	var p Published[int]
	if p.Load() != nil {
		t.Error("the zero Published is not nil")
	}
	n := 1
	if p.Publish(&n); p.Load() != &n {
		t.Error("another pointer")
	}
}

func BenchmarkPrefetch(b *testing.B) {
	var line [64]byte
	for b.Loop() {
		Prefetch(&line[0])
	}
}
