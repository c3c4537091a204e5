// Package sim is a deterministic discrete-event simulator of cores: many state machines, one seed, one heap of
// events, no goroutine and no clock.
//
// A [World] delivers the messages of its cores over links with latency, jitter, loss, duplication and reordering,
// and ticks each core at the deadline it asks for. Processes crash ([World.Remove]), come back ([World.Add] with a
// new core), stop for a while ([World.Pause]) or have a wrong clock ([World.Skew]); links are cut in one direction
// ([World.Cut]).
//
// # Determinism
//
// Equal seeds and equal calls give equal traces ([World.Trace]), byte for byte: events at the same time happen in
// the order in which they were caused, and every purpose (latency, loss, duplication, reordering) draws from a
// generator of its own, so that a draw added to one does not shift the others. A core that depends on anything but
// its inputs shows as two runs of one seed with different traces.
//
// # Messages
//
// A message that [World.Reliable] says so of travels like over a stream: never lost, doubled or overtaken by
// another one of its link while the link is up; lost when it is cut or nobody is there. All others are datagrams.
// Messages that reach a core at the same instant are all received before the core is asked what to do, as a loop
// does that drains its inbox.
//
// A World is owned by one goroutine. Limits: none; it grows with what its cores send.
package sim
