// Package keyspace is the memory of the Redis-compatible store: hash slots, records, expiry, SCAN.
//
// # Model
//
// A [Store] has shards × databases. A key's hash slot ([SlotOf], Redis Cluster specification) chooses the shard, so
// a slot's records of all databases lie in one shard, behind one lock. Records live in slabs off the Go heap
// (internal/slab): header, expiry if there is one, name, value. Each slot of each database has an index of 64-bit
// words without pointers: 16 bits of the name's hash, one bit that tells whether the record expires, and the slab
// ref. A lookup costs up to four cache misses: the slot's root, its segment, the word, the record; [Store.Prefetch] lets
// those of many keys overlap.
//
//	Store ─ Shard (lock, memory) ─ Database ─ index of a slot ─ segment: ordered words ─ slab block: record
//
// The words stand in the order of their hashes (ordered linear probing); a slot with more than 3584 records is a
// directory of segments by leading hash bits (extendible hashing). So growing and shrinking never touch more than
// about 4096 records at once, and a place in the hash order keeps its meaning meanwhile: that is SCAN's cursor, and
// where the active expiry goes on.
//
// # Life
//
//	k := store.Key(name)
//	shard := store.ShardOf(k.Slot)
//	shard.Lock()
//	record, ok := shard.Database(0).Get(now, k)
//	… // use record.Value
//	shard.Unlock()
//
// The time is an argument everywhere, in Unix milliseconds. A record is gone from the moment now ≥ ExpireAt: who
// meets it removes it, and [Store.ExpireSome] looks for the rest.
//
// # Concurrency
//
// Methods of [Database] need the lock of their [Shard]; several locks are taken in the order of [Shard.Index].
// Methods of [Store] that visit shards take one lock after another and must not be called under a lock.
//
// This package has no lock of its own. The memory of a shard must have one owner at a time anyway, so the lock is
// part of it ([slab.Owner]), and who holds it owns the shard. A store whose shards are used by one goroutine pays
// 5 ns for it. Rejected: a lock handed in by Options (an interface call on the hot path, and forgetting it is a data
// race), and a lock of our own making (it would have to know the scheduler).
//
// # Limits
//
// Names and values: [MaxString] bytes. Databases: [Options]. Slots: [Slots]. Records: by memory only.
package keyspace
