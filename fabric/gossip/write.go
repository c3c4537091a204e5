package gossip

import (
	"slices"
	"strings"
	"time"
)

// writes are this node's own writes on their way into a rumor.
type writes struct {
	flushed uint64      // the version of our own state up to which rumors have gone out; 0: all of it is to go
	graves  []grave     // own deletions by version, at most MaxOwnKeys
	shared  []sharedKey // shared keys written since; doubles do no harm
	at      time.Time   // when they go out; zero: there are none
	paid    time.Time   // one Coalesce per rumor, from then or now on: the token bucket
	count   uint64      // rumors started: the next one's sequence number
}

// grave is when this process deleted a key.
type grave struct {
	version uint64
	at      time.Time
}

// setOwn carries out SetOwn and DeleteOwn.
func (c *Core) setOwn(key string, value []byte, deleted bool) {
	err := ErrReserved
	if key != keyNode && key != keyReport && key != keyBlockage {
		err = c.writeOwn(key, value, deleted)
	}
	if err != nil {
		c.report(Refused{Key: key, Err: err})
	}
}

// writeOwn changes our own state and sees to it that the others hear of it.
func (c *Core) writeOwn(key string, value []byte, deleted bool) error {
	before := c.self()
	after, err := before.write(key, value, deleted)
	if err != nil || after == before {
		return err
	}
	c.replaceOwner(before, after)
	if deleted {
		if len(c.writes.graves) == MaxOwnKeys {
			c.writes.graves = c.writes.graves[1:] // its tombstone goes with the next one's
		}
		c.writes.graves = append(c.writes.graves, grave{after.version, c.now})
	}
	c.schedule()
	return nil
}

// collectOwn forgets this node's own tombstones after their time.
func (c *Core) collectOwn() {
	due := 0
	for due < len(c.writes.graves) && c.now.Sub(c.writes.graves[due].at) > TombstoneLife {
		due++
	}
	if due == 0 {
		return
	}
	version := c.writes.graves[due-1].version
	c.writes.graves = c.writes.graves[due:]
	before := c.self()
	if after := before.collect(version); after != before {
		c.replaceOwner(before, after)
		c.schedule()
	}
}

// setShared carries out SetShared and DeleteShared.
func (c *Core) setShared(key string, value []byte, deleted bool) {
	err := ErrReserved
	if !reserved(key) {
		err = c.writeShared(key, value, deleted)
	}
	if err != nil {
		c.report(Refused{Key: key, Err: err})
	}
}

// reserved reports whether a shared key is the cluster's own.
func reserved(key string) bool {
	return strings.HasPrefix(key, admissionPrefix) || strings.HasPrefix(key, clusterPrefix) || strings.HasPrefix(key, verdictPrefix)
}

// writeShared stamps a shared write so that it supersedes what this node's view shows.
func (c *Core) writeShared(key string, value []byte, deleted bool) error {
	before, known := c.shared.find(sharedKey(key))
	stamp := c.clock.Now(c.now)
	size := len(key) + len(value)
	if known {
		stamp = max(stamp, before.stamp+1)
		size -= before.bytes()
	}
	switch {
	case key == "" || len(key) > MaxKey || len(value) > MaxValue:
		return ErrTooLarge
	case c.cluster.IsZero():
		return ErrNoCluster
	case c.clockOff, stamp >= maxStamp:
		return ErrClock
	case !known && deleted:
		return nil
	}
	count, bytes := MaxShared, MaxSharedBytes
	if reserved(key) {
		count, bytes = count+MaxMembers, bytes+reservedBytes
	}
	if !known && c.shared.count >= count || size > 0 && c.sharedBytes+size > bytes {
		return ErrFull
	}
	c.mergeShared(newShared(key, slices.Clone(value), deleted, stamp, c.cfg.ID))
	c.writes.shared = append(c.writes.shared, sharedKey(key))
	c.schedule()
	return nil
}

// burst is how many rumors may follow each other at once before writes wait, up to Config.Coalesce, for company.
const burst = 4

// schedule makes the writes go out: at once, or when the burst is used up, together with others.
func (c *Core) schedule() {
	if c.writes.at.IsZero() && !c.cluster.IsZero() {
		c.writes.at = c.now
		if earliest := c.writes.paid.Add(-(burst - 1) * c.cfg.Coalesce); earliest.After(c.now) {
			c.writes.at = earliest
		}
	}
}

// flush sends the writes as one rumor, or as several when they are too many for a packet.
func (c *Core) flush() {
	own := c.takeOwn()
	list := c.takeShared()
	c.writes.at = time.Time{}
	if c.writes.paid.Before(c.now) {
		c.writes.paid = c.now
	}
	c.writes.paid = c.writes.paid.Add(c.cfg.Coalesce)
	for own != nil || len(list) > 0 {
		batch := &payload{}
		if own != nil {
			batch.own = []delta{*own}
		}
		size := 0
		for len(list) > 0 && size+sharedSize(list[0]) <= maxChunk {
			size += sharedSize(list[0])
			batch.shared, list = append(batch.shared, list[0]), list[1:]
		}
		own = nil
		batch.measure()
		c.start(batch)
	}
}

// takeOwn is what we wrote about ourselves since the last flush; nil: nothing.
func (c *Core) takeOwn() *delta {
	own := c.self()
	if own.version == c.writes.flushed {
		return nil
	}
	d := own.whole()
	if own.collected <= c.writes.flushed {
		d.since = c.writes.flushed
		d.entries = slices.DeleteFunc(slices.Clone(own.entries), func(e entry) bool { return e.version <= d.since })
	}
	c.writes.flushed = own.version
	return &d
}

// takeShared is what we wrote to the shared map since the last flush and nobody has superseded.
func (c *Core) takeShared() []*shared {
	slices.Sort(c.writes.shared)
	var list []*shared
	for _, key := range slices.Compact(c.writes.shared) {
		if s, ok := c.shared.find(key); ok && s.node == c.cfg.ID {
			list = append(list, s)
		}
	}
	c.writes.shared = nil
	return list
}
