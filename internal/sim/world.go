package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/egalcluster/egal/internal/core"
	"github.com/egalcluster/egal/internal/wire"
)

// Link is how messages travel. Probabilities lie within 0…1.
type Link struct {
	// Latency is what every message takes, Jitter the most that is added at random.
	Latency, Jitter time.Duration
	// Loss and Duplicate are the shares of datagrams that are lost or come twice.
	Loss, Duplicate float64
	// Reorder is the share of datagrams held back long enough to be overtaken.
	Reorder float64
}

// Options describe a World.
type Options struct {
	Seed  uint64
	Start time.Time
	Link  Link
}

// World simulates cores. P names a process, M is the type of messages, E of events.
type World[P comparable, M, E any] struct {
	start, now time.Time
	link       Link
	places     map[P]*place[P, M, E]
	named      uint64 // places that have a number
	queue      queue[*place[P, M, E], M]
	caused     uint64 // events queued so far: the tie-break
	happened   uint64
	started    uint64 // processes
	trace      uint64

	cuts    map[wirePair[P]]bool
	streams map[wirePair[P]]time.Time // when the last stream message of a link arrives

	latency, loss, duplicate, reorder *rand.Rand

	transcode   func(M) M
	fingerprint func(M) uint64
	reliable    func(M) bool
	refuse      func() M
	onNotify    func(time.Time, P, E)
	onSend      func(now time.Time, from, to P, m M)
}

// place is a name of processes, whether one is running or not.
type place[P comparable, M, E any] struct {
	name    P
	ordinal uint64            // in traces, in order of first appearance; 0: none yet
	process *process[P, M, E] // nil: none is running
}

type process[P comparable, M, E any] struct {
	number uint64 // no two processes have the same
	core   core.Core[P, M, E]
	skew   time.Duration
	paused time.Time // runs again from here on
	wake   time.Time // the tick that is queued; zero: none
}

type wirePair[P comparable] struct{ from, to P }

type kind uint8

const (
	deliver kind = iota + 1
	tick
)

type event[P, M any] struct {
	at       time.Time
	kind     kind
	from, to P
	message  M
	stream   bool
	inside   uint64 // ticks and requests belong to this process and die with it; zero: a message
}

// happening is an event between places of a world.
type happening[P comparable, M, E any] = event[*place[P, M, E], M]

// New makes an empty world.
func New[P comparable, M, E any](o Options) *World[P, M, E] {
	generator := func(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(o.Seed, purpose)) }
	return &World[P, M, E]{
		start: o.Start, now: o.Start, link: o.Link, places: map[P]*place[P, M, E]{},
		cuts: map[wirePair[P]]bool{}, streams: map[wirePair[P]]time.Time{},
		latency: generator(1), loss: generator(2), duplicate: generator(3), reorder: generator(4),
	}
}

// Transcode makes every message pass f on its way, as real drivers encode and decode it.
func (w *World[P, M, E]) Transcode(f func(M) M) { w.transcode = f }

// Fingerprint makes the trace cover the content of messages.
func (w *World[P, M, E]) Fingerprint(f func(M) uint64) { w.fingerprint = f }

// Reliable says which messages travel over streams. Default: none.
func (w *World[P, M, E]) Reliable(f func(M) bool) { w.reliable = f }

// Refuse gives the message that the sender of a stream message receives, as if from the receiver, when the
// receiver's process is not there. Default: it receives nothing.
func (w *World[P, M, E]) Refuse(f func() M) { w.refuse = f }

// OnNotify sees every event that a core reports.
func (w *World[P, M, E]) OnNotify(f func(now time.Time, p P, e E)) { w.onNotify = f }

// OnSend sees every message that a core sends, lost ones included.
func (w *World[P, M, E]) OnSend(f func(now time.Time, from, to P, m M)) { w.onSend = f }

// SetLink changes how messages travel from now on.
func (w *World[P, M, E]) SetLink(l Link) { w.link = l }

// Now is the simulated time.
func (w *World[P, M, E]) Now() time.Time { return w.now }

// Events is how many events have happened.
func (w *World[P, M, E]) Events() uint64 { return w.happened }

// Trace is a hash of everything that has happened: equal seeds and calls, equal traces.
func (w *World[P, M, E]) Trace() uint64 { return w.trace }

// Note makes the trace cover v, something that a checker has seen.
func (w *World[P, M, E]) Note(v uint64) { w.trace = wire.Mix64(w.trace ^ v) }

// Add starts a process. A process with this name must not be running.
func (w *World[P, M, E]) Add(p P, c core.Core[P, M, E]) {
	at := w.place(p)
	if at.process != nil {
		panic(fmt.Sprintf("sim: %v is running already", p))
	}
	w.started++
	at.process = &process[P, M, E]{number: w.started, core: c}
	w.Note(w.ordinal(at))
	w.carryOut(at)
}

// Remove crashes a process. Messages on their way to it reach whoever has its name by then.
func (w *World[P, M, E]) Remove(p P) { w.place(p).process = nil }

// Running reports whether a process of the name is there.
func (w *World[P, M, E]) Running(p P) bool { return w.place(p).process != nil }

// Pause stops a process for d: its messages and ticks wait.
func (w *World[P, M, E]) Pause(p P, d time.Duration) {
	if target := w.place(p).process; target != nil {
		target.paused = w.now.Add(d)
	}
}

// Skew makes the process's clock d ahead of the world's. The core is ticked: its shell notices the jump.
func (w *World[P, M, E]) Skew(p P, d time.Duration) {
	at := w.place(p)
	if target := at.process; target != nil {
		target.skew, target.wake = d, w.now
		w.push(happening[P, M, E]{at: w.now, kind: tick, from: at, to: at, inside: target.number})
	}
}

// Cut loses all messages from one process to another, those under way included, until Heal.
func (w *World[P, M, E]) Cut(from, to P) { w.cuts[wirePair[P]{from, to}] = true }

// Heal ends all cuts.
func (w *World[P, M, E]) Heal() { clear(w.cuts) }

// Inject hands a request to p's core at this moment, as its shell does. A paused process receives it when it runs
// again; one that crashes before does not.
func (w *World[P, M, E]) Inject(p P, m M) {
	at := w.place(p)
	if target := at.process; target != nil {
		w.push(happening[P, M, E]{at: w.now, kind: deliver, from: at, to: at, message: m, inside: target.number})
	}
}

// RunUntil lets everything happen that happens up to t, and sets the time to t.
func (w *World[P, M, E]) RunUntil(t time.Time) {
	for w.queue.len() > 0 && !w.queue.first().at.After(t) {
		w.Step()
	}
	if t.After(w.now) {
		w.now = t
	}
}

// Step lets the next event happen; false: nothing will happen any more.
func (w *World[P, M, E]) Step() bool {
	if w.queue.len() == 0 {
		return false
	}
	e := w.queue.pop()
	w.now = e.at
	target := e.to.process
	switch {
	case target == nil || e.inside != 0 && e.inside != target.number:
		w.nobodyThere(e)
		return true
	case e.kind == tick && !e.at.Equal(target.wake):
		return true // the core has changed its mind since
	case target.paused.After(w.now):
		e.at = target.paused
		if e.kind == tick {
			target.wake = e.at
		}
		w.push(e)
		return true
	}
	w.happen(target, e)
	for w.more(e.to, target) {
		w.happen(target, w.queue.pop())
	}
	w.carryOut(e.to)
	return true
}

// more reports whether the next event is another message for the same process at the same instant.
func (w *World[P, M, E]) more(p *place[P, M, E], target *process[P, M, E]) bool {
	if w.queue.len() == 0 {
		return false
	}
	e := w.queue.first()
	return e.at.Equal(w.now) && e.to == p && e.kind == deliver && (e.inside == 0 || e.inside == target.number)
}

func (w *World[P, M, E]) happen(target *process[P, M, E], e happening[P, M, E]) {
	if e.from != e.to && w.cut(e.from.name, e.to.name) {
		return
	}
	w.happened++
	w.Note(uint64(e.kind) ^ uint64(e.at.UnixNano())<<8)
	w.Note(w.ordinal(e.from)<<32 ^ w.ordinal(e.to))
	local := w.now.Add(target.skew)
	if e.kind == tick {
		target.wake = time.Time{}
		target.core.Tick(local)
		return
	}
	if w.fingerprint != nil {
		w.Note(w.fingerprint(e.message))
	}
	target.core.Receive(local, e.from.name, e.message)
}

func (w *World[P, M, E]) nobodyThere(e happening[P, M, E]) {
	sender := e.from.process
	if e.stream && w.refuse != nil && sender != nil && !w.cut(e.to.name, e.from.name) {
		w.push(happening[P, M, E]{at: w.now.Add(w.link.Latency), kind: deliver, from: e.to, to: e.from, message: w.refuse(), inside: sender.number})
	}
}

// carryOut does what the core wants done and queues its next tick.
func (w *World[P, M, E]) carryOut(p *place[P, M, E]) {
	target := p.process
	ready := target.core.Ready()
	for _, out := range ready.Send {
		if w.onSend != nil {
			w.onSend(w.now, p.name, out.To, out.Message)
		}
		w.send(p, w.place(out.To), out.Message)
	}
	for _, e := range ready.Notify {
		if w.onNotify != nil {
			w.onNotify(w.now, p.name, e)
		}
	}
	w.schedule(p, target)
}

func (w *World[P, M, E]) schedule(p *place[P, M, E], target *process[P, M, E]) {
	next := target.core.Next()
	if next.IsZero() {
		target.wake = time.Time{}
		return
	}
	next = next.Add(-target.skew)
	if next.Before(w.now) {
		next = w.now
	}
	if !next.Equal(target.wake) {
		target.wake = next
		w.push(happening[P, M, E]{at: next, kind: tick, from: p, to: p, inside: target.number})
	}
}

func (w *World[P, M, E]) send(from, to *place[P, M, E], m M) {
	stream := w.reliable != nil && w.reliable(m)
	if w.transcode != nil {
		m = w.transcode(m)
	}
	// Every message draws from every generator, whatever becomes of it.
	delay := w.link.Latency + time.Duration(w.latency.Float64()*float64(w.link.Jitter))
	lost := w.loss.Float64() < w.link.Loss
	twice := w.duplicate.Float64() < w.link.Duplicate
	late := w.reorder.Float64() < w.link.Reorder
	if w.cut(from.name, to.name) {
		return
	}
	at := w.now.Add(delay)
	if stream {
		pair := wirePair[P]{from.name, to.name}
		if last := w.streams[pair]; last.After(at) {
			at = last
		}
		w.streams[pair] = at
		w.push(happening[P, M, E]{at: at, kind: deliver, from: from, to: to, message: m, stream: true})
		return
	}
	if late {
		at = at.Add(4 * (w.link.Latency + w.link.Jitter))
	}
	if !lost {
		w.push(happening[P, M, E]{at: at, kind: deliver, from: from, to: to, message: m})
	}
	if twice {
		w.push(happening[P, M, E]{at: at.Add(w.link.Latency + w.link.Jitter), kind: deliver, from: from, to: to, message: m})
	}
}

func (w *World[P, M, E]) push(e happening[P, M, E]) {
	w.caused++
	w.queue.push(int64(e.at.Sub(w.start)), w.caused, e)
}

func (w *World[P, M, E]) cut(from, to P) bool {
	return len(w.cuts) > 0 && w.cuts[wirePair[P]{from, to}]
}

// place is where processes of the name run.
func (w *World[P, M, E]) place(p P) *place[P, M, E] {
	at, ok := w.places[p]
	if !ok {
		at = &place[P, M, E]{name: p}
		w.places[p] = at
	}
	return at
}

func (w *World[P, M, E]) ordinal(p *place[P, M, E]) uint64 {
	if p.ordinal == 0 {
		w.named++
		p.ordinal = w.named
	}
	return p.ordinal
}
