package quorum

import (
	"fmt"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// Message is what a Core receives: a request of its shell (Create, Change, Read, Reconfigure, Hold, Release), which
// comes from the node itself, or a message of a peer, which Decode reads and Encode writes.
type Message interface{ message() }

// Create makes a register of version 1. Its voters must have been agreed on before: by the register that lists the
// group, or, for the first register of all, by its founder alone.
type Create struct {
	Number  uint64 // comes back in the Result
	Group   GroupID
	Voters  []gossip.NodeID // 1 to MaxVoters; order and repetitions do not matter
	Lease   time.Duration   // of the group, for ever; 0 to MaxLease
	Value   []byte          // the core keeps it
	Timeout time.Duration   // 0: two seconds; at most MaxTimeout
}

// Change replaces the value if the register has the version Expected; the new version is one higher.
type Change struct {
	Number   uint64
	Group    GroupID
	Voters   []gossip.NodeID // where to begin when the node knows nothing of the group; at most MaxVoters
	Expected uint64          // 1 at least
	Value    []byte          // the core keeps it
	Timeout  time.Duration
}

// Read asks for the register's state at some moment between request and Result.
type Read struct {
	Number  uint64
	Group   GroupID
	Voters  []gossip.NodeID
	Timeout time.Duration
}

// Reconfigure replaces the voters if the configuration has the epoch Expected. A joint configuration that somebody
// left behind is completed first. It takes at least one lease of the group.
type Reconfigure struct {
	Number   uint64
	Group    GroupID
	Voters   []gossip.NodeID
	Expected uint64
	Target   []gossip.NodeID // 1 to MaxVoters
	Timeout  time.Duration   // 0: two seconds more than the longest lease
}

// Hold begins to ask for the lease of a group, and renews it until Release. When the node has too many proposers, or
// neither knows the group nor is told of voters, it is denied once, and nothing is begun.
type Hold struct {
	Group  GroupID
	Voters []gossip.NodeID
}

// Release gives a lease back, or up. It ends at once for the holder, and as soon as the voters hear of it for others.
type Release struct{ Group GroupID }

func (Create) message()      {}
func (Change) message()      {}
func (Read) message()        {}
func (Reconfigure) message() {}
func (Hold) message()        {}
func (Release) message()     {}

// Event is what a Core reports: Result, LeaseHeld, LeaseLost, LeaseDenied, StateLost.
type Event interface{ event() }

// Outcome is what became of a request.
type Outcome uint8

// The outcomes.
const (
	// Done: the read is confirmed, or the change was made. State is the confirmed one.
	Done Outcome = iota + 1
	// Conflict: the register has another version or epoch than expected. Nothing was changed and nothing will be.
	// State is the confirmed one.
	Conflict
	// Unavailable: too few voters answered in time. Nothing was changed and nothing will be.
	Unavailable
	// Unknown: the change may have been made, or may be made later.
	Unknown
	// Refused: the request is not valid or the node has too many. Nothing was changed and nothing will be.
	Refused
)

func (o Outcome) String() string {
	switch o {
	case Done:
		return "done"
	case Conflict:
		return "conflict"
	case Unavailable:
		return "unavailable"
	case Unknown:
		return "unknown"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// Result answers Create, Change, Read and Reconfigure, each exactly once while the process lives.
type Result struct {
	Number  uint64
	Group   GroupID
	Outcome Outcome
	State   *State // nil unless Done or Conflict
}

// LeaseHeld says that the node holds the lease until Until, on the clock that the core is given. It comes with every
// renewal. Whoever acts by it reads the same clock before it acts and after it has acted: the core may be late.
type LeaseHeld struct {
	Group GroupID
	Until time.Time
}

// LeaseLost says that a lease ran out, or that the node released it.
type LeaseLost struct{ Group GroupID }

// LeaseDenied says that a majority is not to be had, since voters refuse. Holder has the lease; zero: voters that
// began anew wait. Wait is for how long they refuse, Holder not renewing it.
type LeaseDenied struct {
	Group  GroupID
	Holder gossip.NodeID
	Wait   time.Duration
}

// StateLost says that others have seen this node vote in the group, and it has no record of that. The node refuses to
// vote; the shell must make it join with a new id.
type StateLost struct{ Group GroupID }

func (Result) event()      {}
func (LeaseHeld) event()   {}
func (LeaseLost) event()   {}
func (LeaseDenied) event() {}
func (StateLost) event()   {}

// The messages of peers. States and configurations are shared, never changed.

// prepare asks for the promise to accept nothing below the ballot. The configuration is the one that the proposer
// believes in, or plans.
type prepare struct {
	group         GroupID
	ballot        Ballot
	configuration Configuration
}

// promise gives it, with what was accepted before; zero and nil: nothing.
type promise struct {
	group    GroupID
	ballot   Ballot
	accepted Ballot
	state    *State
}

// accept proposes the next state.
type accept struct {
	group  GroupID
	ballot Ballot
	state  *State
}

// accepted says that it was.
type accepted struct {
	group  GroupID
	ballot Ballot
}

// reason is why a voter refuses.
type reason uint8

const (
	reasonOutbid   reason = iota + 1 // promised to a higher ballot
	reasonNoVoter                    // no voter of this group, or no longer
	reasonNoRecord                   // no record of the group
	reasonFull                       // MaxGroups
	reasonLast     = reasonFull
)

// turn names a query or a round of a lease, and the process it is of: answers to an earlier process are late.
type turn struct {
	boot   gossip.BootID
	number uint64
}

// refuse answers prepare, accept (by their ballot) and query (by its turn, ballot zero).
type refuse struct {
	group    GroupID
	ballot   Ballot
	turn     turn
	reason   reason
	promised Ballot
	// accepted and configuration are what the voter knows of the electorate; nil: nothing.
	accepted      Ballot
	configuration *Configuration
}

// query asks for the accepted state.
type query struct {
	group GroupID
	turn  turn
}

// report tells it.
type report struct {
	group    GroupID
	turn     turn
	accepted Ballot
	state    *State
}

// renew asks for the lease, or for more of it. The digest is of the configuration that the holder believes in.
type renew struct {
	group  GroupID
	turn   turn
	digest uint64
}

// granted answers renew: wait is zero when the lease is granted; else it is refused so long, for holder. The
// configuration is nil when it has the holder's digest.
type granted struct {
	group         GroupID
	turn          turn
	refused       bool
	wait          time.Duration
	holder        gossip.NodeID
	accepted      Ballot
	configuration *Configuration
}

// surrender ends a lease granted in that turn or an earlier one of the process.
type surrender struct {
	group GroupID
	turn  turn
}

// retire tells a former voter that the configuration was chosen, and that it is not in it.
type retire struct {
	group         GroupID
	ballot        Ballot
	configuration Configuration
}

func (prepare) message()   {}
func (promise) message()   {}
func (accept) message()    {}
func (accepted) message()  {}
func (refuse) message()    {}
func (query) message()     {}
func (report) message()    {}
func (renew) message()     {}
func (granted) message()   {}
func (surrender) message() {}
func (retire) message()    {}
