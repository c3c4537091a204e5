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

type group[V any] = [groupSize]bucket[V]

// table is a sorted-bucket hash map with copy on write. A copy of the struct is a snapshot once freeze has been
// called: later puts copy what they touch, once for all the puts between two freezes. The sums
// over its buckets and over all rows follow every change at no cost that grows with the table.
type table[K tableKey[K], V tableRow[K]] struct {
	groups *[buckets / groupSize]*group[V]
	count  int
	sum    uint64               // XOR of the buckets' sums
	fresh  uint32               // groups that belong to this table alone; with any, so does the list of them
	owned  [buckets / 64]uint64 // so do these buckets' rows
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
	if t.groups == nil || t.groups[b/groupSize] == nil {
		return bucket[V]{}
	}
	return t.groups[b/groupSize][b%groupSize]
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
	if t.fresh == 0 {
		all := new([buckets / groupSize]*group[V])
		if t.groups != nil {
			*all = *t.groups
		}
		t.groups = all
	}
	i := key.bucket()
	at := i / groupSize
	if t.fresh&(1<<at) == 0 {
		own := new(group[V])
		if t.groups[at] != nil {
			*own = *t.groups[at]
		}
		t.groups[at] = own
		t.fresh |= 1 << at
	}
	b := &t.groups[at][i%groupSize]
	if t.owned[i/64]&(1<<(i%64)) == 0 {
		b.rows = slices.Clone(b.rows)
		t.owned[i/64] |= 1 << (i % 64)
	}
	return b
}

// freeze gives up ownership, so that a copy of the struct is a snapshot.
func (t *table[K, V]) freeze() { t.fresh, t.owned = 0, [buckets / 64]uint64{} }

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
