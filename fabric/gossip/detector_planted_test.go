package gossip

import (
	"slices"
	"testing"
	"time"
)

// renamed is a planted bug: a verdict holds for whatever process the member has.
func renamed(d *detectorCheck, m Message) Message {
	change := func(list []*shared) []*shared {
		changed := make([]*shared, len(list))
		for i, s := range list {
			changed[i] = s
			if s.verdict == nil {
				continue
			}
			for _, n := range d.nodes {
				if nodeID(n.number) == s.verdict.subject {
					v := *s.verdict
					v.boot = BootID(n.number<<16 + n.incarnation)
					changed[i] = newShared(string(s.key), v.encode(), false, s.stamp, s.node)
				}
			}
		}
		return changed
	}
	return alterAll(m, func(b body) body {
		switch b := b.(type) {
		case rumor:
			if b.payload != nil {
				copied := *b.payload
				copied.shared = change(copied.shared)
				b.payload = &copied
			}
			return b
		case stateChunk:
			b.shared = change(b.shared)
			return b
		case fill:
			b.shared = change(b.shared)
			return b
		case alerts: // nobody says that the new process answers
			b.list = slices.DeleteFunc(slices.Clone(b.list), func(a alert) bool { return a.found == evidenceAnswers })
			return b
		}
		return b
	})
}

// forge makes a node convict its first successor, in the name of all its monitors.
func forge(c *Core) {
	c.view.successors(c.cfg.ID, func(m Member) bool {
		var voters []NodeID
		c.view.predecessors(m.ID, func(m *Member) bool {
			voters = append(voters, m.ID)
			return len(voters) < watched
		})
		c.convict(&m, voters)
		return false
	})
}

func TestPlantedBugsOfTheDetectorAreFound(t *testing.T) {
	simulate := func(bend func(*rules), alter func(*detectorCheck, Message) Message) func() {
		return func() {
			for seed := range uint64(60) {
				playDetector(recorder{}, seed, bend, alter)
			}
		}
	}
	for _, tc := range []struct {
		name string
		run  func()
	}{
		{"a node that hears nobody accuses", simulate(func(r *rules) { r.answers = 0 }, nil)},
		{"a node that was away goes on where it was", simulate(func(r *rules) { r.late = 1 << 60 }, nil)},
		{"monitors that are accused count", simulate(func(r *rules) { r.accusers = 1 << 30 }, nil)},
		{"a single vote convicts", func() { badLink(recorder{}, func(r *rules) { r.votes, r.share = 1, 0 }) }},
		{"a verdict holds for a new process", simulate(nil, renamed)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found := complaintOf(tc.run)
			if found == "" {
				t.Fatal("went unnoticed")
			}
			t.Log(found)
		})
	}
}

// What one monitor makes up does not last: those in whose name it speaks object.
func TestAForgedVerdictIsWithdrawnByThoseItNames(t *testing.T) {
	c := formed(t, 1, 12, calm)
	accuser := c.nodes[3].core
	now := c.world.Now()
	accuser.Receive(now, c.nodes[3].addr, SetOwn{Key: "k", Value: []byte("v")})
	forge(accuser)
	accuser.settle()
	if accuser.view.lost == nil {
		t.Fatal("the forger's own view does not show it")
	}
	c.tell(c.nodes[3], SetOwn{Key: "k", Value: []byte("w")}) // lets the packets go
	took := c.converge(500 * time.Millisecond)
	var objections uint64
	for _, n := range c.nodes {
		objections += n.core.metrics.VerdictsForged
	}
	t.Logf("after %v, %d objections", took, objections)
	if objections == 0 {
		t.Fatal("nobody objected")
	}
}
