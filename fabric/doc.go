// Package fabric is the running cluster as one handle: who is alive, what each node says of itself, how to reach it.
//
// # Model
//
// A [Fabric] owns one gossip core (fabric/gossip), which internal/loop drives over a transport (fabric/transport), and
// the node's identity in its data directory:
//
//	| file             | content                                                                              |
//	|------------------|--------------------------------------------------------------------------------------|
//	| LOCK             | held while the node runs                                                             |
//	| node.yaml        | node id, cluster id, generation, directory; readable, with a checksum                |
//	| fabric/members   | the newest view's replicated state, sealed: the node finds its cluster again by it   |
//
// The node id is made once, by the first start or by [PrepareIdentity]; the generation grows with each start; the boot
// id is fresh each time. A directory that is in use, and a copy of one whose node is running on this machine, are
// refused. A copy that runs elsewhere is noticed by the cluster: the older process hears that it is superseded, and
// [Fabric.Failed] is closed.
//
// # Life
//
// [Start] returns once the identity is durable; the node then joins by any of its seeds, or founds (the rules stand at
// the top of founding.go). [Fabric.Close] is an abrupt stop, as if the process had died; [Fabric.Leave] before it takes
// the node out of the cluster. [Fabric.Down] and [Fabric.Forget] are for operators, [Fabric.Condition] says what is wrong. A node that was in a cluster never founds and never enters another one.
//
// # Registers
//
// [Fabric.Registers] are values that a majority of voters decides (fabric/quorum). [Registers.Follow] keeps the newest
// content of one at hand; docs/decisions/0036 says how.
//
// # Cluster keys
//
// [Fabric.RotateKey] replaces the cluster key on all members, step by step, each when all have done the one before;
// docs/decisions/0040 says how.
//
// # Concurrency
//
// All methods are safe from any goroutine. [Fabric.View] costs one atomic load. A view is immutable; [Fabric.Changed]
// tells of a newer one. The core's goroutine never waits for the disk: snapshots are written beside it, the first at
// once and then at most one per second.
//
// # Events in the log
//
// fabric_founded, fabric_not_founded, fabric_waiting, fabric_joined, fabric_join_refused, fabric_left, fabric_downed,
// fabric_outvoted, fabric_leader_refused, fabric_policy_ignored, fabric_superseded, fabric_forgotten, fabric_incompatible,
// fabric_snapshot_failed, seed_unresolved, member_up, member_restarted, member_unreachable, member_reachable, member_down,
// member_leaving, member_left, fabric_isolated, fabric_connected, root_voters, root_failed, register_unreachable,
// register_reachable, cluster_key_install, cluster_key_use, cluster_key_remove, keys_not_published.
//
// # Limits
//
// MaxSeeds seeds, of each 16 addresses; node.yaml 16 KiB, the snapshot 1 GiB. Those of the cluster's state are
// fabric/gossip's.
package fabric
