// Package testkit runs real Egal clusters inside go test.
//
// # Problem and model
//
// A fake store with one shard hides what a cluster does to its clients: redirects, cross-slot errors, slots that are
// not served while their owner is away. So New starts whole nodes, the same code that cmd/egal runs, in the process of
// the test: each with its own ports on 127.0.0.1, its own disk in memory and its own identity. Any client library
// connects to RESPAddrs.
//
//	c := testkit.New(t, testkit.Nodes(3))       // converged and serving; t.Cleanup stops it
//	conn, err := net.Dial("tcp", c.RESPAddrs()[0])
//	c.PrimaryFor("cart:{42}").Kill(t)           // its slots answer CLUSTERDOWN until Restart
//
// Time, network and processes are in the hands of the test:
//
//   - Node.Kill is a SIGKILL: no goodbye, and with disks in memory everything unsynced is lost. Node.Restart starts the
//     same identity on the same disk and the same ports.
//   - Network.Partition cuts packets between nodes in both directions, exactly and at once. Clients reach every node.
//   - Clock.Advance moves the clock of all nodes; keys expire by it.
//   - Cluster.Converged and Cluster.Eventually wait for the events of the nodes, not for time to pass.
//
// # Ports
//
// Every port is known before the first node starts, and on Linux it is held by a bound socket that does not listen
// (SO_REUSEPORT): no other process gets it while its node is down, and a client that connects then is refused. Other
// systems re-listen without that protection.
//
// # Leaks
//
// All goroutines of a cluster carry the pprof labels egal_cluster and egal_node. When the cluster is closed and one of
// them is still alive, the test fails with its stack.
//
// # Concurrency
//
// All methods may be called from several goroutines, with the exception that testing.TB demands of Fatal: those that
// take a testing.TB must be called from the goroutine of that test. Kill and Restart of one node wait for each other.
// The package has no state of its own: clusters do not know of each other, so tests may run in parallel.
//
// # Limits
//
// At most 64 nodes a cluster. Waits end after 30 s with a description of every node's view; leaked goroutines are
// given 5 s to end. The last 4,096 log lines of the nodes are kept and printed when the test fails; with -v all are
// printed as they come.
package testkit
