package quorum

import (
	"fmt"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/sim"
)

// Small worlds, enumerated completely: three nodes, three operations at once, and at every step that ever happens a
// process crashes, in every way it can, and comes back. Then the same with a second crash of the first kind, and with
// every message lost.

// fate is what happens at one step.
type fate struct {
	step  int // of the Readies with something to do, from 1 on
	point crashPoint
}

// smallWorld plays three operations under some crashes, or without the message number lost (0: none); it gives the
// counts of steps and messages.
func smallWorld(t complainer, operations func(c *cluster), fates []fate, lost int) (steps, messages int) {
	t.Helper()
	sent := 0
	c := newCluster(t, 1, sim.Link{Latency: time.Millisecond}, bug{})
	c.bug.send = func(m Message) Message {
		if sent++; sent == lost {
			return surrender{group: "nobody's"}
		}
		return m
	}
	c.form(3)
	n := c.machines
	c.ask(n[0], Create{Group: simGroup, Voters: idsOf(n), Lease: 100 * time.Millisecond, Value: []byte("0")})
	c.run(50 * time.Millisecond)
	begin := c.steps
	sent = 0
	c.dies = func(_ *process, step int) crashPoint {
		for _, f := range fates {
			if f.step == step-begin {
				return f.point
			}
		}
		return 0
	}
	operations(c)
	for range 20 {
		c.run(50 * time.Millisecond)
		for _, m := range n {
			if m.process == nil {
				c.start(m)
			}
		}
	}
	c.dies = func(*process, int) crashPoint { return 0 }
	steps, messages = c.steps-begin, sent
	c.runUntil(func() bool { return c.checker.closed(simGroup) }, 5*time.Second)
	for _, m := range n {
		if o := c.ask(m, Read{Group: simGroup, Voters: idsOf(n)}); !c.runUntil(func() bool { return o.outcome != 0 }, 3*time.Second) || o.outcome != Done {
			t.Fatalf("%v, %d lost: n%d reads at the end: %v", fates, lost, m.number, o.outcome)
		}
	}
	c.checker.linearizable(simGroup)
	return steps, messages
}

func TestSmallWorlds(t *testing.T) {
	played := 0
	timeout := 700 * time.Millisecond
	for name, operations := range map[string]func(c *cluster){
		"competing": func(c *cluster) {
			for i, m := range c.machines {
				c.ask(m, Change{Group: simGroup, Expected: 1, Value: fmt.Append(nil, i), Timeout: timeout})
			}
		},
		"changing, reading and replacing voters": func(c *cluster) {
			c.ask(c.machines[0], Change{Group: simGroup, Expected: 1, Value: []byte("1"), Timeout: timeout})
			c.ask(c.machines[1], Read{Group: simGroup, Timeout: timeout})
			c.ask(c.machines[2], Reconfigure{Group: simGroup, Expected: 1, Target: idsOf(c.machines[1:]), Timeout: timeout})
		},
		"holding the lease": func(c *cluster) {
			for _, m := range c.machines {
				c.tell(m, Hold{Group: simGroup})
			}
			c.run(250 * time.Millisecond)
			for _, m := range c.machines {
				c.tell(m, Release{Group: simGroup})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			steps, messages := smallWorld(t, operations, nil, 0)
			for step := 1; step <= steps; step++ {
				for point := beforeSave; point <= afterSend; point++ {
					smallWorld(t, operations, []fate{{step, point}}, 0)
					played++
				}
				for second := step + 1; second <= min(steps, step+12) && !testing.Short(); second++ {
					smallWorld(t, operations, []fate{{step, beforeSend}, {second, beforeSave}}, 0)
					played++
				}
			}
			for lost := 1; lost <= messages; lost++ {
				smallWorld(t, operations, nil, lost)
				played++
			}
		})
	}
	t.Logf("%d worlds", played)
	if played < 500 {
		t.Fatal("too few")
	}
}
