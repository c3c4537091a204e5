// Package slots is a Redis-Cluster-compatible store: a server of RESP clients whose keys live in 16384 hash slots.
//
// # Model
//
// A [Service] is one complete server: a listener, its clients, a keyspace, and, with [Config.Fabric], its part in a
// cluster. It is a value; a process may have several. Without a fabric it is a single server with cluster support
// disabled.
//
// A hash slot is the unit of distribution and of concurrency. Slots are striped over 256 shards with a lock each. A
// call takes one path whatever network brings it: words → row of the command table → keys → slot → shard locks in
// ascending order → is the slot ours? → the row's function → reply. The slot table is asked with the lock held, so that
// a slot that was given away takes no write any more.
//
// Two engines bring bytes to that path. The event loops of Linux (epoll) read everything that is ready, execute every
// complete command, and then write once to each connection; system calls of the fast path do without the scheduler, a
// loop's buffers are shared, and an idle connection owns none. Elsewhere, or with EngineNet, each connection has a
// goroutine. Both pass the same tests.
//
// # Life
//
//	s, err := slots.Start(ctx, slots.Config{Listen: "127.0.0.1:6379"})
//	…
//	err = s.Close() // returns when every goroutine has ended
//
// # Concurrency
//
// A Service is safe for use by any goroutine. A connection is owned by its loop or its goroutine; what other clients may
// see of it (CLIENT LIST) is published at the end of each of its turns.
//
// # Fairness and bounds
//
// In one turn a connection has at most 64 KiB read (1 MiB into an argument that is larger than a buffer) and 1024
// commands executed; then it is the next one's turn. A connection with more than 256 KiB of unsent replies is not
// executed any further until the client reads. Beyond that:
//
//   - Clients: 10,000 ([Config.MaxClients]); more get an error and are closed.
//   - Unsent replies: 1 GiB ([Config.OutputLimit]); one batch above it closes the connection.
//   - An unfinished command: 1 GiB ([Config.InputLimit]), an argument 512 MiB, 1,048,576 arguments, a line 64 KiB.
//   - Error codes counted apart: 128.
//
// # Deviations
//
// docs/compat/redis.md lists them, by command and on the whole; a test keeps it equal to the command table.
package slots
