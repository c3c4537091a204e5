package gossip

import "github.com/egalcluster/egal/internal/wire"

// How two nodes find out where their states differ.

// maxDigests is how many bytes of digests go into one packet; other buckets wait for the next step.
const maxDigests = 16 << 10

// listed is a row of a table that is compared: it adds its digest to a packet, and says how many bytes that takes.
type listed[K any] interface {
	tableRow[K]
	list(m *digests) (bytes int)
}

func (o *owner) list(m *digests) int {
	d := ownerDigest{o.id, o.generation, o.version}
	m.owners = append(m.owners, d)
	return d.size()
}

func (s *shared) list(m *digests) int {
	d := sharedDigest{s.key, s.stamp, s.node}
	m.shared = append(m.shared, d)
	return d.size()
}

// offer is the answer to unequal roots of a part: all its digests if they fit a datagram, else its sums.
func offer[K tableKey[K], V listed[K]](t *table[K, V], which section, salt uint64) body {
	var all bucketSet
	for b := range buckets {
		all.add(uint8(b))
	}
	if m := digestsIn(t, which, all, 0, datagramRoom-digestsBytes, 0); !m.partial && !m.more {
		return m
	}
	m := sums{section: which, salt: salt}
	for b := range buckets {
		m.list[b] = salted(t.bucketSum(uint8(b)), salt)
	}
	return m
}

func salted(sum, salt uint64) uint32 { return uint32(wire.Mix64(sum^salt) >> 32) }

// differing are the buckets whose sums are not ours.
func differing[K tableKey[K], V listed[K]](t *table[K, V], theirs sums) (set bucketSet) {
	for b := range buckets {
		if salted(t.bucketSum(uint8(b)), theirs.salt) != theirs.list[b] {
			set.add(uint8(b))
		}
	}
	return set
}

// digestsIn lists the rows of the wanted buckets, whole buckets from the first on as far as they fit the limit. A
// bucket that alone is too large is listed in part, beginning after a share of its rows. Both are chosen at random,
// so that nothing that stays different for ever keeps the rest from its turn.
func digestsIn[K tableKey[K], V listed[K]](t *table[K, V], which section, wanted bucketSet, first uint8, limit int, share float64) digests {
	m, size := digests{section: which}, 0
	for i := range buckets {
		b := first + uint8(i)
		if !wanted.has(b) {
			continue
		}
		rows, before := t.rows(b), m
		if listRows(&m, rows, &size, limit) {
			m.covered.add(b)
			continue
		}
		if before.covered.count() == 0 {
			m, size = digests{section: which, partial: true}, 0
			listRows(&m, rows[int(share*float64(len(rows))):], &size, limit)
			m.covered.add(b)
		} else {
			m = before
		}
		m.more = true
		return m
	}
	return m
}

// listRows lists rows up to the limit, and reports whether those were all.
func listRows[K any, V listed[K]](m *digests, rows []row[K, V], size *int, limit int) bool {
	for _, r := range rows {
		before := *m
		if *size += r.value.list(m); *size > limit {
			*m = before
			return false
		}
	}
	return true
}

// compareOwners finds out what each side of a comparison of owners lacks.
func (c *Core) compareOwners(s *step, theirs digests) {
	named := map[NodeID]bool{}
	for _, d := range theirs.owners {
		if !named[d.id] {
			named[d.id] = true
			c.compareOwner(s, d)
		}
	}
	if theirs.partial {
		return
	}
	for b := range buckets {
		if !theirs.covered.has(uint8(b)) {
			continue
		}
		for _, r := range c.owners.rows(uint8(b)) {
			if !named[r.key] {
				c.compareOwner(s, ownerDigest{id: r.key})
			}
		}
	}
}

func (c *Core) compareOwner(s *step, theirs ownerDigest) {
	ours := ownerDigest{id: theirs.id}
	if o, ok := c.owners.find(theirs.id); ok {
		ours.generation, ours.version = o.generation, o.version
		s.bring(o, theirs)
	}
	if ours.behind(theirs) {
		s.owners = append(s.owners, ours)
	}
}

// behind reports whether the other clock is the later one.
func (d ownerDigest) behind(other ownerDigest) bool {
	return d.generation < other.generation || d.generation == other.generation && d.version < other.version
}

// compareShared does the same for the shared map.
func (c *Core) compareShared(s *step, theirs digests) {
	named := map[sharedKey]bool{}
	for _, d := range theirs.shared {
		if named[d.key] {
			continue
		}
		named[d.key] = true
		ours, ok := c.shared.find(d.key)
		switch {
		case ok && ours.stamp == d.stamp && ours.node == d.node:
		case ok && ours.admission != nil: // not the stamp alone decides which one holds: both sides look at both
			s.keys, s.shared = append(s.keys, d.key), append(s.shared, ours)
		case !ok || ours.behind(d):
			s.keys = append(s.keys, d.key)
		default:
			s.shared = append(s.shared, ours)
		}
	}
	if theirs.partial {
		return
	}
	for b := range buckets {
		if !theirs.covered.has(uint8(b)) {
			continue
		}
		for _, r := range c.shared.rows(uint8(b)) {
			if !named[r.key] {
				s.shared = append(s.shared, r.value)
			}
		}
	}
}

// behind reports whether the digest is that of a later write.
func (s *shared) behind(d sharedDigest) bool {
	return s.stamp < d.stamp || s.stamp == d.stamp && s.node.Compare(d.node) < 0
}

// wanted adds what a peer wishes for.
func (c *Core) wanted(s *step, m fill) {
	owners, keys := map[NodeID]bool{}, map[sharedKey]bool{}
	for _, d := range m.owners {
		if o, ok := c.owners.find(d.id); ok && !owners[d.id] {
			owners[d.id] = true
			s.bring(o, d)
		}
	}
	for _, key := range m.keys {
		if ours, ok := c.shared.find(key); ok && !keys[key] {
			keys[key] = true
			s.shared = append(s.shared, ours)
		}
	}
}
