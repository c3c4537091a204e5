package gossip

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// removedForLong cuts a member off, removes another one meanwhile, and waits until nobody's shared map knows of that
// any more. Then the one comes back that has never heard of it.
func removedForLong(t complainer, tamper func(*cluster)) {
	t.Helper()
	c := newCluster(t, 1, calm)
	c.config = Config{ProbeInterval: 3 * time.Minute, ExchangeInterval: 3 * time.Minute, JoinRetry: time.Minute}
	c.form(4)
	c.converge(time.Second)
	c.partition(3)
	c.run(30 * time.Minute)
	gone := c.nodes[2]
	c.tell(gone, Leave{})
	c.run(time.Second)
	if !gone.core.left {
		t.Fatalf("it has not left: %+v", gone.core.view.members)
	}
	c.crash(gone)
	c.run(TombstoneLife + 2*time.Minute)
	for _, n := range c.nodes[:2] {
		if n.core.holds(nodeID(3)) || !n.core.buried(nodeID(3)) {
			t.Fatalf("n%d still holds what was removed a day ago", n.number)
		}
	}
	if m, ok := c.nodes[3].core.View().Member(nodeID(3)); !ok || m.Status != StatusUp {
		t.Fatalf("n4 has heard of it: %+v", m)
	}
	if tamper != nil {
		tamper(c)
	}
	c.world.Heal()
	c.run(time.Hour)
	c.converge(time.Minute)
	for _, n := range c.running() {
		if _, ok := n.core.View().Member(nodeID(3)); ok || n.core.holds(nodeID(3)) {
			t.Fatalf("n%d has the removed member", n.number)
		}
	}
	c.checker.lives.atEnd()
}

func TestTheRemovedStayRemovedForLongerThanTombstonesLive(t *testing.T) {
	removedForLong(t, nil)
	if found := complaintOf(func() {
		removedForLong(recorder{}, func(c *cluster) {
			for _, n := range c.running() {
				n.core.graves = nil
			}
		})
	}); found == "" {
		t.Fatal("nodes without memory of removals went unnoticed")
	} else {
		t.Log(found)
	}
}

func TestGravesAreBounded(t *testing.T) {
	c := newCluster(t, 1, calm)
	c.form(1)
	c.run(time.Second)
	core := c.nodes[0].core
	for i := range maxGraves + 1 {
		record := admission{status: StatusRemoved, generation: 1}
		core.bury(newShared(admissionKey(nodeID(i+10)), record.encode(), false, 1, nodeID(1)))
		if want := min(i+1, maxGraves); len(core.graves) != want {
			t.Fatalf("%d graves, want %d", len(core.graves), want)
		}
	}
	if core.buried(nodeID(10)) || !core.buried(nodeID(11)) {
		t.Fatal("not the oldest was forgotten")
	}
}

// A map that its users have filled keeps nobody out, and there is a bound all the same, of which the leader speaks.
func TestAFullMapKeepsNobodyOut(t *testing.T) {
	c := newCluster(t, 1, calm)
	var refused []LeaderRefused
	c.events = func(_ *simNode, e Event) {
		if e, ok := e.(LeaderRefused); ok {
			refused = append(refused, e)
		}
	}
	c.form(1)
	c.run(time.Second)
	core := c.nodes[0].core
	for i := core.shared.count; i < MaxShared; i++ {
		if err := core.writeShared(fmt.Sprint("user/", i), nil, false); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := core.writeShared("one too many", nil, false); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	c.run(time.Second)
	c.checker.off = true // it looks at every key after every event
	joiner := c.start(2, nil)
	c.tell(joiner, Join{Seeds: []Peer{c.nodes[0].addr}})
	c.converge(10 * time.Second)
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	// Now there is no room for records either.
	core = c.nodes[0].core
	core.sharedBytes += MaxSharedBytes + reservedBytes
	c.start(3, nil)
	c.tell(c.nodes[2], Join{Seeds: []Peer{c.nodes[0].addr}})
	c.run(3 * time.Second)
	if len(refused) != 1 || refused[0].Member != nodeID(3) || !errors.Is(refused[0].Err, ErrFull) {
		t.Fatal(refused)
	}
	if b, ok := core.View().Blockage(); !ok || b.Cause != CauseFull {
		t.Fatal(b)
	}
	core.sharedBytes -= MaxSharedBytes + reservedBytes
	c.converge(3 * time.Second)
}
