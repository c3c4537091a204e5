package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/egalcluster/egal/internal/hlc"
)

// checkMergeLaws merges small sets of entries, ties included, in every order and grouping.
func checkMergeLaws(t complainer, newer func(a, b *shared) bool) {
	t.Helper()
	var entries []*shared
	for stamp := range 2 {
		for node := range 2 {
			for _, value := range []string{"a", "b"} {
				for _, deleted := range []bool{false, true} {
					entries = append(entries, newShared("k", []byte(value), deleted, hlc.Timestamp(stamp+1), nodeID(node)))
				}
			}
		}
	}
	merge := func(a, b *shared) *shared {
		if newer(b, a) {
			return b
		}
		return a
	}
	same := func(a, b *shared) bool {
		return a.stamp == b.stamp && a.node == b.node && a.deleted == b.deleted && bytes.Equal(a.value, b.value)
	}
	for _, a := range entries {
		if !same(merge(a, a), a) {
			t.Fatalf("not idempotent: %v", a)
		}
		for _, b := range entries {
			if !same(merge(a, b), merge(b, a)) {
				t.Fatalf("not commutative: %v %v", a, b)
			}
			if a.stamp > b.stamp && !same(merge(b, a), a) {
				t.Fatalf("the newer stamp does not win: %v %v", a, b)
			}
			for _, c := range entries {
				if !same(merge(merge(a, b), c), merge(a, merge(b, c))) {
					t.Fatalf("not associative: %v %v %v", a, b, c)
				}
			}
		}
	}
}

func TestSharedMergeIsCommutativeAssociativeIdempotent(t *testing.T) { checkMergeLaws(t, newer) }

// Two replicas that receive the same entries in different orders, some twice, have the same root.
func TestReplicasAgreeWhateverTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *shared {
			return newShared(fmt.Sprint("k", rapid.IntRange(0, 3).Draw(t, "key")), []byte{rapid.Byte().Draw(t, "value")},
				rapid.Bool().Draw(t, "deleted"), hlc.New(simStart, uint16(rapid.IntRange(0, 3).Draw(t, "stamp"))),
				nodeID(rapid.IntRange(0, 3).Draw(t, "node")))
		}), 1, 20).Draw(t, "entries")
		first, second := replica(t), replica(t)
		for _, s := range entries {
			first.mergeShared(s)
		}
		for _, s := range rapid.Permutation(slices.Concat(entries, entries)).Draw(t, "order") {
			second.mergeShared(s)
		}
		first.settle()
		second.settle()
		if first.view.Root() != second.view.Root() || fmt.Sprint(first.view.SharedKeys("")) != fmt.Sprint(second.view.SharedKeys("")) {
			t.Fatal("the replicas differ")
		}
	})
}

// replica is a core alone.
func replica(t complainer) *Core {
	t.Helper()
	c, err := New(Config{ID: nodeID(1), Boot: 1, Generation: 1, Addr: addrOf(1, 0)}, simStart)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// An owner writes; a replica gets its deltas in any order, some never, some twice. It never lacks a key that its
// version says it has, and has everything once all deltas have come.
func TestAReplicaHasEveryKeyUpToItsVersion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		own := &owner{id: nodeID(2), generation: 1}
		states := map[uint64]*owner{0: own}
		var deltas []delta
		for range rapid.IntRange(1, 20).Draw(t, "writes") {
			key, deleted := fmt.Sprint("k", rapid.IntRange(0, 4).Draw(t, "key")), rapid.Bool().Draw(t, "deleted")
			next, err := own.write(key, []byte{rapid.Byte().Draw(t, "value")}, deleted)
			if err != nil {
				t.Fatal(err)
			}
			if next == own {
				continue
			}
			change := entry{key: key, version: next.version, deleted: deleted}
			if e, ok := next.find(key); ok {
				change = e
			}
			deltas = append(deltas, delta{owner: own.id, generation: 1, since: own.version, upto: next.version, entries: []entry{change}})
			own = next
			states[own.version] = own
		}
		if len(deltas) == 0 {
			return
		}
		check := func(got *owner) {
			if want := states[got.version]; want == nil || fmt.Sprint(got.entries) != fmt.Sprint(want.entries) {
				t.Fatalf("version %d: %v", got.version, got.entries)
			}
		}
		got := &owner{id: own.id, generation: 1}
		for _, i := range rapid.SliceOf(rapid.IntRange(0, len(deltas)-1)).Draw(t, "order") {
			got, _ = apply(got, deltas[i])
			check(got)
		}
		for _, d := range deltas {
			got, _ = apply(got, d)
			check(got)
		}
		if got.version != own.version || got.digest() != own.digest() {
			t.Fatalf("version %d, want %d", got.version, own.version)
		}
	})
}

func TestApply(t *testing.T) {
	base := newOwner(nodeID(2), 5, 3, 0, []entry{{key: "a", value: []byte("1"), version: 2}})
	one := []entry{{key: "a", value: []byte("2"), version: 4}}
	for _, tc := range []struct {
		name    string
		d       delta
		want    outcome
		version uint64
	}{
		{"an older generation", delta{generation: 4, upto: 99, entries: one}, stale, 3},
		{"the same version", delta{generation: 5, since: 2, upto: 3}, stale, 3},
		{"the next version", delta{generation: 5, since: 3, upto: 4, entries: one}, applied, 4},
		{"an overlap", delta{generation: 5, since: 1, upto: 4, entries: one}, applied, 4},
		{"a version too far ahead", delta{generation: 5, since: 4, upto: 5}, gap, 3},
		{"a later generation from its beginning", delta{generation: 6, upto: 1, entries: []entry{{key: "b", version: 1}}}, applied, 1},
		{"a later generation from its middle", delta{generation: 6, since: 1, upto: 2}, gap, 3},
		{"more keys than an owner may have", delta{generation: 6, upto: 1, entries: many(MaxOwnKeys + 1)}, refused, 3},
		{"as many keys as an owner may have", delta{generation: 6, upto: 1, entries: many(MaxOwnKeys)}, applied, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.d.owner = base.id
			got, result := apply(base, tc.d)
			if result != tc.want || got.version != tc.version {
				t.Fatalf("outcome %d, version %d; want %d, %d", result, got.version, tc.want, tc.version)
			}
		})
	}
}

func many(n int) []entry {
	list := make([]entry, n)
	for i := range list {
		list[i] = entry{key: fmt.Sprintf("k%05d", i), version: 1}
	}
	return list
}

func TestOwnStateIsBounded(t *testing.T) {
	long := strings.Repeat("k", MaxKey)
	full := func() *owner {
		o := &owner{id: nodeID(1), generation: 1}
		for i := range MaxOwnBytes / (MaxValue + 2) {
			o, _ = o.write(fmt.Sprintf("f%d", i), make([]byte, MaxValue), false)
		}
		return o
	}()
	crowded := newOwner(nodeID(1), 1, 1, 0, many(MaxOwnKeys))
	for _, tc := range []struct {
		name  string
		o     *owner
		key   string
		value int
		want  error
	}{
		{"the longest key", &owner{}, long, 1, nil},
		{"a longer key", &owner{}, long + "k", 1, ErrTooLarge},
		{"no key", &owner{}, "", 1, ErrTooLarge},
		{"the longest value", &owner{}, "k", MaxValue, nil},
		{"a longer value", &owner{}, "k", MaxValue + 1, ErrTooLarge},
		{"all bytes", full, "k", MaxOwnBytes - full.bytes - 1, nil},
		{"a byte more", full, "k", MaxOwnBytes - full.bytes, ErrFull},
		{"a key more", crowded, "x", 0, ErrFull},
		{"a key again", crowded, "k00000", 1, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := tc.o.write(tc.key, make([]byte, tc.value), false); !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
		})
	}
}

func TestATableIsAMapWithSnapshots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table table[sharedKey, *shared]
		model := map[string]*shared{}
		snapshot, frozen := table, map[string]*shared{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			key := fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "key"))
			switch rapid.IntRange(0, 3).Draw(t, "action") {
			case 0:
				table.remove(sharedKey(key))
				delete(model, key)
			case 1:
				table.freeze()
				snapshot, frozen = table, maps.Clone(model)
			default:
				s := newShared(key, nil, false, 1, NodeID{})
				table.put(s)
				model[key] = s
			}
		}
		for _, pair := range []struct {
			table interface {
				find(sharedKey) (*shared, bool)
			}
			count int
			model map[string]*shared
		}{{&table, table.count, model}, {&snapshot, snapshot.count, frozen}} {
			if pair.count != len(pair.model) {
				t.Fatalf("%d rows, want %d", pair.count, len(pair.model))
			}
			for key, want := range pair.model {
				if got, _ := pair.table.find(sharedKey(key)); got != want {
					t.Fatalf("key %q differs", key)
				}
			}
		}
	})
}
