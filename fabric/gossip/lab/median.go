package lab

import "math"

// median is the median-counter algorithm: every member calls a random one in every round, and both sides tell what they
// have. A member that has the update counts up when most of those it has talked to in a round are at its count or
// beyond; at the highest count it goes on for some rounds and then keeps silent. The counts make O(ln ln n) copies per
// member enough, without an exact idea of n.
type median struct {
	highest uint8 // the last count; the state after it is that of members that count down
	cooling uint8 // rounds in that state
	rumors  []*medianStates
}

type medianStates struct {
	state  []uint8 // by member: 0 has it not, 1…highest counts up, then counts down, then silent
	higher []int32 // by member: calls in this round with members at its count or beyond
	lower  []int32
	next   []uint8 // what the calls of this round have made of it; 0: nothing
	hot    int     // live members that still tell
}

func newMedian(e Experiment) *median {
	depth := uint8(max(1, math.Ceil(math.Log(math.Log(float64(max(e.N, 3)))))))
	return &median{highest: depth + 1, cooling: depth + 1}
}

func (p *median) born(f *field, s *spread) {
	r := &medianStates{state: make([]uint8, f.e.N), higher: make([]int32, f.e.N), lower: make([]int32, f.e.N), next: make([]uint8, f.e.N), hot: 1}
	r.state[s.origin] = 1
	p.rumors = append(p.rumors, r)
}

// tells reports whether a member in the state tells the update.
func (p *median) tells(state uint8) bool { return state > 0 && state <= p.highest+p.cooling }

func (p *median) play(f *field) {
	for i := range int32(f.e.N) {
		if !f.alive[i] {
			continue
		}
		for _, to := range f.choose(i) {
			if !p.tell(f, i, to) {
				continue
			}
			p.tell(f, to, i)
		}
	}
	for _, s := range f.open {
		p.count(f, p.rumors[s.index])
	}
}

// tell plays one direction of a call.
func (p *median) tell(f *field, from, to int32) bool {
	told := 0
	for _, s := range f.open {
		if p.tells(p.rumors[s.index].state[from]) {
			told++
		}
	}
	if !f.send(to, told, told*updateBytes) {
		return false
	}
	for _, s := range f.open {
		r := p.rumors[s.index]
		theirs, own := r.state[from], r.state[to]
		switch {
		case own == 0 && p.tells(theirs):
			f.deliver(s, to)
			next := uint8(1)
			if theirs > p.highest {
				next = p.highest + 1
			}
			if r.next[to] == 0 || next < r.next[to] {
				r.next[to] = next
			}
		case own == 0 || own > p.highest:
		case theirs > p.highest && p.tells(theirs):
			r.next[to] = p.highest + 1
		case theirs >= own:
			r.higher[to]++
		default:
			r.lower[to]++
		}
	}
	return true
}

// count ends a round.
func (p *median) count(f *field, r *medianStates) {
	r.hot = 0
	for i, state := range r.state {
		switch {
		case r.next[i] != 0:
			r.state[i] = r.next[i]
		case state > p.highest && p.tells(state), state > 0 && state <= p.highest && r.higher[i] > r.lower[i]:
			r.state[i]++
		}
		r.next[i], r.higher[i], r.lower[i] = 0, 0, 0
		if f.alive[i] && p.tells(r.state[i]) {
			r.hot++
		}
	}
}

func (p *median) silent(_ *field, s *spread) bool { return p.rumors[s.index].hot == 0 }
