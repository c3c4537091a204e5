// Package gossip is decentralised cluster membership and state dissemination: every node keeps what every node says
// of itself, a shared last-writer-wins map, and an opinion of who is there, and all nodes come to agree without a
// centre.
//
// # Model
//
// A node has an identity for ever (NodeID), a number for every start of its process (BootID) and a generation that
// grows with every start. The replicated state has two parts:
//
//   - Own state. Each node writes keys about itself, and nobody else does: its clock is (generation, version), the
//     higher one is the newer one, and no conflict is possible. A later generation replaces all that an earlier one
//     wrote. Who a node is and what its failure detector finds are such keys ("node", "fd").
//   - The shared map. Any node writes any key; each write carries a hybrid-clock stamp and the writer's id, and the
//     newest (stamp, id) wins everywhere. A write supersedes what its writer's view shows, whatever the clocks say.
//     A node whose clock is more than 500 ms off the median of its peers' does not write here.
//
// From them every node computes the member list: see Membership.
//
// # How news spreads
//
// Writes received before one Ready make one rumor, which goes out at once; after a burst of 4, at most one in
// Config.Coalesce. The members are put in an order that changes with every time slot. Who holds an interval of this
// order cuts it into k+1 parts at most, keeps its own, goes on cutting that, and hands every other part, with the
// payload, to the part's first member. With equal views and no loss every member gets the payload exactly once: n-1
// payloads, in ceil(log_{k+1} n) rounds of k parts each.
//
// A part is acknowledged at once. Without an answer within the retry timeout, max(RetryFloor, srtt + 4·rttvar), the
// delegate is asked again, and a second one with it, that avoids the first; then the part is taken back and split.
// A member alone gets 3 to 12 tries, by the measured loss, and is then missing. Results fold back, each with a count
// and a hash of who has the payload and a list of who is missing, until the origin reports Converged; a delegate
// that counts other members than its delegator is compared with. A Gather asks all members a question on the same
// walk. With more than 10 % loss large parts go to two delegates at once. See walk.go and answers.go.
//
// When more than a few writes happen per slot, members hand theirs to the slot's first member, which makes one rumor
// per Tick out of them, and answers wait for company: about one packet and a third for every member and Tick. See
// collect.go. What is for the same process shares packets, and all packets are paced: outbox.go.
//
// Config.Strategy chooses plainer ways to spread, for comparison: strategy.go.
//
// # What rumors do not bring
//
// Owners and shared keys lie in 256 buckets each, and every bucket has a hash: the XOR of H(owner, generation,
// version), or of H(key, stamp, node), of what is in it. The XOR of all buckets is the root. All of them follow each
// change at no cost that grows with the state. Probes and answers carry the root; every Config.ExchangeInterval a
// node sends its roots to the next member around the ring, unless it knows that member's to be equal. Who finds them
// unequal answers with the hashes of the buckets, or where there is little state at once with digests: which
// (owner, generation, version) or (key, stamp, node) it holds in the buckets that differ. Against these the other
// one holds its own, hands over what is lacking, and asks for what it lacks itself. See entropy.go.
//
// An owner's state is handed over in the order of versions, so that a delta may be cut anywhere: what arrives is
// a state with every live key up to its version. Who is a member comes first, then owners and keys in turn. A step
// brings up to 64 KiB, as datagrams or over a stream; what does not fit is compared anew and comes in the next. Who
// has got something tells it to k others at once: news spreads through comparisons as fast as through rumors.
//
// A deletion is a write, too. Its tombstone is kept for a day; then the owner's collected version rises. A replica
// below that version may have missed deletions, and gets the owner's state from its beginning.
//
// # Who is there
//
// A member's monitors are its 8 predecessors on a hash ring of ids; with up to 9 members everybody probes everybody.
// Who does not answer is asked twice more, and through two others, in the same round. After Config.ProbeMisses bad
// rounds a monitor accuses, and tells its neighbours on the ring. A stream is kept open to every monitored member: when
// its process ends, connections are refused, and its monitors probe every RefusedInterval and accuse after three.
//
// Whoever first sees that most of a member's monitors accuse it, and two if there are two, publishes a verdict: the
// shared key "unreachable/<id>", which names the process and the voters. Monitors that are unreachable, or that two
// others accuse, do not count. All views take Reachable from there; unreachable members remain members. Half of the
// monitors, and two if there are two, withdraw it; a new process supersedes it. See monitor.go, alerts.go, verdict.go.
//
// A monitor does not blame others for its own trouble. One that notices a deadline more than 500 ms late was away: it
// forgives everybody. A round without any answer is its own fault; after ProbeMisses of them it is isolated, says so
// (Isolated, View.Isolated) and shows nobody as reachable. Unreachable members and unused seeds are probed for ever: a
// healed partition merges by itself.
//
// # Membership
//
// A life runs Joining, Up, Leaving, Exiting, removed; Down leads out of it from anywhere. A node says itself that it
// is there, leaves, or has ended. All else stands in its record, the shared key "member/<id>", of which the one that is
// farther along this line, for the later process, holds everywhere. The leader (View.Leader), computed and not elected,
// writes it. It acts when no full member is unreachable and not Down, and all of them have agreed, by a Gather, on what
// was decided before (View.Agreed). If it cannot act for 7 s it lets joiners in as weak members, without number and
// vote. What is in its way it says in View.Blockage.
//
// When the same members have been unreachable for 10 s, the cluster's DownPolicy decides which side of a partition
// goes on; its leader records the others as Down, and the others hear Outvoted. A node that hears it was downed becomes
// a new process (boot, generation) with all that it said of itself, and joins again: Down means that others route around
// it. Leave waits for the leader, five seconds at most. Removals are remembered for a day by all, and longer by each.
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
// state, or the first part of it, after which the node asks for the next. Rumors that overtake it wait. A node that
// starts from a snapshot is in its cluster at once, holds everybody for unproven until they answer, and compares its
// state with that of the first one who does. Nodes of different clusters never exchange state. Of two processes with
// one id the later one stays; the earlier reports Superseded and falls silent, as a core does after Left and Forgotten.
//
// # Concurrency
//
// A Core is owned by one goroutine. A View is immutable and may be read by any; views share what did not change.
//
// # Invariants
//
// No replica holds what its owner did not write. A replica's (generation, version) of an owner never goes back, and
// it has every live key up to that version, whatever was lost, doubled or reordered. Merging is commutative,
// associative and idempotent. After the last write, in a whole network, all roots become equal. Packets for another
// process, of an earlier process or of another cluster change nothing. Equal inputs give equal outputs. No packet
// makes a list or map grow beyond its bound. A process's status moves forward only, and who was removed does not come
// back; leaders decide on views that all who count have had, and never two things about one process on one view.
// sim_test.go checks them under loss, duplication, reordering, cuts, crashes, restarts, pauses and wrong clocks.
//
// Parts of one rumor, cut by equal views, lie within each other or apart, and a result waits for smaller parts only:
// every rumor comes to rest. What a result says was true before it was said. walk_test.go and small_test.go check
// rumors alone.
//
// # Limits
//
//	MaxMembers 131,072                      members, those removed within a day included
//	MaxKey 256 B, MaxValue 64 KiB           keys and values, own and shared
//	MaxOwnKeys 1024, MaxOwnBytes 256 KiB    what a node may write about itself
//	MaxShared 65,536, MaxSharedBytes 64 MiB the shared map at an origin, more for records; replicas take twice as much
//	4096 removals                           remembered after their day; 16 members named in a Blockage
//	TombstoneLife 24 h                      how long deleted keys are remembered; 1024 own ones
//	MaxDatagram 1152 B, MaxPacket 1 MiB     packets
//	MaxFanout 64, MaxSeeds 64, MaxRoles 64  configuration
//	4096 rumors, 4 MiB, 16 intervals each   worked on or remembered; the oldest is dropped, and counted
//	12 tries, 8 avoided, 64 silent members  per rumor; 4096 missing ones are named, of a question 256
//	64 questions                            of a node under way
//	PacketRate 20,000/s, 8192 packets       sent, and held back until they may be; more are dropped, and counted
//	256 bodies                              in a packet
//	256 gaps                                deltas that came before their predecessors; the oldest is dropped
//	64 joins, 256 early packets             waiting for a cluster; more are dropped
//	4 MiB of hashes, deltas and state       sent per 100 ms; what would be more is asked for again
//	16 KiB of digests, 64 KiB of state      per step of a comparison; 16 datagrams, else one packet over a stream
//	64 comparisons                          begun per 200 ms, one with each member
//	64 monitored members, 256 relays        of a node; who asks for more help is told that nobody answers
//	128 testimonies, 128 probers            what monitors said last, and who probes us; the oldest make room
//
// # Deviations
//
//   - Parts are full or single where they can be, not of equal size: most members then answer once, not twice.
//   - Results of rumors under load are not settled; delegators remind of those that do not come.
//   - Digests do not say up to which version tombstones are collected: that raising it is a write makes the version
//     tell, and no replica's is below it.
//   - Alerts go to the neighbours that a node probes or is probed by, not only to the co-monitors of a member: who may
//     vote depends on what is said of the monitors as well.
//   - Packets are neither encrypted nor authenticated here: fabric/transport does that.
//   - Nobody removes a Down member but an operator, and a side that has lost does not shut down: data is not membership's.
//
// Read on in core.go (the machine), state.go and shared.go (what is replicated), inr.go and walk.go (how it spreads), entropy.go
// (how the rest is found), monitor.go, alerts.go and verdict.go (who is there), join.go, lifecycle.go and leader.go (how nodes come and go), packet.go (the wire format).
package gossip
