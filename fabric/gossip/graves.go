package gossip

// A process that was removed must never come back, even out of the state of a node that was away for longer than
// anybody remembers. Records of removals are part of the shared map for TombstoneLife; then all nodes drop them, with
// the member's state, at the same full minute. From then on each node remembers the last maxGraves of them by itself.
// When somebody still has the member's state and offers it, the record is put back first, so that the removal spreads
// to where it was never heard of.

// maxGraves is how many removals a node remembers after their time; the oldest is forgotten for the next.
const maxGraves = 4096

// removalOver reports whether the record of a removal has had its time.
func (c *Core) removalOver(s *shared) bool {
	return s.admission != nil && s.admission.status == StatusRemoved && c.now.Sub(s.stamp.Wall()) > TombstoneLife
}

// bury remembers a removal that is not in the shared map any more.
func (c *Core) bury(s *shared) {
	for i, grave := range c.graves {
		if grave.key == s.key {
			if newer(s, grave) {
				c.graves[i] = s
			}
			return
		}
	}
	if len(c.graves) == maxGraves {
		c.graves = c.graves[1:]
	}
	c.graves = append(c.graves, s)
}

// exhume puts the record of a removal back when state of the removed process is offered.
func (c *Core) exhume(id NodeID, generation uint64) {
	key := sharedKey(admissionKey(id))
	for _, grave := range c.graves {
		if grave.key != key {
			continue
		}
		if _, known := c.shared.find(key); !known && generation <= grave.admission.generation {
			c.sharedBytes += grave.bytes()
			c.shared.put(grave)
			c.touch(true)
		}
		return
	}
}

// forgetRemoved drops members that were removed, with their records, after their time.
func (c *Core) forgetRemoved() {
	var over []*shared
	for s := range c.shared.all() {
		if c.removalOver(s) {
			over = append(over, s)
		}
	}
	for _, s := range over {
		id, ok := memberOfKey(s.key)
		o, known := c.owners.find(id)
		if !ok || id == c.cfg.ID || known && o.generation > s.admission.generation {
			continue
		}
		if known {
			c.owners.remove(id)
		}
		c.sharedBytes -= s.bytes()
		c.shared.remove(s.key)
		c.bury(s)
		c.entropy.moved = c.now
		c.touch(true)
	}
}

// memberOfKey is the member whose record stands under the key.
func memberOfKey(key sharedKey) (NodeID, bool) {
	if len(key) < len(admissionPrefix) {
		return NodeID{}, false
	}
	id, err := ParseNodeID(string(key[len(admissionPrefix):]))
	return id, err == nil
}

// holds reports whether there is state of the member.
func (c *Core) holds(id NodeID) bool {
	_, ok := c.owners.find(id)
	return ok
}
