package quorum

import (
	"errors"
	"fmt"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// Limits of this package; see the package comment.
const (
	// MaxGroups bounds the registers a node votes for or has voted for.
	MaxGroups = 65_536
	// MaxProposers bounds the groups that a node has requests or leases of, or has had within IdleAfter.
	MaxProposers = 65_536
	// MaxQueue bounds the requests of one node for one group that have no Result yet.
	MaxQueue = 64
	// MaxGroupID is the longest name of a group, in bytes.
	MaxGroupID = 64
	// MaxVoters bounds a set of voters; a joint configuration has two of them.
	MaxVoters = 7
	// MaxValue is the largest value of a register, in bytes.
	MaxValue = 256 << 10
	// MaxLease is the longest lease.
	MaxLease = 10 * time.Second
	// MaxTimeout is the longest time a request may take.
	MaxTimeout = 10 * time.Minute
	// IdleAfter is how long a proposer without a request remembers what it knows of a group.
	IdleAfter = time.Minute

	// maxCounter bounds ballots, so that nobody can use them up.
	maxCounter = 1 << 62
	// maxStep bounds the accepts of one ballot; then the proposer takes another one.
	maxStep = 1 << 30
	// defaultTimeout is for requests that name none.
	defaultTimeout = 2 * time.Second
	// DriftDivisor: clocks run right within 1/DriftDivisor of the time that has passed.
	DriftDivisor = 100
)

// Config is what a Core is made from.
type Config struct {
	// ID is the node. It must not have voted with a log that is lost: see Fresh.
	ID gossip.NodeID
	// Boot names this start of the process; no two starts have the same.
	Boot gossip.BootID
	// Fresh says that ID was made together with an empty log: the node has never voted. A log that is empty without
	// it is a lost one.
	Fresh bool
	// Seed feeds the one generator of back-off times.
	Seed uint64
	// RetryInterval is when a message that a round needs an answer to is sent again. Default 50 ms.
	RetryInterval time.Duration
	// BackoffInterval is the first bound of the random time a proposer rests after it was outbid; it doubles up to
	// 64 times its value. Default 10 ms.
	BackoffInterval time.Duration
	// RenewInterval is how often a holder renews a lease. Default 100 ms.
	RenewInterval time.Duration
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var faults []error
	if c.ID.IsZero() {
		faults = append(faults, errors.New("quorum: config: no node id"))
	}
	if c.Boot == 0 {
		faults = append(faults, errors.New("quorum: config: no boot id"))
	}
	for _, interval := range []struct {
		name  string
		value time.Duration
	}{{"retry", c.RetryInterval}, {"backoff", c.BackoffInterval}, {"renew", c.RenewInterval}} {
		if interval.value < 0 || interval.value > MaxLease {
			faults = append(faults, fmt.Errorf("quorum: config: %s interval %v: want 0 to %v", interval.name, interval.value, MaxLease))
		}
	}
	return errors.Join(faults...)
}

func (c Config) withDefaults() Config {
	for _, interval := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{{&c.RetryInterval, 50 * time.Millisecond}, {&c.BackoffInterval, 10 * time.Millisecond}, {&c.RenewInterval, 100 * time.Millisecond}} {
		if *interval.value == 0 {
			*interval.value = interval.fallback
		}
	}
	return c
}
