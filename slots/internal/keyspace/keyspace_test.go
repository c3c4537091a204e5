package keyspace

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// with runs f on a key's database under its shard's lock.
func with(s *Store, db int, name string, f func(d *Database, k Key)) {
	k := s.Key([]byte(name))
	sh := s.ShardOf(k.Slot)
	sh.Lock()
	defer sh.Unlock()
	f(sh.Database(db), k)
}

func set(s *Store, now int64, name, value string, expireAt int64) {
	with(s, 0, name, func(d *Database, k Key) { d.Set(now, k, TypeString, []byte(value), expireAt) })
}

func get(s *Store, now int64, name string) (value string, ok bool) {
	with(s, 0, name, func(d *Database, k Key) {
		var r Record
		r, ok = d.Get(now, k)
		value = string(r.Value)
	})
	return value, ok
}

func newStore(t *testing.T, o Options) *Store {
	t.Helper()
	o.Seed = maphash.MakeSeed()
	s := New(o)
	t.Cleanup(s.Close)
	return s
}

func TestSlotsOfTheSpecification(t *testing.T) {
	if got := crc16([]byte("123456789")); got != 0x31c3 {
		t.Fatalf("crc16 = %#x", got)
	}
	for name, tag := range map[string]string{
		"{user1000}.following": "user1000",
		"{user1000}.followers": "user1000",
		"foo{}{bar}":           "foo{}{bar}",
		"foo{{bar}}zap":        "{bar",
		"foo{bar}{zap}":        "bar",
		"foo{bar":              "foo{bar",
		"foo}bar{":             "foo}bar{",
		"}{a}":                 "a",
		"":                     "",
	} {
		if got, want := SlotOf([]byte(name)), Slot(crc16([]byte(tag))%Slots); got != want {
			t.Errorf("slot of %q = %d, want that of %q, %d", name, got, tag, want)
		}
	}
	for name, slot := range map[string]Slot{"foo": 12182, "bar": 5061, "hello": 866, "somekey": 11058, "": 0} {
		if got := SlotOf([]byte(name)); got != slot {
			t.Errorf("slot of %q = %d, want %d", name, got, slot)
		}
	}
}

func TestCRCInStepsOfEightIsTheBitwiseOne(t *testing.T) {
	b := make([]byte, 64)
	for i := range b {
		b[i] = byte(i*37 + 11)
	}
	for n := range b {
		var crc uint16
		for _, c := range b[:n] {
			crc ^= uint16(c) << 8
			for range 8 {
				carry := crc >> 15
				crc = crc<<1 ^ carry*0x1021
			}
		}
		if got := crc16(b[:n]); got != crc {
			t.Fatalf("%d bytes: %#x, want %#x", n, got, crc)
		}
	}
}

func TestIndexBytesIsTheSizeOfAnIndex(t *testing.T) {
	if size := reflect.TypeFor[index]().Size() + reflect.TypeFor[*segment]().Size(); size != indexBytes {
		t.Fatalf("%d", size)
	}
}

func TestTypeNames(t *testing.T) {
	if got := fmt.Sprint(TypeString, TypeList, TypeSet, TypeSortedSet, TypeHash, TypeStream, Type(9)); got != "string list set zset hash stream type 9" {
		t.Fatal(got)
	}
}

func TestRecordsAtTheBoundsOfTheirLayout(t *testing.T) {
	s := newStore(t, Options{})
	for _, length := range []int{0, 1, longName - 1, longName, longName + 1, 100_000} {
		for _, expireAt := range []int64{0, 1 << 62} {
			name, value := strings.Repeat("n", length), strings.Repeat("v", length)
			with(s, 0, name, func(d *Database, k Key) {
				d.Set(1, k, TypeHash, []byte(value), expireAt)
				r, ok := d.Get(1, k)
				if !ok || string(r.Value) != value || r.Type != TypeHash || r.ExpireAt != expireAt {
					t.Errorf("a record with name and value of %d bytes changed", length)
				}
				shown := 0
				d.SlotKeys(1, k.Slot, func(found []byte) bool {
					if shown++; string(found) != name {
						t.Errorf("a name of %d bytes changed", length)
					}
					return true
				})
				if shown != 1 {
					t.Errorf("%d names of one", shown)
				}
				d.Delete(1, k)
			})
		}
	}
	if s.Len(0) != 0 {
		t.Fatal("records are left")
	}
}

func TestAValueMayAliasTheRecordItReplaces(t *testing.T) {
	s := newStore(t, Options{})
	set(s, 1, "k", "0123456789", 0)
	with(s, 0, "k", func(d *Database, k Key) {
		for _, step := range []struct {
			from, to int
			expireAt int64
			want     string
		}{{0, 10, 99, "0123456789"}, {1, 10, 0, "123456789"}, {1, 9, 99, "23456789"}, {0, 3, 0, "234"}} {
			r, _ := d.Get(1, k)
			d.Set(1, k, TypeString, r.Value[step.from:step.to], step.expireAt)
			if r, _ = d.Get(1, k); string(r.Value) != step.want || r.ExpireAt != step.expireAt {
				t.Errorf("%q, %d", r.Value, r.ExpireAt)
			}
		}
	})
}

func TestGrowFillsUpWithZerosAndKeepsTheRest(t *testing.T) {
	s := newStore(t, Options{})
	with(s, 0, "k", func(d *Database, k Key) {
		copy(d.Grow(1, k, 3), "abc")
		d.SetExpire(1, k, 77)
		if got := d.Grow(1, k, 2); string(got) != "abc" {
			t.Errorf("%q", got)
		}
		d.Grow(1, k, 100_000)
		r, _ := d.Get(1, k)
		if len(r.Value) != 100_000 || string(r.Value[:5]) != "abc\x00\x00" || bytes.Count(r.Value, []byte{0}) != 100_000-3 || r.ExpireAt != 77 {
			t.Errorf("%d bytes, %q, %d", len(r.Value), r.Value[:5], r.ExpireAt)
		}
		d.Grow(1, k, 10<<20) // the old block's pages go back to the system
		r, _ = d.Get(1, k)
		if len(r.Value) != 10<<20 || string(r.Value[:5]) != "abc\x00\x00" || r.ExpireAt != 77 {
			t.Errorf("%d bytes, %q, %d", len(r.Value), r.Value[:5], r.ExpireAt)
		}
		d.Set(1, k, TypeString, []byte("x"), 0)
		if got := d.Grow(1, k, 8); string(got) != "x\x00\x00\x00\x00\x00\x00\x00" {
			t.Errorf("old bytes came back: %q", got)
		}
	})
}

func TestARecordIsGoneFromItsTimeOn(t *testing.T) {
	s := newStore(t, Options{})
	set(s, 1, "k", "v", 100)
	if _, ok := get(s, 99, "k"); !ok {
		t.Fatal("gone before its time")
	}
	if _, ok := get(s, 100, "k"); ok || s.Len(0) != 0 {
		t.Fatal("still there at its time")
	}
	if got := s.Stats(); got != (Stats{Hits: 1, Misses: 1, Expired: 1}) {
		t.Fatalf("%+v", got)
	}
}

func TestCopyBetweenDatabases(t *testing.T) {
	s := newStore(t, Options{})
	set(s, 1, "{a}1", "v", 50)
	with(s, 0, "{a}1", func(source *Database, from Key) {
		target := s.ShardOf(from.Slot).Database(3)
		to := s.Key([]byte("{a}2"))
		if !target.Copy(1, source, from, to) || target.Copy(1, source, to, from) {
			t.Error("wrong answers")
		}
		if r, ok := target.Get(1, to); !ok || string(r.Value) != "v" || r.ExpireAt != 50 {
			t.Errorf("%q, %d", r.Value, r.ExpireAt)
		}
	})
	if s.Len(0) != 1 || s.Len(3) != 1 {
		t.Fatal("wrong counts")
	}
}

func TestGetAndSetAllocateNothing(t *testing.T) {
	s := newStore(t, Options{})
	name, other := []byte("{k}:000000000001"), []byte("{k}:another")
	value, longer := bytes.Repeat([]byte{'v'}, 32), bytes.Repeat([]byte{'w'}, 64)
	set(s, 1, string(name), "", 0)
	if n := testing.AllocsPerRun(100, func() {
		k := s.Key(name)
		sh := s.ShardOf(k.Slot)
		sh.Lock()
		d := sh.Database(0)
		d.Set(1, k, TypeString, value, 0)
		d.Set(1, k, TypeString, longer, 5)
		d.SetExpire(1, k, 0)
		if r, ok := d.Get(1, k); !ok || len(r.Value) != 64 {
			t.Fatal("not there")
		}
		k = s.Key(other)
		d.Set(1, k, TypeString, value, 6)
		if _, ok := d.Get(7, k); ok {
			t.Fatal("not expired")
		}
		sh.Unlock()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestShardsWorkAtOnce(t *testing.T) {
	s := newStore(t, Options{Shards: 4})
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range 3000 {
				name := fmt.Sprint("key:", (i*7+worker)%500)
				set(s, int64(i), name, name, int64(i+100*(i%2)))
				if value, ok := get(s, int64(i), name); ok && value != name {
					t.Errorf("%q under %q", value, name)
				}
				if i%100 == 0 {
					s.Scan(int64(i), 0, 0, 50, func([]byte, Record) bool { return true })
					s.UsedMemory()
				}
				if worker == 0 {
					s.ExpireSome(int64(i), 20)
				}
			}
		})
	}
	wait.Wait()
}

func TestOptionsAreChecked(t *testing.T) {
	seed := maphash.MakeSeed()
	for _, o := range []Options{{Shards: 3, Seed: seed}, {Shards: 2 * Slots, Seed: seed}, {Shards: -1, Seed: seed}, {Databases: -1, Seed: seed}, {}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", o)
				}
			}()
			New(o)
		}()
	}
}
