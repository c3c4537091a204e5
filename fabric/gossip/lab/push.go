package lab

import (
	"math"
	"math/bits"
	"slices"

	"github.com/egalcluster/egal/internal/wire"
)

// newScheme makes the protocol of a comparison scheme.
func newScheme(e Experiment) scheme {
	switch e.Scheme {
	case SchemeLiteral:
		return newLiteral(e)
	case SchemeSeen:
		return newSeen(e)
	case SchemePushPull:
		return &pushPull{}
	case SchemeTransmit:
		return &transmit{limit: 4 * int(math.Ceil(math.Log10(float64(e.N)+1)))}
	case SchemeMedian:
		return newMedian(e)
	default:
		return &push{}
	}
}

// push is blind push. It never falls silent by itself.
type push struct{ hot []*spread }

func (*push) born(*field, *spread) {}

func (p *push) play(f *field) {
	for i := range int32(f.e.N) {
		p.hot = p.hot[:0]
		for _, s := range f.open {
			if f.alive[i] && f.has(s, i) {
				p.hot = append(p.hot, s)
			}
		}
		if len(p.hot) == 0 {
			continue
		}
		for _, to := range f.choose(i) {
			if f.send(to, len(p.hot), len(p.hot)*updateBytes) {
				for _, s := range p.hot {
					f.deliver(s, to)
				}
			}
		}
	}
}

func (*push) silent(*field, *spread) bool { return false }

// transmit is push that sends each update so many times and then forgets it.
type transmit struct {
	limit int
	left  [][]int16 // by update and member: how often it is still to be sent
	hot   []*spread
}

func (t *transmit) born(f *field, _ *spread) {
	left := make([]int16, f.e.N)
	for i := range left {
		left[i] = int16(t.limit)
	}
	t.left = append(t.left, left)
}

func (t *transmit) play(f *field) {
	for i := range int32(f.e.N) {
		if !f.alive[i] {
			continue
		}
		for _, to := range f.choose(i) {
			t.hot = t.hot[:0]
			for _, s := range f.open {
				if left := t.left[s.index]; left[i] > 0 && f.has(s, i) {
					left[i]--
					t.hot = append(t.hot, s)
				}
			}
			if len(t.hot) == 0 {
				break
			}
			if f.send(to, len(t.hot), len(t.hot)*updateBytes) {
				for _, s := range t.hot {
					f.deliver(s, to)
				}
			}
		}
	}
}

func (t *transmit) silent(f *field, s *spread) bool {
	for i, left := range t.left[s.index] {
		if left > 0 && s.got[i] != 0 {
			return false
		}
	}
	return true
}

// literal is the rule as a reader of it would write it down: each member walks the others in a random order of its
// own, K in a round, for every update. Choosing among those not yet sent to, at random, is just that.
type literal struct {
	walks  [][]int32 // by update and member: how far the walk has come
	half   uint      // bits of one half of the permuted domain
	packet []int32   // by receiver: the present member's packet to it, if marked
	marked []uint64
	mark   uint64
	lands  []bool // by packet: it arrives
}

func newLiteral(e Experiment) *literal {
	return &literal{half: uint(bits.Len(uint(e.N-1))+1) / 2, packet: make([]int32, e.N), marked: make([]uint64, e.N)}
}

func (l *literal) born(f *field, _ *spread) { l.walks = append(l.walks, make([]int32, f.e.N)) }

func (l *literal) play(f *field) {
	for i := range int32(f.e.N) {
		if !f.alive[i] {
			continue
		}
		l.mark++
		l.lands = l.lands[:0]
		for _, s := range f.open {
			if !f.has(s, i) {
				continue
			}
			walk := l.walks[s.index]
			for sent := 0; sent < f.e.K && int(walk[i]) < f.e.N; {
				to := l.step(f, s, i, walk[i])
				walk[i]++
				if !f.knows(i, to) {
					continue
				}
				sent++
				if l.send(f, to) {
					f.deliver(s, to)
				}
			}
		}
	}
}

// send puts an update into the member's packet for the receiver, and reports whether that arrives.
func (l *literal) send(f *field, to int32) bool {
	if l.marked[to] == l.mark {
		f.payloads++
		f.bytes += updateBytes
		return l.lands[l.packet[to]]
	}
	l.marked[to], l.packet[to] = l.mark, int32(len(l.lands))
	l.lands = append(l.lands, f.send(to, 1, updateBytes))
	return l.lands[len(l.lands)-1]
}

// step is the member at a place of a walk: a Feistel network over the places, passing over those beyond N.
func (l *literal) step(f *field, s *spread, member, place int32) int32 {
	key := wire.Mix64(f.views ^ wire.Mix64(uint64(s.index)<<32|uint64(member)))
	mask := uint64(1)<<l.half - 1
	at := uint64(place)
	for {
		left, right := at>>l.half, at&mask
		for turn := range uint64(4) {
			left, right = right, left^wire.Mix64(key+turn<<32+right)&mask
		}
		if at = left<<l.half | right; at < uint64(f.e.N) {
			return int32(at)
		}
	}
}

// silent counts what is still to be sent when everybody has the update, instead of playing it: nothing of it is news.
func (l *literal) silent(f *field, s *spread) bool {
	walk := l.walks[s.index]
	if s.whole == 0 {
		for i, at := range walk {
			if s.got[i] != 0 && int(at) < f.e.N {
				return false
			}
		}
		return true
	}
	if f.e.Updates > 1 && f.round < StreamRounds {
		return false
	}
	for i, at := range walk {
		if !f.alive[i] {
			continue
		}
		rest := f.e.N - int(at)
		if f.e.Missing == 0 {
			if !l.visitedSelf(f, s, int32(i), at) {
				rest--
			}
		} else {
			rest = 0
			for place := at; int(place) < f.e.N; place++ {
				if f.knows(int32(i), l.step(f, s, int32(i), place)) {
					rest++
				}
			}
		}
		f.packets += uint64(rest)
		f.payloads += uint64(rest)
		f.bytes += uint64(rest) * (headerBytes + updateBytes)
	}
	return true
}

// visitedSelf reports whether a walk has passed over its own member.
func (l *literal) visitedSelf(f *field, s *spread, member, until int32) bool {
	for place := range until {
		if l.step(f, s, member, place) == member {
			return true
		}
	}
	return false
}

// pushPull compares digests: the caller sends its own, the answer brings what it lacks and asks for what it has, the
// third message brings that. It never falls silent: digests go out whether there is news or not.
type pushPull struct{ give, take []*spread }

func (*pushPull) born(*field, *spread) {}

func (p *pushPull) play(f *field) {
	for i := range int32(f.e.N) {
		if !f.alive[i] {
			continue
		}
		for _, to := range slices.Clone(f.choose(i)) {
			if !f.send(to, 0, f.e.N*digestBytes) {
				continue
			}
			p.give, p.take = p.give[:0], p.take[:0]
			for _, s := range f.open {
				switch mine, theirs := f.has(s, i), f.has(s, to); {
				case mine && !theirs:
					p.give = append(p.give, s)
				case theirs && !mine:
					p.take = append(p.take, s)
				}
			}
			if !f.send(i, len(p.take), len(p.take)*updateBytes+len(p.give)*digestBytes) {
				continue
			}
			for _, s := range p.take {
				f.deliver(s, i)
			}
			if f.send(to, len(p.give), len(p.give)*updateBytes) {
				for _, s := range p.give {
					f.deliver(s, to)
				}
			}
		}
	}
}

func (*pushPull) silent(*field, *spread) bool { return false }
