package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/core"
)

var start = time.UnixMilli(1_700_000_000_000)

// echo is a core that sends each peer a ping per tick and answers pings; what it does it writes down.
type echo struct {
	name    int
	peers   map[int]bool
	careful bool // visits its peers in order
	next    time.Time
	ready   core.Ready[int, string, string]
}

func (e *echo) Receive(now time.Time, from int, m string) {
	e.ready.Notify = append(e.ready.Notify, fmt.Sprintf("%d got %s of %d", e.name, m, from))
	if m == "ping" {
		e.send(from, "pong")
	}
}

func (e *echo) Tick(now time.Time) {
	e.next = now.Add(10 * time.Millisecond)
	if e.careful {
		for peer := range 5 {
			if e.peers[peer] {
				e.send(peer, "ping")
			}
		}
		return
	}
	for peer := range e.peers {
		e.send(peer, "ping")
	}
}

func (e *echo) send(to int, m string) {
	e.ready.Send = append(e.ready.Send, core.Out[int, string]{To: to, Message: m})
}

func (e *echo) Next() time.Time { return e.next }

func (e *echo) Ready() core.Ready[int, string, string] {
	ready := e.ready
	e.ready = core.Ready[int, string, string]{}
	return ready
}

// five makes a world of five cores that ping each other; it returns what they report.
func five(o Options, careful bool) (w *World[int, string, string], log *[]string) {
	o.Start = start
	w, log = New[int, string, string](o), new([]string)
	w.OnNotify(func(now time.Time, p int, e string) { *log = append(*log, fmt.Sprint(now.Sub(start), " ", e)) })
	w.Fingerprint(func(m string) uint64 { return uint64(len(m)) + uint64(m[1])<<8 })
	for p := range 5 {
		peers := map[int]bool{}
		for other := range 5 {
			peers[other] = other != p
		}
		delete(peers, p)
		w.Add(p, &echo{name: p, peers: peers, careful: careful, next: start})
	}
	return w, log
}

var rough = Link{Latency: time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.1, Duplicate: 0.1, Reorder: 0.2}

func TestEqualSeedsGiveEqualTraces(t *testing.T) {
	run := func(seed uint64) (uint64, string) {
		w, log := five(Options{Seed: seed, Link: rough}, true)
		w.RunUntil(start.Add(time.Second))
		return w.Trace(), fmt.Sprint(*log)
	}
	trace, log := run(1)
	if again, same := run(1); again != trace || same != log {
		t.Fatal("two runs of one seed differ")
	}
	if other, _ := run(2); other == trace {
		t.Fatal("two seeds have the same trace")
	}
}

// A planted fault: a core that sends in the order of a map is found out.
func TestNondeterminismShowsInTheTrace(t *testing.T) {
	traces := map[uint64]bool{}
	for range 20 {
		w, _ := five(Options{Seed: 1, Link: rough}, false)
		w.RunUntil(start.Add(100 * time.Millisecond))
		traces[w.Trace()] = true
	}
	if len(traces) == 1 {
		t.Fatal("twenty runs of a nondeterministic core have one trace")
	}
}

// pair is a world of two silent cores, 1 and 2, that write down what they get.
func pair(link Link) (w *World[int, string, string], log *[]string) {
	w, log = New[int, string, string](Options{Seed: 1, Start: start, Link: link}), new([]string)
	w.OnNotify(func(now time.Time, p int, e string) { *log = append(*log, fmt.Sprint(now.Sub(start), " ", e)) })
	w.Add(1, &echo{name: 1})
	w.Add(2, &echo{name: 2})
	return w, log
}

func TestFaults(t *testing.T) {
	slow := Link{Latency: time.Millisecond}
	for _, tc := range []struct {
		name string
		link Link
		play func(w *World[int, string, string])
		want string
	}{
		{"a message takes the latency", slow, func(w *World[int, string, string]) { w.send(w.place(1), w.place(2), "a") }, "[1ms 2 got a of 1]"},
		{
			"equal times keep the order of sending", slow, func(w *World[int, string, string]) {
				w.send(w.place(1), w.place(2), "a")
				w.send(w.place(1), w.place(2), "b")
			},
			"[1ms 2 got a of 1 1ms 2 got b of 1]",
		},
		{"a lossy link", Link{Latency: time.Millisecond, Loss: 1}, func(w *World[int, string, string]) { w.send(w.place(1), w.place(2), "a") }, "[]"},
		{
			"a duplicating link",
			Link{Latency: time.Millisecond, Duplicate: 1},
			func(w *World[int, string, string]) { w.send(w.place(1), w.place(2), "a") },
			"[1ms 2 got a of 1 2ms 2 got a of 1]",
		},
		{
			"a reordering link",
			Link{Latency: time.Millisecond, Reorder: 1},
			func(w *World[int, string, string]) { w.send(w.place(1), w.place(2), "a") },
			"[5ms 2 got a of 1]",
		},
		{"a stream on a bad link", Link{Latency: time.Millisecond, Loss: 1, Duplicate: 1, Reorder: 1}, func(w *World[int, string, string]) {
			w.Reliable(func(string) bool { return true })
			w.send(w.place(1), w.place(2), "a")
		}, "[1ms 2 got a of 1]"},
		{"a cut is one-way", slow, func(w *World[int, string, string]) {
			w.Cut(1, 2)
			w.send(w.place(1), w.place(2), "a")
			w.send(w.place(2), w.place(1), "b")
		}, "[1ms 1 got b of 2]"},
		{"a cut loses what is under way", slow, func(w *World[int, string, string]) { w.send(w.place(1), w.place(2), "a"); w.Cut(1, 2) }, "[]"},
		{"a healed link", slow, func(w *World[int, string, string]) { w.Cut(1, 2); w.Heal(); w.send(w.place(1), w.place(2), "a") }, "[1ms 2 got a of 1]"},
		{"a paused process hears later", slow, func(w *World[int, string, string]) { w.Pause(2, time.Second); w.send(w.place(1), w.place(2), "a") }, "[1s 2 got a of 1]"},
		{"a crashed process hears nothing", slow, func(w *World[int, string, string]) { w.send(w.place(1), w.place(2), "a"); w.Remove(2) }, "[]"},
		{
			"its successor does", slow, func(w *World[int, string, string]) {
				w.send(w.place(1), w.place(2), "a")
				w.Remove(2)
				w.Add(2, &echo{name: 3})
			},
			"[1ms 3 got a of 1]",
		},
		{"a request dies with its process", slow, func(w *World[int, string, string]) {
			w.Inject(2, "a")
			w.Remove(2)
			w.Add(2, &echo{name: 3})
		}, "[]"},
		{"a stream to nobody is refused", slow, func(w *World[int, string, string]) {
			w.Reliable(func(string) bool { return true })
			w.Refuse(func() string { return "refused" })
			w.Remove(2)
			w.send(w.place(1), w.place(2), "a")
		}, "[2ms 1 got refused of 2]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, log := pair(tc.link)
			tc.play(w)
			w.RunUntil(start.Add(2 * time.Second))
			if got := fmt.Sprint(*log); got != tc.want {
				t.Fatalf("%s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestASkewedCoreIsTickedByItsOwnClock(t *testing.T) {
	w := New[int, string, string](Options{Start: start})
	e := &echo{name: 1, careful: true, next: start}
	w.Add(1, e)
	w.Skew(1, time.Hour)
	w.RunUntil(start.Add(time.Second))
	if want := start.Add(time.Hour + time.Second + 10*time.Millisecond); !e.next.Equal(want) {
		t.Fatalf("next tick at %v, want %v", e.next, want)
	}
}

// BenchmarkWorld measures events per second.
func BenchmarkWorld(b *testing.B) {
	w, _ := five(Options{Seed: 1, Link: rough}, true)
	for b.Loop() {
		w.Step()
	}
}

// timer is a core that does nothing but wake up: what is left is the world's own cost.
type timer struct{ next time.Time }

func (*timer) Receive(time.Time, int, string)         {}
func (c *timer) Tick(now time.Time)                   { c.next = now.Add(time.Millisecond) }
func (c *timer) Next() time.Time                      { return c.next }
func (*timer) Ready() core.Ready[int, string, string] { return core.Ready[int, string, string]{} }

func BenchmarkEvent(b *testing.B) {
	for _, count := range []int{10, 10_000} {
		b.Run(fmt.Sprint("processes=", count), func(b *testing.B) {
			w := New[int, string, string](Options{Seed: 1, Start: start})
			for p := range count {
				w.Add(p, &timer{next: start.Add(time.Duration(p))})
			}
			b.ReportAllocs()
			for b.Loop() {
				w.Step()
			}
		})
	}
}

func TestEventsAtOneTimeHappenInTheOrderTheyWereCaused(t *testing.T) {
	var q queue[int, int]
	order := uint64(0)
	push := func(at int64) {
		order++
		q.push(at, order, event[int, int]{from: int(at), to: int(order)})
	}
	for i := range int64(1000) {
		push(i * 7919 % 31)
		if i%3 == 0 {
			q.pop()
		}
	}
	var last entry
	for q.len() > 0 {
		head := q.heap[0]
		e := q.pop()
		if head.before(last) || int64(e.from) != head.at || uint64(e.to) != head.order {
			t.Fatalf("%v came after %v, with %v", head, last, e)
		}
		last = head
	}
	if len(q.free) != len(q.events) {
		t.Fatalf("%d places, %d of them free", len(q.events), len(q.free))
	}
}
