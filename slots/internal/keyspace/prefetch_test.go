package keyspace

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"testing"
)

// prefetched are keys of many slots, and of one slot that gets a directory.
func prefetched(s *Store, n int) []Key {
	keys := make([]Key, 0, 2*n)
	for i := range n {
		keys = append(keys, s.Key(fmt.Appendf(nil, "key:%d", i)), s.Key(fmt.Appendf(nil, "{tag}:%d", i)))
	}
	return keys
}

func TestPrefetchMayHappenAtAnyTime(t *testing.T) {
	s := newStore(t, Options{Seed: maphash.MakeSeed(), Shards: 4, Databases: 2})
	keys := prefetched(s, maxSegment+maxSegment/2)
	var ended atomic.Bool
	var wait sync.WaitGroup
	wait.Go(func() { // without a lock, as event loops do it
		for i := 0; !ended.Load(); i = (i + 50) % len(keys) {
			s.Prefetch(i%2, keys[i:])
		}
	})
	s.Prefetch(0, nil)
	for range 2 {
		for i, k := range keys {
			sh := s.ShardOf(k.Slot)
			sh.Lock()
			sh.Database(0).Set(0, k, TypeString, k.Name, 0)
			if i%3 == 0 {
				sh.Database(1).Set(0, k, TypeString, k.Name, 1)
			}
			sh.Unlock()
		}
		check(t, s)
		for i, k := range keys {
			sh := s.ShardOf(k.Slot)
			sh.Lock()
			if r, ok := sh.Database(0).Get(0, k); !ok || string(r.Value) != string(k.Name) {
				t.Fatalf("%s: %q, %v", k.Name, r.Value, ok)
			}
			if i%2 == 0 {
				sh.Database(0).Delete(0, k)
			}
			sh.Unlock()
		}
		check(t, s)
		s.Flush(0)
		s.Flush(1)
	}
	ended.Store(true)
	wait.Wait()
	if s.UsedMemory() != 0 {
		t.Errorf("%d bytes in use", s.UsedMemory())
	}
}

func TestPrefetchAllocatesNothing(t *testing.T) {
	s := newStore(t, Options{Seed: maphash.MakeSeed()})
	keys := prefetched(s, MaxPrefetch)
	for _, k := range keys {
		set(s, 0, string(k.Name), "value", 0)
	}
	if n := testing.AllocsPerRun(100, func() { s.Prefetch(0, keys) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkLookup compares the time a key takes with and without looking ahead.
func BenchmarkLookup(b *testing.B) {
	const loaded = 1 << 20
	s, names := benchmarkStore(b, loaded)
	for _, row := range []struct {
		name  string
		batch int
		ahead bool
	}{{"alone", 16, false}, {"16", 16, true}, {"64", 64, true}} {
		b.Run(row.name, func(b *testing.B) {
			keys := make([]Key, 0, row.batch)
			next := 0
			for b.Loop() {
				keys = keys[:0]
				for range row.batch {
					next = (next + 7919) % loaded
					keys = append(keys, s.Key(names[next]))
				}
				if row.ahead {
					s.Prefetch(0, keys)
				}
				for _, k := range keys {
					sh := s.ShardOf(k.Slot)
					sh.Lock()
					sh.Database(0).Get(0, k)
					sh.Unlock()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(row.batch), "ns/key")
		})
	}
}
