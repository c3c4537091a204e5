package slab

import (
	"sync"
	"sync/atomic"

	"github.com/egalcluster/egal/internal/invariant"
)

// Ref names a block: 47 bits, 0 for none. Bit 47 and above are always 0 and free for the user.
//
//	| bits   | meaning                                |
//	|--------|----------------------------------------|
//	| 0–39   | offset in the arena in units of 8 bytes, plus 1 |
//	| 40–46  | size class                             |
type Ref uint64

// RefBits is the number of bits that a Ref uses.
const RefBits = 47

const offsetBits = 40

func makeRef(offset uint64, class int) Ref { return Ref(uint64(class)<<offsetBits | (offset/8 + 1)) }

func (r Ref) offset() uint64 { return (uint64(r)&(1<<offsetBits-1) - 1) * 8 }
func (r Ref) class() int     { return int(r >> offsetBits & 127) }

// Owner allocates blocks and has the lock that guards them. All methods but Lock need the lock.
type Owner struct {
	arena   *Arena
	mu      sync.Mutex // guards classes, and all that the user keeps in the blocks
	classes [classCount]spans
	used    atomic.Int64
}

// spans are an owner's spans of one class that have room; full ones are found through their refs only.
type spans struct {
	current *span // allocated from first; kept even when empty
	partial *span // list of others
}

// Lock takes the owner's lock. Who takes several does so in one fixed order.
func (o *Owner) Lock() { o.mu.Lock() }

// Unlock releases the owner's lock.
func (o *Owner) Unlock() { o.mu.Unlock() }

// Used is the sum of the sizes of the owner's blocks in bytes; it needs no lock.
func (o *Owner) Used() int64 { return o.used.Load() }

// Alloc makes a block of at least n bytes, 0 ≤ n ≤ MaxSize. The block has SizeOf(n) bytes of any content.
func (o *Owner) Alloc(n int) (Ref, []byte) {
	if uint(n) > pageSize {
		return o.allocLarge(n)
	}
	class := classOf(n)
	list := &o.classes[class]
	s := list.current
	if s == nil || s.used == s.capacity {
		s = o.refill(list, class)
	}
	i := s.take()
	o.used.Add(int64(s.size))
	start := i * s.size
	return makeRef(s.base+uint64(start), class), s.memory[start:][:s.size:s.size]
}

// refill makes a span with room current: the first of the list, or a new one.
func (o *Owner) refill(list *spans, class int) *span {
	s := list.partial
	if s != nil {
		list.remove(s)
	} else {
		s = &span{owner: o, class: class, size: classSize(class)}
		s.capacity = spanPages(class) * pageSize / s.size
		s.bitmap = make([]uint64, (s.capacity+63)/64)
		if rest := s.capacity % 64; rest != 0 {
			s.bitmap[len(s.bitmap)-1] = ^uint64(0) << rest // bits beyond the capacity are never free
		}
		o.arena.takePages(s, spanPages(class))
	}
	list.current = s
	return s
}

func (o *Owner) allocLarge(n int) (Ref, []byte) {
	invariant.Check(n >= 0 && n <= MaxSize, "slab: a block of %d bytes", n)
	size := SizeOf(n)
	s := &span{owner: o, class: largeClass, size: size, capacity: 1, used: 1, bitmap: []uint64{1}}
	o.arena.takePages(s, (size+pageSize-1)/pageSize)
	o.used.Add(int64(size))
	return makeRef(s.base, largeClass), s.memory[:size:size]
}

// Bytes is the whole block of a ref. It is valid until the block is freed.
func (o *Owner) Bytes(r Ref) []byte {
	if class := r.class(); !checked && class < classCount {
		chunks := *o.arena.chunks.Load()
		index, start, size := r.offset()/chunkSize, r.offset()%chunkSize, uint64(classSize(class))
		if index < uint64(len(chunks)) {
			if c := chunks[index]; c != nil && start+size <= uint64(len(c.memory)) {
				return c.memory[start : start+size : start+size]
			}
		}
	}
	s, i := o.find(r)
	return s.memory[i*s.size:][:s.size:s.size]
}

// Free gives a block back.
func (o *Owner) Free(r Ref) {
	s, i := o.find(r)
	o.used.Add(-int64(s.size))
	if s.class == largeClass {
		s.give(i)
		o.arena.givePages(s)
		return
	}
	list := &o.classes[s.class]
	s.give(i)
	switch {
	case s == list.current:
	case s.used == 0:
		if s.partial {
			list.remove(s)
		}
		o.arena.givePages(s)
	case !s.partial:
		list.add(s)
	}
}

// find checks that r names a block in use of this owner, and tells which.
func (o *Owner) find(r Ref) (s *span, block int) {
	if r != 0 && r>>RefBits == 0 {
		s = o.arena.span(r)
	}
	if s == nil || s.owner != o || s.class != r.class() {
		invariant.Check(false, "slab: %#x names no block of this owner", uint64(r))
	}
	distance := int(r.offset() - s.base)
	block = distance / s.size
	if distance%s.size != 0 || !s.holds(block) {
		invariant.Check(false, "slab: %#x names a free block", uint64(r))
	}
	return s, block
}

func (l *spans) add(s *span) {
	s.partial, s.previous, s.next = true, nil, l.partial
	if s.next != nil {
		s.next.previous = s
	}
	l.partial = s
}

func (l *spans) remove(s *span) {
	if s.previous != nil {
		s.previous.next = s.next
	} else {
		l.partial = s.next
	}
	if s.next != nil {
		s.next.previous = s.previous
	}
	s.partial, s.previous, s.next = false, nil, nil
}

// Trim gives empty spans back that were kept for the next block.
func (o *Owner) Trim() {
	for class := range o.classes {
		if s := o.classes[class].current; s != nil && s.used == 0 {
			o.classes[class].current = nil
			o.arena.givePages(s)
		}
	}
}
