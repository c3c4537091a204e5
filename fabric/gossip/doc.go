// Package gossip is decentralised cluster membership and state dissemination: every node keeps what every node says
// of itself, a shared last-writer-wins map, and an opinion of who is there, and all come to agree without a centre.
//
// # Model
//
// A node has an identity for ever (NodeID), a number for every start of its process (BootID) and a generation that
// grows with every start. The replicated state has two parts:
//
//   - Own state. Each node writes keys about itself, and nobody else does: its clock is (generation, version), the
//     higher one is the newer one, and no conflict is possible. A later generation replaces all that an earlier one
//     wrote. Who a node is, that its clock is off and what blocks it as a leader are such keys.
//   - The shared map. Any node writes any key; each write carries a hybrid-clock stamp and the writer's id, and the
//     newest (stamp, id) wins everywhere. A write supersedes what its writer's view shows, whatever the clocks say.
//     A node whose clock is more than 500 ms off the median of its peers' does not write here.
//
// # How news spreads
//
// Writes received before one Ready make one rumor, which goes out at once; after a burst of 4, at most one in
// Config.Coalesce. The members are put in an order that changes with every time slot. Who holds an interval of this
// order cuts it into k+1 parts at most, keeps its own, goes on cutting that, and hands every other part, with the
// payload, to the part's first member. With equal views and no loss every member gets the payload exactly once, in
// ceil(log_{k+1} n) rounds of k parts each. Whoever does not acknowledge a part within the retry timeout is asked again,
// and a second delegate with it; then the part is taken back and split. A member alone gets 3 to 12 tries, by the
// measured loss, and is then missing. Results fold back, with a count and a hash of who has the payload and a list of who
// is missing, until the origin reports Converged. A Gather asks all members a question on the same walk. See walk.go,
// parts.go and answers.go.
//
// When more than a few writes happen per slot, members hand theirs to the slot's first member, which makes one rumor
// per Tick out of them, and answers wait for company (collect.go). What is for the same process shares packets, and all
// packets are paced (outbox.go). Config.Strategy chooses plainer ways to spread, for comparison (strategy.go).
//
// # What rumors do not bring
//
// Owners and shared keys lie in 256 buckets each, and every bucket has a hash: the XOR of H(owner, generation,
// version), or of H(key, stamp, node), of what is in it. The XOR of all buckets is the root. Probes and answers carry
// it; every Config.ExchangeInterval a node sends its roots to the next member around the ring, unless it knows that
// member's to be equal. Who finds them unequal answers with the hashes of the buckets, or with digests of what it holds
// in those that differ. The other one hands over what is lacking, and asks for what it lacks itself. See entropy.go.
//
// An owner's state is handed over in the order of versions, so that a delta may be cut anywhere: what arrives is
// a state with every live key up to its version. Who is a member comes first, then owners and keys in turn, in steps.
// Who has got something tells it to k others at once: news spreads through comparisons as fast as through rumors.
// A deletion is a write, too. Its tombstone is kept for a day; then the owner's collected version rises. A replica
// below that version may have missed deletions, and gets the owner's state from its beginning.
//
// # Who is there
//
// A member's monitors are its 8 predecessors on a hash ring of ids; with up to 9 members everybody probes everybody.
// Who does not answer is asked again, and through two others. After Config.ProbeMisses bad rounds a monitor accuses, and
// tells its neighbours on the ring; after a refused connection within RefusedIntervals. Whoever first sees that most of a
// member's monitors accuse it, and two if there are two, publishes a verdict, the shared key "unreachable/<id>"; half of
// them withdraw it, and a new process supersedes it. All views take Reachable from there; unreachable members remain
// members. See monitor.go, alerts.go, verdict.go.
//
// A monitor does not blame others for its own trouble. One that notices a deadline more than 500 ms late was away: it
// forgives everybody. After ProbeMisses rounds without any answer it is isolated, and shows nobody as reachable.
// Unreachable members and unused seeds are probed for ever: a healed partition merges by itself.
//
// # Membership
//
// A life runs Joining, Up, Leaving, Exiting, removed; Down leads out of it from anywhere. A node says itself that it
// is there, leaves, or has ended. All else stands in its record, the shared key "member/<id>", of which the one that is
// farther along this line, for the later process, holds everywhere. The leader (View.Leader), computed and not elected,
// writes it when no full member is unreachable and not Down, and all of them have agreed, by a Gather, on what was
// decided before (View.Agreed). If it cannot act for 7 s it lets joiners in as weak members, without number and vote.
//
// When the same members have been unreachable for 10 s, the cluster's DownPolicy decides which side of a partition
// goes on; its leader records the others as Down, and the others hear Outvoted. A node that hears it was downed becomes
// a new process (boot, generation) with all that it said of itself, and joins again: Down means that others route around
// it. Removals are remembered for a day by all, and longer by each. See lifecycle.go, leader.go, down.go, graves.go.
//
// # Life of a Core
//
//	core, err := gossip.New(gossip.Config{ID: id, Boot: boot, Generation: generation, Addr: addr}, now)
//	core.Receive(now, addr, gossip.Join{Seeds: seeds})   // or Found{cluster}, or Config.Snapshot of an earlier run
//	for {
//		ready := core.Ready()
//		// send ready.Send (a Packet over a stream when Reliable), look at ready.Notify
//		// wait until core.Next(), or for a packet or a request; then Tick or Receive
//	}
//
// A node asks its seeds over streams, with the zero receiver boot and the zero cluster; the answer is the cluster's
// state, part by part. A node that starts from a snapshot is in its cluster at once, holds everybody for unproven until
// they answer, and compares its state with theirs. Nodes of different clusters never exchange state. Of two processes
// with one id the later one stays; the earlier reports Superseded and falls silent, as after Left and Forgotten.
//
// A Core is owned by one goroutine. A View is immutable and may be read by any; views share what did not change.
//
// # Invariants
//
// No replica holds what its owner did not write. A replica's (generation, version) of an owner never goes back, and
// it has every live key up to that version. After the last write, in a whole network, all roots become equal. Packets
// for another process, of an earlier one or of another cluster change nothing. Equal inputs give equal outputs. No packet
// makes a list or map grow beyond its bound. A process's status moves forward only, and who was removed does not come
// back; leaders never decide two things about one process on one view. sim_test.go checks all that under every fault.
// Parts of one rumor, cut by equal views, lie within each other or apart, and a result waits for smaller parts only:
// every rumor comes to rest. What a result says was true before it was said (walk_test.go, small_test.go).
//
// # Limits
//
//	MaxMembers 131,072                      members, those removed within a day included
//	MaxKey 256 B, MaxValue 64 KiB           keys and values, own and shared
//	MaxOwnKeys 1024, MaxOwnBytes 256 KiB    what a node may write about itself
//	MaxShared 65,536, MaxSharedBytes 64 MiB the shared map at an origin, more for records; replicas take twice as much
//	TombstoneLife 24 h, 4096 removals       how long deleted keys are remembered, and how many removals after that
//	MaxDatagram 1152 B, MaxPacket 1 MiB     packets
//	MaxFanout 64, MaxSeeds 64, MaxRoles 64  configuration
//	PacketRate 20,000/s, 8192 packets       sent, and held back until they may be; more are dropped, and counted
//
// What a node works on has bounds beside its constants: walk.go, entropy.go, join.go, monitor.go, alerts.go.
//
// # Deviations
//
//   - Digests do not say up to which version tombstones are collected: raising it is a write, so the version tells.
//   - Alerts go to the neighbours that a node probes or is probed by: who may vote depends on what is said of monitors.
//   - Packets are neither encrypted nor authenticated here: fabric/transport does that.
//   - Nobody removes a Down member but an operator, and a side that has lost does not shut down: data is not membership's.
//
// Read on in core.go (the machine), state.go and shared.go (what is replicated), packet.go (the wire format).
package gossip
