package quorum

import (
	"fmt"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

const lease400 = 400 * time.Millisecond

// leased is a cluster of three voters with a lease of 400 ms, which the first one holds, and of more nodes.
func leased(t *testing.T, nodes int) *cluster {
	t.Helper()
	c := newCluster(t, 1, sim.Link{Latency: time.Millisecond}, bug{})
	c.form(nodes)
	c.ask(c.machines[0], Create{Group: simGroup, Voters: idsOf(c.machines[:3]), Lease: lease400})
	c.run(100 * time.Millisecond)
	c.tell(c.machines[0], Hold{Group: simGroup})
	if !c.runUntil(func() bool { return c.holds(c.machines[0]) }, 10*time.Millisecond) {
		t.Fatal("a round is not enough")
	}
	return c
}

// holds reports whether the machine may act by the lease now.
func (c *cluster) holds(m *machine) bool {
	return m.process != nil && m.local(c.world.Now()).Before(m.until[simGroup])
}

// takes measures how long it takes until the machine holds the lease.
func (c *cluster) takes(m *machine, limit time.Duration) time.Duration {
	c.t.Helper()
	begin := c.world.Now()
	if !c.runUntil(func() bool { return c.holds(m) }, limit) {
		c.t.Fatalf("n%d does not get the lease within %v", m.number, limit)
	}
	return c.world.Now().Sub(begin)
}

func TestALeaseIsRenewedAsLongAsItIsWanted(t *testing.T) {
	c := leased(t, 3)
	c.tell(c.machines[1], Hold{Group: simGroup})
	for range 200 {
		c.run(50 * time.Millisecond)
		if !c.holds(c.machines[0]) {
			t.Fatal("it was lost")
		}
	}
}

func TestAKilledHolderIsFollowedAfterItsLease(t *testing.T) {
	c := leased(t, 3)
	c.run(time.Second)
	c.crash(c.machines[0])
	c.tell(c.machines[1], Hold{Group: simGroup}) // at once: a refused connection
	if took := c.takes(c.machines[1], time.Second); took < lease400/2 || took > lease400+50*time.Millisecond {
		t.Fatalf("after %v", took)
	}
}

func TestACampaignNeverShortensALease(t *testing.T) {
	c := leased(t, 5)
	for _, m := range c.machines[1:] {
		c.tell(m, Hold{Group: simGroup})
	}
	c.run(10 * time.Millisecond)
	c.world.Pause(c.machines[0].id, time.Hour)
	until := c.machines[0].until[simGroup].Sub(c.machines[0].local(c.world.Now()))
	c.run(until - time.Millisecond)
	for _, m := range c.machines[1:] {
		if c.holds(m) {
			t.Fatalf("n%d holds the lease too early", m.number)
		}
	}
}

func TestAPausedHolderKnowsThatItsLeaseIsOver(t *testing.T) {
	for _, pause := range []time.Duration{lease400 / 2, lease400 - 20*time.Millisecond, lease400, 2 * lease400, time.Minute} {
		c := leased(t, 3)
		c.run(time.Second)
		c.tell(c.machines[1], Hold{Group: simGroup})
		var told []string
		c.events = func(m *machine, e Event) {
			if m.number == 1 {
				told = append(told, fmt.Sprintf("%T", e))
			}
		}
		c.world.Pause(c.machines[0].id, pause)
		c.run(pause + 100*time.Millisecond)
		if after := pause >= lease400; after && (len(told) == 0 || told[0] != "quorum.LeaseLost") {
			t.Fatalf("after a pause of %v: %v", pause, told)
		}
	}
}

// A suspended machine's boot-time clock goes on: to the core it is a pause. Clocks that are wrong by as much as they
// may be, in whichever direction, never let two machines hold the lease: the checker looks at every grant.
func TestClocksMayDrift(t *testing.T) {
	const most = 1_000_000 / DriftDivisor
	for _, holder := range []int64{-most, 0, most} {
		for _, others := range []int64{-most, 0, most} {
			c := leased(t, 3)
			n := c.machines
			n[0].drift, n[1].drift, n[2].drift = holder, others, others
			for _, m := range n { // the clock must not jump now
				m.offset = m.offset - m.local(c.world.Now()).Sub(c.world.Now())
			}
			c.run(time.Second)
			c.tell(n[1], Hold{Group: simGroup})
			for range 20 {
				c.run(50 * time.Millisecond)
				c.world.Pause(n[0].id, 2*lease400)
				c.takes(n[1], time.Second)
				c.run(100 * time.Millisecond)
				c.tell(n[1], Release{Group: simGroup})
				c.takes(n[0], time.Second)
				c.tell(n[1], Hold{Group: simGroup})
			}
		}
	}
	if v := validity(lease400); float64(v)*(1+1.0/DriftDivisor)/(1-1.0/DriftDivisor) > float64(lease400) {
		t.Fatalf("%v may be more than %v", v, lease400)
	}
}

func TestAVoterThatBeganAnewGrantsNothingForALease(t *testing.T) {
	c := leased(t, 4)
	n := c.machines
	c.run(time.Second)
	c.split(1) // n1 holds the lease of n2 and n3, and cannot hear that they begin anew
	for _, m := range n[1:3] {
		c.crash(m)
		c.start(m)
	}
	c.tell(n[3], Hold{Group: simGroup, Voters: idsOf(n[:3])})
	if took := c.takes(n[3], time.Second); took < lease400 || took > lease400+100*time.Millisecond {
		t.Fatalf("after %v", took)
	}
}

func TestAReleasedLeaseIsFreeAtOnce(t *testing.T) {
	c := leased(t, 3)
	c.run(time.Second)
	c.tell(c.machines[0], Release{Group: simGroup})
	c.run(5 * time.Millisecond)
	c.tell(c.machines[1], Hold{Group: simGroup})
	if took := c.takes(c.machines[1], time.Second); took > 10*time.Millisecond {
		t.Fatalf("after %v", took)
	}
}

// The holder keeps its lease while all other voters are replaced, and is the only one.
func TestALeaseOutlivesItsVoters(t *testing.T) {
	c := leased(t, 5)
	n := c.machines
	c.tell(n[4], Hold{Group: simGroup, Voters: idsOf(n[:3])})
	replaced := c.ask(n[1], Reconfigure{Group: simGroup, Expected: 1, Target: idsOf(n[2:])})
	for range 100 {
		c.run(20 * time.Millisecond)
		if !c.holds(n[0]) {
			t.Fatal("the lease was lost")
		}
	}
	if replaced.outcome != Done {
		t.Fatalf("the voters: %v", replaced.outcome)
	}
	c.crash(n[0])
	c.takes(n[4], time.Second)
}

// Between the joint and the final configuration passes a lease: by then everybody who counted without the new voters
// has stopped.
func TestReplacingVotersTakesALease(t *testing.T) {
	c := leased(t, 6)
	n := c.machines
	begin := c.world.Now()
	o := c.ask(n[0], Reconfigure{Group: simGroup, Expected: 1, Target: idsOf(n[3:])})
	c.runUntil(func() bool { return o.outcome != 0 }, 5*time.Second)
	if took := c.world.Now().Sub(begin); o.outcome != Done || took < lease400 {
		t.Fatalf("%v after %v", o.outcome, took)
	}
}

func TestAGroupWithoutLeasesDenies(t *testing.T) {
	c := newCluster(t, 1, sim.Link{Latency: time.Millisecond}, bug{})
	c.form(1)
	c.ask(c.machines[0], Create{Group: simGroup, Voters: idsOf(c.machines)})
	var denied LeaseDenied
	c.events = func(_ *machine, e Event) {
		if d, ok := e.(LeaseDenied); ok {
			denied = d
		}
	}
	c.tell(c.machines[0], Hold{Group: simGroup})
	c.run(time.Second)
	if denied.Group != simGroup || denied.Wait != 0 {
		t.Fatalf("%+v", denied)
	}
}
