package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
)

// samples are messages of every kind.
func samples() []Message {
	set := func(numbers ...int) (list []Voter) {
		for _, n := range numbers {
			list = append(list, Voter{idOf(n, 0), n%2 == 0})
		}
		slices.SortFunc(list, func(a, b Voter) int { return a.ID.Compare(b.ID) })
		return list
	}
	b := Ballot{Counter: 300, Proposer: idOf(1, 0), Boot: 1 << 60, Step: 5}
	simple := Configuration{Epoch: 1, Lease: 400 * time.Millisecond, Voters: set(1, 2, 3)}
	joint := Configuration{Epoch: 2, Lease: MaxLease, Voters: set(1, 2, 3, 4, 5, 6, 7), Next: set(8, 9)}
	state := &State{Version: 7, Change: ChangeID{idOf(1, 0), 3, 9}, Value: []byte("value"), Configuration: simple}
	empty := &State{Version: 1, Value: []byte{}, Configuration: joint}
	return []Message{
		prepare{"g", b, simple},
		prepare{GroupID(strings.Repeat("g", MaxGroupID)), Ballot{Counter: maxCounter, Step: maxStep}, Configuration{Voters: set(1)}},
		promise{"g", b, Ballot{}, nil},
		promise{"g", b, b, state},
		accept{"g", b, empty},
		accepted{"g", b},
		refuse{group: "g", ballot: b, reason: reasonOutbid, promised: b, accepted: b, configuration: &joint},
		refuse{group: "g", turn: turn{1, 2}, reason: reasonFull},
		query{"g", turn{1, 2}},
		report{"g", turn{1, 2}, b, state},
		report{"g", turn{1, 2}, Ballot{}, nil},
		renew{"g", turn{3, 4}, 5},
		granted{group: "g", turn: turn{3, 4}, accepted: b},
		granted{group: "g", turn: turn{3, 4}, refused: true, wait: MaxLease, holder: idOf(2, 0), accepted: b, configuration: &simple},
		surrender{"g", turn{3, 4}},
		retire{"g", b, simple},
	}
}

func TestMessagesSurviveTheirEncoding(t *testing.T) {
	for _, m := range samples() {
		t.Run(fmt.Sprintf("%T", m), func(t *testing.T) {
			encoded := Encode(nil, m)
			decoded, err := Decode(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(decoded, m) {
				t.Fatalf("%+v became %+v", m, decoded)
			}
			for cut := range encoded {
				if _, err := Decode(encoded[:cut]); err == nil {
					t.Fatalf("cut at %d of %d bytes: no error", cut, len(encoded))
				}
			}
			if _, err := Decode(append(encoded, 0)); !errors.Is(err, wire.ErrTrailing) {
				t.Fatal(err)
			}
		})
	}
}

func TestWhatIsNoMessage(t *testing.T) {
	b := Ballot{Counter: 1, Proposer: idOf(1, 0)}
	of := func(set ...Voter) Configuration { return Configuration{Epoch: 1, Voters: set} }
	one, two := Voter{idOf(1, 0), true}, Voter{idOf(2, 0), true}
	if one.ID.Compare(two.ID) > 0 {
		one, two = two, one
	}
	state := State{Version: 1, Configuration: of(one)}
	changed := func(change func(*State)) *State {
		s := state
		change(&s)
		return &s
	}
	var eight []Voter
	for i := range 8 {
		eight = append(eight, Voter{gossip.NodeID{byte(i + 1)}, true})
	}
	for _, tc := range []struct {
		name string
		m    Message
		want error
	}{
		{"a good one", accept{"g", b, &state}, nil},
		{"no group", accept{"", b, &state}, wire.ErrMalformed},
		{"a long group", accept{GroupID(strings.Repeat("g", MaxGroupID+1)), b, &state}, wire.ErrTooLong},
		{"the largest value", accept{"g", b, changed(func(s *State) { s.Value = make([]byte, MaxValue) })}, nil},
		{"a larger one", accept{"g", b, changed(func(s *State) { s.Value = make([]byte, MaxValue+1) })}, wire.ErrTooLong},
		{"version 0", accept{"g", b, changed(func(s *State) { s.Version = 0 })}, wire.ErrMalformed},
		{"epoch 0", accept{"g", b, changed(func(s *State) { s.Epoch = 0 })}, wire.ErrMalformed},
		{"a long lease", accept{"g", b, changed(func(s *State) { s.Lease = MaxLease + time.Microsecond })}, wire.ErrMalformed},
		{"no voters", prepare{"g", b, of()}, wire.ErrMalformed},
		{"seven voters", prepare{"g", b, of(eight[:7]...)}, nil},
		{"eight voters", prepare{"g", b, of(eight...)}, wire.ErrTooLong},
		{"voters out of order", prepare{"g", b, of(two, one)}, wire.ErrMalformed},
		{"a voter twice", prepare{"g", b, of(one, one)}, wire.ErrMalformed},
		{"nobody", prepare{"g", b, of(Voter{})}, wire.ErrMalformed},
		{"a counter that ends all others", accepted{"g", Ballot{Counter: maxCounter + 1}}, wire.ErrMalformed},
		{"a step that ends all others", accepted{"g", Ballot{Counter: 1, Step: maxStep + 1}}, wire.ErrMalformed},
		{"no reason", refuse{group: "g"}, wire.ErrMalformed},
		{"an unknown reason", refuse{group: "g", reason: reasonLast + 1}, wire.ErrMalformed},
		{"a long wait", granted{group: "g", wait: MaxLease + time.Microsecond}, wire.ErrMalformed},
	} {
		encoded := Encode(nil, tc.m)
		if _, err := Decode(encoded); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if tc.want == nil && len(encoded) > MaxPacket {
			t.Errorf("%s: %d bytes", tc.name, len(encoded))
		}
	}
	for _, b := range [][]byte{nil, {packetVersion}, {packetVersion, 0, 1, 'g'}, {packetVersion, byte(kindRetire) + 1, 1, 'g'}} {
		if _, err := Decode(b); err == nil {
			t.Errorf("%v was taken", b)
		}
	}
	if _, err := Decode([]byte{packetVersion + 1}); !errors.Is(err, wire.ErrVersion) {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samples() {
		f.Add(Encode(nil, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		if again := Encode(nil, m); !bytes.Equal(again, b) {
			t.Fatalf("%x is %+v, which is %x", b, m, again)
		}
	})
}

// FuzzReceive gives a core whatever can be decoded, from whomever, and asks it to do something of its own in between.
// Nothing may panic or hang, and what it saves must be read back.
func FuzzReceive(f *testing.F) {
	var all []byte
	for _, m := range samples() {
		encoded := Encode(nil, m)
		all = append(append(all, byte(len(encoded))), encoded...)
		f.Add(uint64(1), append([]byte{byte(len(encoded))}, encoded...))
	}
	f.Add(uint64(2), all)
	f.Fuzz(func(t *testing.T, seed uint64, b []byte) {
		choose := rand.New(rand.NewPCG(seed, 1))
		me := idOf(1, 0)
		c, err := New(Config{ID: me, Boot: 1, Fresh: true, Seed: seed}, nil, simStart)
		if err != nil {
			t.Fatal(err)
		}
		var log [][]byte
		now := simStart
		ids := []gossip.NodeID{me, idOf(2, 0), idOf(3, 0)}
		requests := []Message{
			Create{Group: "g", Voters: ids, Lease: time.Second},
			Change{Group: "g", Voters: ids, Expected: 1},
			Read{Group: "g", Voters: ids},
			Reconfigure{Group: "g", Voters: ids, Expected: 1, Target: ids[:1]},
			Hold{Group: "g", Voters: ids},
			Release{Group: "g"},
		}
		for len(b) > 0 {
			n := min(int(b[0]), len(b)-1)
			if m, err := Decode(b[1 : 1+n]); err == nil {
				c.Receive(now, ids[choose.IntN(3)], m)
			}
			b = b[1+n:]
			if choose.IntN(2) == 0 {
				c.Receive(now, me, requests[choose.IntN(len(requests))])
			}
			now = now.Add(time.Duration(choose.IntN(100)) * time.Millisecond)
			if next := c.Next(); !next.IsZero() && !next.After(now) {
				c.Tick(now)
			}
			log = append(log, Records(c.Ready().Save)...)
		}
		log = append(log, Records(c.Ready().Save)...)
		again, err := New(Config{ID: me, Boot: 2}, log, now)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again.Log(), c.Log()) {
			t.Fatal("the log does not bring back what was promised")
		}
	})
}
