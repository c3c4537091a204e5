package gossip

import (
	"iter"
	"slices"
)

// buckets is the fan-out of a table: a change copies one bucket and the array, never the whole.
const buckets = 256

type tableKey[K any] interface {
	Compare(other K) int
	bucket() uint8
}

type tableRow[K any] interface {
	rowKey() K
	digest() uint64
}

// bucket is a part of a table: sorted rows, and the XOR of their digests.
type bucket[V any] struct {
	rows []V
	sum  uint64
}

// table is a sorted-bucket hash map with copy on write. A copy of the struct is a snapshot once freeze has been
// called: later puts copy the array and the bucket they touch, once for all the puts between two freezes. The sums
// over its buckets and over all rows follow every change at no cost that grows with the table.
type table[K tableKey[K], V tableRow[K]] struct {
	buckets *[buckets]bucket[V]
	count   int
	sum     uint64               // XOR of the buckets' sums
	fresh   bool                 // the array belongs to this table alone
	owned   [buckets / 64]uint64 // so do these buckets' rows
}

func (t *table[K, V]) find(key K) (row V, ok bool) {
	rows := t.bucket(key.bucket()).rows
	i, ok := search(rows, key)
	if !ok {
		return row, false
	}
	return rows[i], true
}

func search[K tableKey[K], V tableRow[K]](rows []V, key K) (int, bool) {
	return slices.BinarySearchFunc(rows, key, func(r V, k K) int { return r.rowKey().Compare(k) })
}

// bucket is one of the table's, not to be changed.
func (t *table[K, V]) bucket(b uint8) bucket[V] {
	if t.buckets == nil {
		return bucket[V]{}
	}
	return t.buckets[b]
}

// put inserts the row, or replaces the one with its key.
func (t *table[K, V]) put(row V) {
	b := t.writable(row.rowKey())
	i, found := search(b.rows, row.rowKey())
	if found {
		t.account(b, b.rows[i].digest())
		b.rows[i] = row
	} else {
		b.rows = slices.Insert(b.rows, i, row)
		t.count++
	}
	t.account(b, row.digest())
}

// remove deletes the row with the key, if there is one.
func (t *table[K, V]) remove(key K) {
	row, ok := t.find(key)
	if !ok {
		return
	}
	b := t.writable(key)
	i, _ := search(b.rows, key)
	b.rows = slices.Delete(b.rows, i, i+1)
	t.account(b, row.digest())
	t.count--
}

func (t *table[K, V]) account(b *bucket[V], digest uint64) {
	b.sum ^= digest
	t.sum ^= digest
}

// writable makes the key's bucket this table's own.
func (t *table[K, V]) writable(key K) *bucket[V] {
	if !t.fresh {
		all := new([buckets]bucket[V])
		if t.buckets != nil {
			*all = *t.buckets
		}
		t.buckets, t.fresh = all, true
	}
	i := key.bucket()
	b := &t.buckets[i]
	if t.owned[i/64]&(1<<(i%64)) == 0 {
		b.rows = slices.Clone(b.rows)
		t.owned[i/64] |= 1 << (i % 64)
	}
	return b
}

// freeze gives up ownership, so that a copy of the struct is a snapshot.
func (t *table[K, V]) freeze() { t.fresh, t.owned = false, [buckets / 64]uint64{} }

// all visits the rows in an order that depends on the keys alone. The table must not be changed meanwhile.
func (t *table[K, V]) all() iter.Seq[V] { return t.from(0, nil) }

// from visits the rows from a bucket on; in that bucket, only those with keys above after, unless that is nil.
func (t *table[K, V]) from(first int, after *K) iter.Seq[V] {
	return func(yield func(V) bool) {
		for b := first; b < buckets; b++ {
			rows := t.bucket(uint8(b)).rows
			if after != nil {
				i, found := search(rows, *after)
				if found {
					i++
				}
				rows, after = rows[i:], nil
			}
			for _, row := range rows {
				if !yield(row) {
					return
				}
			}
		}
	}
}
