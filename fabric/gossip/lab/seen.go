package lab

import (
	"math/bits"
	"slices"
)

// seen carries the set of members that have the update with every copy. A member that knows of somebody who has not
// got it sends to such a one; the others send their clock to anybody, and get what they lack. Who receives answers with
// its own set, so that the sender's grows: the receipt. When a member's set is full it knows that everybody has it.
//
// Everything goes in full each time, as in Akka; only the update and the set are counted in bytes.
type seen struct {
	words  int
	bytes  int // of a set on the wire
	rumors []*seenSets
	talk   []*spread
	newer  []*spread
}

type seenSets struct {
	sets []uint64 // words per member
	full []bool   // by member: knows of nobody without it
	left int      // live members whose set is not full
}

func newSeen(e Experiment) *seen { return &seen{words: (e.N + 63) / 64, bytes: (e.N + 7) / 8} }

func (p *seen) born(f *field, s *spread) {
	p.rumors = append(p.rumors, &seenSets{sets: make([]uint64, p.words*f.e.N), full: make([]bool, f.e.N), left: f.live})
	p.add(s, s.origin, s.origin)
}

func (p *seen) set(s *spread, member int32) []uint64 {
	at := p.words * int(member)
	return p.rumors[s.index].sets[at : at+p.words]
}

func (p *seen) add(s *spread, member, who int32) { p.set(s, member)[who/64] |= 1 << (who % 64) }

func (p *seen) marked(s *spread, member, who int32) bool {
	return p.set(s, member)[who/64]&(1<<(who%64)) != 0
}

// merge makes a member know what another one knows.
func (p *seen) merge(s *spread, member, from int32) {
	to := p.set(s, member)
	for i, word := range p.set(s, from) {
		to[i] |= word
	}
}

func (p *seen) play(f *field) {
	for i := range int32(f.e.N) {
		if !f.alive[i] {
			continue
		}
		f.chosen = f.chosen[:0]
		for range f.e.K {
			to, ok := p.target(f, i)
			if !ok {
				break
			}
			f.chosen = append(f.chosen, to)
			p.exchange(f, i, to)
		}
	}
}

// target is whom to send to: somebody who is not in the set of the oldest update that is not known to be everywhere,
// else anybody.
func (p *seen) target(f *field, member int32) (int32, bool) {
	for _, s := range f.open {
		r := p.rumors[s.index]
		if r.full[member] || !f.has(s, member) {
			continue
		}
		for range 16 {
			if to, ok := f.another(member); ok && !p.marked(s, member, to) {
				return to, true
			}
		}
		if to, ok := p.unmarked(f, s, member); ok {
			return to, true
		}
		if len(f.chosen) == 0 {
			r.full[member] = true
			r.left--
		}
	}
	return f.another(member)
}

// unmarked looks for a member outside of the set, from a random place on.
func (p *seen) unmarked(f *field, s *spread, member int32) (int32, bool) {
	set := p.set(s, member)
	from := f.targets.IntN(p.words)
	for step := range p.words + 1 {
		word := (from + step) % p.words
		for rest := ^set[word]; rest != 0; rest &= rest - 1 {
			to := int32(word*64 + bits.TrailingZeros64(rest))
			if int(to) < f.e.N && f.knows(member, to) && !slices.Contains(f.chosen, to) {
				return to, true
			}
		}
	}
	return 0, false
}

// exchange plays one contact: what the caller still talks about, the answer with the sets and what the caller lacks,
// and the receipt for that.
func (p *seen) exchange(f *field, from, to int32) {
	p.talk, p.newer = p.talk[:0], p.newer[:0]
	for _, s := range f.open {
		switch {
		case f.has(s, from) && !p.rumors[s.index].full[from]:
			p.talk = append(p.talk, s)
		case s.got[from] == 0 && f.has(s, to):
			p.newer = append(p.newer, s)
		}
	}
	if !f.send(to, len(p.talk), p.size(len(p.talk))) {
		return
	}
	for _, s := range p.talk {
		f.deliver(s, to)
		p.merge(s, to, from)
		p.add(s, to, to)
	}
	if len(p.talk)+len(p.newer) == 0 || !f.send(from, len(p.talk)+len(p.newer), p.size(len(p.talk)+len(p.newer))) {
		return
	}
	for _, s := range p.talk {
		p.merge(s, from, to)
	}
	for _, s := range p.newer {
		f.deliver(s, from)
		p.merge(s, from, to)
		p.add(s, from, from)
	}
	if len(p.newer) > 0 && f.send(to, len(p.newer), p.size(len(p.newer))) {
		for _, s := range p.newer {
			p.merge(s, to, from)
		}
	}
}

func (p *seen) size(updates int) int { return digestBytes + updates*(updateBytes+p.bytes) }

func (p *seen) silent(_ *field, s *spread) bool {
	r := p.rumors[s.index]
	if r.left > 0 {
		return false
	}
	r.sets = nil
	return true
}
