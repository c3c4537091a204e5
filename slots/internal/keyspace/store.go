package keyspace

import (
	"bytes"
	"hash/maphash"
	"math/bits"

	"github.com/egalcluster/egal/internal/invariant"
	"github.com/egalcluster/egal/internal/slab"
)

// Defaults of Options.
const (
	DefaultDatabases = 16
	DefaultShards    = 256
)

// Options configures a Store. Only the seed has no default: this package has no randomness of its own.
type Options struct {
	// Databases is the number of numbered databases; 0 means DefaultDatabases.
	Databases int
	// Shards is the number of shards, a power of two of at most Slots; 0 means DefaultShards.
	Shards int
	// Seed makes the hashes unpredictable for clients: maphash.MakeSeed() of the caller.
	Seed maphash.Seed
	// Arena is where the records live. The store makes its own if it is nil; whoever handed one in closes it.
	Arena *slab.Arena
}

// Store is a keyspace: shards × databases. Safe for concurrent use as its methods say: those of Store take the locks
// of the shards they visit, one after another, and must not be called with a lock held; those of Shard's databases
// need the shard's lock.
type Store struct {
	seed      maphash.Seed
	arena     *slab.Arena
	owned     bool // the arena is the store's own
	shards    []*Shard
	shardBits int
	databases int
	walker    walker
}

// Shard holds every slot whose number modulo the number of shards is the shard's index, in all databases. Its lock is
// that of its memory.
type Shard struct {
	store     *Store
	index     int
	memory    *slab.Owner
	databases []Database
	stats     Stats
}

// Stats counts what happened since the store was made, or since ResetStats.
type Stats struct {
	// Hits and Misses count the outcomes of Get.
	Hits, Misses uint64
	// Expired counts the records removed because their time had come.
	Expired uint64
}

// Key is a name with what is computed from it once.
type Key struct {
	// Name is the key itself.
	Name []byte
	// Slot is SlotOf(Name).
	Slot Slot
	// Hash is the store's own hash of the name.
	Hash uint64
}

// New makes an empty store.
func New(o Options) *Store {
	if o.Databases == 0 {
		o.Databases = DefaultDatabases
	}
	if o.Shards == 0 {
		o.Shards = DefaultShards
	}
	invariant.Check(o.Shards > 0 && o.Shards <= Slots && o.Shards&(o.Shards-1) == 0 && o.Databases > 0,
		"keyspace: %d shards, %d databases", o.Shards, o.Databases)
	invariant.Check(o.Seed != maphash.Seed{}, "keyspace: no seed")
	s := &Store{seed: o.Seed, arena: o.Arena, databases: o.Databases, shardBits: bits.TrailingZeros(uint(o.Shards))}
	if s.arena == nil {
		s.arena, s.owned = slab.New(slab.Options{}), true
	}
	for i := range o.Shards {
		sh := &Shard{store: s, index: i, memory: s.arena.NewOwner(), databases: make([]Database, o.Databases)}
		for db := range sh.databases {
			sh.databases[db].shard = sh
		}
		s.shards = append(s.shards, sh)
	}
	return s
}

// Close gives the memory back, unless the arena was handed in. The caller has stopped every use before.
func (s *Store) Close() {
	if s.owned {
		s.arena.Close()
	}
}

// Key computes slot and hash of a name, which it does not copy.
func (s *Store) Key(name []byte) Key {
	return Key{Name: name, Slot: SlotOf(name), Hash: maphash.Bytes(s.seed, name)}
}

// ShardOf is the shard of a slot.
func (s *Store) ShardOf(slot Slot) *Shard { return s.shards[int(slot)&(len(s.shards)-1)] }

// Shards are all shards by index; not to be changed.
func (s *Store) Shards() []*Shard { return s.shards }

// Databases is the number of databases.
func (s *Store) Databases() int { return s.databases }

// Index is the shard's place in Shards.
func (sh *Shard) Index() int { return sh.index }

// Lock takes the shard's lock. Who needs several takes them in the order of their indices.
func (sh *Shard) Lock() { sh.memory.Lock() }

// Unlock releases the shard's lock.
func (sh *Shard) Unlock() { sh.memory.Unlock() }

// Database is the shard's part of a database, 0 ≤ db < Databases.
func (sh *Shard) Database(db int) *Database { return &sh.databases[db] }

// each calls f for a database's part in every shard, under the shard's lock.
func (s *Store) each(db int, f func(d *Database)) {
	for _, sh := range s.shards {
		sh.Lock()
		f(&sh.databases[db])
		sh.Unlock()
	}
}

// Len is the number of records in a database.
func (s *Store) Len(db int) (n int) {
	s.each(db, func(d *Database) { n += d.Len() })
	return n
}

// Volatile is the number of records in a database that have an expiry.
func (s *Store) Volatile(db int) (n int) {
	s.each(db, func(d *Database) { n += d.Volatile() })
	return n
}

// SlotLen is the number of records of a slot in a database.
func (s *Store) SlotLen(db int, slot Slot) int {
	sh := s.ShardOf(slot)
	sh.Lock()
	defer sh.Unlock()
	return sh.databases[db].SlotLen(slot)
}

// Flush removes all records of a database and returns their number. Shard by shard: what is stored meanwhile in a
// shard that was visited stays.
func (s *Store) Flush(db int) (n int) {
	s.each(db, func(d *Database) { n += d.Flush() })
	return n
}

// Stats sums up the counters of all shards.
func (s *Store) Stats() (sum Stats) {
	for _, sh := range s.shards {
		sh.Lock()
		sum.Hits += sh.stats.Hits
		sum.Misses += sh.stats.Misses
		sum.Expired += sh.stats.Expired
		sh.Unlock()
	}
	return sum
}

// ResetStats zeroes the counters, shard by shard.
func (s *Store) ResetStats() {
	for _, sh := range s.shards {
		sh.Lock()
		sh.stats = Stats{}
		sh.Unlock()
	}
}

// UsedMemory is the size of all records' blocks and of the indices in bytes. It walks the indices' heads: for
// reports, not for every command.
func (s *Store) UsedMemory() int64 {
	var n int64
	for db := range s.databases {
		s.each(db, func(d *Database) { n += d.indexMemory() })
	}
	for _, sh := range s.shards {
		n += sh.memory.Used()
	}
	return n
}

// Sizes of an index with its root and without its segments, and of a segment without its table.
const (
	indexBytes   = 64
	segmentBytes = 48
)

func (d *Database) indexMemory() (n int64) {
	n = int64(len(d.slots)) * indexBytes
	for i := range d.slots {
		x := &d.slots[i]
		n += int64(len(x.directory)) * 8
		for g := range x.segments {
			n += segmentBytes + int64(cap(g.words))*8
		}
	}
	return n
}

// Random copies the name of a record of a database, every one being about equally likely; see Database.Random.
func (s *Store) Random(now int64, db int, rnd func(n uint64) uint64) (name []byte, ok bool) {
	for total := s.Len(db); total > 0; total = s.Len(db) {
		n := int(rnd(uint64(total)))
		for _, sh := range s.shards {
			sh.Lock()
			d := &sh.databases[db]
			if n < d.count {
				name, ok = d.Random(now, rnd)
				name = bytes.Clone(name)
				sh.Unlock()
				break
			}
			n -= d.count
			sh.Unlock()
		}
		if ok {
			return name, true
		}
	}
	return nil, false
}
