package quorum

// timers is a heap of proposers, the one that is due first on top. Each knows its place, so that a deadline moves in
// logarithmic time. Equal deadlines are in the order of the proposers' serial numbers: replays are equal.
type timers struct{ heap []*proposer }

func (t *timers) empty() bool      { return len(t.heap) == 0 }
func (t *timers) first() *proposer { return t.heap[0] }
func (t *timers) before(a, b *proposer) bool {
	return a.due.Before(b.due) || a.due.Equal(b.due) && a.serial < b.serial
}

// set puts p where its deadline belongs; a zero deadline takes it out.
func (t *timers) set(p *proposer) {
	if p.due.IsZero() {
		t.remove(p)
		return
	}
	if p.place < 0 {
		p.place = len(t.heap)
		t.heap = append(t.heap, p)
	}
	t.down(t.up(p.place))
}

func (t *timers) remove(p *proposer) {
	place := p.place
	if place < 0 {
		return
	}
	last := len(t.heap) - 1
	moved := t.heap[last]
	t.heap[last] = nil
	t.heap = t.heap[:last]
	p.place = -1
	if moved != p {
		t.heap[place], moved.place = moved, place
		t.down(t.up(place))
	}
}

func (t *timers) up(i int) int {
	for i > 0 {
		parent := (i - 1) / 2
		if !t.before(t.heap[i], t.heap[parent]) {
			break
		}
		t.swap(i, parent)
		i = parent
	}
	return i
}

func (t *timers) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.heap); child++ {
			if t.before(t.heap[child], t.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		t.swap(i, least)
		i = least
	}
}

func (t *timers) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.heap[i].place, t.heap[j].place = i, j
}
