package transport

import (
	"container/heap"
	"sync"
	"time"
)

// budget counts the frames that wait for one peer, against MaxQueuedFrames and MaxQueuedBytes. Its owner locks.
type budget struct{ frames, bytes int }

func (b *budget) take(size int) error {
	if b.frames+1 > MaxQueuedFrames || b.bytes+size > MaxQueuedBytes {
		return ErrQueueFull
	}
	b.frames++
	b.bytes += size
	return nil
}

func (b *budget) give(size int) {
	b.frames--
	b.bytes -= size
}

// maxLine is how many entries a line holds.
const maxLine = 16384

// line delivers values when they are due, equal times in the order of their arrival, on one goroutine.
type line[T any] struct {
	wake  chan struct{}
	stop  chan struct{}
	ended chan struct{}

	mu      sync.Mutex
	entries entries[T]
	pushed  uint64
	started bool
	closed  bool
}

type entry[T any] struct {
	due   time.Time
	order uint64
	value T
}

func newLine[T any]() *line[T] {
	return &line[T]{wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
}

// push adds a value; false: the line is full or closed.
func (l *line[T]) push(due time.Time, value T) bool {
	l.mu.Lock()
	if l.closed || len(l.entries) >= maxLine {
		l.mu.Unlock()
		return false
	}
	l.pushed++
	e := entry[T]{due: due, order: l.pushed, value: value}
	heap.Push(&l.entries, e)
	first := l.entries[0].order == e.order
	l.mu.Unlock()
	if first {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// start begins delivering, once; later calls do nothing.
func (l *line[T]) start(deliver func(T)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started || l.closed {
		return
	}
	l.started = true
	go l.run(deliver) // ends by close, which waits for it
}

// close ends the goroutine, waits for it and drops what is left.
func (l *line[T]) close() {
	l.mu.Lock()
	started, already := l.started, l.closed
	l.closed = true
	l.entries = nil
	l.mu.Unlock()
	if !already {
		close(l.stop)
	}
	if started {
		<-l.ended
	}
}

func (l *line[T]) run(deliver func(T)) {
	defer close(l.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		value, wait, ok := l.next()
		if ok {
			deliver(value)
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-l.stop:
			return
		case <-l.wake:
		case <-due:
		}
	}
}

// next takes the first entry if it is due; else it says how long to wait, 0 for as long as nothing comes.
func (l *line[T]) next() (value T, wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == 0 {
		return value, 0, false
	}
	if wait = time.Until(l.entries[0].due); wait > 0 {
		return value, wait, false
	}
	return heap.Pop(&l.entries).(entry[T]).value, 0, true
}

// entries is the heap of a line.
type entries[T any] []entry[T]

func (e entries[T]) Len() int { return len(e) }
func (e entries[T]) Less(i, j int) bool {
	if e[i].due.Equal(e[j].due) {
		return e[i].order < e[j].order
	}
	return e[i].due.Before(e[j].due)
}
func (e entries[T]) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *entries[T]) Push(x any)   { *e = append(*e, x.(entry[T])) }

func (e *entries[T]) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = entry[T]{}
	*e = old[:len(old)-1]
	return last
}
