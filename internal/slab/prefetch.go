package slab

import "sync/atomic"

// Published is a pointer that one goroutine replaces, under a lock of its own, and others follow without any, to
// look ahead. What it points to must not change after Publish, as far as they read it. The zero Published is nil.
type Published[T any] struct{ p atomic.Pointer[T] }

// Publish replaces the pointer.
func (p *Published[T]) Publish(to *T) { p.p.Store(to) }

// Load follows the pointer.
func (p *Published[T]) Load() *T { return p.p.Load() }

// Prefetch asks the processor to bring the line of p, and the next one if fewer than 64 bytes are left of it, near. It
// reads nothing, so p may point to what others change or have freed. It does nothing unless Prefetching.
func Prefetch[T any](p *T) { prefetch(pointer(p)) }

// Prefetch does the same for the beginning of a block, in use or not. It needs no lock.
func (a *Arena) Prefetch(r Ref) {
	if !Prefetching || r == 0 {
		return
	}
	chunks := *a.chunks.Load()
	index, start := r.offset()/chunkSize, r.offset()%chunkSize
	if index < uint64(len(chunks)) {
		if c := chunks[index]; c != nil && start < uint64(len(c.memory)) {
			prefetch(pointer(&c.memory[start])) // the address is computed; the memory, which may be unmapped, is not touched
		}
	}
}

// Glimpse reads a word that others change under a lock, without it: some value the word has or had. It is for hints
// only, and only where Prefetching: the race detector, which is not told of this, never meets it.
func Glimpse(word *uint64) uint64 { return atomic.LoadUint64(word) }
