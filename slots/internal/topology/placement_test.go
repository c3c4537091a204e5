package topology

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
	"github.com/egalcluster/egal/slots/internal/keyspace"
)

func node(n int) gossip.NodeID { return gossip.NodeID{0: byte(n >> 8), 1: byte(n), 15: 1} }

func id(n int) ServiceID { return ServiceID{Node: node(n)} }

func everybody(n int) []Candidate {
	all := make([]Candidate, n)
	for i := range all {
		all[i] = Candidate{ID: id(i + 1)}
	}
	return all
}

func rangesOf(p *Placement, id ServiceID) []Range {
	slots, _, _ := p.Of(id)
	return slots.Ranges()
}

func spread(p *Placement, candidates []Candidate) (least, most int) {
	least = keyspace.Slots
	for _, c := range candidates {
		slots, _, _ := p.Of(c.ID)
		least, most = min(least, slots.Len()), max(most, slots.Len())
	}
	return least, most
}

func moved(a, b *Placement) int {
	n := 0
	for slot := range keyspace.Slot(keyspace.Slots) {
		from, had := a.Owner(slot)
		to, has := b.Owner(slot)
		if had != has || from != to {
			n++
		}
	}
	return n
}

func TestFoundingRangesAreThoseOfRedisCLI(t *testing.T) {
	for _, c := range []struct {
		n    int
		want []Range
	}{
		{1, []Range{{0, 16383}}},
		{2, []Range{{0, 8191}, {8192, 16383}}},
		{3, []Range{{0, 5460}, {5461, 10922}, {10923, 16383}}},
		{5, []Range{{0, 3276}, {3277, 6553}, {6554, 9829}, {9830, 13106}, {13107, 16383}}},
		{6, []Range{{0, 2730}, {2731, 5460}, {5461, 8191}, {8192, 10922}, {10923, 13652}, {13653, 16383}}},
	} {
		p := Place(nil, everybody(c.n))
		for i, want := range c.want {
			if got := rangesOf(p, id(i+1)); len(got) != 1 || got[0] != want {
				t.Errorf("%d nodes: node %d has %v, want %v", c.n, i, got, want)
			}
		}
	}
}

func TestJoiningMovesAsFewSlotsAsPossible(t *testing.T) {
	before := Place(nil, everybody(3))
	after := Place(before, everybody(4))
	if n := moved(before, after); n != keyspace.Slots/4 {
		t.Errorf("%d slots moved, want %d", n, keyspace.Slots/4)
	}
	if least, most := spread(after, everybody(4)); least != 4096 || most != 4096 {
		t.Errorf("shares from %d to %d", least, most)
	}
}

func TestAMemberThatCannotBeReachedKeepsItsSlots(t *testing.T) {
	before := Place(nil, everybody(3))
	candidates := everybody(3)
	candidates[1].Frozen = true
	if after := Place(before, candidates); !after.Equal(before) {
		t.Error("the placement changed")
	}
	candidates = append(candidates, Candidate{ID: id(4)})
	after := Place(before, candidates)
	if !slices.Equal(rangesOf(after, id(2)), rangesOf(before, id(2))) {
		t.Error("its slots moved when another joined")
	}
	if _, _, ok := Place(before, append(everybody(3), Candidate{ID: id(4), Frozen: true})).Of(id(4)); ok {
		t.Error("one that cannot be reached was given slots")
	}
}

func TestTheSlotsOfARemovedMemberAreDividedAmongTheOthers(t *testing.T) {
	before := Place(nil, everybody(4))
	after := Place(before, everybody(3))
	if n := moved(before, after); n != 4096 {
		t.Errorf("%d slots moved, want the 4096 of the one that left", n)
	}
	if least, most := spread(after, everybody(3)); most-least > 1 {
		t.Errorf("shares from %d to %d", least, most)
	}
}

func TestWithoutAPlacementSlotsStayWhereTheyAreHeld(t *testing.T) {
	candidates := everybody(2)
	held := SetOf([]Range{{0, 99}, {16000, 16383}})
	candidates[1].Holds = &held
	p := Place(nil, candidates)
	got, _, _ := p.Of(id(2))
	if kept := got.and(&held); kept != held {
		t.Errorf("%d of %d held slots stayed", kept.Len(), held.Len())
	}
}

func TestNobodyToPlaceOn(t *testing.T) {
	if Place(nil, nil) != nil || Place(nil, []Candidate{{ID: id(1), Frozen: true}}) != nil {
		t.Error("a placement on nobody")
	}
}

func TestMoreServicesThanSlots(t *testing.T) {
	candidates := make([]Candidate, MaxServices)
	for i := range candidates {
		candidates[i].ID = ServiceID{Node: gossip.NodeID{0: byte(i >> 8), 1: byte(i)}}
	}
	p := Place(nil, candidates)
	if n := len(p.Services()); n != keyspace.Slots {
		t.Errorf("%d services have slots, want %d", n, keyspace.Slots)
	}
	again, err := DecodePlacement(p.Encode())
	if !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("a placement over the bound was read: %v, %v", again != nil, err)
	}
}

// Model: after any history of joining, leaving and outages, every slot has an owner, the reachable have equal shares,
// the unreachable keep theirs, and nobody's surplus moves needlessly.
func TestPlaceProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p *Placement
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			members := rapid.SliceOfNDistinct(rapid.IntRange(1, 12), 1, 9, rapid.ID[int]).Draw(t, "members")
			slices.Sort(members)
			var candidates []Candidate
			var active []Candidate
			for _, m := range members {
				c := Candidate{ID: id(m), Frozen: rapid.IntRange(0, 3).Draw(t, "frozen") == 0}
				candidates = append(candidates, c)
				if !c.Frozen {
					active = append(active, c)
				}
			}
			next := Place(p, candidates)
			if len(active) == 0 {
				if next != nil {
					t.Fatal("placed on nobody")
				}
				continue
			}
			if again := Place(p, candidates); !again.Equal(next) {
				t.Fatal("equal inputs, different placements")
			}
			if again := Place(next, candidates); !again.Equal(next) {
				t.Fatal("the result is not at rest")
			}
			checkPlacement(t, p, next, candidates, active)
			p = next
		}
	})
}

func checkPlacement(t *rapid.T, p, next *Placement, candidates, active []Candidate) {
	for slot := range keyspace.Slot(keyspace.Slots) {
		if _, ok := next.Owner(slot); !ok {
			t.Fatalf("slot %d has no owner", slot)
		}
	}
	if least, most := spread(next, active); most-least > 1 {
		t.Fatalf("shares from %d to %d", least, most)
	}
	decoded, err := DecodePlacement(next.Encode())
	if err != nil || !decoded.Equal(next) {
		t.Fatalf("decoded: %v", err)
	}
	if p == nil {
		return
	}
	for _, c := range candidates {
		before, _, _ := p.Of(c.ID)
		after, _, _ := next.Of(c.ID)
		lost, won := before.minus(&after), after.minus(&before)
		if c.Frozen && !lost.empty() {
			t.Fatal("an unreachable one lost slots")
		}
		if !lost.empty() && !won.empty() {
			t.Fatal("one both lost and won slots")
		}
	}
}

func drawSet(t *rapid.T) (s SlotSet) {
	for range rapid.IntRange(0, 5).Draw(t, "ranges") {
		first := rapid.IntRange(0, keyspace.Slots-1).Draw(t, "first")
		for slot := first; slot <= min(first+rapid.IntRange(0, 2000).Draw(t, "more"), keyspace.Slots-1); slot++ {
			s.Add(keyspace.Slot(slot))
		}
	}
	return s
}

func drawClaim(t *rapid.T) *Claim {
	c := &Claim{
		Host:  rapid.StringMatching(`[a-z0-9.:_-]{0,40}`).Draw(t, "host"),
		Port:  rapid.Uint16().Draw(t, "port"),
		Epoch: rapid.Uint64Range(0, MaxEpoch).Draw(t, "epoch"), Slots: drawSet(t),
	}
	c.IP, _ = netip.AddrFromSlice(rapid.SampledFrom([][]byte{nil, {127, 0, 0, 1}, bytes.Repeat([]byte{7}, 16)}).Draw(t, "ip"))
	for range rapid.IntRange(0, 4).Draw(t, "grants") {
		slot, to := keyspace.Slot(rapid.IntRange(0, keyspace.Slots-1).Draw(t, "slot")), id(rapid.IntRange(1, 3).Draw(t, "to"))
		if !c.has(slot) {
			c.grant(to, slot)
			c.receipt(to, rapid.Uint64Range(0, MaxEpoch).Draw(t, "taken"))
		}
	}
	return c
}

func TestClaimsReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawClaim(t)
		got, err := DecodeClaim(want.Encode())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v: %v", got, err)
		}
	})
}

func TestBoundsOfClaims(t *testing.T) {
	alternating := SlotSet{}
	for slot := keyspace.Slot(0); slot < keyspace.Slots; slot += 2 {
		alternating.Add(slot)
	}
	for _, c := range []struct {
		name  string
		claim Claim
		ok    bool
	}{
		{"host at the bound", Claim{Host: strings.Repeat("a", MaxHost)}, true},
		{"host beyond the bound", Claim{Host: strings.Repeat("a", MaxHost+1)}, false},
		{"host with a space", Claim{Host: "a b"}, false},
		{"epoch at the bound", Claim{Epoch: MaxEpoch}, true},
		{"epoch beyond the bound", Claim{Epoch: MaxEpoch + 1}, false},
		{"every other slot", Claim{Slots: alternating}, true},
		{"all slots", Claim{Slots: SetOf([]Range{{0, 16383}})}, true},
	} {
		if _, err := DecodeClaim(c.claim.Encode()); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestMalformedRecordsAreRefused(t *testing.T) {
	seal := func(b ...byte) []byte { return wire.Seal(1, b) }
	claim := []byte{0, 0, 1, 0, 2, 0, 5} // no host, no address, ports 1 and 2, epoch 5
	with := func(tail ...byte) []byte { return seal(append(append(slices.Clone(claim), tail...), 0)...) }
	grants := func(list ...byte) []byte { return seal(append(append(slices.Clone(claim), 0), list...)...) }
	one := append(append([]byte{1}, make([]byte, 16)...), 0) // one service of node 0
	for name, record := range map[string][]byte{
		"empty":                    nil,
		"version from the future":  wire.Seal(2, nil),
		"version 0":                wire.Seal(0, claim),
		"address of three bytes":   seal(0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0),
		"ranges declared, missing": with(0xff, 0x7f),
		"range beyond the last":    with(1, 0x80, 0x80, 0x01, 0),
		"ranges touch":             with(2, 0, 0, 0, 0),
		"trailing byte":            with(0, 0, 9),
		"grant of nothing":         grants(append(slices.Clone(one), 0, 0)...),
		"grant twice":              grants(slices.Concat([]byte{2}, one[1:], []byte{0, 1, 3, 0}, one[1:], []byte{0, 1, 4, 0})...),
		"grants declared, missing": grants(0xff, 0x01),
		"longer than a record":     wire.Seal(1, make([]byte, MaxRecord)),
	} {
		if _, err := DecodeClaim(record); err == nil {
			t.Errorf("claim: %s: accepted", name)
		}
	}
	if c, err := DecodeClaim(with(1, 3, 1)); err != nil || c.Slots.Ranges()[0] != (Range{3, 4}) {
		t.Errorf("well-formed claim: %v", err)
	}
	if c, err := DecodeClaim(grants(append(slices.Clone(one), 7, 1, 3, 0)...)); err != nil || !c.has(3) {
		t.Errorf("well-formed grant: %v", err)
	}
	placement := func(tail ...byte) []byte { return seal(append(slices.Clone(one), tail...)...) }
	for name, record := range map[string][]byte{
		"empty":              nil,
		"slots not covered":  placement(1, 1, 5),
		"unknown service":    placement(1, 2, 0xff, 0x7f),
		"equal neighbours":   placement(2, 1, 0, 1, 0xfe, 0x7f),
		"too many slots":     placement(1, 1, 0x80, 0x80, 1),
		"service index":      seal(append(append([]byte{1}, make([]byte, 16)...), MaxServicesPerNode, 1, 0, 0xff, 0x7f)...),
		"service twice":      seal(slices.Concat([]byte{2}, one[1:], one[1:], []byte{1, 1, 0xff, 0x7f})...),
		"services missing":   seal(0xff, 0x7f),
		"runs beyond bounds": placement(0x81, 0x80, 0x01),
	} {
		if _, err := DecodePlacement(record); err == nil {
			t.Errorf("placement: %s: accepted", name)
		}
	}
	if _, err := DecodePlacement(placement(1, 1, 0xff, 0x7f)); err != nil {
		t.Errorf("well-formed placement: %v", err)
	}
}

func TestServiceIDs(t *testing.T) {
	want := ServiceID{Node: node(0x1234), Index: 0xabcdef01}
	if got, err := ParseServiceID(want.String()); err != nil || got != want || len(want.String()) != 40 {
		t.Errorf("%s: %v, %v", want, got, err)
	}
	for _, s := range []string{"", strings.Repeat("0", 39), strings.Repeat("0", 41), strings.Repeat("g", 40)} {
		if _, err := ParseServiceID(s); err == nil {
			t.Errorf("%q: accepted", s)
		}
	}
	if id(1).Compare(id(2)) >= 0 || id(1).Compare(ServiceID{Node: node(1), Index: 1}) >= 0 || id(1).Compare(id(1)) != 0 {
		t.Error("the order of ids is not that of their strings")
	}
}

func FuzzDecodeClaim(f *testing.F) {
	full := Claim{Host: "a.example", IP: netip.AddrFrom4([4]byte{10, 0, 0, 1}), Port: 6379, BusPort: 7946, Epoch: 3, Slots: SetOf([]Range{{0, 5460}, {9000, 9000}})}
	f.Add(full.Encode())
	f.Add((&Claim{}).Encode())
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, record := range [][]byte{payload, wire.Seal(claimVersion, payload)} {
			c, err := DecodeClaim(record)
			if err == nil && !bytes.Equal(c.Encode(), record) {
				t.Fatalf("two records of one claim: %x and %x", record, c.Encode())
			}
		}
	})
}

func FuzzDecodePlacement(f *testing.F) {
	f.Add(Place(nil, everybody(3)).Encode())
	f.Add(Place(Place(nil, everybody(3)), everybody(5)).Encode())
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, record := range [][]byte{payload, wire.Seal(placementVersion, payload)} {
			p, err := DecodePlacement(record)
			if err == nil && !bytes.Equal(p.Encode(), record) {
				t.Fatalf("two records of one placement: %x and %x", record, p.Encode())
			}
		}
	})
}
