// Package egal runs one node of a cluster of equals inside the calling process: members that find each other by
// gossip, and the structures that stand on it. Today's structure is slots, a store that clients of Redis Cluster use
// as one.
//
// # Model
//
// All nodes run the same code and have the same rights. [Start] takes a [Config] whose zero value is complete: one node
// with a disk in memory, its fabric on 127.0.0.1:7946 and its store on 127.0.0.1:6379. A node with seeds joins the
// cluster of whoever answers first; the first seed founds the cluster when no other seed is in one.
//
//	node, err := egal.Start(ctx, egal.Config{Data: "egal-data"})
//	if err != nil { … }
//	defer node.Close()
//	err = node.Ready(ctx)
//
// Start returns when the node's ports are open and its identity is read from the data directory, or made in it. It does
// not wait for other nodes: [Node.Ready] does.
//
// # Ending
//
// [Node.Close] stops everything the node has started and waits for it, without a word to the others: they notice, and
// the node comes back as the same member. [Node.Leave] takes the node out of the cluster, and waits until that is known.
//
// # Concurrency
//
// All methods are safe for concurrent use. The package has no state of its own, so nodes in one process do not know of
// each other unless they join each other. The context of Start bounds the start alone.
//
// # Errors
//
// Every function returns its errors; none panics because of its configuration, the network or the disk. A port that
// cannot be listened on is a [*ListenError], which names the field of the configuration.
//
// # Limits
//
// At most 256 seeds, 32 roles and 1,024 initial members; a name, a location or a role has at most 128 bytes.
package egal
