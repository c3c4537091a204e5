package gossip

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// placeholder stands for an address that nobody was told.
var placeholder = netip.MustParseAddrPort("127.0.0.1:1")

// Config describes a node and tunes its gossip. The zero value of each tuning field means its default.
type Config struct {
	// ID names the node for ever, Boot this start of its process. Both are required.
	ID   NodeID
	Boot BootID
	// Generation grows with every start of the node, and is at least 1.
	Generation uint64
	// Seed feeds the core's only source of randomness.
	Seed uint64
	// Addr is where peers send packets to this node.
	Addr     netip.AddrPort
	Name     string
	Location string
	Roles    []string

	// Fanout is k: how many members a node hands a rumor to per round. Default 4, at most MaxFanout.
	Fanout int
	// Strategy is how rumors spread. Default StrategyINR.
	Strategy Strategy
	// Tick is the round of the strategies that have rounds, and the time in which a collector gathers the writes of
	// others under load. Default 100 ms.
	Tick time.Duration
	// Stepwise makes INR, too, go in rounds: at most Fanout parts of a rumor per Tick. Default: all parts at once.
	// With links much faster than a Tick, and RetryFloor a fraction of it, rounds are (time / Tick) rounded up.
	Stepwise bool
	// RetryFloor is the shortest time after which a part of a rumor that nobody acknowledged is handed out again;
	// measured round trips make it longer. Default 20 ms.
	RetryFloor time.Duration
	// PacketRate is how many packets a node sends per second; the excess waits, and is dropped when it is too much.
	// Default 20,000.
	PacketRate int
	// Orders is shared by the cores of one process, driven by one goroutine, that start from one View: they look up
	// the order of a rumor instead of computing it each. Default: an own one.
	Orders *Orders
	// Coalesce is how long writes wait for company when several have gone out just before. A single one is never
	// delayed. Default 5 ms.
	Coalesce time.Duration
	// ProbeInterval is the time between two rounds of probes, give or take a tenth. Default 1 s.
	ProbeInterval time.Duration
	// ProbeTimeout is the least time after which a probe without an answer is repeated; measured round trips make it
	// longer, but not longer than a quarter of ProbeInterval. A later answer counts as well. Default 200 ms.
	ProbeTimeout time.Duration
	// ProbeMisses is m: how many bad rounds in a row make a monitor accuse a member, or take itself for isolated.
	// Default 3.
	ProbeMisses int
	// RefusedInterval is the time between probes after a refused connection. Default 20 ms.
	RefusedInterval time.Duration
	// Settle is how long this node's state must not have changed, because of rumors in flight, before it compares
	// it with that of a probed member whose root is unequal, and the least time between two rounds of telling others
	// of news that came by comparison. Default 25 ms.
	Settle time.Duration
	// ExchangeInterval is the time between two background comparisons with one member after another. Default 500 ms.
	ExchangeInterval time.Duration
	// JoinRetry is the longest time between two rounds of asking the seeds; the first ones are shorter. Default 500 ms.
	JoinRetry time.Duration

	// DownPolicy is what a cluster that this node founds does about members that stay unreachable. Elsewhere that of
	// the cluster holds.
	DownPolicy DownPolicy
	// WeakAfter is how long a leader that cannot prove that all agree lets joining members wait. Default 7 s.
	WeakAfter time.Duration
	// LeaveTimeout is how long a node that leaves waits for the leader to let it go. Default 5 s.
	LeaveTimeout time.Duration
	// Protocols are the versions that the node speaks. Default ProtocolMin to ProtocolMax.
	Protocols Protocols

	// Snapshot is the state of an earlier run of this node: it starts as a member of the cluster it was in.
	Snapshot *Snapshot
	// View is a ready-made view to start from: the node is one of its members and starts as such at once. The
	// core copies nothing of it. Not together with Snapshot.
	View *View
}

// MaxFanout is the largest Config.Fanout.
const MaxFanout = 64

// Validate joins everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	fault := func(bad bool, what string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("gossip: configure: "+what, args...))
		}
	}
	fault(c.ID.IsZero(), "the node id is zero")
	fault(c.Boot == 0, "the boot id is zero")
	fault(c.Generation == 0, "the generation is zero")
	fault(!c.Addr.IsValid(), "the address is invalid")
	fault(len(c.Name) > MaxName || len(c.Location) > MaxName, "name or location longer than %d bytes", MaxName)
	fault(len(c.Roles) > MaxRoles, "more than %d roles", MaxRoles)
	for _, role := range c.Roles {
		fault(len(role) > MaxName, "role longer than %d bytes", MaxName)
	}
	fault(c.Fanout < 0 || c.Fanout > MaxFanout, "fanout %d is not within 1…%d", c.Fanout, MaxFanout)
	fault(c.Coalesce < 0 || c.ProbeInterval < 0 || c.ProbeTimeout < 0 || c.RefusedInterval < 0 || c.Settle < 0 || c.JoinRetry < 0 || c.ProbeMisses < 0 ||
		c.Tick < 0 || c.RetryFloor < 0 || c.PacketRate < 0 || c.ExchangeInterval < 0,
		"a negative interval or count")
	fault(c.WeakAfter < 0 || c.LeaveTimeout < 0, "a negative delay of the lifecycle")
	fault(c.Protocols.Min > c.Protocols.Max, "protocol versions %v", c.Protocols)
	errs = append(errs, c.DownPolicy.validate())
	fault(c.Strategy > StrategyPush, "unknown strategy %d", c.Strategy)
	fault(c.View != nil && c.View.roster == nil, "the view is empty")
	fault(c.Snapshot != nil && c.View != nil, "both a snapshot and a view")
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	orDefault(&c.Fanout, 4)
	orDefault(&c.Tick, 100*time.Millisecond)
	orDefault(&c.RetryFloor, 20*time.Millisecond)
	orDefault(&c.PacketRate, 20_000)
	orDefault(&c.Coalesce, 5*time.Millisecond)
	orDefault(&c.ProbeInterval, time.Second)
	orDefault(&c.ProbeTimeout, 200*time.Millisecond)
	orDefault(&c.ProbeMisses, 3)
	orDefault(&c.RefusedInterval, 20*time.Millisecond)
	orDefault(&c.Settle, 25*time.Millisecond)
	orDefault(&c.ExchangeInterval, 500*time.Millisecond)
	orDefault(&c.JoinRetry, 500*time.Millisecond)
	orDefault(&c.DownPolicy.StableAfter, defaultStableAfter)
	orDefault(&c.WeakAfter, 7*time.Second)
	orDefault(&c.LeaveTimeout, 5*time.Second)
	orDefault(&c.Protocols, Protocols{ProtocolMin, ProtocolMax})
	if c.Orders == nil {
		c.Orders = &Orders{}
	}
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
