package testkit

import (
	"sync/atomic"
	"time"
)

// Clock is the clock of all nodes of a cluster: the machine's, plus what the test has advanced it by.
type Clock struct {
	ahead atomic.Int64 // nanoseconds
	moved func()       // wakes the nodes
}

// Now is what the nodes take for the present.
func (k *Clock) Now() time.Time { return time.Now().Add(time.Duration(k.ahead.Load())) }

// Advance moves the clock of all nodes forward at once, and wakes them so that deadlines which have passed by it are
// looked at. The nodes do not take the jump for a failure of their peers. Advance panics if d is negative: no clock of
// a cluster runs backwards by design.
func (k *Clock) Advance(d time.Duration) {
	if d < 0 {
		panic("testkit: the clock cannot go back")
	}
	k.ahead.Add(int64(d))
	k.moved()
}
