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

type tableRow[K any] interface{ rowKey() K }

// table is a sorted-bucket hash map with copy on write. A copy of the struct is a snapshot once freeze has been
// called: later puts copy the array and the bucket they touch, once for all the puts between two freezes.
type table[K tableKey[K], V tableRow[K]] struct {
	rows  *[buckets][]V
	count int
	fresh bool                 // the array belongs to this table alone
	owned [buckets / 64]uint64 // so do these buckets
}

func (t *table[K, V]) find(key K) (row V, ok bool) {
	if t.rows == nil {
		return row, false
	}
	bucket := t.rows[key.bucket()]
	i, ok := slices.BinarySearchFunc(bucket, key, func(r V, k K) int { return r.rowKey().Compare(k) })
	if !ok {
		return row, false
	}
	return bucket[i], true
}

// put inserts the row, or replaces the one with its key.
func (t *table[K, V]) put(row V) {
	b := t.writable(row.rowKey())
	i, found := slices.BinarySearchFunc(t.rows[b], row.rowKey(), func(r V, k K) int { return r.rowKey().Compare(k) })
	if found {
		t.rows[b][i] = row
		return
	}
	t.rows[b] = slices.Insert(t.rows[b], i, row)
	t.count++
}

// remove deletes the row with the key, if there is one.
func (t *table[K, V]) remove(key K) {
	if _, ok := t.find(key); !ok {
		return
	}
	b := t.writable(key)
	t.rows[b] = slices.DeleteFunc(t.rows[b], func(r V) bool { return r.rowKey().Compare(key) == 0 })
	t.count--
}

// writable makes the key's bucket this table's own.
func (t *table[K, V]) writable(key K) uint8 {
	if !t.fresh {
		rows := new([buckets][]V)
		if t.rows != nil {
			*rows = *t.rows
		}
		t.rows, t.fresh = rows, true
	}
	b := key.bucket()
	if t.owned[b/64]&(1<<(b%64)) == 0 {
		t.rows[b] = slices.Clone(t.rows[b])
		t.owned[b/64] |= 1 << (b % 64)
	}
	return b
}

// freeze gives up ownership, so that a copy of the struct is a snapshot.
func (t *table[K, V]) freeze() { t.fresh, t.owned = false, [buckets / 64]uint64{} }

// all visits the rows in an order that depends on the keys alone. The table must not be changed meanwhile.
func (t *table[K, V]) all() iter.Seq[V] {
	return func(yield func(V) bool) {
		if t.rows == nil {
			return
		}
		for _, bucket := range t.rows {
			for _, row := range bucket {
				if !yield(row) {
					return
				}
			}
		}
	}
}
