// Package core defines the one contract every distributed protocol of Egal fulfils: a sans-IO state machine.
//
// A [Core] has no goroutine, clock, socket or hidden randomness. It receives messages and the passing of time,
// and hands back what has to be done as a value. internal/loop connects a Core to the world; internal/sim drives
// thousands of them from one seed.
package core

import "time"

// Core is a deterministic state machine, owned by exactly one goroutine. P names a peer, M is the sealed type of
// its messages, E the type of the events it reports. Equal seeds and equal inputs give equal outputs.
type Core[P comparable, M, E any] interface {
	// Receive takes a peer's message, or a request of the shell that owns the core.
	Receive(now time.Time, from P, m M)
	// Tick tells that all deadlines up to now have passed.
	Tick(now time.Time)
	// Next is the earliest deadline; the zero time means there is none.
	Next() time.Time
	// Ready hands over what to do, and forgets it.
	Ready() Ready[P, M, E]
}

// Ready is what a Core wants done. The fields are carried out in their order: nothing is sent before Save is durable.
type Ready[P comparable, M, E any] struct {
	// Save is to be made durable before anything is sent; nil means there is nothing to save.
	Save []byte
	// Send holds the messages for peers, in order.
	Send []Out[P, M]
	// Notify holds the events for the shell, in order.
	Notify []E
}

// Empty reports whether there is nothing to do.
func (r Ready[P, M, E]) Empty() bool {
	return r.Save == nil && len(r.Send) == 0 && len(r.Notify) == 0
}

// Out is one message on its way to a peer.
type Out[P comparable, M any] struct {
	To      P
	Message M
}
