package keyspace

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// check verifies the invariants of a store's structure.
func check(t interface{ Fatalf(string, ...any) }, s *Store) {
	for _, sh := range s.shards {
		for db := range sh.databases {
			d := &sh.databases[db]
			count, volatile := 0, 0
			for i := range d.slots {
				x := &d.slots[i]
				checkIndex(t, d, x)
				count += x.count
				volatile += x.volatile
			}
			if count != d.count || volatile != d.volatile {
				t.Fatalf("database %d: %d records, %d volatile; counted %d, %d", db, d.count, d.volatile, count, volatile)
			}
		}
	}
}

func checkIndex(t interface{ Fatalf(string, ...any) }, d *Database, x *index) {
	count, volatile, next := 0, 0, uint64(0)
	for g := range x.segments {
		if g.depth > x.depth || x.segment(next) != g {
			t.Fatalf("the directory is not in order")
		}
		end := -1 // position of the last empty word
		previous := uint64(0)
		taken := 0
		for i, word := range g.words {
			if word == 0 {
				end = i
				continue
			}
			taken++
			if isVolatile(word) {
				volatile++
			}
			hash := d.hashOf(word)
			if home := g.home(tagOf(word)); home > i || end >= home {
				t.Fatalf("a word at %d with home %d and an empty word at %d", i, home, end)
			}
			if tagOf(word) < previous || g.tag(hash) != tagOf(word) || x.segment(hash) != g {
				t.Fatalf("a word in the wrong place")
			}
			block := d.shard.memory.Bytes(refOf(word))
			if (recordOf(block).ExpireAt != 0) != isVolatile(word) {
				t.Fatalf("a record's expiry is not marked")
			}
			previous = tagOf(word)
		}
		if taken != int(g.count) {
			t.Fatalf("%d words, counted %d", taken, g.count)
		}
		count += taken
		next += 1 << (64 - g.depth)
	}
	if count != x.count || volatile != x.volatile || next != 0 {
		t.Fatalf("slot: %d records, %d volatile; counted %d, %d", x.count, x.volatile, count, volatile)
	}
}

type entry struct {
	typ      Type
	value    string
	expireAt int64
}

// machine compares a store with a map, while the time moves.
type machine struct {
	store *Store
	model [2]map[string]entry
	now   int64
	names []string
}

func (m *machine) live(db int, name string) (entry, bool) {
	e, ok := m.model[db][name]
	if ok && e.expireAt != 0 && e.expireAt <= m.now {
		delete(m.model[db], name)
		return entry{}, false
	}
	return e, ok
}

func (m *machine) draw(t *rapid.T) (db int, name string) {
	return rapid.IntRange(0, 1).Draw(t, "db"), rapid.SampledFrom(m.names).Draw(t, "name")
}

func (m *machine) expiry(t *rapid.T) int64 {
	if rapid.Bool().Draw(t, "expires") {
		return m.now + rapid.Int64Range(-2, 20).Draw(t, "ttl")
	}
	return 0
}

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"set": func(t *rapid.T) {
			db, name := m.draw(t)
			size := rapid.SampledFrom([]int{0, 1, 8, 30, 32, 100, 5000, 80_000}).Draw(t, "size")
			e := entry{Type(rapid.IntRange(0, 5).Draw(t, "type")), string(bytes.Repeat([]byte{byte(size) + name[0]}, size)), m.expiry(t)}
			with(m.store, db, name, func(d *Database, k Key) { d.Set(m.now, k, e.typ, []byte(e.value), e.expireAt) })
			m.model[db][name] = e
		},
		"delete": func(t *rapid.T) {
			db, name := m.draw(t)
			_, want := m.live(db, name)
			with(m.store, db, name, func(d *Database, k Key) {
				if got := d.Delete(m.now, k); got != want {
					t.Fatalf("deleted: %v", got)
				}
			})
			delete(m.model[db], name)
		},
		"expire": func(t *rapid.T) {
			db, name := m.draw(t)
			e, want := m.live(db, name)
			e.expireAt = m.expiry(t)
			with(m.store, db, name, func(d *Database, k Key) {
				if got := d.SetExpire(m.now, k, e.expireAt); got != want {
					t.Fatalf("expire: %v", got)
				}
			})
			if want {
				m.model[db][name] = e
			}
		},
		"grow": func(t *rapid.T) {
			db, name := m.draw(t)
			e, _ := m.live(db, name)
			n := rapid.SampledFrom([]int{0, 5, 40, 45, 7000, 70_000, 200_000}).Draw(t, "length")
			with(m.store, db, name, func(d *Database, k Key) {
				if got := d.Grow(m.now, k, n); len(got) != max(n, len(e.value)) {
					t.Fatalf("%d bytes", len(got))
				}
			})
			e.value += string(make([]byte, max(n-len(e.value), 0)))
			m.model[db][name] = e
		},
		"copy": func(t *rapid.T) {
			db, from := m.draw(t)
			_, to := m.draw(t)
			e, want := m.live(db, from)
			source, target := m.store.Key([]byte(from)), m.store.Key([]byte(to)) // one goroutine: no locks needed
			if got := m.store.ShardOf(target.Slot).Database(1).Copy(m.now, m.store.ShardOf(source.Slot).Database(db), source, target); got != want {
				t.Fatalf("copied: %v", got)
			}
			if want {
				m.model[1][to] = e
			}
		},
		"time": func(t *rapid.T) { m.now += rapid.Int64Range(0, 15).Draw(t, "milliseconds") },
		"expire some": func(t *rapid.T) {
			before := m.store.Len(0) + m.store.Len(1)
			_, n := m.store.ExpireSome(m.now, rapid.IntRange(0, 300).Draw(t, "budget"))
			if after := m.store.Len(0) + m.store.Len(1); after != before-n {
				t.Fatalf("%d removed, %d before, %d after", n, before, after)
			}
		},
		"flush": func(t *rapid.T) {
			if rapid.IntRange(0, 20).Draw(t, "really") == 0 {
				m.store.Flush(0)
				m.model[0] = map[string]entry{}
			}
		},
		"random": func(t *rapid.T) {
			rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
			name, ok := m.store.Random(m.now, 0, rnd.Uint64N)
			if _, there := m.live(0, string(name)); ok != there || !ok && len(m.liveNames(0)) > 0 {
				t.Fatalf("%q, %v", name, ok)
			}
		},
		"": m.compare,
	}
}

func (m *machine) liveNames(db int) []string {
	for name := range m.model[db] {
		m.live(db, name)
	}
	return slices.Sorted(maps.Keys(m.model[db]))
}

func (m *machine) compare(t *rapid.T) {
	name := rapid.SampledFrom(m.names).Draw(t, "name")
	e, there := m.live(0, name)
	if value, ok := get(m.store, m.now, name); ok != there || value != e.value {
		t.Fatalf("get %q: %v", name, ok)
	}
	if rapid.IntRange(0, 5).Draw(t, "thoroughly") > 0 {
		return
	}
	check(t, m.store)
	for db := range m.model {
		want := m.liveNames(db)
		got := map[string]bool{}
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			cursor = m.store.Scan(m.now, db, cursor, 5, func(name []byte, r Record) bool {
				if e := m.model[db][string(name)]; e != (entry{r.Type, string(r.Value), r.ExpireAt}) {
					t.Fatalf("scan of %q", name)
				}
				got[string(name)] = true
				return true
			})
		}
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
			t.Fatalf("database %d: %q, want %q", db, names, want)
		}
	}
}

func TestAStoreIsAMapWhileTimeMoves(t *testing.T) {
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprint(i), fmt.Sprint("{tag}", i))
	}
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{store: New(Options{Databases: 2, Shards: 2, Seed: maphash.MakeSeed()}), now: 1000, names: names}
		defer m.store.Close()
		m.model = [2]map[string]entry{{}, {}}
		t.Repeat(m.actions())
		for db := range m.model {
			m.store.Flush(db)
		}
		if used := m.store.arena.Used(); used != 0 {
			t.Fatalf("%d bytes are left after the flush", used)
		}
	})
}

// What is there during the whole scan is returned, while other records come, go and expire so that the index of one
// slot splits and merges again and again.
func TestScanReturnsWhatIsThereAllTheTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Options{Databases: 1, Shards: 1, Seed: maphash.MakeSeed()})
		defer s.Close()
		stay := map[string]bool{}
		for i := range rapid.IntRange(0, 3000).Draw(t, "stay") {
			name := fmt.Sprint("{t}stay", i)
			stay[name] = true
			set(s, 0, name, "", 0)
		}
		others := 0
		change := func(to int) {
			for ; others < to; others++ {
				set(s, 0, fmt.Sprint("{t}", others), "", 0)
			}
			for ; others > to; others-- {
				with(s, 0, fmt.Sprint("{t}", others-1), func(d *Database, k Key) { d.Delete(0, k) })
			}
		}
		change(rapid.IntRange(0, 10_000).Draw(t, "others"))
		for cursor, steps := uint64(0), 0; ; steps++ {
			if cursor >= 1<<63 {
				t.Fatalf("cursor %d", cursor)
			}
			cursor = s.Scan(0, 0, cursor, rapid.SampledFrom([]int{1, 100, 1000}).Draw(t, "count"), func(name []byte, _ Record) bool {
				delete(stay, string(name))
				return true
			})
			if cursor == 0 {
				break
			}
			if steps < 6 {
				change(rapid.SampledFrom([]int{0, 10, 3000, 10_000}).Draw(t, "others"))
			}
		}
		if len(stay) > 0 {
			t.Fatalf("%d records were not returned", len(stay))
		}
		check(t, s)
	})
}

func TestAnyCursorIsHarmless(t *testing.T) {
	s := newStore(t, Options{})
	for i := range 10_000 {
		set(s, 0, fmt.Sprint("{t}", i), "", 0)
	}
	for _, cursor := range []uint64{1, 1<<63 - 1, 1 << 63, 1<<64 - 1, Slots << 49, Slots<<49 - 1} {
		for range 100_000 {
			if cursor = s.Scan(0, 0, cursor, 1000, func([]byte, Record) bool { return true }); cursor == 0 {
				break
			}
		}
		if cursor != 0 {
			t.Fatal("the scan does not end")
		}
	}
	if next := s.Scan(0, 0, 0, -5, func([]byte, Record) bool { return true }); next == 0 {
		t.Fatal("a count below 1 is not taken as 1")
	}
}

func TestRandomReachesEveryRecordAboutEquallyOften(t *testing.T) {
	s := newStore(t, Options{Shards: 8})
	const names, rounds = 200, 200
	for i := range names {
		set(s, 0, fmt.Sprint("{t}"[:3*(i%2)], i), "", 0) // half of them in one slot
	}
	hits := map[string]int{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range names * rounds {
		name, _ := s.Random(0, 0, rnd.Uint64N)
		hits[string(name)]++
	}
	for name, n := range hits {
		if n < rounds/2 || n > 2*rounds {
			t.Errorf("%q was returned %d times, expected about %d", name, n, rounds)
		}
	}
	if len(hits) != names {
		t.Fatalf("%d of %d names", len(hits), names)
	}
}

func TestActiveExpiryFindsEverythingInBoundedSteps(t *testing.T) {
	s := newStore(t, Options{})
	const volatile = 20_000
	for i := range volatile {
		set(s, 0, fmt.Sprint(i), "v", int64(1+i%2)*100)
		set(s, 0, fmt.Sprint("{t}", i), "v", int64(1+i%2)*100)
		set(s, 0, fmt.Sprint("p", i), "v", 0)
	}
	if looked, n := s.ExpireSome(100, 500); n == 0 || looked > 600 || n > looked {
		t.Fatalf("%d records of %d removed within a budget of 500", n, looked)
	}
	for range 1000 {
		s.ExpireSome(100, 500)
	}
	if s.Volatile(0) != volatile || s.Len(0) != 2*volatile {
		t.Fatalf("%d volatile of %d", s.Volatile(0), s.Len(0))
	}
	if looked, n := s.ExpireSome(200, 1<<30); looked != volatile || n != volatile || s.Volatile(0) != 0 {
		t.Fatalf("%d expired in one pass, %d volatile left", n, s.Volatile(0))
	}
	if got := s.Stats().Expired; got != 2*volatile {
		t.Fatalf("%d counted", got)
	}
	check(t, s)
}

func TestActiveExpiryPassesRecordsThatDoNotExpireQuickly(t *testing.T) {
	s := newStore(t, Options{})
	const persistent, volatile = 50_000, 100
	for i := range persistent {
		set(s, 0, fmt.Sprint("{t}", i), "v", 0)
	}
	for i := range volatile {
		set(s, 0, fmt.Sprint("{t}v", i), "v", 100)
	}
	// One look is worth sixteen records passed by.
	looked, n := s.ExpireSome(100, persistent/passingWeight+volatile)
	if looked != volatile || n != volatile {
		t.Fatalf("%d of %d looked at, %d removed", looked, volatile, n)
	}
	if looked, _ := s.ExpireSome(100, persistent); looked != 0 {
		t.Fatalf("%d looked at when there is nothing to expire", looked)
	}
}

func TestMeanTimeToLive(t *testing.T) {
	s := newStore(t, Options{Databases: 2})
	for i := range 1000 {
		set(s, 0, fmt.Sprint(i), "v", int64(1000+2000*(i%2)))
		set(s, 0, fmt.Sprint("p", i), "v", 0)
	}
	look := func(now, want int64) {
		t.Helper()
		for range 20 { // what was seen before fades
			s.ExpireSome(now, 1<<20)
		}
		if got := s.MeanTimeToLive(0); got < want-want/100 || got > want+want/100 {
			t.Errorf("mean of %d at %d, want %d", got, now, want)
		}
	}
	if got := s.MeanTimeToLive(0); got != 0 {
		t.Errorf("mean of %d before a look", got)
	}
	look(0, 2000)
	look(500, 1500)
	look(1000, 2000) // half of them are gone
	look(3000, 0)
	set(s, 3000, "far", "v", 1<<63-1)
	s.ExpireSome(3000, 1<<20)
	if got := s.MeanTimeToLive(0); got != 1<<62 {
		t.Errorf("mean of %d for a time far away", got)
	}
	if got := s.MeanTimeToLive(1); got != 0 {
		t.Errorf("mean of %d in an empty database", got)
	}
}

func TestAWalkEndsWhenItsVisitorHasEnough(t *testing.T) {
	s := newStore(t, Options{})
	for i := range 1000 {
		set(s, 0, fmt.Sprint(i), "v", 0)
		set(s, 0, fmt.Sprint("{t}", i), "v", 0)
	}
	for _, enough := range []int{1, 2, 777} {
		visits := 0
		if next := s.Scan(0, 0, 0, 1<<30, func([]byte, Record) bool { visits++; return visits < enough }); next != 0 || visits != enough {
			t.Errorf("scan: %d visits instead of %d, next %d", visits, enough, next)
		}
		visits = 0
		slot := SlotOf([]byte("t"))
		sh := s.ShardOf(slot)
		sh.Lock()
		sh.Database(0).SlotKeys(0, slot, func([]byte) bool { visits++; return visits < enough })
		sh.Unlock()
		if visits != enough {
			t.Errorf("keys of a slot: %d visits instead of %d", visits, enough)
		}
	}
}

func TestResetStats(t *testing.T) {
	s := newStore(t, Options{})
	set(s, 0, "a", "v", 10)
	get(s, 0, "a")
	get(s, 0, "b")
	get(s, 10, "a")
	if got := s.Stats(); got != (Stats{Hits: 1, Misses: 2, Expired: 1}) {
		t.Fatalf("%+v", got)
	}
	s.ResetStats()
	if got := s.Stats(); got != (Stats{}) {
		t.Fatalf("%+v", got)
	}
}
