// Package keyspace is the memory of a Redis-compatible store.
package keyspace

import (
	"hash/maphash"

	"github.com/egalcluster/egal/internal/slab"
)

// Slot is one of the hash slots.
type Slot uint16

// Slots is the number of hash slots.
const Slots = 16384

// MaxString is the longest key or value in bytes.
const MaxString = 512 << 20

// SlotOf is the slot of a key.
func SlotOf(key []byte) Slot { return 0 }

// Key is a name with what is computed from it.
type Key struct {
	Name []byte
	Slot Slot
	Hash uint64
}

// Type is the type of a value.
type Type uint8

// The types.
const (
	TypeString Type = iota
)

// String is the type's name.
func (t Type) String() string { return "string" }

// Record is what is stored under a key.
type Record struct {
	Type     Type
	Value    []byte
	ExpireAt int64
}

// Options configures a Store.
type Options struct {
	Databases int
	Shards    int
	Seed      maphash.Seed
	Arena     *slab.Arena
}

// Store is shards × databases.
type Store struct{}

// Shard is one stripe of slots.
type Shard struct{}

// Database is one database's part of one shard.
type Database struct{}

// Stats counts what happened.
type Stats struct {
	Hits, Misses, Expired uint64
}

func New(o Options) *Store                     { return &Store{} }
func (s *Store) Key(name []byte) Key           { return Key{} }
func (s *Store) ShardOf(slot Slot) *Shard      { return nil }
func (s *Store) Shards() []*Shard              { return nil }
func (s *Store) Databases() int                { return 0 }
func (s *Store) Len(db int) int                { return 0 } // takes the locks
func (s *Store) Volatile(db int) int           { return 0 } // takes the locks
func (s *Store) Flush(db int) int              { return 0 } // takes the locks
func (s *Store) SlotLen(db int, slot Slot) int { return 0 } // takes the lock
func (s *Store) Stats() Stats                  { return Stats{} }
func (s *Store) UsedMemory() int64             { return 0 }

// Random copies a random name; takes the locks.
func (s *Store) Random(now int64, db int, rnd func(n uint64) uint64) ([]byte, bool) {
	return nil, false
}

// Scan: visit runs under the shard's lock; takes the locks.
func (s *Store) Scan(now int64, db int, cursor uint64, count int, visit func(name []byte, r Record)) (next uint64) {
	return 0
}
func (s *Store) ExpireSome(now int64, budget int) (expired int) { return 0 }

func (sh *Shard) Index() int                { return 0 }
func (sh *Shard) Lock()                     {}
func (sh *Shard) Unlock()                   {}
func (sh *Shard) Database(db int) *Database { return nil }

func (d *Database) Get(now int64, k Key) (Record, bool)                        { return Record{}, false }
func (d *Database) Peek(now int64, k Key) (Record, bool)                       { return Record{}, false }
func (d *Database) Set(now int64, k Key, t Type, value []byte, expireAt int64) {}
func (d *Database) SetExpire(now int64, k Key, expireAt int64) bool            { return false }
func (d *Database) Delete(now int64, k Key) bool                               { return false }
func (d *Database) Grow(now int64, k Key, n int) []byte                        { return nil }
func (d *Database) Len() int                                                   { return 0 }
func (d *Database) SlotLen(slot Slot) int                                      { return 0 }
func (d *Database) Volatile() int                                              { return 0 }
func (d *Database) Flush() int                                                 { return 0 }
func (d *Database) FlushSlot(slot Slot) int                                    { return 0 }
func (d *Database) Random(now int64, rnd func(n uint64) uint64) (name []byte, ok bool) {
	return nil, false
}
func (d *Database) SlotKeys(now int64, slot Slot, max int) [][]byte { return nil }
