package sim

// queue is a heap of events: the earliest first, then the one caused first. The heap has four branches and moves small
// entries; the events themselves lie still, in places that are used again.
type queue[P, M any] struct {
	heap   []entry
	events []event[P, M]
	free   []int32
}

// entry is what the heap compares, and where its event lies.
type entry struct {
	at    int64 // nanoseconds since the world's start
	order uint64
	place int32
}

func (e entry) before(other entry) bool {
	return e.at < other.at || e.at == other.at && e.order < other.order
}

func (q *queue[P, M]) len() int { return len(q.heap) }

// first is the next event; it must not be changed.
func (q *queue[P, M]) first() *event[P, M] { return &q.events[q.heap[0].place] }

func (q *queue[P, M]) push(at int64, order uint64, e event[P, M]) {
	var place int32
	if last := len(q.free) - 1; last >= 0 {
		place, q.free = q.free[last], q.free[:last]
		q.events[place] = e
	} else {
		place = int32(len(q.events))
		q.events = append(q.events, e)
	}
	q.heap = append(q.heap, entry{at, order, place})
	added := q.heap[len(q.heap)-1]
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !added.before(q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = added
}

func (q *queue[P, M]) pop() event[P, M] {
	place := q.heap[0].place
	e := q.events[place]
	q.events[place] = event[P, M]{}
	q.free = append(q.free, place)
	last := len(q.heap) - 1
	moved := q.heap[last]
	q.heap = q.heap[:last]
	if last == 0 {
		return e
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= last {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, last); c++ {
			if q.heap[c].before(q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(moved) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = moved
	return e
}
