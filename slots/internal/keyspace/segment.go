package keyspace

import (
	"slices"

	"github.com/egalcluster/egal/internal/slab"
)

// A word of the index is 16 bits of hash (the tag), 1 bit that tells whether the record expires, and the 47 bits of
// a slab ref. No word in use is 0.
const (
	tagShift     = 48
	volatileFlag = 1 << slab.RefBits
	refMask      = volatileFlag - 1
)

func tagOf(word uint64) uint64      { return word >> tagShift }
func refOf(word uint64) slab.Ref    { return slab.Ref(word & refMask) }
func isVolatile(word uint64) bool   { return word&volatileFlag != 0 }
func withTag(word, t uint64) uint64 { return word&(1<<tagShift-1) | t<<tagShift }

func makeWord(tag uint64, ref slab.Ref, volatile bool) uint64 {
	word := tag<<tagShift | uint64(ref)
	if volatile {
		word |= volatileFlag
	}
	return word
}

// segment is an ordered hash table with linear probing (Amble and Knuth, 1974): a word's home is its tag scaled to
// the number of homes, and the words stand in the order of their tags. So a search ends at the first larger tag, a
// new size needs no look at the records, and walking the words walks the tags in order.
//
// Invariants: a word stands at its home or after it, with no empty word between; the words are sorted; words beyond
// the homes (the tail) only take what the last homes have no room for.
//
// A table of another size is another segment, so that who looks ahead without the lock (Store.Prefetch) may follow a
// pointer to a segment and read all of it but the count.
type segment struct {
	words []uint64
	homes int32
	count int32
	// depth is the number of leading hash bits that the records of this segment share.
	depth uint8
}

const (
	tailWords  = 4
	firstHomes = 4
)

// noSegment is that of an index without records. It never changes: an insert makes another one.
var noSegment segment

// tag is what a segment of this depth keeps of a hash.
func (g *segment) tag(hash uint64) uint64 { return hash << g.depth >> tagShift }

func (g *segment) home(tag uint64) int { return int(tag * uint64(g.homes) >> 16) }

// place is the first position behind all words with this tag or a smaller one.
func (g *segment) place(tag uint64) int {
	i := g.home(tag)
	for i < len(g.words) && g.words[i] != 0 && tagOf(g.words[i]) <= tag {
		i++
	}
	return i
}

// insert adds a word and returns the segment that holds all of them now: another one, with a larger table, when seven
// eighths of the homes were taken or the tail was full.
func (g *segment) insert(word uint64) *segment {
	if int(g.count)*8 >= int(g.homes)*7 {
		g = g.resized(int(g.homes) + int(g.homes)/4 + firstHomes)
	}
	for {
		i := g.place(tagOf(word))
		end := i
		for end < len(g.words) && g.words[end] != 0 {
			end++
		}
		if end < len(g.words) {
			copy(g.words[i+1:end+1], g.words[i:end])
			g.words[i] = word
			g.count++
			return g
		}
		g = g.resized(int(g.homes)) // a new tail
	}
}

// remove takes the word at i out and moves back those that follow away from their homes.
func (g *segment) remove(i int) {
	end := i + 1
	for end < len(g.words) && g.words[end] != 0 && g.home(tagOf(g.words[end])) < end {
		end++
	}
	copy(g.words[i:end-1], g.words[i+1:end])
	g.words[end-1] = 0
	g.count--
}

// sparse tells whether the table is much too large.
func (g *segment) sparse() bool { return g.homes > 4*g.count+2*firstHomes }

// resized moves the words to a table with so many homes; with 0 it chooses the size that fits what is there.
func (g *segment) resized(homes int) *segment {
	if g.count == 0 && homes == 0 {
		return &segment{depth: g.depth}
	}
	return newSegment(g.depth, slices.DeleteFunc(g.words, func(w uint64) bool { return w == 0 }), homes)
}

// newSegment makes a table of sorted words; with 0 homes it chooses their number.
func newSegment(depth uint8, sorted []uint64, homes int) *segment {
	if homes == 0 {
		homes = len(sorted) + len(sorted)/3 + firstHomes
	}
	g := &segment{homes: int32(homes), count: int32(len(sorted)), depth: depth}
	end := 0
	for _, w := range sorted {
		end = max(end, g.home(tagOf(w))) + 1
	}
	// The rest of the allocator's size class is room for the tail.
	words := slices.Grow([]uint64(nil), max(end, homes)+tailWords)
	words = words[:cap(words)]
	clear(words)
	next := 0
	for _, w := range sorted {
		next = max(next, g.home(tagOf(w)))
		words[next] = w
		next++
	}
	g.words = words
	return g
}
