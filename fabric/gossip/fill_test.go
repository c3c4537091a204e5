package gossip

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/egalcluster/egal/internal/wire"
)

// history is an owner's state after each of its writes, the first being empty.
func history(t *rapid.T, keys, writes int) []*owner {
	own := &owner{id: nodeID(2), generation: 1}
	states := []*owner{own}
	for range rapid.IntRange(1, writes).Draw(t, "writes") {
		key := fmt.Sprint("k", rapid.IntRange(0, keys).Draw(t, "key"))
		next, err := own.write(key, make([]byte, rapid.IntRange(0, 400).Draw(t, "value")), rapid.IntRange(0, 2).Draw(t, "deleted") == 0)
		if rapid.IntRange(0, 9).Draw(t, "collect") == 0 {
			next = next.collect(rapid.Uint64Range(0, next.version).Draw(t, "upto"))
		}
		if err != nil {
			t.Fatal(err)
		}
		if next != own {
			own = next
			states = append(states, own)
		}
	}
	return states
}

// checkPrefix: a replica has every live key of the owner up to its version, and none that was superseded or deleted
// up to there.
func checkPrefix(t complainer, source, replica *owner) {
	t.Helper()
	if replica.collected > replica.version || replica.version > source.version {
		t.Fatalf("version %d, tombstones gone up to %d, source at %d", replica.version, replica.collected, source.version)
	}
	last := map[string]entry{}
	for _, e := range source.entries {
		last[e.key] = e
		if got, ok := replica.find(e.key); !e.deleted && e.version <= replica.version && (!ok || got.version != e.version) {
			t.Fatalf("version %d lacks %q of version %d", replica.version, e.key, e.version)
		}
	}
	for _, e := range replica.entries {
		newest, known := last[e.key]
		if !e.deleted && (known && newest.version != e.version && newest.version <= replica.version || !known && source.collected <= replica.version) {
			t.Fatalf("version %d still has %q of version %d", replica.version, e.key, e.version)
		}
	}
}

// Whatever part of a state is taken into a step, into packets of whatever size it is put, and whichever of them
// arrive in which order: each leaves a correct state, and all of them what the step has brought.
func TestACutDeltaLeavesACorrectPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		states := history(t, 8, 30)
		source := states[len(states)-1]
		replica := states[rapid.IntRange(0, len(states)-1).Draw(t, "replica")]
		var s step
		s.bring(source, ownerDigest{source.id, replica.generation, replica.version})
		if replica == source {
			if len(s.lacks) > 0 {
				t.Fatal("brings what is there")
			}
			return
		}
		l := s.lacks[0]
		for range rapid.IntRange(1, 4).Draw(t, "turns") {
			l.turn()
		}
		fills, ok := s.pack(rapid.IntRange(deltaBytes+fillBytes, 1500).Draw(t, "limit"))
		if !ok {
			fills, ok = s.pack(packetRoom)
		}
		if !ok || len(fills) == 0 {
			t.Fatalf("%d packets, %v", len(fills), ok)
		}
		for _, i := range rapid.SliceOf(rapid.IntRange(0, len(fills)-1)).Draw(t, "order") {
			for _, d := range fills[i].deltas {
				replica, _ = apply(replica, d)
				checkPrefix(t, source, replica)
			}
		}
		for _, f := range fills {
			for _, d := range f.deltas {
				replica, _ = apply(replica, d)
				checkPrefix(t, source, replica)
			}
		}
		if want := l.upto(l.taken); replica.version < want {
			t.Fatalf("version %d, want %d", replica.version, want)
		}
		if l.taken == len(l.news) && fmt.Sprint(replica.entries) != fmt.Sprint(source.entries) {
			t.Fatalf("%v, want %v", replica.entries, source.entries)
		}
	})
}

// Replicas of one owner bring each other up to date, in any order, whatever states they were in.
func TestReplicasOfAnOwnerConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		states := history(t, 5, 20)
		source := states[len(states)-1]
		replicas := make([]*owner, 4)
		for i := range replicas {
			replicas[i] = states[rapid.IntRange(0, len(states)-1).Draw(t, "state")]
		}
		replicas[0] = source
		meet := func(i, j int) {
			var s step
			s.bring(replicas[i], ownerDigest{source.id, replicas[j].generation, replicas[j].version})
			for _, l := range s.lacks {
				l.turn()
			}
			fills, _ := s.pack(packetRoom)
			for _, f := range fills {
				for _, d := range f.deltas {
					for range 2 { // twice is once
						replicas[j], _ = apply(replicas[j], d)
					}
				}
			}
			checkPrefix(t, source, replicas[j])
		}
		for range rapid.IntRange(0, 20).Draw(t, "meetings") {
			meet(rapid.IntRange(0, 3).Draw(t, "from"), rapid.IntRange(0, 3).Draw(t, "to"))
		}
		for replicas[1].version < source.version {
			meet(0, 1)
		}
		for replicas[2].version < source.version {
			meet(1, 2)
		}
		for _, replica := range replicas[:3] {
			if replica.digest() != source.digest() || fmt.Sprint(replica.entries) != fmt.Sprint(source.entries) {
				t.Fatalf("%v, want %v", replica.entries, source.entries)
			}
		}
	})
}

// state is an owner with keys of a size, in the order of their versions.
func stateOf(number, keys, bytes int) *owner {
	o := &owner{id: nodeID(number), generation: 1}
	for i := range keys {
		o, _ = o.write(fmt.Sprintf("k%03d", i), make([]byte, bytes), false)
	}
	return o
}

func TestMembershipComesFirstAndThenEverybodyInTurn(t *testing.T) {
	var s step
	for i := range 4 {
		s.bring(stateOf(i, 40, 1000), ownerDigest{id: nodeID(i)})
	}
	member := stateOf(9, 20, 1000)
	member, _ = member.write(keyReport, (&report{}).encode(), false)
	s.bring(member, ownerDigest{id: nodeID(9)})
	s.shared = []*shared{
		newShared("a", make([]byte, 1000), false, 1, nodeID(1)),
		newShared(admissionKey(nodeID(1)), (&admission{status: StatusUp, generation: 1}).encode(), false, 1, nodeID(1)),
		newShared("b", make([]byte, 1000), false, 1, nodeID(1)),
	}
	for start := range uint64(12) {
		one := step{lacks: slices.Clone(s.lacks), shared: slices.Clone(s.shared)}
		for i, l := range one.lacks {
			copied := *l
			copied.news, copied.taken = nil, 0
			one.lacks[i] = &copied
		}
		one.choose(start)
		if one.lacks[0].owner.id != nodeID(9) || one.lacks[0].taken != len(one.lacks[0].news) || one.shared[0].admission == nil || len(one.shared) != 3 {
			t.Fatalf("first come %v and %v", one.lacks[0].owner.id, one.shared[0].key)
		}
		if len(one.lacks) != 5 || !one.more {
			t.Fatalf("%d owners, more: %v", len(one.lacks), one.more)
		}
		for _, l := range one.lacks[1:] {
			if l.taken < 9 || l.taken > 12 {
				t.Fatalf("one owner has %d of %d", l.taken, len(l.news))
			}
		}
	}
}

// A step brings as much as goes into it, and says whether that was all.
func TestAStepIsBounded(t *testing.T) {
	var entries []*shared
	total := 0
	for i := 0; total < maxStep; i++ {
		s := newShared(fmt.Sprintf("k%04d", i), make([]byte, min(1000, max(maxStep-total-40, 0))), false, 1, nodeID(1))
		entries, total = append(entries, s), total+sharedSize(s)
	}
	for _, tc := range []struct {
		name string
		list []*shared
		want int
		more bool
	}{
		{"one less", entries[:len(entries)-1], len(entries) - 1, false},
		{"full", entries, len(entries), false},
		{"one more", append(slices.Clone(entries), newShared("z", nil, false, 1, nodeID(1))), len(entries), true},
	} {
		s := step{shared: slices.Clone(tc.list)}
		s.choose(0)
		if len(s.shared) != tc.want || s.more != tc.more {
			t.Errorf("%s: %d entries, more: %v", tc.name, len(s.shared), s.more)
		}
	}
}

// What needs up to maxDatagrams datagrams travels in them, more over a stream.
func TestManyDatagramsAreOnePacketOverAStream(t *testing.T) {
	for _, tc := range []struct {
		name      string
		count     int
		value     int
		packets   int
		datagrams bool
	}{
		{"nothing", 0, 0, 0, true},
		{"one", 1, 1000, 1, true},
		{"as many as allowed", maxDatagrams, 1000, maxDatagrams, true},
		{"one more", maxDatagrams + 1, 1000, 1, false},
		{"the largest for a datagram", 1, datagramRoom - fillBytes - sharedSize(newShared("k000", make([]byte, 1000), false, 1, nodeID(1))) + 1000, 1, true},
		{"a larger one", 1, datagramRoom - fillBytes - sharedSize(newShared("k000", make([]byte, 1000), false, 1, nodeID(1))) + 1000 + fillBytes, 1, false},
		{"the largest value", 1, MaxValue, 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := founded(t)
			c.Ready()
			var s step
			for i := range tc.count {
				s.shared = append(s.shared, newShared(fmt.Sprintf("k%03d", i), make([]byte, tc.value), false, 1, nodeID(1)))
			}
			if sent := c.sendStep(partner{nodeID(2), addrOf(2, 0), 7}, s); sent != (tc.count > 0) {
				t.Fatal(sent)
			}
			packets := c.Ready().Send
			if len(packets) != tc.packets {
				t.Fatalf("%d packets", len(packets))
			}
			for _, out := range packets {
				if p := out.Message.(Packet); p.Reliable() == tc.datagrams || len(Encode(nil, p)) > MaxPacket {
					t.Fatalf("reliable %v, %d bytes", p.Reliable(), len(Encode(nil, p)))
				}
			}
		})
	}
}

// The largest state of one owner still makes one packet, with the largest step before it.
func TestTheLargestStateOfAnOwnerFitsAPacket(t *testing.T) {
	o := &owner{id: nodeID(2), generation: 1}
	long := func(prefix string, i int) string { return fmt.Sprintf("%s%0*d", prefix, MaxKey-1, i) }
	for i := range MaxOwnKeys {
		o, _ = o.write(long("a", i), nil, false)
		o, _ = o.write(long("a", i), nil, true)
	}
	for i := range MaxOwnKeys {
		if next, err := o.write(long("b", i), nil, false); err == nil {
			o = next
		}
	}
	if o.tombstones != MaxOwnKeys || o.bytes < MaxOwnBytes-MaxKey {
		t.Fatal(o.tombstones, o.bytes)
	}
	o = newOwner(o.id, o.generation, o.version+1, o.version+1-1, o.entries) // must be replaced as a whole
	o.entries = append(o.entries, entry{key: "z", version: o.version})
	whole := deltaSize(o.whole())
	if maxChunk+whole > packetRoom || maxStep+MaxValue+MaxKey+100+whole+maxDigests > packetRoom {
		t.Fatalf("%d bytes", whole)
	}
}

func TestOwnDeletionsAreRememberedUpToABound(t *testing.T) {
	o := &owner{id: nodeID(1), generation: 1}
	remove := func(i int) {
		o, _ = o.write(fmt.Sprint("k", i), nil, false)
		o, _ = o.write(fmt.Sprint("k", i), nil, true)
	}
	for i := range MaxOwnKeys {
		remove(i)
	}
	if o.tombstones != MaxOwnKeys || o.collected != 0 {
		t.Fatal(o.tombstones, o.collected)
	}
	remove(MaxOwnKeys)
	if o.tombstones != MaxOwnKeys || o.collected != 2 {
		t.Fatal(o.tombstones, o.collected)
	}
	if o, _ = o.write("k1", nil, false); o.tombstones != MaxOwnKeys-1 {
		t.Fatal("a tombstone stands beside its key")
	}
	crowd := func(n int) []entry {
		list := many(n)
		for i := range list {
			list[i].deleted, list[i].version = true, uint64(i+1)
		}
		return list
	}
	for n, want := range map[int]outcome{MaxOwnKeys: applied, MaxOwnKeys + 1: refused} {
		if _, got := apply(nil, delta{owner: nodeID(2), generation: 1, upto: 5000, entries: crowd(n)}); got != want {
			t.Errorf("%d tombstones: %v", n, got)
		}
	}
}

func TestApplyWithCollectedTombstones(t *testing.T) {
	base := newOwner(nodeID(2), 5, 4, 2, []entry{{key: "a", value: []byte("1"), version: 1}, {key: "b", version: 4, deleted: true}})
	for _, tc := range []struct {
		name string
		d    delta
		want outcome
		keys string
	}{
		{"tombstones gone up to what the replica has", delta{generation: 5, since: 4, upto: 9, collected: 4, entries: []entry{{key: "c", version: 9}}}, applied, "[a c]"},
		{"one more is gone", delta{generation: 5, since: 4, upto: 9, collected: 5, entries: []entry{{key: "c", version: 9}}}, gap, "[a b]"},
		{"from the beginning", delta{generation: 5, upto: 9, collected: 5, entries: []entry{{key: "c", version: 9}}}, applied, "[c]"},
		{"from the beginning, with all tombstones the replica needs", delta{generation: 5, upto: 9, collected: 4, entries: []entry{{key: "c", version: 9}}}, applied, "[a c]"},
		{"an older source's", delta{generation: 5, since: 4, upto: 5, entries: []entry{{key: "c", version: 5}}}, applied, "[a b c]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.d.owner = base.id
			got, result := apply(base, tc.d)
			var keys []string
			for _, e := range got.entries {
				keys = append(keys, e.key)
			}
			if result != tc.want || fmt.Sprint(keys) != tc.keys {
				t.Fatalf("outcome %d, %v", result, keys)
			}
		})
	}
}

func TestMalformedComparisonsAreRefused(t *testing.T) {
	good := delta{owner: nodeID(1), generation: 1, since: 1, upto: 3, collected: 3}
	bad := good
	bad.collected = 4
	for _, tc := range []struct {
		name string
		b    body
		want error
	}{
		{"tombstones gone up to the version", fill{deltas: []delta{good}}, nil},
		{"beyond the version", fill{deltas: []delta{bad}}, wire.ErrMalformed},
		{"owners among shared keys", digests{section: sectionShared, owners: []ownerDigest{{nodeID(1), 1, 1}}}, wire.ErrMalformed},
		{"shared keys among owners", digests{shared: []sharedDigest{{"k", 1, nodeID(1)}}}, wire.ErrMalformed},
		{"the last stamp", digests{section: sectionShared, shared: []sharedDigest{{"k", maxStamp - 1, nodeID(1)}}}, nil},
		{"a stamp that none can follow", digests{section: sectionShared, shared: []sharedDigest{{"k", maxStamp, nodeID(1)}}}, wire.ErrMalformed},
		{"a key without a name", digests{section: sectionShared, shared: []sharedDigest{{"", 1, nodeID(1)}}}, wire.ErrMalformed},
		{"the longest key", fill{keys: []sharedKey{sharedKey(make([]byte, MaxKey))}}, nil},
		{"a longer key", fill{keys: []sharedKey{sharedKey(make([]byte, MaxKey+1))}}, wire.ErrTooLong},
		{"a wish without a key", fill{keys: []sharedKey{"", "long"}}, wire.ErrMalformed},
		{"nobody", fill{owners: []ownerDigest{{}}}, wire.ErrMalformed},
		{"the last generation", digests{owners: []ownerDigest{{nodeID(1), maxCounter, maxCounter}}}, nil},
		{"a later generation", digests{owners: []ownerDigest{{nodeID(1), maxCounter + 1, 0}}}, wire.ErrMalformed},
		{"a later version", digests{owners: []ownerDigest{{nodeID(1), 1, maxCounter + 1}}}, wire.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := Packet{Sender: nodeID(1), bodies: []body{tc.b}}
			if _, err := Decode(Encode(nil, p)); !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
		})
	}
}
