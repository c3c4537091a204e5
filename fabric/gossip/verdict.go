package gossip

import (
	"slices"
	"time"

	"github.com/egalcluster/egal/internal/hlc"
	"github.com/egalcluster/egal/internal/wire"
)

// Verdicts. That a quorum of monitors finds a process unreachable is a shared key, named for the member: whoever sees
// the quorum first writes it, it spreads as one rumor, and it outlives who wrote it. Who monitors the member later on
// may withdraw it. It holds for one process only: a new boot supersedes it.
//
// A withdrawn verdict is remembered for a while, because it tells whom not to believe. Two sides of a partition accuse
// each other; when they hear each other again, the verdicts of both would convict everybody. So a verdict counts only
// if its publisher was not itself called unreachable at about that time, or before.

// verdictPrefix begins the shared keys of verdicts.
const verdictPrefix = "unreachable/"

// rememberWithdrawn is how long a withdrawn verdict is kept at least.
const rememberWithdrawn = time.Minute

func verdictKey(id NodeID) string { return verdictPrefix + id.String() }

// verdict is the decoded value of such a key, with who wrote it and when.
//
//	| bytes      | meaning                                         |
//	|------------|-------------------------------------------------|
//	| 1          | version                                         |
//	| 8          | boot of the process that is unreachable         |
//	| varint     | its generation                                  |
//	| 1          | evidence: refused if all voters were, or silent |
//	| varint, 16 | voters, sorted                                  |
//	| 8          | when it was published; 0: now, it is not withdrawn |
type verdict struct {
	subject    NodeID
	boot       BootID
	generation uint64
	found      evidence
	voters     []NodeID
	publisher  NodeID        // of the verdict, or of its withdrawal
	since      hlc.Timestamp // when it was published
	until      hlc.Timestamp // when it was withdrawn; 0: it was not
}

func (v *verdict) encode() []byte {
	b := wire.AppendUint64([]byte{1}, uint64(v.boot))
	b = wire.AppendUvarint(b, v.generation)
	b = append(b, byte(v.found))
	b = wire.AppendUvarint(b, uint64(len(v.voters)))
	for _, id := range v.voters {
		b = append(b, id[:]...)
	}
	return wire.AppendUint64(b, uint64(v.since))
}

// withdrawn is what is left of a verdict.
func (v *verdict) withdrawn() *verdict {
	return &verdict{boot: v.boot, generation: v.generation, found: v.found, voters: v.voters, since: v.since}
}

// decodeVerdict gives nil for what is malformed: it then says nothing, but is still passed on.
func decodeVerdict(key string, value []byte, publisher NodeID, stamp hlc.Timestamp) *verdict {
	subject, err := ParseNodeID(key[len(verdictPrefix):])
	r := wire.NewReader(value)
	r.Uint8() // versions above 1 append fields
	v := &verdict{
		subject: subject, boot: BootID(r.Uint64()), generation: r.Uvarint(), found: evidence(r.Uint8()), publisher: publisher,
	}
	for range r.Count(maxWatched, len(NodeID{})) {
		v.voters = append(v.voters, readNodeID(r))
	}
	if v.since = hlc.Timestamp(r.Uint64()); v.since == 0 {
		v.since = stamp
	} else {
		v.until = stamp
	}
	if err != nil || r.Err() != nil || !v.found.accuses() || len(v.voters) == 0 {
		return nil
	}
	return v
}

// verdicts are sorted by subject, and immutable.
type verdicts []*verdict

func (vs verdicts) search(id NodeID) (int, bool) {
	return slices.BinarySearchFunc(vs, id, func(v *verdict, id NodeID) int { return v.subject.Compare(id) })
}

func (vs verdicts) find(id NodeID) *verdict {
	if i, ok := vs.search(id); ok {
		return vs[i]
	}
	return nil
}

// with is vs with v in the place of the verdict on the same subject; without it when v is nil.
func (vs verdicts) with(subject NodeID, v *verdict) verdicts {
	i, found := vs.search(subject)
	next := make(verdicts, 0, len(vs)+1)
	next = append(next, vs[:i]...)
	if v != nil {
		next = append(next, v)
	}
	if found {
		i++
	}
	return append(next, vs[i:]...)
}

// standing are the verdicts that count: those about a present process, whose publisher was not called unreachable
// itself, from a margin after the verdict on backwards.
func (vs verdicts) standing(margin time.Duration, boot func(NodeID) (BootID, bool)) (standing verdicts) {
	for _, v := range vs {
		if now, ok := boot(v.subject); !ok || now != v.boot || v.until != 0 {
			continue
		}
		if p := vs.find(v.publisher); p != nil && (p.until == 0 || v.since < p.until) && p.since.Wall().Sub(v.since.Wall()) < margin {
			continue
		}
		standing = append(standing, v)
	}
	return standing
}

// ruled takes note of a verdict that was published or withdrawn.
func (c *Core) ruled(before, after *shared) {
	old, v := before.ruling(), after.ruling()
	if old == nil && v == nil {
		return
	}
	subject := old
	if v != nil {
		subject = v
	}
	c.verdicts = c.verdicts.with(subject.subject, v)
	c.touchReach()
	if p := c.peer(subject.subject); p != nil {
		p.doubt()
	}
	if v != nil && v.until == 0 {
		c.testify(v)
	}
}

// ruling is the verdict that a shared key holds; nil: none.
func (s *shared) ruling() *verdict {
	if s == nil {
		return nil
	}
	return s.verdict
}

// judgeVerdicts finds out which verdicts count now.
func (c *Core) judgeVerdicts() {
	before := c.standing
	c.standing = c.verdicts.standing(2*time.Duration(c.cfg.ProbeMisses+2)*c.cfg.ProbeInterval, func(id NodeID) (BootID, bool) {
		o, ok := c.owners.find(id)
		if !ok || o.about == nil {
			return 0, false
		}
		return o.about.boot, true
	})
	for _, v := range before {
		if p := c.peer(v.subject); p != nil && p.boot == v.boot && !c.lost(v.subject) {
			p.retry(c.cfg.ProbeMisses)
		}
	}
}

// verdictOn is the verdict on a member that has not been withdrawn, whether it counts or not; nil: there is none.
func (c *Core) verdictOn(id NodeID) *verdict {
	if v := c.verdicts.find(id); v != nil && v.until == 0 {
		return v
	}
	return nil
}

// lost reports whether a verdict says that the member is unreachable.
func (c *Core) lost(id NodeID) bool { return c.standing.find(id) != nil }

// testify withdraws a verdict at once that names this node as a voter, if it did not vote: nobody can make up the
// votes of others.
func (c *Core) testify(v *verdict) {
	if !c.synced || v.publisher == c.cfg.ID || !slices.Contains(v.voters, c.cfg.ID) || !v.since.Wall().After(c.monitors.since) {
		return
	}
	if !slices.Contains(c.monitors.voted, vote{v.subject, v.boot}) {
		c.metrics.VerdictsForged++
		c.withdraw(v)
	}
}

// convict publishes a verdict.
func (c *Core) convict(m *Member, voters []NodeID) {
	found := evidenceRefused
	if slices.ContainsFunc(voters, func(id NodeID) bool { return c.says(id, m) != evidenceRefused }) {
		found = evidenceSilent
	}
	voters = slices.SortedFunc(slices.Values(voters), NodeID.Compare)
	v := verdict{boot: m.Boot, generation: m.Generation, found: found, voters: voters}
	if c.writeShared(verdictKey(m.ID), v.encode(), false) != nil { // our clock is off: others will
		return
	}
	c.metrics.Verdicts++
	c.report(Convicted{Member: m.ID, Boot: m.Boot, Refused: found == evidenceRefused, Voters: voters})
}

// withdraw takes a verdict back.
func (c *Core) withdraw(v *verdict) {
	if c.writeShared(verdictKey(v.subject), v.withdrawn().encode(), false) != nil {
		return
	}
	c.metrics.Withdrawals++
	c.report(Acquitted{Member: v.subject, Boot: v.boot})
}

// sweep deletes verdicts on who is no member any more, and those that were withdrawn a while ago; the nearest reachable
// member before the subject's place on the ring does it.
func (c *Core) sweep() {
	for _, v := range c.verdicts {
		if _, member := c.view.Member(v.subject); member && (v.until == 0 || c.now.Sub(v.until.Wall()) < rememberWithdrawn) {
			continue
		}
		c.view.predecessors(v.subject, func(m *Member) bool {
			if c.lost(m.ID) {
				return true
			}
			if m.ID == c.cfg.ID {
				_ = c.writeShared(verdictKey(v.subject), nil, true) // refused when our clock is off: later, or others
			}
			return false
		})
	}
}
