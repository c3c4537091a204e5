package keyspace

import "github.com/egalcluster/egal/internal/slab"

// MaxPrefetch is how many keys Prefetch looks at.
const MaxPrefetch = 64

// Prefetch has the processor bring near what looking the first MaxPrefetch keys up will need: the slots' heads, their
// segments, index words, records, each for all keys before the next, so that the misses of many keys overlap instead
// of following each other. It takes no lock, so it may see the store as it was, or is about to be: nothing but speed
// depends on what it finds. Segments of a slot that has a directory are left out.
func (s *Store) Prefetch(db int, keys []Key) {
	if !slab.Prefetching {
		return
	}
	keys = keys[:min(len(keys), MaxPrefetch)]
	var roots [MaxPrefetch]*slab.Published[segment]
	var segments [MaxPrefetch]*segment
	for i := range keys {
		slot := keys[i].Slot
		if heads := s.ShardOf(slot).databases[db].heads.Load(); heads != nil {
			roots[i] = &(*heads)[slot>>s.shardBits]
			slab.Prefetch(roots[i])
		}
	}
	for i, root := range roots[:len(keys)] {
		if root != nil {
			segments[i] = root.Load()
			slab.Prefetch(segments[i])
		}
	}
	for i, g := range segments[:len(keys)] {
		if g != nil {
			slab.Prefetch(&g.words[g.home(g.tag(keys[i].Hash))])
		}
	}
	for i, g := range segments[:len(keys)] {
		if g != nil {
			s.prefetchRecord(g, keys[i].Hash)
		}
	}
}

// prefetchRecord looks for the record's word where it most often is: within a cache line from its home.
func (s *Store) prefetchRecord(g *segment, hash uint64) {
	tag := g.tag(hash)
	home := g.home(tag)
	words := g.words[home:min(home+8, len(g.words))]
	for i := range words {
		switch word := slab.Glimpse(&words[i]); {
		case word == 0 || tagOf(word) > tag:
			return
		case tagOf(word) == tag:
			s.arena.Prefetch(refOf(word))
			return
		}
	}
}
