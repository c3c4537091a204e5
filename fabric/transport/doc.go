// Package transport carries datagrams and frames between the nodes of a cluster: over UDP and TCP on one port
// ([Listen]), or over a network in memory ([Network]); [Rules] put faults between the nodes of one process on either.
//
// # Model
//
// A datagram is a bounded message that may be lost, doubled or overtaken. A frame is a bounded message on a stream:
// frames from one node to another arrive in order while the stream lives, and what is on its way when it breaks is
// lost. There is one stream per direction; it is opened by the first frame, without delay, closed after a minute
// of silence, and begins with a preamble that names the protocol's version and the address where the sender is
// reached (layout beside readPreamble). Nothing is acknowledged: protocols above repeat what they need.
//
// When a peer's machine answers that nobody listens, by a refused connection or (on Linux) the ICMP answer to a
// datagram, Handler.Refused says so. A stream that was used and is broken by the other side is dialled once more, so
// that the end of a process shows within a round trip. After a refusal the next dial waits 5 ms, doubling to 1 s;
// a stream from that peer ends the waiting.
//
// # Life
//
// A Transport is opened, started with a [Handler] and closed. It may send before Start. Close drops what is queued and
// returns when every goroutine has ended; nothing is delivered after it.
//
// # Concurrency
//
// All methods are safe from any goroutine. A Handler is called from several goroutines at once; it must not block and
// must not close its transport. No lock is held while it is called.
//
// # Security
//
// Streams and datagrams are plain text and unauthenticated; Listen refuses addresses beyond loopback unless that is
// explicitly allowed.
//
// # Limits
//
//	| bound                                           | value         | beyond it                    |
//	|-------------------------------------------------|---------------|------------------------------|
//	| MaxDatagram, MaxFrame                           | 1200 B, 1 MiB | ErrTooLarge; the stream ends |
//	| MaxQueuedFrames, MaxQueuedBytes, for one peer   | 1024, 8 MiB   | ErrQueueFull                 |
//	| MaxPeers                                        | 16384         | ErrQueueFull                 |
//	| MaxInbound                                      | 4096          | closed                       |
//	| MaxUnprovenInbound, MaxUnprovenPerAddress       | 1024, 64      | closed                       |
//	| time until a preamble                           | 5 s           | closed                       |
//	| time to write                                   | 10 s          | closed                       |
//	| messages on their way to one memory endpoint    | 16384         | dropped; the stream breaks   |
//
// A frame's buffer grows with what arrives, never with what its header declares.
package transport
