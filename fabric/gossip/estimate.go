package gossip

import (
	"math"
	"time"
)

const (
	// maxRetry is the longest retry timeout, whatever was measured.
	maxRetry = 2 * time.Second
	// minTries and maxTries are how often a single member is asked before it counts as unreached.
	minTries, maxTries = 3, 12
	// priorLoss is the share of unanswered requests that a node assumes before it has measured any, and priorWeight
	// how many measurements it takes to outweigh the assumption.
	priorLoss, priorWeight = 0.3, 16
	// lossWindow is how many of the latest requests the measured share looks back on, about.
	lossWindow = 64
	// lossy is the share of lost packets above which parts of more than (k+1)² members go to two of them at once.
	lossy = 0.1
	// calmLoss is the share of unanswered requests up to which answers under load wait for company.
	calmLoss = 0.02
)

// estimate is what a node has measured of its network: round trips, as in RFC 6298, and unanswered requests.
type estimate struct {
	trip, variation  time.Duration
	requests, failed float64 // fading counts
}

// sample takes a measured round trip.
func (e *estimate) sample(trip time.Duration) {
	switch {
	case trip < 0: // the clock was set back meanwhile
	case e.trip == 0:
		e.trip, e.variation = trip, trip/2
	default:
		e.variation += ((e.trip - trip).Abs() - e.variation) / 4
		e.trip += (trip - e.trip) / 8
	}
}

// retry is the time within which an answer should come.
func (e *estimate) retry(floor time.Duration) time.Duration {
	return min(max(floor, e.trip+4*e.variation), max(maxRetry, floor))
}

// asked counts a request as answered in time or not.
func (e *estimate) asked(answered bool) {
	const fade = 1 - 1.0/lossWindow
	e.requests, e.failed = e.requests*fade+1, e.failed*fade
	if !answered {
		e.failed++
	}
}

// tries is how often one of n members must be asked so that less than one in a thousand rumors misses a live one.
func (e *estimate) tries(n int) int {
	unanswered := (e.failed + priorLoss*priorWeight) / (e.requests + priorWeight)
	if unanswered <= 0 {
		return minTries
	}
	need := math.Log(1e-3/float64(max(n, 1))) / math.Log(min(unanswered, 0.99))
	return min(max(int(math.Ceil(need)), minTries), maxTries)
}

// calm reports whether next to nothing gets lost, so that answers may wait for company.
func (e *estimate) calm() bool { return e.failed <= max(1, e.requests*calmLoss) }

// lossy reports whether so many packets get lost that parts are better handed to two members at once. A request
// fails when one of two packets is lost.
func (e *estimate) lossy() bool {
	return e.requests >= priorWeight && 1-math.Sqrt(1-min(e.failed/e.requests, 1)) > lossy
}
