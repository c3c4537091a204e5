// Package quorum is leaderless consensus on small values: replicated registers with compare-and-set, voters that
// change by joint agreement, and leases. Everything that gossip must not decide is decided here.
//
// # The register
//
// A register is a group of voters and a state: a version, a value, and the configuration, which names the voters
// (State). Any node proposes a next state (CASPaxos: Rystsov, "CASPaxos: Replicated State Machines without logs",
// 2018). A proposer asks the voters to promise its ballot (prepare, promise), builds on the highest state that they
// have accepted, and has the next one accepted (accept, accepted). A state that a quorum has accepted is chosen. A
// proposer whose accept succeeds keeps its ballot: its next change is one more step of it and takes one round, as long
// as nobody outbids it. Who is outbid rests for a random, growing time.
//
// A Change gives the version it expects and the value to come. Reads ask what is accepted; a quorum that names one
// ballot confirms it, and nothing is saved for that. When they differ, the read has the highest state accepted anew.
// Conflict carries the confirmed state, so that it is a read, too. Unknown says that the change was proposed and
// nobody knows what becomes of it; Unavailable promises that it was not and will not be made.
//
// # Voters
//
// A configuration has one set of voters, or two while it is joint; then a majority of both is a quorum. Reconfigure
// goes from one set to the next in three steps: it has the present state accepted, so that the configuration is known
// to be chosen; then the joint configuration, once a majority of the new voters has promised; and, one lease later,
// the final one. Each step is a state like any other. Invariant: quorums of neighbouring configurations meet, and a
// configuration is left only after it was chosen, so that every later quorum of it hears of the next one. Then, those
// who vote no more are told (retire), drop the value, and keep the ballot at which they left. Nothing but Reconfigure
// changes voters; a view of gossip is a hint about whom to take (ChooseVoters) and never says who votes.
//
// Who may vote with an empty record. A configuration says of each voter whether it is still joining: whether no
// proposer has seen an answer of it, which it gives only after its record is durable. A node without a record votes
// only where it is called joining. A voter that is not, and has no record, has lost it: it refuses, and reports
// StateLost. A voter that left votes again when a later configuration invites it, and its promise carries the ballot
// at which it left: the proposer must find a state that is as new. Before all that, the log itself begins with the
// node's id: a node that is not Fresh and has no log is refused by New (ErrLost), and has to come back with a new id,
// as somebody who never voted. A disk that forgets the end of what it has confirmed is beyond this; such a node must
// be given a new id by whoever finds out.
//
// # Leases
//
// A group may have leases, of one length for ever. A holder renews every Config.RenewInterval at all voters. A voter
// grants to the holder or, when nobody's lease is running by its own clock, to anybody; leases are not in the log, so
// a node that began anew grants nothing for one lease. The holder counts from the moment it SENT the request, less
// twice the drift (DriftDivisor): no pause, late answer or wrong clock makes it hold longer than the voters wait. It
// counts a quorum of the newest configuration that anybody who answered has accepted; since one lease passes between a
// joint and a final configuration, leases survive a change of voters, and are never held twice by it. Who is refused
// gives back what a minority granted, and asks again when the voters may grant. Nothing but a release of the holder
// shortens a lease.
//
// # Life of a Core
//
//	core, err := quorum.New(quorum.Config{ID: id, Boot: boot, Fresh: fresh}, log, now)
//	core.Receive(now, id, quorum.Change{Number: 7, Group: "root", Voters: hint, Expected: 4, Value: value})
//	for {
//		ready := core.Ready()
//		// append Records(ready.Save) to the log, durably; then send ready.Send (Encode); then look at ready.Notify
//		// wait until core.Next(), or for a message (Decode) or a request; then Tick or Receive
//	}
//
// Messages are datagrams: they may be lost, doubled and reordered. Voters is whom to begin with while the node knows
// nothing of the group; it learns the configuration from whoever knows more, and consults the hint again when all it
// knows are silent. One core votes in and proposes to many groups; a group's requests at one node are worked on one
// after the other.
//
// now is a boot-time clock: it goes on while the machine is suspended, and nobody sets it. It must be read after the
// message it comes with has arrived; an older reading makes a voter's lease end too early. A hypervisor that stops a
// guest without its boot-time clock noticing breaks the bound on drift, and with it the lease.
//
// # Concurrency
//
// A Core is owned by one goroutine. States and configurations are immutable and shared.
//
// # Invariants
//
// Chosen states form one line: none is lost, whatever crashes, and clients see a linearizable register. Nothing is
// answered before it is in the log. At most one node holds a lease. Equal inputs give equal outputs. No message makes
// a list or map grow beyond its bound, or makes a voter accept what it promised not to. sim_test.go checks them under
// loss, duplication, reordering, cuts, crashes in the middle of a Save, lost disks, pauses and drifting clocks;
// small_test.go plays every crash and every loss of small worlds; planted_test.go shows that the checkers find what
// they are for.
//
// # Limits
//
//	MaxGroups 65,536          records of a node; it refuses to vote in more
//	MaxProposers 65,536       groups it has asked about within IdleAfter (1 min), or wants leases of; more are Refused
//	MaxQueue 64               requests of a node for one group without a result; more are Refused
//	MaxGroupID 64 B           names; MaxValue 256 KiB values; MaxPacket 257 KiB messages
//	MaxVoters 7               in a set; a joint configuration has two
//	MaxLease 10 s             leases; default of requests' time 2 s, MaxTimeout 10 min
//	28 answers                of a round that are told apart
//	2^62 ballots, 2^30 steps  then a proposer is at its end, or takes another ballot
//
// # Deviations
//
//   - Rystsov's voters change by growing and shrinking the sizes of quorums; here they change by joint consensus
//     (Ongaro, "Consensus: Bridging Theory and Practice", 2014, section 4.3), with the configuration in the state.
//   - A change is a compare-and-set of a value, not a function: what travels and what is kept stays plain data.
//
// Read on in core.go (the machine), request.go (what a request does next), proposer.go (rounds), read.go, voter.go
// (promises and grants), lease.go (the holder), record.go (the log), packet.go (the wire), choose.go (whom to take for
// voters).
package quorum
