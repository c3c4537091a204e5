package gossip

import (
	"slices"

	"github.com/egalcluster/egal/internal/hlc"
	"github.com/egalcluster/egal/internal/wire"
)

// Verdicts. That a quorum of monitors finds a process unreachable is a shared key, named for the member: whoever sees
// the quorum first writes it, it spreads as one rumor, and it outlives who wrote it. Who monitors the member later on
// may withdraw it: deletes the key. It holds for one process only: a new boot supersedes it.

// verdictPrefix begins the shared keys of verdicts.
const verdictPrefix = "unreachable/"

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
type verdict struct {
	subject    NodeID
	boot       BootID
	generation uint64
	found      evidence
	voters     []NodeID
	publisher  NodeID
	stamp      hlc.Timestamp
}

func (v *verdict) encode() []byte {
	b := wire.AppendUint64([]byte{1}, uint64(v.boot))
	b = wire.AppendUvarint(b, v.generation)
	b = append(b, byte(v.found))
	b = wire.AppendUvarint(b, uint64(len(v.voters)))
	for _, id := range v.voters {
		b = append(b, id[:]...)
	}
	return b
}

// decodeVerdict gives nil for what is malformed: it then says nothing, but is still passed on.
func decodeVerdict(key string, value []byte, publisher NodeID, stamp hlc.Timestamp) *verdict {
	subject, err := ParseNodeID(key[len(verdictPrefix):])
	r := wire.NewReader(value)
	r.Uint8() // versions above 1 append fields
	v := &verdict{
		subject: subject, boot: BootID(r.Uint64()), generation: r.Uvarint(), found: evidence(r.Uint8()), publisher: publisher, stamp: stamp,
	}
	for range r.Count(maxWatched, len(NodeID{})) {
		v.voters = append(v.voters, readNodeID(r))
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

// standing are the verdicts that count: those about a present process, which somebody stands behind. A verdict whose
// publisher is itself unreachable still counts when the one on the publisher does; but when the chain of publishers
// comes back to itself, two sides have accused each other, and both were wrong: they hear each other again.
func (vs verdicts) standing(boot func(NodeID) (BootID, bool)) verdicts {
	var present, standing verdicts
	for _, v := range vs {
		if now, ok := boot(v.subject); ok && now == v.boot {
			present = append(present, v)
		}
	}
	for _, v := range present {
		publisher := present.find(v.publisher)
		for steps := 0; publisher != nil && steps < len(present); steps++ {
			publisher = present.find(publisher.publisher)
		}
		if publisher == nil {
			standing = append(standing, v)
		}
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
	c.touch(true)
	if p := c.peer(subject.subject); p != nil {
		p.doubt()
	}
	if v != nil {
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
	c.standing = nil
	if len(c.verdicts) > 0 {
		c.standing = c.verdicts.standing(func(id NodeID) (BootID, bool) {
			o, ok := c.owners.find(id)
			if !ok || o.about == nil {
				return 0, false
			}
			return o.about.boot, true
		})
	}
}

// lost reports whether a verdict says that the member is unreachable.
func (c *Core) lost(id NodeID) bool { return c.standing.find(id) != nil }

// testify withdraws a verdict at once that names this node as a voter, if it did not vote: nobody can make up the
// votes of others.
func (c *Core) testify(v *verdict) {
	if !c.synced || v.publisher == c.cfg.ID || !slices.Contains(v.voters, c.cfg.ID) || !v.stamp.Wall().After(c.monitors.since) {
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

// withdraw deletes a verdict.
func (c *Core) withdraw(v *verdict) {
	if c.writeShared(verdictKey(v.subject), nil, true) != nil {
		return
	}
	c.metrics.Withdrawals++
	c.report(Acquitted{Member: v.subject, Boot: v.boot})
}

// sweep deletes verdicts on who is no member any more; the nearest reachable member before the subject's place on the
// ring does it.
func (c *Core) sweep() {
	for _, v := range c.verdicts {
		if _, member := c.view.Member(v.subject); member {
			continue
		}
		c.view.predecessors(v.subject, func(m *Member) bool {
			if c.lost(m.ID) {
				return true
			}
			if m.ID == c.cfg.ID {
				c.withdraw(v)
			}
			return false
		})
	}
}
