package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Scheme is a way to spread updates.
type Scheme uint8

// The schemes. Those up to SchemeMedian are simulated in rounds with flat arrays; SchemeINR and those after it are
// the cores that run in nodes, in the simulator.
const (
	// SchemePush sends everything new to K random members in every round, for ever.
	SchemePush Scheme = iota + 1
	// SchemeLiteral is push with a memory: each member remembers to whom it has sent the update, and chooses among the
	// others, until none are left.
	SchemeLiteral
	// SchemeSeen carries the set of members that have the update along with it, prefers those that have not, and
	// answers with a receipt, like Akka's gossip.
	SchemeSeen
	// SchemePushPull compares digests with K random members in every round, in three messages, like Cassandra.
	SchemePushPull
	// SchemeTransmit sends to K random members in every round, each update 4·ceil(log10(n+1)) times, like memberlist.
	SchemeTransmit
	// SchemeMedian is the median-counter algorithm of Karp, Schindelhauer, Shenker and Vöcking (2000).
	SchemeMedian
	// SchemeINR is interval no-repeat rumors, by gossip.Core.
	SchemeINR
	// SchemeCoreLiteral and SchemeCorePush are the same rules as SchemeLiteral and SchemePush, by gossip.Core.
	SchemeCoreLiteral
	SchemeCorePush
)

var schemeNames = [...]string{
	SchemePush: "push", SchemeLiteral: "literal", SchemeSeen: "seen", SchemePushPull: "push-pull", SchemeTransmit: "transmit",
	SchemeMedian: "median", SchemeINR: "inr", SchemeCoreLiteral: "core-literal", SchemeCorePush: "core-push",
}

// Schemes are all schemes, in the order of a table.
func Schemes() []Scheme {
	var all []Scheme
	for s := SchemePush; int(s) < len(schemeNames); s++ {
		all = append(all, s)
	}
	return all
}

// String is the scheme's name.
func (s Scheme) String() string {
	if s == 0 || int(s) >= len(schemeNames) {
		return fmt.Sprintf("scheme %d", uint8(s))
	}
	return schemeNames[s]
}

// ParseScheme is the opposite of String.
func ParseScheme(name string) (Scheme, error) {
	for _, s := range Schemes() {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("lab: no scheme %q: want %s", name, strings.Join(SchemeNames(), ", "))
}

// SchemeNames are the names of all schemes.
func SchemeNames() []string { return slices.Clone(schemeNames[1:]) }

// Production reports whether the scheme is played by gossip.Core.
func (s Scheme) Production() bool { return s >= SchemeINR }

// Limits of an Experiment.
const (
	// MaxMembers is the largest N; above MaxWhole the cores of a production scheme do nothing but spread.
	MaxMembers = 100_000
	MaxWhole   = 10_000
	// MaxFanout is the largest K.
	MaxFanout = 64
	// MaxUpdates is the largest number of updates per round.
	MaxUpdates = 1000
	// MaxPercent is the largest share of messages lost, of members dead and of members that a view lacks.
	MaxPercent = 90
	// maxCells bounds what a comparison scheme keeps: one cell for every member and update, and for SchemeSeen one bit
	// for every pair of members and update.
	maxCells = 1 << 28
	maxBits  = 1 << 35
)

// Experiment is one question to one scheme: N members know each other, and a member writes.
type Experiment struct {
	Scheme Scheme
	// N is the number of members, dead ones included.
	N int
	// K is to how many members a member sends in a round.
	K int
	// Loss is the share of messages that are lost, in percent, Dead that of members that are dead without anybody
	// knowing, and Missing that of members that a live member's view lacks.
	Loss, Dead, Missing float64
	// Updates is the number of writes: 1 is a single write, more are so many in every one of StreamRounds rounds, each at
	// a random member.
	Updates int
}

// StreamRounds is for how many rounds an experiment with more than one update per round goes on writing. Packets per
// round are counted in the second half.
const StreamRounds = 20

// Validate joins everything that is wrong with the experiment.
func (e Experiment) Validate() error {
	var errs []error
	fault := func(bad bool, what string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("lab: "+what, args...))
		}
	}
	fault(e.Scheme == 0 || int(e.Scheme) >= len(schemeNames), "no %v", e.Scheme)
	fault(e.N < 2 || e.N > MaxMembers, "n %d: want 2 to %d", e.N, MaxMembers)
	fault(e.K < 1 || e.K > MaxFanout, "k %d: want 1 to %d", e.K, MaxFanout)
	percent := func(name string, value float64) {
		fault(!(value >= 0 && value <= MaxPercent), "%s %g: want 0 to %d percent", name, value, MaxPercent)
	}
	percent("loss", e.Loss)
	percent("dead", e.Dead)
	percent("missing", e.Missing)
	fault(e.Updates < 1 || e.Updates > MaxUpdates, "updates %d: want 1 to %d", e.Updates, MaxUpdates)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	cells := e.updates() * e.N
	fault(cells > maxCells, "%d updates of %d members: too much to keep", e.updates(), e.N)
	fault(e.Scheme == SchemeSeen && cells > maxBits/e.N, "seen-sets of %d updates of %d members: too much to keep", e.updates(), e.N)
	fault(e.Scheme.Production() && e.N > MaxWhole && (e.Updates > 1 || e.Missing > 0), "above n %d the cores only spread one update among members that all know each other", MaxWhole)
	return errors.Join(errs...)
}

// updates is how many there are in all.
func (e Experiment) updates() int {
	if e.Updates == 1 {
		return 1
	}
	return e.Updates * StreamRounds
}

// Watch is what whoever runs an experiment has to do with it meanwhile. Nil functions are left out.
type Watch struct {
	// Interrupted is asked now and then whether to give up.
	Interrupted func() bool
	// Began is called when the members have been made, and the simulation begins.
	Began func()
}

func (w Watch) interrupted() bool { return w.Interrupted != nil && w.Interrupted() }

// Run plays one experiment with one seed: equal arguments, equal outcomes. It returns false when it was interrupted.
// The experiment must be valid.
func Run(e Experiment, seed uint64, watch Watch) (Outcome, bool) {
	if e.Scheme.Production() {
		return runCores(e, seed, watch)
	}
	return runRounds(e, seed, watch)
}
