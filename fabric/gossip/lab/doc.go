// Package lab measures gossip: it spreads updates by several protocols under identical conditions, from a seed, and
// counts rounds, copies, packets and bytes. Ours is played by the gossip.Core that runs in nodes.
//
// # Model
//
// An [Experiment] is a cluster of N members, some of them dead without anybody knowing, a network that loses a share
// of the messages, views that lack members, and one update, or a stream of them. Time goes in rounds. In a round a
// member sends to K others what it had when the round began; answers are back before it ends. A packet to one receiver
// carries all updates that go there. The dead, the members that a view lacks and the writers are drawn from the seed
// alone: they are the same for every scheme.
//
// [SchemePush] to [SchemeMedian] are small simulations over flat arrays. They are the ideas of other systems, not the
// systems: failure detectors, membership and full synchronisations are left out. [SchemeINR] is the production core in
// the simulator of internal/sim, every packet encoded and decoded, with a round for its Tick, at most K parts of an
// update per round (gossip.Config.Stepwise), links that take a hundredth of that, and the retry timeout that the
// core measures for itself. SchemeCoreLiteral and SchemeCorePush are the other strategies of the same core.
//
// # What is counted
//
// Rounds are those from the write until the last live member has the update. Messages are packets. They are counted
// until nobody has anything to send any more; for schemes that never fall silent, until somebody who sees all members
// at once would stop them: [Row.Stop] says which. Failure detection is not counted, and does not run.
//
// # Determinism
//
// Equal experiments and seeds give equal outcomes. Nothing here is safe for concurrent use, but runs share nothing.
//
// # Limits
//
//	MaxMembers 100,000   above MaxWhole 10,000 cores only spread one update, from one view
//	MaxFanout 64         K
//	MaxUpdates 1000      updates per round, in StreamRounds 20 rounds
//	MaxPercent 90        of loss, dead and missing
package lab
