// Package hlc is a hybrid logical clock: timestamps that respect causality and stay close to the wall clock
// (Kulkarni, Demirbas et al., "Logical Physical Clocks", 2014).
//
// A timestamp has 64 bits: 48 of milliseconds since 1970 and a 16-bit counter. Ties between nodes are broken by
// node id, which is not this package's business. The clock reads no wall clock: the caller hands in the time.
// A Clock is owned by one goroutine.
package hlc

import (
	"fmt"
	"time"
)

// MaxAhead is how far a remote timestamp may drag the local clock ahead of its wall clock.
const MaxAhead = 500 * time.Millisecond

const counterBits = 16

// Timestamp is 48 bits of Unix milliseconds and a 16-bit counter; the zero value is before every stamp.
type Timestamp uint64

// New builds a timestamp from a wall-clock time; times before 1970 give the zero timestamp.
func New(wall time.Time, counter uint16) Timestamp {
	return Timestamp(max(wall.UnixMilli(), 0))<<counterBits | Timestamp(counter)
}

// Wall is the timestamp's wall-clock part, exact to the millisecond.
func (t Timestamp) Wall() time.Time { return time.UnixMilli(int64(t >> counterBits)) }

// Counter orders the timestamps within one millisecond.
func (t Timestamp) Counter() uint16 { return uint16(t) }

// String prints milliseconds and counter, for example "1700000000000.3".
func (t Timestamp) String() string { return fmt.Sprintf("%d.%d", uint64(t>>counterBits), t.Counter()) }

// Clock hands out increasing timestamps. The zero Clock is ready.
type Clock struct {
	last    Timestamp
	refused uint64
}

// Now returns a timestamp greater than every one this clock has returned or accepted.
func (c *Clock) Now(wall time.Time) Timestamp {
	// A full counter carries into the milliseconds: still increasing, at most a millisecond ahead.
	c.last = max(New(wall, 0), c.last+1)
	return c.last
}

// Observe takes note of a timestamp made elsewhere, so that later local ones are greater. A stamp more than
// MaxAhead beyond the wall clock is counted and not followed; Observe reports whether it was followed.
func (c *Clock) Observe(wall time.Time, remote Timestamp) bool {
	if remote > New(wall.Add(MaxAhead), 1<<counterBits-1) {
		c.refused++
		return false
	}
	c.last = max(c.last, remote)
	return true
}

// Refused counts the timestamps that Observe did not follow.
func (c *Clock) Refused() uint64 { return c.refused }
