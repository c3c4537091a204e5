package keyspace

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
)

// One hash tag with a million records: the greatest load a slot can get.
func TestAMillionRecordsInOneSlotGrowAndShrinkInBoundedSteps(t *testing.T) {
	const records = 1_000_000
	s := newStore(t, Options{Databases: 1, Shards: 1})
	d := s.Shards()[0].Database(0)
	d.open()
	slot := SlotOf([]byte("{tag}"))
	x := &d.slots[slot]
	hashed := 0
	hashOf := func(word uint64) uint64 {
		hashed++
		return d.hashOf(word)
	}
	name := []byte("{tag}:0000000000")
	key := func(i int) Key {
		strconv.AppendInt(name[:6], int64(1_000_000_000+i), 10)
		return s.Key(name)
	}
	bound := func(i int, k Key) {
		if g := x.segment(k.Hash); hashed > maxSegment || len(g.words) > 2*maxSegment {
			t.Fatalf("record %d: %d records hashed anew, a table of %d words", i, hashed, len(g.words))
		}
		hashed = 0
	}
	for i := range records {
		k := key(i)
		ref, block := s.Shards()[0].memory.Alloc(recordSize(len(k.Name), 0, false))
		writeRecord(block, k.Name, TypeString, nil, 0)
		x.insert(k.Hash, makeWord(0, ref, false), hashOf)
		d.count++
		bound(i, k)
	}
	if d.SlotLen(slot) != records || len(x.directory) < records/maxSegment || len(x.directory) > 4096 {
		t.Fatalf("%d records, a directory of %d", d.SlotLen(slot), len(x.directory))
	}
	checkIndex(t, d, x)
	full := d.indexMemory()
	if perRecord := full / records; perRecord > 20 {
		t.Fatalf("an index of %d bytes per record", perRecord)
	}
	for i := range records {
		k := key(i)
		if !d.Delete(0, k) {
			t.Fatalf("record %d is not there", i)
		}
		bound(i, k)
		if i == records*9/10 {
			if now := d.indexMemory(); now > full/4 {
				t.Fatalf("an index of %d bytes for a tenth of the records, %d before", now, full)
			}
			checkIndex(t, d, x)
		}
	}
	if x.directory != nil || x.root.Load() != nil || s.arena.Used() != 0 {
		t.Fatalf("an empty slot keeps memory: %d bytes in use", s.arena.Used())
	}
}

func benchmarkStore(b *testing.B, keys int) (*Store, [][]byte) {
	b.Helper()
	s := New(Options{Seed: maphash.MakeSeed()})
	b.Cleanup(s.Close)
	names := make([][]byte, keys)
	all := make([]byte, 0, 16*keys)
	value := bytes.Repeat([]byte{'v'}, 32)
	for i := range names {
		all = fmt.Appendf(all, "key:%012d", i)
		names[i] = all[16*i : 16*i+16]
		set(s, 0, string(names[i]), string(value), 0)
	}
	return s, names
}

// BenchmarkStore reads and writes in an order that defeats the caches.
func BenchmarkStore(b *testing.B) {
	value := bytes.Repeat([]byte{'w'}, 32)
	for _, keys := range []int{10_000, 1_000_000} {
		s, names := benchmarkStore(b, keys)
		for operation, do := range map[string]func(d *Database, k Key){
			"Get": func(d *Database, k Key) { d.Get(1, k) },
			"Set": func(d *Database, k Key) { d.Set(1, k, TypeString, value, 0) },
		} {
			b.Run(fmt.Sprint(operation, "/", keys), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					k := s.Key(names[i])
					sh := s.ShardOf(k.Slot)
					sh.Lock()
					do(sh.Database(0), k)
					sh.Unlock()
					if i += 7919; i >= keys {
						i -= keys
					}
				}
			})
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New(Options{Seed: maphash.MakeSeed()}).Close()
	}
}

func BenchmarkSlotOf(b *testing.B) {
	name := []byte("key:000000000001")
	for b.Loop() {
		SlotOf(name)
	}
}

// BenchmarkLoad stores a million records of 16 + 32 bytes and reports what each takes.
func BenchmarkLoad(b *testing.B) {
	const keys = 1_000_000
	value := bytes.Repeat([]byte{'v'}, 32)
	for b.Loop() {
		debug.FreeOSMemory()
		before := resident()
		s := New(Options{Seed: maphash.MakeSeed()})
		name := make([]byte, 0, 16)
		for i := range keys {
			name = fmt.Appendf(name[:0], "key:%012d", i)
			k := s.Key(name)
			s.ShardOf(k.Slot).Database(0).Set(0, k, TypeString, value, 0)
		}
		loaded := resident()
		runtime.GC()
		debug.FreeOSMemory()
		b.ReportMetric(float64(loaded-before)/keys, "B-rss/key")
		b.ReportMetric(float64(resident()-before)/keys, "B-rss-settled/key")
		b.ReportMetric(float64(s.UsedMemory())/keys, "B-used/key")
		s.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
}

// resident is the process's memory in bytes; 0 where the system does not tell.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
