package gossip

import (
	"fmt"
	"time"
)

// Message is what a Core receives: a Packet from a peer, or one of the requests of the shell that owns the core.
// The type is sealed.
type Message interface{ message() }

// Found makes a cluster of this one node. In a cluster it does nothing.
type Found struct{ Cluster ClusterID }

// Join asks the seeds, again and again, to let this node into their cluster; the answer is a Joined event. For a
// node that starts from a snapshot, the seeds are further addresses to look for its cluster at.
// At most MaxSeeds of them count.
type Join struct{ Seeds []Peer }

// SetOwn writes a key of this node's own state. A refusal is reported as Refused.
type SetOwn struct {
	Key   string
	Value []byte
}

// DeleteOwn deletes a key of this node's own state.
type DeleteOwn struct{ Key string }

// SetShared writes a key of the shared map. The write supersedes what this node's view shows. A refusal is
// reported as Refused.
type SetShared struct {
	Key   string
	Value []byte
}

// DeleteShared deletes a key of the shared map.
type DeleteShared struct{ Key string }

// Leave asks the leader to let this node go; the answer is a Left event. When that takes longer than
// Config.LeaveTimeout, or Now is set, the node just says that its process ends: the others do not see it any more as
// soon as they hear it. The core does nothing after Left; the node may come back with a higher generation.
type Leave struct{ Now bool }

// Down takes a member that cannot be reached for down, as the policy would after a while. It joins again by itself
// when it comes back. A refusal is reported as Refused, with the id for the key.
type Down struct{ ID NodeID }

// Forget removes a member that is Down or cannot be reached, for good: its process, if it still runs somewhere, stops
// when it hears that, and what the member owned is nobody's. A later process of the node may join anew. A refusal is
// reported as Refused, with the id for the key.
type Forget struct{ ID NodeID }

// Gather asks all reachable members one question, along the walk of a rumor without payload; the answer is a
// Gathered event. With Owner zero the question is "is your View.Hash View?", else "do you hold Owner's state at
// (Generation, Version) or later?". At most maxGathers are under way; more are answered as reaching nobody.
type Gather struct {
	// Request comes back in the answer.
	Request             uint64
	View                uint64
	Owner               NodeID
	Generation, Version uint64
}

// PeerRefused tells that the peer the message comes from refused a connection: its host answers, its process is
// gone. The core probes at once instead of waiting for silence.
type PeerRefused struct{}

func (Found) message()        {}
func (Join) message()         {}
func (SetOwn) message()       {}
func (DeleteOwn) message()    {}
func (SetShared) message()    {}
func (DeleteShared) message() {}
func (Leave) message()        {}
func (Down) message()         {}
func (Forget) message()       {}
func (Gather) message()       {}
func (PeerRefused) message()  {}
func (Packet) message()       {}

// Event is what a Core reports to its shell. The type is sealed.
type Event interface {
	event()
	fmt.Stringer
}

// ViewChanged carries the newest view.
type ViewChanged struct{ View *View }

// Joined tells that this node belongs to the cluster: it has founded it, or has received its state.
type Joined struct{ Cluster ClusterID }

// JoinRefused tells that a seed did not let this node in. The core goes on asking.
type JoinRefused struct {
	From   Peer
	Reason string
}

// Refused tells that a SetOwn, DeleteOwn, SetShared or DeleteShared was not carried out. Err is one of ErrTooLarge,
// ErrFull, ErrReserved, ErrClock and ErrNoCluster.
type Refused struct {
	Key string
	Err error
}

// Superseded tells that a later process with this node's id is in the cluster: this one should stop.
type Superseded struct {
	Generation uint64
	Boot       BootID
}

// Isolated tells that this node reaches nobody, and shows nobody as reachable; or that this is over.
type Isolated struct{ Isolated bool }

// Convicted tells that this node was the first to see a quorum of monitors that does not reach a process of a member,
// and has published the verdict; all views show it as unreachable when they have it. Refused: connections were refused,
// its machine is there. Others tell who voted.
type Convicted struct {
	Member  NodeID
	Boot    BootID
	Refused bool
	Voters  []NodeID
}

// Acquitted tells that this node has withdrawn a verdict: enough monitors hear the process again, or there is another.
type Acquitted struct {
	Member NodeID
	Boot   BootID
}

// Left tells that this node is out of the cluster, as it asked: Confirmed by a leader, or by its own word. The core has
// fallen silent.
type Left struct{ Confirmed bool }

// Forgotten tells that this node was removed from the cluster without having asked. The core has fallen silent.
type Forgotten struct{}

// Downed tells that this node was taken for down while it could not be reached. It goes on under a new boot and
// generation, with all that it owns, and joins again; what may run in one place only runs elsewhere by now.
type Downed struct {
	Generation uint64
	Boot       BootID
}

// Outvoted tells that this node cannot reach Lost, and that by the cluster's policy not its side goes on: what may run
// in one place only must stop here.
type Outvoted struct{ Lost []NodeID }

// LeaderRefused tells that this node, as the leader, could not write its decision about a member, and why.
type LeaderRefused struct {
	Member NodeID
	Err    error
}

// Incompatible tells that the cluster speaks a version that this node does not.
type Incompatible struct {
	Spoken uint16
	Own    Protocols
}

// PolicyIgnored tells that this node was configured with another DownPolicy than its cluster has.
type PolicyIgnored struct{ Cluster, Own DownPolicy }

// RumorID names a batch of an origin's writes.
type RumorID struct {
	Origin               NodeID
	Generation, Sequence uint64
}

// Converged tells that one of this node's rumors has come to rest: every member of its view has the writes, except
// those in Missing, which did not answer or were unreachable already; at most maxMissing are named. Count counts those
// that have them, this node included.
type Converged struct {
	Rumor   RumorID
	Count   int
	Missing []NodeID
	// Unequal tells that somewhere a delegate saw other members than its delegator: Missing may lack some.
	Unequal bool
	// After is the time since the rumor was started.
	After time.Duration
}

// Gathered answers a Gather. Count members said yes, this node included if it does; Xor combines the hashes of their
// ids, and Min is the least version of the owner that a member which answered holds (for a question about the view:
// 1). Missing are
// those that said no, or nothing; at most maxNaysayers are named.
type Gathered struct {
	Request uint64
	Count   int
	Min     uint64
	Xor     uint64
	Missing []NodeID
	Unequal bool // as in Converged
	After   time.Duration
}

// Reasons of JoinRefused.
const (
	ReasonNoCluster    = "not in a cluster"
	ReasonOtherCluster = "in another cluster"
	ReasonRefused      = "connection refused"
	ReasonFull         = "the cluster is full"
	ReasonProtocol     = "no common protocol version" // followed by the versions
)

func (ViewChanged) event() {}
func (Joined) event()      {}
func (JoinRefused) event() {}
func (Refused) event()     {}
func (Superseded) event()  {}
func (Isolated) event()    {}
func (Convicted) event()   {}
func (Acquitted) event()   {}
func (Converged) event()   {}
func (Gathered) event()    {}

func (Left) event()          {}
func (Forgotten) event()     {}
func (Downed) event()        {}
func (Outvoted) event()      {}
func (LeaderRefused) event() {}
func (Incompatible) event()  {}
func (PolicyIgnored) event() {}

func (e ViewChanged) String() string {
	return fmt.Sprintf("view %d: %d members, root %016x", e.View.Version(), len(e.View.Members()), e.View.Root())
}
func (e Joined) String() string      { return fmt.Sprintf("joined cluster %v", e.Cluster) }
func (e JoinRefused) String() string { return fmt.Sprintf("join refused by %v: %s", e.From, e.Reason) }
func (e Refused) String() string     { return fmt.Sprintf("refused %q: %v", e.Key, e.Err) }
func (e Superseded) String() string  { return fmt.Sprintf("superseded by generation %d", e.Generation) }

func (e Isolated) String() string {
	if e.Isolated {
		return "isolated: hears nobody"
	}
	return "not isolated any more"
}

func (e Convicted) String() string {
	reason := "silent"
	if e.Refused {
		reason = "refuses connections"
	}
	return fmt.Sprintf("verdict: %x is unreachable: %s, %d votes", e.Member[:4], reason, len(e.Voters))
}

func (e Acquitted) String() string {
	return fmt.Sprintf("verdict withdrawn: %x is reachable", e.Member[:4])
}

func (e Left) String() string {
	if e.Confirmed {
		return "left the cluster"
	}
	return "left the cluster without waiting for it"
}

func (Forgotten) String() string { return "removed from the cluster" }
func (e Downed) String() string {
	return fmt.Sprintf("taken for down, goes on as generation %d", e.Generation)
}

func (e Outvoted) String() string {
	return fmt.Sprintf("outvoted: %d members cannot be reached", len(e.Lost))
}

func (e LeaderRefused) String() string {
	return fmt.Sprintf("a decision about %v could not be written: %v", e.Member, e.Err)
}

func (e Incompatible) String() string {
	return fmt.Sprintf("the cluster speaks version %d, this node %v", e.Spoken, e.Own)
}

func (e PolicyIgnored) String() string {
	return fmt.Sprintf("the cluster's policy %v holds, not this node's %v", e.Cluster, e.Own)
}

func (e Converged) String() string {
	return fmt.Sprintf("rumor %d has converged: %d have it, %d missing%s", e.Rumor.Sequence, e.Count, len(e.Missing), caveat(e.Unequal))
}

func (e Gathered) String() string {
	return fmt.Sprintf("request %d: %d say yes, %d missing%s", e.Request, e.Count, len(e.Missing), caveat(e.Unequal))
}

func caveat(unequal bool) string {
	if unequal {
		return ", views differ"
	}
	return ""
}
