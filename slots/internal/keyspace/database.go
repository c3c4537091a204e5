package keyspace

import (
	"bytes"
	"hash/maphash"

	"github.com/egalcluster/egal/internal/invariant"
	"github.com/egalcluster/egal/internal/slab"
)

// Database is the part of one numbered database that lies in one shard. Every method needs the shard's lock.
//
// Names in a Key must not alias the store's memory, except in reading methods.
type Database struct {
	shard    *Shard
	slots    []index                                   // by slot / number of shards; nil before the first record
	roots    []slab.Published[segment]                 // where slots begin, in the same order
	heads    slab.Published[[]slab.Published[segment]] // roots, for those without the lock
	count    int
	volatile int
	left     timeToLive
}

// found is where a record is.
type found struct {
	index    *index
	segment  *segment
	position int
	block    []byte
}

// indexOf is the slot's index; nil when the database has no record in this shard.
func (d *Database) indexOf(slot Slot) *index {
	if d.slots == nil {
		return nil
	}
	return &d.slots[slot>>d.shard.store.shardBits]
}

// find looks the record up, expired or not.
func (d *Database) find(k Key) (f found, ok bool) {
	if d.slots == nil {
		return found{}, false
	}
	place := k.Slot >> d.shard.store.shardBits
	g := d.roots[place].Load()
	if g == nil {
		g = d.slots[place].segment(k.Hash)
	}
	tag := g.tag(k.Hash)
	for i := g.home(tag); i < len(g.words); i++ {
		word := g.words[i]
		if word == 0 || tagOf(word) > tag {
			break
		}
		if tagOf(word) != tag {
			continue
		}
		if block := d.shard.memory.Bytes(refOf(word)); hasName(block, k.Name) {
			return found{&d.slots[place], g, i, block}, true
		}
	}
	return found{}, false
}

// live looks the record up and removes it if it has expired.
func (d *Database) live(now int64, k Key) (f found, ok bool) {
	f, ok = d.find(k)
	if ok && isVolatile(f.segment.words[f.position]) && expired(now, f.block) {
		d.shard.stats.Expired++
		d.remove(k, f)
		return found{}, false
	}
	return f, ok
}

// expired tells whether a record is gone: its time is not after now.
func expired(now int64, block []byte) bool {
	at := layoutOf(block).expireAt(block)
	return at != 0 && at <= now
}

// remove frees the record.
func (d *Database) remove(k Key, f found) {
	word := f.segment.words[f.position]
	f.index.remove(f.segment, f.position)
	f.index.shrink(k.Hash)
	d.forget(word)
}

// forget frees the record of a word that is out of its index.
func (d *Database) forget(word uint64) {
	d.count--
	if isVolatile(word) {
		d.volatile--
	}
	d.shard.memory.Free(refOf(word))
}

// Get reads a record and counts a hit or a miss. An expired record is removed and not there. 0 allocations.
func (d *Database) Get(now int64, k Key) (Record, bool) {
	r, ok := d.Peek(now, k)
	if ok {
		d.shard.stats.Hits++
	} else {
		d.shard.stats.Misses++
	}
	return r, ok
}

// Peek is Get without counting, for commands that write.
func (d *Database) Peek(now int64, k Key) (Record, bool) {
	f, ok := d.live(now, k)
	if !ok {
		return Record{}, false
	}
	return recordOf(f.block), true
}

// Set stores a record, new or instead of the one that is there; expireAt is in Unix milliseconds, 0 for never.
// The value is copied; it may alias the record that it replaces. Name and value have at most MaxString bytes.
// 0 allocations on the Go heap but for the growth of the index.
func (d *Database) Set(now int64, k Key, t Type, value []byte, expireAt int64) {
	f, ok := d.live(now, k)
	size := recordSize(len(k.Name), len(value), expireAt != 0)
	switch {
	case !ok:
		ref, block := d.shard.memory.Alloc(size)
		writeRecord(block, k.Name, t, value, expireAt)
		d.insert(k, ref, expireAt != 0)
	case fits(f.block, size):
		writeRecord(f.block, k.Name, t, value, expireAt)
		d.mark(f, expireAt != 0)
	default:
		d.move(f, size, k.Name, t, value, expireAt)
	}
}

// fits tells whether a record of that size belongs into the block: it is the block's class, or the block is large
// and at most a quarter of it stays empty.
func fits(block []byte, size int) bool {
	const large = 4096
	return slab.SizeOf(size) == len(block) || len(block) >= large && size <= len(block) && size >= len(block)/4*3
}

// insert adds a new record's word.
func (d *Database) insert(k Key, ref slab.Ref, volatile bool) {
	if d.slots == nil {
		d.open()
	}
	d.indexOf(k.Slot).insert(k.Hash, makeWord(0, ref, volatile), d.hashOf)
	d.count++
	if volatile {
		d.volatile++
	}
}

// open makes the slots, all empty.
func (d *Database) open() {
	n := Slots >> d.shard.store.shardBits
	slots, roots := make([]index, n), make([]slab.Published[segment], n)
	for i := range slots {
		slots[i].root = &roots[i]
	}
	d.slots, d.roots = slots, roots
	d.heads.Publish(&roots)
}

// hashOf is the hash of the record that a word refers to.
func (d *Database) hashOf(word uint64) uint64 {
	return maphash.Bytes(d.shard.store.seed, nameOf(d.shard.memory.Bytes(refOf(word))))
}

// mark notes in the index whether the record expires.
func (d *Database) mark(f found, volatile bool) {
	word := f.segment.words[f.position]
	if isVolatile(word) == volatile {
		return
	}
	f.index.setWord(f.segment, f.position, word^volatileFlag)
	if volatile {
		d.volatile++
	} else {
		d.volatile--
	}
}

// move writes the record to a new block of at least size bytes and frees the old one. It returns the new block.
func (d *Database) move(f found, size int, name []byte, t Type, value []byte, expireAt int64) []byte {
	ref, block := d.shard.memory.Alloc(size)
	writeRecord(block, name, t, value, expireAt)
	old := f.segment.words[f.position]
	f.index.setWord(f.segment, f.position, makeWord(tagOf(old), ref, isVolatile(old)))
	d.mark(f, expireAt != 0)
	d.shard.memory.Free(refOf(old))
	return block
}

// SetExpire changes when the record is gone; 0 means never. It reports whether the key is there.
func (d *Database) SetExpire(now int64, k Key, expireAt int64) bool {
	f, ok := d.live(now, k)
	if !ok {
		return false
	}
	r := recordOf(f.block)
	size := recordSize(len(k.Name), len(r.Value), expireAt != 0)
	if fits(f.block, size) {
		writeRecord(f.block, k.Name, r.Type, r.Value, expireAt)
		d.mark(f, expireAt != 0)
		return true
	}
	d.move(f, size, k.Name, r.Type, r.Value, expireAt)
	return true
}

// Delete removes a record and reports whether it was there.
func (d *Database) Delete(now int64, k Key) bool {
	f, ok := d.live(now, k)
	if ok {
		d.remove(k, f)
	}
	return ok
}

// Grow makes the value at least n bytes long, filling it up with zeros, and returns it to be changed in place until
// the lock is released. A key that is not there becomes a string; expiry and type stay. Repeated growing is cheap: a
// record that moves gets an eighth more room than it needs. n is at most MaxString.
func (d *Database) Grow(now int64, k Key, n int) []byte {
	f, ok := d.live(now, k)
	if !ok {
		size := recordSize(len(k.Name), n, false)
		ref, block := d.shard.memory.Alloc(size)
		d.insert(k, ref, false)
		return lengthen(block, k.Name, Record{Type: TypeString}, n)
	}
	r := recordOf(f.block)
	if n <= len(r.Value) {
		return r.Value
	}
	if size := recordSize(len(k.Name), n, r.ExpireAt != 0); size > len(f.block) {
		f.block = d.move(f, size+size/8, k.Name, r.Type, r.Value, r.ExpireAt)
		r = recordOf(f.block) // the old value is gone
	}
	return lengthen(f.block, k.Name, r, n)
}

// lengthen writes the record with a value of n bytes: r's and zeros behind it.
func lengthen(block, name []byte, r Record, n int) []byte {
	invariant.Check(n <= MaxString, "keyspace: a value of %d bytes", n)
	writeRecord(block, name, r.Type, nil, r.ExpireAt)
	start := layoutOf(block).value
	if len(r.Value) > 0 {
		copy(block[start:], r.Value)
	}
	value := block[start : start+n : start+n]
	clear(value[len(r.Value):])
	setValueLength(block, n)
	return value
}

// Copy stores the record of key from in database source, of this or another shard whose lock is held too, under key
// to, replacing what is there. It reports whether the source was there.
func (d *Database) Copy(now int64, source *Database, from, to Key) bool {
	r, ok := source.Peek(now, from)
	if !ok || d == source && bytes.Equal(from.Name, to.Name) {
		return ok
	}
	d.Set(now, to, r.Type, r.Value, r.ExpireAt)
	return true
}

// Len is the number of records, expired ones that nobody has met yet included.
func (d *Database) Len() int { return d.count }

// Volatile is the number of records that have an expiry.
func (d *Database) Volatile() int { return d.volatile }

// SlotLen is the number of records in a slot of this shard.
func (d *Database) SlotLen(slot Slot) int {
	if x := d.indexOf(slot); x != nil {
		return x.count
	}
	return 0
}

// Flush removes all records and returns their number.
func (d *Database) Flush() int {
	n := d.count
	for i := range d.slots {
		d.flush(&d.slots[i])
	}
	d.slots, d.roots = nil, nil
	d.heads.Publish(nil)
	d.shard.memory.Trim()
	return n
}

// FlushSlot removes all records of a slot of this shard and returns their number.
func (d *Database) FlushSlot(slot Slot) int {
	x := d.indexOf(slot)
	if x == nil {
		return 0
	}
	return d.flush(x)
}

func (d *Database) flush(x *index) int {
	n := x.count
	x.all(d.forget)
	x.clear()
	return n
}

// SlotKeys shows the names of the records of a slot of this shard that have not expired, until visit returns false. The
// names alias the store's memory.
func (d *Database) SlotKeys(now int64, slot Slot, visit func(name []byte) (on bool)) {
	x := d.indexOf(slot)
	if x == nil {
		return
	}
	for g := range x.segments {
		for _, word := range g.words {
			if word == 0 {
				continue
			}
			if block := d.shard.memory.Bytes(refOf(word)); (!isVolatile(word) || !expired(now, block)) && !visit(nameOf(block)) {
				return
			}
		}
	}
}

// Random is the name of a record, every one being equally likely; rnd(n) gives a number below n. The name aliases
// the store's memory. Expired records met are removed.
func (d *Database) Random(now int64, rnd func(n uint64) uint64) (name []byte, ok bool) {
	for d.count > 0 {
		x, g := d.randomSegment(rnd(uint64(d.count)))
		i := int(rnd(uint64(len(g.words))))
		for g.words[i] == 0 { // at least a tenth of the words are taken
			i = int(rnd(uint64(len(g.words))))
		}
		block := d.shard.memory.Bytes(refOf(g.words[i]))
		if !isVolatile(g.words[i]) || !expired(now, block) {
			return nameOf(block), true
		}
		d.shard.stats.Expired++
		word, hash := g.words[i], d.hashOf(g.words[i])
		x.remove(g, i)
		x.shrink(hash)
		d.forget(word)
	}
	return nil, false
}

// randomSegment is the segment that holds the record number n of the database.
func (d *Database) randomSegment(n uint64) (*index, *segment) {
	for i := range d.slots {
		x := &d.slots[i]
		if n >= uint64(x.count) {
			n -= uint64(x.count)
			continue
		}
		for g := range x.segments {
			if n < uint64(g.count) {
				return x, g
			}
			n -= uint64(g.count)
		}
	}
	invariant.Check(false, "keyspace: the counts of database and slots differ")
	return nil, nil
}
