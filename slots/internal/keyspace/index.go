package keyspace

import (
	"slices"

	"github.com/egalcluster/egal/internal/slab"
)

// index finds the records of one slot of one database: one segment, or by extendible hashing (Fagin et al., 1979) a
// directory of segments once there are more than maxSegment records. A step of growth or shrinking touches one or
// two segments, never all.
//
// The order of the hashes is the order of the segments and of the words within them, whatever the sizes are, so a
// place in that order stays meaningful while the index grows and shrinks.
type index struct {
	// root points to the only segment while directory is nil, to nil when there are no records. It stands apart, close
	// to those of other slots: it is all of the index that most lookups need.
	root *slab.Published[segment]
	// directory has 2^depth entries; a segment of a smaller depth has several, side by side.
	directory []*segment
	depth     uint8
	count     int
	volatile  int
}

const (
	// maxSegment is the number of records from which a segment is split, and with it the bound of one step.
	maxSegment = 3584
	// mergeBelow is the number of records of two neighbours up to which they become one again.
	mergeBelow = 1536
	// maxDepth bounds the directory; deeper segments just grow. 2^24 segments hold 6·10^10 records.
	maxDepth = 24
)

// segment is the one that holds the hash.
func (x *index) segment(hash uint64) *segment {
	if g := x.root.Load(); g != nil {
		return g
	}
	if x.directory == nil {
		return &noSegment
	}
	return x.directory[hash>>(64-x.depth)]
}

// put makes g the segment that holds the hash, instead of one or two others.
func (x *index) put(hash uint64, g *segment) {
	if x.directory == nil {
		if g.words == nil {
			g = nil
		}
		x.root.Publish(g)
		return
	}
	entries := 1 << (x.depth - g.depth)
	start := int(hash>>(64-x.depth)) &^ (entries - 1)
	for i := range entries {
		x.directory[start+i] = g
	}
}

// insert adds a record that is not there. hashOf tells the hash of a word's record; it is asked on splits only.
func (x *index) insert(hash uint64, word uint64, hashOf func(word uint64) uint64) {
	g := x.segment(hash)
	if g.count >= maxSegment && g.depth < maxDepth {
		x.split(g, hash, hashOf)
		g = x.segment(hash)
	}
	if grown := g.insert(withTag(word, g.tag(hash))); grown != g {
		x.put(hash, grown)
	}
	x.count++
	if isVolatile(word) {
		x.volatile++
	}
}

// remove takes the word at position i of segment g out, and leaves the size of the tables to shrink.
func (x *index) remove(g *segment, i int) {
	x.count--
	if isVolatile(g.words[i]) {
		x.volatile--
	}
	g.remove(i)
}

// setWord replaces the word at position i of segment g by one with the same tag.
func (x *index) setWord(g *segment, i int, word uint64) {
	if isVolatile(g.words[i]) {
		x.volatile--
	}
	if isVolatile(word) {
		x.volatile++
	}
	g.words[i] = word
}

// split divides g, which holds hash, by its next hash bit.
func (x *index) split(g *segment, hash uint64, hashOf func(word uint64) uint64) {
	if x.directory == nil {
		x.directory, x.depth = []*segment{g}, 0
		x.root.Publish(nil)
	}
	if g.depth == x.depth {
		doubled := make([]*segment, 2*len(x.directory))
		for i, s := range x.directory {
			doubled[2*i], doubled[2*i+1] = s, s
		}
		x.directory = doubled
		x.depth++
	}
	depth := g.depth + 1
	sorted := make([]uint64, 0, g.count)
	middle := 0
	for _, word := range g.words {
		if word == 0 {
			continue
		}
		h := hashOf(word)
		if h<<g.depth>>63 == 0 {
			middle++ // the tag's first bit divides, so all of these come first
		}
		sorted = append(sorted, withTag(word, h<<depth>>tagShift))
	}
	// The new tags have one more bit, which can turn the order of words that had equal tags.
	slices.Sort(sorted[:middle])
	slices.Sort(sorted[middle:])
	bit := uint64(1) << (64 - depth)
	x.put(hash&^bit, newSegment(depth, sorted[:middle], 0))
	x.put(hash|bit, newSegment(depth, sorted[middle:], 0))
}

// shrink gives back what the segment of hash does not need any more, after removals.
func (x *index) shrink(hash uint64) {
	g := x.segment(hash)
	if g.count > 0 && !g.sparse() {
		return
	}
	if g.depth > 0 {
		sibling := x.segment(hash ^ 1<<(64-g.depth))
		if sibling.depth == g.depth && g.count+sibling.count <= mergeBelow {
			x.merge(g, sibling, hash)
			return
		}
	}
	x.put(hash, g.resized(0))
}

// merge makes one segment of g, which holds hash, and its sibling.
func (x *index) merge(g, sibling *segment, hash uint64) {
	depth := g.depth
	left, right := g, sibling
	if hash<<(depth-1)>>63 == 1 {
		left, right = sibling, g
	}
	sorted := make([]uint64, 0, left.count+right.count)
	for first, s := range [2]*segment{left, right} {
		for _, word := range s.words {
			if word != 0 {
				sorted = append(sorted, withTag(word, uint64(first)<<15|tagOf(word)>>1))
			}
		}
	}
	x.put(hash, newSegment(depth-1, sorted, 0))
	x.halve()
}

// halve shortens the directory while no segment needs its length.
func (x *index) halve() {
	for x.depth > 0 {
		for _, s := range x.directory {
			if s.depth == x.depth {
				return
			}
		}
		shorter := make([]*segment, len(x.directory)/2)
		for i := range shorter {
			shorter[i] = x.directory[2*i]
		}
		x.directory = shorter
		x.depth--
	}
	x.root.Publish(x.directory[0])
	x.directory = nil
}

// walk shows the words of at least limit records, if there are so many, in the order of their hashes, beginning at
// from; a word that see wants dropped is removed. It returns where to go on; more is false at the end of the slot.
//
// A place is never between words of the same tag, so that nothing is left out when the tables change in between.
func (x *index) walk(from uint64, limit int, see func(word uint64) (drop bool)) (next uint64, seen int, more bool) {
	for {
		g := x.segment(from)
		depth := g.depth
		base := from >> (64 - depth) << (64 - depth)
		tag, before := g.tag(from), g.count
		last := tag
		for i := g.home(tag); i < len(g.words); {
			word := g.words[i]
			if word == 0 || tagOf(word) < tag {
				i++
				continue
			}
			if seen >= limit && tagOf(word) != last {
				x.shrinkIf(g.count < before, from)
				return base | tagOf(word)<<(tagShift-depth), seen, true
			}
			last = tagOf(word)
			seen++
			if see(word) {
				x.remove(g, i) // the next word is at i now
				continue
			}
			i++
		}
		x.shrinkIf(g.count < before, from)
		from = base + 1<<(64-depth)
		if depth == 0 || from == 0 {
			return 0, seen, false
		}
		if seen >= limit {
			return from, seen, true
		}
	}
}

func (x *index) shrinkIf(removed bool, hash uint64) {
	if removed {
		x.shrink(hash)
	}
}

// clear forgets all words.
func (x *index) clear() {
	x.root.Publish(nil)
	x.directory, x.depth, x.count, x.volatile = nil, 0, 0, 0
}

// all calls f for every word, in no particular order.
func (x *index) all(f func(word uint64)) {
	for g := range x.segments {
		for _, word := range g.words {
			if word != 0 {
				f(word)
			}
		}
	}
}

// segments calls yield for each segment once.
func (x *index) segments(yield func(*segment) bool) {
	if x.directory == nil {
		if g := x.root.Load(); g != nil {
			yield(g)
		}
		return
	}
	for i := 0; i < len(x.directory); i += 1 << (x.depth - x.directory[i].depth) {
		if !yield(x.directory[i]) {
			return
		}
	}
}
