// Package transport carries datagrams, frames, requests and byte streams between the nodes of a cluster: over UDP and
// TCP on one port ([Listen]), or over a network in memory ([Network]); [Rules] put faults between the nodes of one
// process on either. With a cluster key everything is sealed (AES-256-GCM or ChaCha20-Poly1305, RFC 5116), with
// certificates streams are mutual TLS 1.3 (RFC 8446), too.
//
// # Model
//
// A datagram is a bounded message that may be lost, doubled or overtaken. A frame is a bounded message on a stream:
// frames from one node to another arrive in order while the stream lives, and what is on its way when it breaks is
// lost. A request is asked once and answered, refused, or its outcome is not known ([ErrBroken]). A byte stream's flow
// is controlled by its reader. What has a [Kind] has a [Lane]; control is not held up by bulk.
//
// There is one stream per direction; it is opened by the first thing to send, without delay, and closed after a minute
// of silence. Layouts stand beside the code: hello.go, record.go, chunk.go, seal.go.
//
// When a peer's machine answers that nobody listens, by a refused connection or (on Linux) the ICMP answer to a
// datagram, Handler.Refused says so. A stream that was used and is broken by the other side is dialled again, so
// that the end of a process shows within a round trip. After a refusal the next dial waits 5 ms, doubling to 1 s;
// a stream from that peer ends the waiting.
//
// # Life
//
// A Transport is opened, started with an [Identity] and a [Handler], told its cluster by Enter, and closed. It may send
// before Start. Close drops what is queued, ends the contexts of handlers and returns when every goroutine has ended;
// nothing is delivered after it.
//
// # Concurrency
//
// All methods are safe from any goroutine. A Handler is called from several goroutines at once; it must not block and
// must not close its transport. Request and stream handlers have a goroutine each. No lock is held while one is called.
//
// # Security
//
// Without keys everything is plain text; [Listen] refuses addresses beyond loopback then, unless AllowPlain. A transport
// takes what is sealed by its [Keyring], or plain text, never both. A sealed datagram opens at the process and in the
// cluster that it is for, once; a sealed stream is between two processes, and its records come in order. Who has no
// valid tag gets no answer and leaves nothing behind but a count. docs/decisions/0015 to 0017 say why it is as it is.
//
// # Limits
//
//	| bound                                             | value             | beyond it                      |
//	|---------------------------------------------------|-------------------|--------------------------------|
//	| MaxPacket; MaxDatagram: less the seal of 48 B     | 1200 B; 1152 B    | ErrTooLarge                    |
//	| MaxFrame: a frame, request or response            | 1 MiB             | ErrTooLarge; the stream ends   |
//	| MaxQueuedFrames, MaxQueuedBytes, for one peer     | 1024, 8 MiB       | ErrQueueFull                   |
//	| MaxRequests and MaxQueuedBytes, for one peer      | 1024, 8 MiB       | ErrQueueFull                   |
//	| MaxStreams, to one peer; StreamWindow             | 64; 256 KiB       | ErrQueueFull; Write waits      |
//	| MaxServed, MaxHeldBytes, of one stream            | 1024, 16 MiB      | ErrBusy at the caller          |
//	| MaxErrorText                                      | 512 B             | cut                            |
//	| a chunk; a record                                 | 16 KiB; 48 KiB    | the stream ends                |
//	| MaxPeers                                          | 16384             | ErrQueueFull                   |
//	| MaxInbound; MaxInboundPerAddress                  | 4096; 1024        | closed                         |
//	| MaxUnprovenInbound; MaxUnprovenPerAddress         | 1024; 64          | closed                         |
//	| time until a hello; until a sealed stream's record | 5 s; 5 s         | closed                         |
//	| time to write or to receive a record that began   | 10 s              | closed                         |
//	| silence of an incoming stream that serves nothing | 2 min             | closed                         |
//	| MaxSenders of sealed datagrams; ReplayWindow      | 16384; 4096       | oldest forgotten; dropped      |
//	| MaxKeys, MaxKeyFile                               | 4; 16 KiB         | ErrKeyring, ErrKeyFile         |
//	| MaxChain, MaxCertificateFile                      | 4; 1 MiB          | refused                        |
//	| log records about refused streams                 | one a minute      | counted                        |
//	| messages on their way to one memory endpoint      | 16384             | dropped; the stream breaks     |
//
// A buffer grows with what arrives, never with what a header declares.
//
// # Events in the log
//
// Warn: transport_not_taken (this node's streams to a peer, once a peer), transport_refused (a peer's to this node, once
// a minute), transport_key_mode, transport_accept. Error: transport_wrong_certificate.
//
// # Deviations
//
// A network in memory seals nothing, and has no limit to what is on its way of requests but those above.
package transport
