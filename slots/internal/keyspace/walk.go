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
// visit runs under the shard's lock and must not call the store; name and record alias the store's memory. Once it
// returns false it is not called again, and the walk is over as if at its end. Cursors that Scan never returned are
// harmless.
func (s *Store) Scan(now int64, db int, cursor uint64, count int, visit func(name []byte, r Record) (on bool)) (next uint64) {
	rank, from := cursor>>hashBits, cursor<<hashDrop
	on := true
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
				if block := sh.memory.Bytes(refOf(word)); on && (!isVolatile(word) || !expired(now, block)) {
					on = visit(nameOf(block), recordOf(block))
				}
				return false
			})
			if !on {
				sh.Unlock()
				return 0
			}
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

// passingWeight is how many records without an expiry, which are passed by without a look at their memory, are as much
// work as one with an expiry.
const passingWeight = 16

// ExpireSome removes records whose time has come, going on where the last call ended. It looks at about budget
// records with an expiry, at most at all of them once, and only in slots that have some; the other records there count
// for a sixteenth of a look. No lock is held for more than a few microseconds. It returns how many records it looked at
// and how many of them it removed. One goroutine at a time calls it.
func (s *Store) ExpireSome(now int64, budget int) (looked, removed int) {
	w := &s.walker
	budget *= passingWeight
	for parts := len(s.shards)*s.databases + 1; budget > 0 && parts > 0; {
		sh := s.shards[w.shard]
		sh.Lock()
		d := &sh.databases[w.database]
		step, more := d.expireSome(now, w, min((budget+passingWeight-1)/passingWeight, expireStep))
		sh.stats.Expired += uint64(step.dropped)
		d.left.add(step)
		if !more {
			d.left.fade()
		}
		sh.Unlock()
		budget -= step.seen + (passingWeight-1)*step.looked
		looked, removed = looked+step.looked, removed+step.dropped
		if more {
			continue
		}
		parts--
		w.slot, w.from = 0, 0
		if w.database++; w.database == s.databases {
			w.database, w.shard = 0, (w.shard+1)%len(s.shards)
		}
	}
	return looked, removed
}

// glance is what one step of the walk of ExpireSome saw.
type glance struct {
	seen    int     // records
	looked  int     // those of them that have an expiry
	dropped int     // those of them whose time had come
	left    float64 // ms left of all the others together
}

// timeToLive is a running mean of what is left of the time of a database's records.
type timeToLive struct {
	sum, count float64
}

func (t *timeToLive) add(step glance) {
	alive := step.looked - step.dropped
	if alive == 0 {
		return
	}
	t.sum, t.count = t.sum+step.left, t.count+float64(alive)
}

// fade halves the weight of what was seen so far.
func (t *timeToLive) fade() { t.sum, t.count = t.sum/2, t.count/2 }

// MeanTimeToLive is about how many milliseconds the records of a database that expire have left on average: what
// ExpireSome saw lately. 0 when it saw none, or there are none.
func (s *Store) MeanTimeToLive(db int) int64 {
	if s.Volatile(db) == 0 {
		return 0
	}
	var all timeToLive
	s.each(db, func(d *Database) { all.sum, all.count = all.sum+d.left.sum, all.count+d.left.count })
	if all.count == 0 {
		return 0
	}
	return int64(min(all.sum/all.count, 1<<62))
}

// expireSome is one step of the walk; more is false at the end of this database's part of the shard.
func (d *Database) expireSome(now int64, w *walker, limit int) (step glance, more bool) {
	for ; d.volatile > 0 && w.slot < len(d.slots); w.slot, w.from = w.slot+1, 0 {
		x := &d.slots[w.slot]
		if x.volatile == 0 {
			continue
		}
		place, n, inside := x.walk(w.from, limit-step.seen, func(word uint64) bool {
			if !isVolatile(word) {
				return false
			}
			step.looked++
			block := d.shard.memory.Bytes(refOf(word))
			if at := layoutOf(block).expireAt(block); at > now {
				step.left += float64(at - now)
				return false
			}
			d.forget(word)
			step.dropped++
			return true
		})
		if step.seen += n; inside {
			w.from = place
			return step, true
		}
		if step.seen >= limit {
			w.slot, w.from = w.slot+1, 0
			return step, true
		}
	}
	return step, false
}
