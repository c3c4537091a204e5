package quorum

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/sim"
)

// The checkers are tested by planted bugs: each must turn one of them red.

type complaint string

// recorder is a complainer for code that is expected to be found wrong.
type recorder struct{}

func (recorder) Helper()                           {}
func (recorder) Fatal(args ...any)                 { panic(complaint(fmt.Sprint(args...))) }
func (recorder) Fatalf(format string, args ...any) { panic(complaint(fmt.Sprintf(format, args...))) }

// complaintOf is the complaint of f; "" when there is none.
func complaintOf(f func()) (text string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case complaint:
			text = string(r)
		default:
			panic(r)
		}
	}()
	f()
	return ""
}

// pretend lets the proposers of a process believe that voters have agreed who have not.
func pretend(p *process, agrees func(q *proposer, id gossip.NodeID) bool) {
	now := p.machine.local(p.cluster.now)
	for _, q := range slices.Clone(p.timers.heap) {
		for _, id := range q.plan.VoterIDs() {
			if q.phase == preparing && agrees(q, id) {
				p.Core.Receive(now, id, promise{group: q.group, ballot: q.ballot})
			}
		}
		for q.phase == accepting && q.proposal != nil {
			before := q.ballot
			for _, id := range q.proposal.VoterIDs() {
				if q.ballot == before && q.phase == accepting && agrees(q, id) {
					p.Core.Receive(now, id, accepted{q.group, q.ballot})
				}
			}
			if q.ballot == before {
				break
			}
		}
	}
}

// rewritten is a log with something done to every record of a group.
func rewritten(log [][]byte, change func(*register)) (out [][]byte) {
	for _, record := range log {
		k, r, err := readRecord(record)
		if err != nil {
			panic(err)
		}
		if k != recordNode {
			g := readRegister(r, k)
			change(g)
			save, _ := g.append(nil, nil)
			record = Records(save)[0]
		}
		out = append(out, record)
	}
	return out
}

func TestPlantedBugsAreFound(t *testing.T) {
	simulate := func(b bug) func() {
		return func() {
			for seed := range uint64(3000) {
				play(recorder{}, seed, b)
			}
		}
	}
	for _, tc := range []struct {
		name string
		run  func()
	}{
		{"answers before they are saved", simulate(bug{lateSave: true})},
		{"a majority of the connected voters, not of all", simulate(bug{state: func(p *process) {
			pretend(p, func(_ *proposer, id gossip.NodeID) bool { return !p.cluster.connected(p.machine, id) })
		}})},
		{"new voters without a majority of the old ones", func() {
			joinOnTheMinoritySide(recorder{}, bug{state: func(p *process) {
				pretend(p, func(q *proposer, id gossip.NodeID) bool {
					return q.active != nil && q.active.kind == requestReconfigure && !slices.Contains(q.active.target, id)
				})
			}})
		}},
		{"promises forgotten in a restart", simulate(bug{disk: func(log [][]byte) [][]byte {
			return rewritten(log, func(g *register) { g.promised = g.accepted.round() })
		}})},
		{"accepted states forgotten in a restart", simulate(bug{disk: func(log [][]byte) [][]byte {
			return rewritten(log, func(g *register) {
				if g.left == nil {
					g.accepted, g.state = Ballot{}, nil
				}
			})
		}})},
		{"an empty disk with the old id", simulate(bug{disk: func([][]byte) [][]byte { return nil }})},
		{"a lease kept across a pause", simulate(bug{receive: func(p *process, now time.Time, m Message) Message {
			if m, ok := m.(granted); ok {
				if q := p.proposers[m.group]; q != nil && q.lease != nil {
					q.lease.sent = now
				}
			}
			return m
		}})},
		{"leases granted right after a restart", simulate(bug{started: func(p *process) { p.restarted = false }})},
		{"leases granted while somebody holds them", simulate(bug{state: func(p *process) {
			for _, group := range p.Groups() {
				p.registers[group].lease.until = time.Time{}
			}
		}})},
		{"voters replaced without waiting for a lease", func() {
			replaceUnderALease(recorder{}, bug{state: func(p *process) {
				for _, q := range slices.Clone(p.timers.heap) {
					q.jointSince = q.jointSince.Add(-MaxLease)
					for _, r := range q.queue {
						r.ripe, q.resume = time.Time{}, p.machine.local(p.cluster.now)
						p.schedule(q)
					}
				}
			}})
		}},
		{"a surrender that a renewal has overtaken", func() {
			surrenderLate(recorder{}, bug{receive: func(_ *process, _ time.Time, m Message) Message {
				if m, ok := m.(surrender); ok {
					m.turn.number += 1000
					return m
				}
				return m
			}})
		}},
		{"higher accepted ballots ignored in promises", simulate(bug{receive: func(p *process, _ time.Time, m Message) Message {
			if m, ok := m.(promise); ok {
				if q := p.proposers[m.group]; q != nil && q.state != nil {
					m.accepted, m.state = Ballot{}, nil
				}
				return m
			}
			return m
		}})},
		{"who has left votes like one who was never there", func() {
			comeBack(recorder{}, bug{receive: func(p *process, _ time.Time, m Message) Message {
				if m, ok := m.(prepare); ok {
					g := p.registers[m.group]
					self, _ := m.configuration.find(p.cfg.ID)
					if g != nil && g.left != nil && self.Joining && m.configuration.Epoch > g.left.Epoch {
						g.left, g.accepted = nil, Ballot{}
					}
				}
				return m
			}})
		}},
		{"reports to an earlier process", func() {
			readAgain(recorder{}, bug{receive: func(p *process, _ time.Time, m Message) Message {
				if m, ok := m.(report); ok {
					m.turn.boot = p.cfg.Boot
					return m
				}
				return m
			}})
		}},
		{"a read that any voter answers", simulate(bug{receive: func(p *process, now time.Time, m Message) Message {
			if m, ok := m.(report); ok && m.state != nil {
				if q := p.proposers[m.group]; q != nil && q.phase == asking {
					for _, id := range m.state.VoterIDs() {
						p.Core.Receive(now, id, m)
					}
				}
			}
			return m
		}})},
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

// The stories of five bugs end well without them.
func TestVotersJoinOnTheMinoritySide(t *testing.T)  { joinOnTheMinoritySide(t, bug{}) }
func TestAVoterComesBack(t *testing.T)              { comeBack(t, bug{}) }
func TestVotersAreReplacedUnderALease(t *testing.T) { replaceUnderALease(t, bug{}) }
func TestASurrenderComesLate(t *testing.T)          { surrenderLate(t, bug{}) }
func TestAnAnswerToAnEarlierProcess(t *testing.T)   { readAgain(t, bug{}) }

// joinOnTheMinoritySide cuts C off from A and B, and lets D and E join on C's side.
func joinOnTheMinoritySide(t complainer, b bug) {
	t.Helper()
	c := newCluster(t, 1, sim.Link{Latency: time.Millisecond}, b)
	c.form(5)
	n := c.machines
	c.ask(n[0], Create{Group: simGroup, Voters: idsOf(n[:3]), Value: []byte("0")})
	c.run(time.Second)
	c.split(3, 4, 5)
	minority := c.ask(n[2], Reconfigure{Group: simGroup, Expected: 1, Target: idsOf(n[2:]), Timeout: 2 * time.Second})
	c.run(3 * time.Second)
	onBoth := []*operation{
		c.ask(n[3], Change{Group: simGroup, Voters: idsOf(n[2:]), Expected: 1, Value: []byte("of the minority")}),
		c.ask(n[0], Change{Group: simGroup, Expected: 1, Value: []byte("of the majority")}),
	}
	c.run(3 * time.Second)
	c.heal()
	c.ask(n[4], Read{Group: simGroup, Voters: idsOf(n)})
	c.run(3 * time.Second)
	c.checker.linearizable(simGroup)
	if minority.outcome != Unavailable || onBoth[0].outcome != Unavailable || onBoth[1].outcome != Done {
		t.Fatalf("new voters: %v; changes: %v by the minority, %v by the majority", minority.outcome, onBoth[0].outcome, onBoth[1].outcome)
	}
}

// comeBack lets voters leave and be invited again, while one of the old set has heard of nothing.
func comeBack(t complainer, b bug) {
	t.Helper()
	c := newCluster(t, 1, sim.Link{Latency: time.Millisecond}, b)
	c.form(5)
	n := c.machines
	c.ask(n[0], Create{Group: simGroup, Voters: idsOf(n[:3]), Value: []byte("0")})
	c.run(time.Second)
	c.split(3)
	c.ask(n[0], Reconfigure{Group: simGroup, Expected: 1, Target: idsOf(n[4:])})
	c.run(time.Second)
	c.heal()
	c.cut(n[4], n[2])
	left := n[0].process.registers[simGroup].promised
	c.ask(n[4], Reconfigure{Group: simGroup, Expected: 3, Target: []gossip.NodeID{n[0].id, n[2].id, n[3].id}})
	if !c.runUntil(func() bool { return n[0].process.registers[simGroup].promised.Compare(left) > 0 }, time.Second) {
		t.Fatal("nobody was invited")
	}
	c.cut(n[4], n[0]) // invited, and then left alone
	c.cut(n[1], n[2]) // who would tell
	c.run(100 * time.Millisecond)
	stale := c.ask(n[2], Change{Group: simGroup, Expected: 1, Value: []byte("by the old voters")})
	c.run(3 * time.Second)
	c.heal()
	c.ask(n[1], Read{Group: simGroup, Voters: idsOf(n)})
	c.run(3 * time.Second)
	c.checker.linearizable(simGroup)
	if stale.outcome != Unavailable {
		t.Fatalf("the old voters' change: %v", stale.outcome)
	}
}

// readAgain lets a reader start anew, while the answer to its first read is on its way.
func readAgain(t complainer, b bug) {
	t.Helper()
	c := newCluster(t, 1, sim.Link{Latency: 100 * time.Millisecond}, b)
	c.form(2)
	n := c.machines
	c.ask(n[0], Create{Group: simGroup, Voters: idsOf(n[:1]), Value: []byte("0")})
	c.run(time.Second)
	c.ask(n[1], Read{Group: simGroup, Voters: idsOf(n[:1])})
	c.run(110 * time.Millisecond)
	c.ask(n[0], Change{Group: simGroup, Expected: 1, Value: []byte("1")})
	c.run(10 * time.Millisecond)
	c.crash(n[1])
	c.start(n[1])
	read := c.ask(n[1], Read{Group: simGroup, Voters: idsOf(n[:1])})
	c.run(time.Second)
	c.checker.linearizable(simGroup)
	if read.outcome != Done || read.found != "1" {
		t.Fatalf("read %v: %q", read.outcome, read.found)
	}
}

// surrenderLate lets a holder release the lease and take it again, with a slow network in between.
func surrenderLate(t complainer, b bug) {
	t.Helper()
	fast := sim.Link{Latency: time.Millisecond}
	c := newCluster(t, 1, fast, b)
	c.form(3)
	n := c.machines
	c.ask(n[0], Create{Group: simGroup, Voters: idsOf(n), Lease: lease400})
	c.run(100 * time.Millisecond)
	c.tell(n[0], Hold{Group: simGroup})
	c.run(50 * time.Millisecond)
	c.world.SetLink(sim.Link{Latency: 250 * time.Millisecond})
	c.tell(n[0], Release{Group: simGroup})
	c.run(time.Millisecond)
	c.world.SetLink(fast)
	c.tell(n[0], Hold{Group: simGroup})
	c.tell(n[1], Hold{Group: simGroup})
	c.run(240 * time.Millisecond)
	if !c.holds(n[0]) {
		t.Fatalf("the lease was not taken again")
	}
	c.world.Pause(n[0].id, time.Second) // it does not renew, and has it for a while
	c.run(time.Second)
}

// replaceUnderALease cuts the holder off and replaces all voters, one of whom wants the lease at once.
func replaceUnderALease(t complainer, b bug) {
	t.Helper()
	c := newCluster(t, 1, sim.Link{Latency: time.Millisecond}, b)
	c.form(6)
	n := c.machines
	c.ask(n[0], Create{Group: simGroup, Voters: idsOf(n[:3]), Lease: lease400})
	c.run(100 * time.Millisecond)
	c.tell(n[0], Hold{Group: simGroup})
	c.run(50 * time.Millisecond)
	c.split(1)
	replaced := c.ask(n[1], Reconfigure{Group: simGroup, Expected: 1, Target: idsOf(n[3:])})
	c.tell(n[3], Hold{Group: simGroup, Voters: idsOf(n[1:3])})
	c.run(2 * time.Second)
	if replaced.outcome != Done || !c.holds(n[3]) {
		t.Fatalf("the voters: %v; n4 holds the lease: %v", replaced.outcome, c.holds(n[3]))
	}
}
