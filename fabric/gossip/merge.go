package gossip

// Merging of replicated state into the core: the only places that change owners and shared.

// mergeOwner takes a stretch of an owner's writes from a peer or a snapshot.
func (c *Core) mergeOwner(d delta) outcome {
	if d.owner == c.cfg.ID {
		c.reclaim(d)
		return stale
	}
	before, known := c.owners.find(d.owner)
	if !known {
		c.exhume(d.owner, d.generation)
	}
	if !known && c.owners.count >= MaxMembers {
		c.metrics.RefusedOwners++
		return refused
	}
	after, result := apply(before, d)
	switch result {
	case applied:
		if known && before.generation == d.generation && before.version < d.collected {
			c.metrics.Resets++
		}
		c.replaceOwner(before, after)
	case refused:
		c.metrics.RefusedOwners++
	case gap, stale:
	}
	return result
}

// replaceOwner puts after in the place of before, which is nil for a new owner.
func (c *Core) replaceOwner(before, after *owner) {
	c.owners.put(after)
	c.entropy.moved = c.now
	// What was not written anew is the same decoded value: see owner.hold.
	c.touch(before == nil || before.generation != after.generation || before.about != after.about || before.report != after.report)
}

// reclaim looks at what others hold as this node's own state. What this process did not write comes from another
// process with our id. While we are on our way in, that one is gone, and its generation was higher because ours was
// lost: go above it. Later on it is a newer process, and we step aside; unless it has our boot: then nobody wrote it,
// and what we say stands above it.
func (c *Core) reclaim(d delta) {
	own := c.self()
	if d.generation < own.generation || d.generation == own.generation && d.upto <= own.version {
		return
	}
	superseded := Superseded{Generation: d.generation}
	for _, e := range d.entries {
		if e.key == keyNode && decodeAbout(e.value) != nil {
			superseded.Boot = decodeAbout(e.value).boot
		}
	}
	forged := superseded.Boot == c.cfg.Boot || superseded.Boot == 0 && d.generation == own.generation
	if c.synced && !forged {
		c.end(superseded)
		return
	}
	c.renew(d.generation + 1)
}

// mergeShared takes one key of the shared map from a peer or a snapshot.
func (c *Core) mergeShared(s *shared) {
	before, known := c.shared.find(s.key)
	switch {
	case known && !newer(s, before):
		return
	case !known && s.deleted && c.now.Sub(s.stamp.Wall()) > TombstoneLife:
		return
	case !known && c.removalOver(s):
		if id, _ := memberOfKey(s.key); !c.holds(id) {
			c.bury(s)
			return
		}
	}
	size := s.bytes()
	if known {
		size -= before.bytes()
	}
	count, bytes := 2*MaxShared, 2*MaxSharedBytes
	if reserved(string(s.key)) {
		count, bytes = maxReplicated, bytes+reservedBytes
	}
	if !known && c.shared.count >= count || size > 0 && c.sharedBytes+size > bytes {
		c.metrics.RefusedShared++
		return
	}
	c.clock.Observe(c.now, s.stamp)
	c.sharedBytes += size
	c.shared.put(s)
	c.entropy.moved = c.now
	c.touch(s.admission != nil || known && before.admission != nil)
	c.ruled(before, s)
}

// forgetTombstones drops deleted shared keys after their time, and collects this node's own. All nodes drop shared
// ones by the stamp, at the same full minute, and none takes such a key back, so they stay equal.
func (c *Core) forgetTombstones() {
	var expired []*shared
	for s := range c.shared.all() {
		if s.deleted && c.now.Sub(s.stamp.Wall()) > TombstoneLife {
			expired = append(expired, s)
		}
	}
	for _, s := range expired {
		c.sharedBytes -= s.bytes()
		c.shared.remove(s.key)
		c.entropy.moved = c.now
		c.touch(false)
	}
	c.forgetRemoved()
	c.collectOwn()
}

// mergeDelta takes a stretch of an owner's writes that may come before its predecessors.
func (c *Core) mergeDelta(d delta) {
	switch c.mergeOwner(d) {
	case gap:
		c.metrics.Gaps++
		if len(c.gaps) == maxGaps {
			c.metrics.GapsDropped++
			c.gaps = c.gaps[1:]
		}
		c.gaps = append(c.gaps, d)
	case applied:
		c.mergeGaps()
	case stale, refused:
	}
}

// mergeGaps applies the deltas that waited for their predecessors.
func (c *Core) mergeGaps() {
	for progress := true; progress && len(c.gaps) > 0; {
		progress = false
		waiting := c.gaps
		c.gaps = nil
		for _, d := range waiting {
			switch c.mergeOwner(d) {
			case gap:
				c.gaps = append(c.gaps, d)
			case applied:
				progress = true
			case stale, refused:
			}
		}
	}
}
