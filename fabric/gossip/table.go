package gossip

import (
	"iter"
	"slices"
)

// buckets is the fan-out of a table, in groups of groupSize: a change copies one bucket, its group and the list of
// groups, never the whole.
const (
	buckets   = 256
	groupSize = 16
)

type tableKey[K any] interface {
	comparable
	Compare(other K) int
	bucket() uint8
}

type tableRow[K any] interface {
	rowKey() K
	digest() uint64
}

// row is a value beside its key: keys are compared without a look at the values, which lie elsewhere in memory.
type row[K, V any] struct {
	key   K
	value V
}

// bucket is a part of a table: sorted rows, and the XOR of their digests.
type bucket[K tableKey[K], V any] struct {
	rows []row[K, V]
	sum  uint64
}

type group[K tableKey[K], V any] [groupSize]*bucket[K, V]

// table is a sorted-bucket hash map with copy on write. A copy of the struct is a snapshot once freeze has been
// called: later puts copy what they touch, once for all the puts between two freezes. The sums
// over its buckets and over all rows follow every change at no cost that grows with the table.
type table[K tableKey[K], V tableRow[K]] struct {
	groups *[buckets / groupSize]*group[K, V]
	count  int
	sum    uint64               // XOR of the buckets' sums
	fresh  uint32               // groups that belong to this table alone; with any, so does the list of them
	owned  [buckets / 64]uint64 // so do these buckets
}

func (t *table[K, V]) find(key K) (value V, ok bool) {
	b := t.at(key.bucket())
	if b == nil {
		return value, false
	}
	i, ok := b.search(key)
	if !ok {
		return value, false
	}
	return b.rows[i].value, true
}

// few rows are looked through one by one.
const few = 8

// search is where the key is, or belongs. K is comparable, so that the common case costs no call.
func (b *bucket[K, V]) search(key K) (int, bool) {
	if len(b.rows) <= few {
		for i := range b.rows {
			if b.rows[i].key == key {
				return i, true
			}
		}
	}
	return slices.BinarySearchFunc(b.rows, key, func(r row[K, V], k K) int { return r.key.Compare(k) })
}

// at is the table's bucket, not to be changed; nil: it is empty.
func (t *table[K, V]) at(b uint8) *bucket[K, V] {
	if t.groups == nil || t.groups[b/groupSize] == nil {
		return nil
	}
	return t.groups[b/groupSize][b%groupSize]
}

// bucketSum is the XOR of the digests in a bucket.
func (t *table[K, V]) bucketSum(b uint8) uint64 {
	if at := t.at(b); at != nil {
		return at.sum
	}
	return 0
}

// rows are those of a bucket, sorted by key, not to be changed.
func (t *table[K, V]) rows(b uint8) []row[K, V] {
	if at := t.at(b); at != nil {
		return at.rows
	}
	return nil
}

// put inserts the value, or replaces the one with its key.
func (t *table[K, V]) put(value V) {
	key := value.rowKey()
	b := t.writable(key)
	i, found := b.search(key)
	if found {
		t.account(b, b.rows[i].value.digest())
		b.rows[i].value = value
	} else {
		b.rows = slices.Insert(b.rows, i, row[K, V]{key, value})
		t.count++
	}
	t.account(b, value.digest())
}

// remove deletes the value with the key, if there is one.
func (t *table[K, V]) remove(key K) {
	value, ok := t.find(key)
	if !ok {
		return
	}
	b := t.writable(key)
	i, _ := b.search(key)
	b.rows = slices.Delete(b.rows, i, i+1)
	t.account(b, value.digest())
	t.count--
}

func (t *table[K, V]) account(b *bucket[K, V], digest uint64) {
	b.sum ^= digest
	t.sum ^= digest
}

// writable makes the key's bucket this table's own.
func (t *table[K, V]) writable(key K) *bucket[K, V] {
	if t.fresh == 0 {
		all := new([buckets / groupSize]*group[K, V])
		if t.groups != nil {
			*all = *t.groups
		}
		t.groups = all
	}
	i := key.bucket()
	at := i / groupSize
	if t.fresh&(1<<at) == 0 {
		own := new(group[K, V])
		if t.groups[at] != nil {
			*own = *t.groups[at]
		}
		t.groups[at] = own
		t.fresh |= 1 << at
	}
	b := &t.groups[at][i%groupSize]
	if t.owned[i/64]&(1<<(i%64)) == 0 {
		own := new(bucket[K, V])
		if *b != nil {
			own.rows, own.sum = slices.Clone((*b).rows), (*b).sum
		}
		*b = own
		t.owned[i/64] |= 1 << (i % 64)
	}
	return *b
}

// freeze gives up ownership, so that a copy of the struct is a snapshot.
func (t *table[K, V]) freeze() { t.fresh, t.owned = 0, [buckets / 64]uint64{} }

// all visits the values in an order that depends on the keys alone. The table must not be changed meanwhile.
func (t *table[K, V]) all() iter.Seq[V] { return t.from(0, nil) }

// from visits the values from a bucket on; in that bucket, only those with keys above after, unless that is nil.
func (t *table[K, V]) from(first int, after *K) iter.Seq[V] {
	return func(yield func(V) bool) {
		for i := first; i < buckets; i++ {
			b := t.at(uint8(i))
			if b == nil {
				after = nil
				continue
			}
			rows := b.rows
			if after != nil {
				at, found := b.search(*after)
				if found {
					at++
				}
				rows, after = rows[at:], nil
			}
			for _, r := range rows {
				if !yield(r.value) {
					return
				}
			}
		}
	}
}
