// Package topology decides which service serves which hash slot of a Redis-Cluster-compatible store, as a sans-IO
// core over the fabric's replicated state.
//
// # Model
//
// There is no cluster bus. What nodes must know of each other is state of the fabric:
//
//   - Each service publishes a [Claim] as its node's own state under [ClaimKey]: the address clients reach it at, its
//     config epoch and the slots it serves. Only the owner writes it, so a claim never needs merging.
//   - The fabric's leader publishes the [Placement] under the shared [PlacementKey]: which slots each service should
//     serve. It is a wish. The last writer wins, so two leaders on two sides of a partition end with one placement.
//
// A service that holds a slot the placement gives to another gives it up only when it is empty, which the shell
// decides under the lock of the slot's shard. It then grants the slot to that one service, in its claim, until the
// other has claimed it: so there is always one voice that says whose the slot is, and two placements of two leaders
// cannot lead to two owners. A wrong or old placement costs nothing but evenness, and data never changes hands here.
// A service claims a slot without a grant only when no member of the cluster, reachable or not, claims or grants it:
// when everything begins, and after its owner has left.
//
// Every claim of further slots takes a config epoch above all epochs seen. Should two services claim one slot all the
// same, because each was cut off from the other when it was free, the higher epoch wins, and of equal epochs the
// smaller id. Services that find their epochs equal part them: the one with the smaller id moves above all epochs seen
// (Redis Cluster specification, "configEpoch conflicts resolution algorithm").
//
// # Life of the Core
//
// The shell makes a [Core] with [New], forwards every view of the fabric as [ViewChanged], calls Tick at Next, and
// carries the events of Ready out in their order: [PublishOwn] and [PublishShared] go to the fabric, [TableChanged] to
// the data path. [Release] is always the last event of a batch; the shell answers it by [Released] before it hands the
// core anything else.
//
// # Concurrency
//
// A Core belongs to one goroutine. A [Table] is immutable and safe for all.
//
// # Invariants
//
//   - A slot is in a table at most once, and in equal tables on all nodes once they see equal state.
//   - A service never claims a slot that it sees claimed by a member or granted to another, and never gives up one
//     that holds keys.
//   - Epochs in the tables of one core never decrease.
//   - Equal views give equal placements, whoever computes them.
//
// # Limits
//
// [MaxServices] services, [MaxServicesPerNode] on a node, [MaxHost] bytes of a host name, [MaxRecord] bytes of a
// record: a placement of more than about three thousand services does not fit and is not published.
//
// # Where to read on
//
// Redis Cluster specification, sections "Hash slot configuration propagation" and "UPDATE messages"; docs/internals.
package topology
