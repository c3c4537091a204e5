package slab

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/egalcluster/egal/internal/invariant"
)

// Options configures an Arena; the zero value is the default.
type Options struct {
	// HugePages asks the kernel for transparent huge pages: faster filling, slightly more resident memory.
	HugePages bool
}

// Arena is the memory of one store. Create owners with NewOwner. Safe for concurrent use.
type Arena struct {
	options Options
	// chunks is replaced, never changed, so that owners read it without the lock. An entry is nil after the chunk
	// of an oversized block is gone, and is then used again.
	chunks   atomic.Pointer[[]*chunk]
	reserved atomic.Int64

	mu     sync.Mutex // guards everything below and the free pages of all chunks
	owners []*Owner
	closed bool
}

// chunk is one piece of memory from the system.
type chunk struct {
	memory []byte
	mapped bool
	pages  []*span // by page: the span it belongs to, nil when free
	free   int     // free pages
}

// New returns an empty arena; it takes memory when the first block is allocated.
func New(o Options) *Arena {
	a := &Arena{options: o}
	a.chunks.Store(&[]*chunk{})
	return a
}

// NewOwner adds an owner. Owners live as long as their arena.
func (a *Arena) NewOwner() *Owner {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := &Owner{arena: a}
	a.owners = append(a.owners, o)
	return o
}

// Used is the sum of the sizes of all blocks in use, in bytes.
func (a *Arena) Used() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	var sum int64
	for _, o := range a.owners {
		sum += o.used.Load()
	}
	return sum
}

// Reserved is the size of all spans, in bytes: used blocks, free ones between them, and pages never touched.
func (a *Arena) Reserved() int64 { return a.reserved.Load() }

// Close gives all memory back to the system. Every use of the arena after it panics, except Used, Reserved and Close.
func (a *Arena) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.closed = true
	chunks := *a.chunks.Load()
	a.chunks.Store(&[]*chunk{})
	a.reserved.Store(0)
	for _, o := range a.owners {
		o.used.Store(0)
		o.classes = [classCount]spans{}
	}
	for _, c := range chunks {
		if c != nil && c.mapped {
			unmapMemory(c.memory)
		}
	}
}

// takePages finds n free pages in a row and gives them to s, which gets its memory and base.
func (a *Arena) takePages(s *span, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	invariant.Check(!a.closed, "slab: allocation after Close")
	size := n * pageSize
	index, page := a.findPages(n)
	c := (*a.chunks.Load())[index]
	for i := range n {
		c.pages[page+i] = s
	}
	c.free -= n
	s.base = uint64(index)*chunkSize + uint64(page)*pageSize
	s.memory = c.memory[page*pageSize:][:size:size]
	a.reserved.Add(int64(size))
}

// findPages looks for the first n free pages in a row, in a new chunk if there is no such place.
func (a *Arena) findPages(n int) (index, page int) {
	if n <= chunkPages {
		for i, c := range *a.chunks.Load() {
			if c == nil || c.free < n || len(c.pages) != chunkPages {
				continue
			}
			if page, ok := c.run(n); ok {
				return i, page
			}
		}
	}
	return a.addChunk(max(n, chunkPages)), 0
}

// run finds n free pages in a row.
func (c *chunk) run(n int) (page int, ok bool) {
	length := 0
	for i, s := range c.pages {
		if s != nil {
			length = 0
			continue
		}
		if length++; length == n {
			return i - n + 1, true
		}
	}
	return 0, false
}

// addChunk takes memory for pages from the system. A chunk larger than usual holds one block, which begins at its
// start; so one place in the table is enough for it too.
func (a *Arena) addChunk(pages int) (index int) {
	memory, mapped := mapMemory(pages*pageSize, a.options.HugePages)
	c := &chunk{memory: memory, mapped: mapped, pages: make([]*span, pages), free: pages}
	table := append([]*chunk(nil), *a.chunks.Load()...)
	for index < len(table) && table[index] != nil {
		index++
	}
	if index == len(table) {
		table = append(table, nil)
	}
	table[index] = c
	invariant.Check(uint64(index)*chunkSize < 1<<(offsetBits+3), "slab: more than 8 TiB")
	a.chunks.Store(&table)
	return index
}

// givePages takes the pages of s back. An oversized chunk goes back to the system whole.
func (a *Arena) givePages(s *span) {
	a.mu.Lock()
	defer a.mu.Unlock()
	invariant.Check(!a.closed, "slab: free after Close")
	chunks := *a.chunks.Load()
	index, page := int(s.base/chunkSize), int(s.base%chunkSize/pageSize)
	c, n := chunks[index], len(s.memory)/pageSize
	a.reserved.Add(-int64(len(s.memory)))
	if n > chunkPages {
		table := append([]*chunk(nil), chunks...)
		table[index] = nil
		a.chunks.Store(&table)
		if c.mapped {
			unmapMemory(c.memory)
		}
		return
	}
	for i := range n {
		c.pages[page+i] = nil
	}
	c.free += n
	if c.mapped {
		releaseMemory(s.memory)
	}
}

// span finds the span of a ref; nil when there is none.
func (a *Arena) span(r Ref) *span {
	chunks := *a.chunks.Load()
	index, page := r.offset()/chunkSize, r.offset()%chunkSize/pageSize
	if index >= uint64(len(chunks)) || chunks[index] == nil {
		return nil
	}
	return chunks[index].pages[page]
}

// span is a run of pages with blocks of one class, or with one large block.
type span struct {
	memory   []byte
	base     uint64 // offset of memory in the arena
	owner    *Owner
	class    int
	size     int // of a block
	capacity int // blocks
	used     int // blocks
	first    int // no word of the bitmap before this one has a free bit
	bitmap   []uint64
	partial  bool // in the list of spans with room
	next     *span
	previous *span
}

// take marks a free block and returns its number; there must be one.
func (s *span) take() int {
	for s.bitmap[s.first] == ^uint64(0) {
		s.first++
	}
	bit := bits.TrailingZeros64(^s.bitmap[s.first])
	s.bitmap[s.first] |= 1 << bit
	s.used++
	return s.first*64 + bit
}

// holds tells whether block i is in use.
func (s *span) holds(i int) bool { return i < s.capacity && s.bitmap[i/64]&(1<<(i%64)) != 0 }

// give marks block i free.
func (s *span) give(i int) {
	s.bitmap[i/64] &^= 1 << (i % 64)
	s.first = min(s.first, i/64)
	s.used--
}
