package keyspace

// A place in the keyspace is the slot's rank (slots in the order of their shards, so that a walk locks each shard
// once) and the leading 49 bits of a hash: 63 bits in all, so that clients with signed integers can hold it.
const (
	hashBits = 49
	hashDrop = 64 - hashBits
)

// Scan visits the records of a database from the cursor on, at least count of them unless the end comes first, and
// returns where to go on: 0 at the end, as SCAN does; 0 is also the beginning. Every record that is there during the
// whole walk from 0 to 0 is visited at least once, whatever is stored and removed meanwhile; others may be, and some
// may be visited twice. Expired records count as visited and are not shown.
//
// visit runs under the shard's lock and must not call the store; name and record alias the store's memory. Cursors
// that Scan never returned are harmless.
func (s *Store) Scan(now int64, db int, cursor uint64, count int, visit func(name []byte, r Record)) (next uint64) {
	rank, from := cursor>>hashBits, cursor<<hashDrop
	left := max(count, 1)
	perShard := uint64(Slots >> s.shardBits)
	for rank < Slots {
		sh := s.shards[rank/perShard]
		sh.Lock()
		d := &sh.databases[db]
		for end := rank/perShard*perShard + perShard; rank < end; rank, from = rank+1, 0 {
			if d.count == 0 || d.slots[rank%perShard].count == 0 {
				continue
			}
			place, seen, more := d.slots[rank%perShard].walk(from, left, func(word uint64) bool {
				if block := sh.memory.Bytes(refOf(word)); !isVolatile(word) || !expired(now, block) {
					visit(nameOf(block), recordOf(block))
				}
				return false
			})
			if left -= seen; more || left <= 0 {
				sh.Unlock()
				return cursorAt(rank, place, more)
			}
		}
		sh.Unlock()
	}
	return 0
}

// cursorAt is the cursor of a place in a slot, or of the next slot's beginning when there is no more in this one.
func cursorAt(rank, hash uint64, more bool) uint64 {
	switch {
	case more:
		return rank<<hashBits | hash>>hashDrop
	case rank+1 < Slots:
		return (rank + 1) << hashBits
	}
	return 0
}

// expireStep is the number of index words looked at under one hold of a shard's lock.
const expireStep = 128

// walker is where the walk of ExpireSome is.
type walker struct {
	shard, database, slot int
	from                  uint64
}

// ExpireSome removes records whose time has come, going on where the last call ended. It looks at about budget
// records, at most at all of them once, and only in slots that have records with an expiry. No lock is held for
// more than a few microseconds. It returns the number of records removed. One goroutine at a time calls it.
func (s *Store) ExpireSome(now int64, budget int) (removed int) {
	w := &s.walker
	for parts := len(s.shards)*s.databases + 1; budget > 0 && parts > 0; {
		sh := s.shards[w.shard]
		sh.Lock()
		seen, dropped, more := sh.databases[w.database].expireSome(now, w, min(budget, expireStep))
		sh.stats.Expired += uint64(dropped)
		sh.Unlock()
		budget -= seen
		removed += dropped
		if more {
			continue
		}
		parts--
		w.slot, w.from = 0, 0
		if w.database++; w.database == s.databases {
			w.database, w.shard = 0, (w.shard+1)%len(s.shards)
		}
	}
	return removed
}

// expireSome is one step of the walk; more is false at the end of this database's part of the shard.
func (d *Database) expireSome(now int64, w *walker, limit int) (seen, dropped int, more bool) {
	for ; d.volatile > 0 && w.slot < len(d.slots); w.slot, w.from = w.slot+1, 0 {
		x := &d.slots[w.slot]
		if x.volatile == 0 {
			continue
		}
		place, n, inside := x.walk(w.from, limit-seen, func(word uint64) bool {
			if !isVolatile(word) || !expired(now, d.shard.memory.Bytes(refOf(word))) {
				return false
			}
			d.forget(word)
			dropped++
			return true
		})
		if seen += n; inside {
			w.from = place
			return seen, dropped, true
		}
		if seen >= limit {
			w.slot, w.from = w.slot+1, 0
			return seen, dropped, true
		}
	}
	return seen, dropped, false
}
