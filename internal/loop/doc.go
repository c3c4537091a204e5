// Package loop drives a core (internal/core): it is the one goroutine that owns the state machine and connects it to
// clocks, packets and the shell.
//
// # Model
//
// The goroutine waits for a message in the inbox or for the core's next deadline, hands over a batch of messages
// (at most [MaxBatch]) or the passing of time, takes what the core wants done and carries it out in the order of
// the fields: Save, then Send, then Notify. Nothing is sent before Save has returned. A failed Save is final: the
// loop tells Failed, sends nothing more, and ends.
//
// # Life
//
// [Start] makes the goroutine; [Loop.Close] ends it and waits for it. What is still in the inbox is dropped.
//
// # Concurrency
//
// All methods of a [Loop] are safe from any goroutine, but Close, Submit, Request and Inspect must not be called by the
// callbacks of [Config]: these run on the core's goroutine and must not block. Messages are received in the order in
// which Post and Submit accepted them; a function given to Inspect runs after everything accepted before it has been
// received and carried out.
//
// # Limits
//
// The inbox holds Config.Inbox messages ([DefaultInbox] by default): Post drops and counts what does not fit,
// Submit waits.
package loop
