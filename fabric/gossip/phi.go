package gossip

import (
	"math"
	"time"
)

// Phi (Hayashibara et al., "The φ Accrual Failure Detector", 2004) says how unusual a silence is: at 1, one silence in
// ten is as long, at 2 one in a hundred. It is shown, and decides nothing.

const (
	// maxPhi is what a silence that is never seen counts.
	maxPhi = 100
	// phiWeight is how much of the mean a new interval makes: 1/phiWeight.
	phiWeight = 8
)

// arrivals are the times between a peer's answers.
type arrivals struct {
	last           time.Time
	mean, variance float64 // seconds, seconds²
}

func (a *arrivals) add(now time.Time) {
	if interval := now.Sub(a.last).Seconds(); !a.last.IsZero() && interval >= 0 {
		if a.mean == 0 {
			a.mean = interval
		}
		difference := interval - a.mean
		a.mean += difference / phiWeight
		a.variance += (difference*difference - a.variance) / phiWeight
	}
	a.last = now
}

// phi at a time.
func (a *arrivals) phi(now time.Time) float64 {
	if a.mean == 0 {
		return 0
	}
	deviation := max(math.Sqrt(a.variance), a.mean/phiWeight)
	later := math.Erfc((now.Sub(a.last).Seconds()-a.mean)/(deviation*math.Sqrt2)) / 2
	if later <= 0 {
		return maxPhi
	}
	return min(-math.Log10(later), maxPhi)
}

// Edge is what a node finds of a member that it monitors.
type Edge struct {
	Member NodeID
	// Phi says how unusual its present silence is, 0 to 100.
	Phi float64
	// RoundTrip is the latest measured, 0: none yet.
	RoundTrip time.Duration
	// Misses is how many rounds in a row it has not answered, Accused whether we take it for unreachable.
	Misses  int
	Accused bool
}

// Edges are the members that this node monitors, sorted by id, as they are at a time.
func (c *Core) Edges(now time.Time) []Edge {
	edges := make([]Edge, len(c.peers))
	for i, p := range c.peers {
		edges[i] = Edge{Member: p.id, Phi: p.arrivals.phi(now), RoundTrip: p.rtt, Misses: p.misses, Accused: p.bad != evidenceNone}
	}
	return edges
}

// gauges are whether this node is isolated, and the greatest phi of its edges in thousandths.
func (c *Core) gauges() (isolated, phiMilli uint64) {
	if c.monitors.isolated {
		isolated = 1
	}
	for _, p := range c.peers {
		phiMilli = max(phiMilli, uint64(1000*p.arrivals.phi(c.now)))
	}
	return isolated, phiMilli
}
