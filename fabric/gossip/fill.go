package gossip

import (
	"cmp"
	"slices"
)

// What one step of a comparison hands over, in which order, and how it is put into packets.

const (
	// maxStep is how many bytes of state one step brings. A single entry, or an owner's state that cannot be cut,
	// may go beyond.
	maxStep = 64 << 10
	// maxDatagrams is how many datagrams a step takes; what needs more goes over a stream, as one packet.
	maxDatagrams = 16
	// turnBytes is how much of an owner's state is brought before it is the next one's turn.
	turnBytes = 1000
)

// step is what one node has to tell another one in the course of a comparison.
type step struct {
	lacks  []*lack
	shared []*shared
	owners []ownerDigest // wanted
	keys   []sharedKey   // wanted
	more   bool
}

// lack is an owner's state of which the peer lacks the end. It is brought in the order of versions, so that it can be
// cut anywhere: whatever arrives is a state with every live key up to its version. Only a state that begins anew and
// whose tombstones up to a version are forgotten must reach that version.
type lack struct {
	owner  *owner
	since  uint64
	member uint64  // the version up to which there is news of who the owner is and whom it finds unreachable; or 0
	news   []entry // by version; nil until it is the owner's turn
	taken  int     // how many of them go into this step
}

// bring adds what a peer at the clock lacks of o, if anything. A peer that may have missed deletions whose tombstones
// are forgotten gets the state from its beginning.
func (s *step) bring(o *owner, theirs ownerDigest) {
	if !theirs.behind(ownerDigest{o.id, o.generation, o.version}) {
		return
	}
	l := &lack{owner: o}
	if theirs.generation == o.generation && theirs.version >= o.collected {
		l.since = theirs.version
	}
	for _, key := range []string{keyNode, keyReport} {
		if e, ok := o.find(key); ok && e.version > l.since {
			l.member = max(l.member, e.version)
		}
	}
	s.lacks = append(s.lacks, l)
}

// turn takes some more entries into the step, about turnBytes; the first time, the news of membership as well.
func (l *lack) turn() (bytes int) {
	if l.news == nil {
		bytes = deltaBytes
		l.news = slices.DeleteFunc(slices.Clone(l.owner.entries), func(e entry) bool { return e.version <= l.since })
		slices.SortFunc(l.news, func(a, b entry) int { return cmp.Compare(a.version, b.version) })
	}
	for l.taken < len(l.news) && (bytes < turnBytes || l.upto(l.taken) < l.member || !l.cuttable(l.taken)) {
		bytes += entrySize(l.news[l.taken])
		l.taken++
	}
	return bytes
}

// upto is the version that the first count entries of the news bring.
func (l *lack) upto(count int) uint64 {
	switch count {
	case len(l.news):
		return l.owner.version
	case 0:
		return l.since
	default:
		return l.news[count-1].version
	}
}

// cuttable reports whether the news may be cut after the first count entries.
func (l *lack) cuttable(count int) bool { return l.upto(count) >= l.owner.collected }

// choose takes into the step what comes first and fits: who is a member, then owners and shared keys in turn,
// beginning anywhere. The rest waits for the next step.
func (s *step) choose(start uint64) {
	rotate(s.lacks, start)
	rotate(s.shared, start)
	s.lacks = firstOf(s.lacks, func(l *lack) bool { return l.member > 0 })
	s.shared = firstOf(s.shared, func(s *shared) bool { return s.admission != nil })
	room, lacks, keys := maxStep, 0, 0 // the latter two: how many are in the step
	takeLack := func(any bool) bool {
		if room <= 0 || lacks == len(s.lacks) || !any && s.lacks[lacks].member == 0 {
			return false
		}
		room -= s.lacks[lacks].turn()
		lacks++
		return true
	}
	takeShared := func(any bool) bool {
		if room <= 0 || keys == len(s.shared) || !any && s.shared[keys].admission == nil {
			return false
		}
		room -= sharedSize(s.shared[keys])
		keys++
		return true
	}
	for takeLack(false) {
	}
	for takeShared(false) {
	}
	for again := true; again; {
		again = takeLack(true)
		again = takeShared(true) || again
	}
	s.more = s.more || lacks < len(s.lacks) || keys < len(s.shared)
	s.lacks, s.shared = s.lacks[:lacks], s.shared[:keys]
	for again := true; again; {
		again = false
		for _, l := range s.lacks {
			if room > 0 && l.taken < len(l.news) {
				room -= l.turn()
				again = true
			}
		}
	}
	s.more = s.more || slices.ContainsFunc(s.lacks, func(l *lack) bool { return l.taken < len(l.news) })
}

// firstOf puts the elements that are urgent before the others, without changing the order within either.
func firstOf[T any](list []T, urgent func(T) bool) []T {
	first := make([]T, 0, len(list))
	var rest []T
	for _, e := range list {
		if urgent(e) {
			first = append(first, e)
		} else {
			rest = append(rest, e)
		}
	}
	return append(first, rest...)
}

func rotate[T any](list []T, start uint64) {
	if len(list) > 0 {
		i := int(start % uint64(len(list)))
		slices.Reverse(list[:i])
		slices.Reverse(list[i:])
		slices.Reverse(list)
	}
}

// sendStep sends a step as datagrams, or as one packet over a stream. It reports whether there was anything to send.
func (c *Core) sendStep(to partner, s step) bool {
	s.choose(c.random.Uint64())
	fills, ok := s.pack(datagramRoom)
	if !ok || len(fills) > maxDatagrams {
		fills, _ = s.pack(packetRoom)
	}
	for i, f := range fills {
		f.more = s.more && i == len(fills)-1
		if c.sendPaced(to, f) {
			c.metrics.Fills++
		}
	}
	return len(fills) > 0
}

// pack puts the step into fills of at most limit bytes each; false: something is too large for that.
func (s *step) pack(limit int) (fills []fill, ok bool) {
	p := packer{limit: limit, size: fillBytes}
	for _, d := range s.owners {
		p.fit(d.size())
		p.fill.owners = append(p.fill.owners, d)
	}
	for _, key := range s.keys {
		p.fit(keySize(key))
		p.fill.keys = append(p.fill.keys, key)
	}
	for _, l := range s.lacks {
		p.lack(l)
	}
	for _, shared := range s.shared {
		p.fit(sharedSize(shared))
		p.fill.shared = append(p.fill.shared, shared)
	}
	p.close()
	return p.fills, !p.tooLarge
}

// packer fills packets one after the other.
type packer struct {
	limit    int
	fills    []fill
	fill     fill
	size     int
	tooLarge bool
}

// fit makes room for something of a size.
func (p *packer) fit(bytes int) {
	if p.size > fillBytes && p.size+bytes > p.limit {
		p.close()
	}
	p.size += bytes
	p.tooLarge = p.tooLarge || p.size > p.limit
}

func (p *packer) close() {
	if p.size > fillBytes {
		p.fills = append(p.fills, p.fill)
	}
	p.fill, p.size = fill{}, fillBytes
}

// lack packs what the step takes of an owner's state, cut where a packet is full.
func (p *packer) lack(l *lack) {
	since, from := l.since, 0
	for first := true; first || from < l.taken; first = false {
		to, bytes := l.piece(from, p.limit-p.size)
		if to < 0 {
			to, bytes = l.piece(from, p.limit-fillBytes) // in the next packet
		}
		if to < 0 {
			p.tooLarge = true
			return
		}
		p.fit(bytes)
		p.fill.deltas = append(p.fill.deltas, l.delta(since, from, to))
		since, from = l.upto(to), to
	}
}

// piece is the longest run of entries, from one on, that fits the room and ends where the news may be cut, and its
// size as a delta; -1: there is none.
func (l *lack) piece(from, room int) (to, bytes int) {
	to = -1
	size := deltaBytes
	for count := from; ; count++ {
		if size > room {
			return to, bytes
		}
		if (count > from || l.taken == from) && l.cuttable(count) {
			to, bytes = count, size
		}
		if count == l.taken {
			return to, bytes
		}
		size += entrySize(l.news[count])
	}
}

// delta carries the entries [from, to) of the news.
func (l *lack) delta(since uint64, from, to int) delta {
	d := delta{
		owner: l.owner.id, generation: l.owner.generation, since: since, upto: l.upto(to), collected: l.owner.collected,
		entries: slices.Clone(l.news[from:to]),
	}
	slices.SortFunc(d.entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	return d
}
