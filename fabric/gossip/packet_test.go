package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/wire"
)

// samples are packets of every kind.
func samples() []Packet {
	own := newOwner(nodeID(1), 3, 7, 0, []entry{{key: "a", value: []byte("1"), version: 2}, {key: "b", version: 7}})
	part := own.whole()
	part.since = 1
	part.entries = append(part.entries, entry{key: "c", version: 5, deleted: true})
	described := about{boot: 1, addr: addrOf(1, 0), name: "n1", location: "dc1/rack1", roles: []string{"data"}}
	whole := newOwner(nodeID(1), 3, 7, 0, []entry{{key: keyNode, value: described.encode(), version: 7}}).whole()
	list := []*shared{newShared("k", []byte("v"), false, 9, nodeID(2)), newShared("gone", nil, true, 10, nodeID(1))}
	batch := &payload{own: []delta{part, whole}, shared: list}
	batch.measure()
	empty := &payload{}
	empty.measure()
	id := RumorID{Origin: nodeID(1), Generation: 3, Sequence: 1}
	var packets []Packet
	for _, b := range []body{
		probe{sequence: 1, root: 2, wall: 3},
		ack{sequence: math.MaxUint64, root: 2, wall: -3},
		rumor{id: id, slot: 1 << 40, span: wholeSpan, flags: flagLazy, avoid: []uint64{7, 8}, payload: batch},
		rumor{id: id, span: span{5, 5}, payload: empty},
		rumor{id: id, span: span{5, 5}},
		rumor{id: id, span: wholeSpan, about: &question{view: 1, owner: nodeID(2), generation: 3, version: 4}},
		answer{id: id, span: wholeSpan},
		answer{id: id, span: wholeSpan, done: true, confirm: true, result: result{count: 300, xor: 1, min: math.MaxUint64, missing: []NodeID{nodeID(4)}, unequal: true}},
		settled{id: id, span: wholeSpan},
		joinRequest{own: whole, whole: true, next: position{sectionOwners, 7, "k"}},
		joinRefusal{ReasonNoCluster},
		stateChunk{root: 1, last: true, next: position{sectionShared, 7, "k"}, owners: []delta{whole}, shared: list},
		stateChunk{},
		help{7, nodeID(3)},
		helped{7, nodeID(3), true},
		alerts{},
		alerts{[]alert{{1, 2, evidenceLook}, {2, 3, evidenceSilent}, {9, 9, evidenceRefused}, {math.MaxUint64, 1, evidenceAnswers}}},
		roots{1, math.MaxUint64},
		sums{section: sectionShared, salt: 7, list: [buckets]uint32{1, 2, buckets - 1: math.MaxUint32}},
		digests{covered: bucketSet{1, 0, 0, math.MaxUint64}, more: true, owners: []ownerDigest{{nodeID(1), 3, 7}, {nodeID(2), maxCounter, 0}}},
		digests{section: sectionShared, partial: true, shared: []sharedDigest{{"k", 9, nodeID(2)}, {"gone", maxStamp - 1, nodeID(1)}}},
		fill{more: true, deltas: []delta{part, whole}, shared: list, owners: []ownerDigest{{nodeID(1), 0, 0}}, keys: []sharedKey{"k", "gone"}},
		fill{},
	} {
		packets = append(packets, Packet{Cluster: testCluster, Sender: nodeID(1), Generation: 3, Boot: 1, ReceiverBoot: 2, bodies: []body{b}})
	}
	all := packets[0]
	for _, p := range packets[1:10] {
		all.bodies = append(all.bodies, p.bodies...)
	}
	return append(packets, all)
}

func TestPacketsSurviveTheirEncoding(t *testing.T) {
	for _, p := range samples() {
		t.Run(p.String(), func(t *testing.T) {
			encoded := Encode(nil, p)
			if len(encoded) > p.size() {
				t.Fatalf("%d bytes, at most %d were promised", len(encoded), p.size())
			}
			decoded, err := Decode(encoded)
			if err != nil {
				t.Fatal(err)
			}
			again := Encode(nil, decoded)
			if !bytes.Equal(encoded, again) || decoded.Reliable() != p.Reliable() || decoded.String() != p.String() {
				t.Fatalf("%v became %v", p, decoded)
			}
			for cut := range encoded {
				if _, err := Decode(encoded[:cut]); err == nil && !between(p, cut) {
					t.Fatalf("cut at %d of %d bytes: no error", cut, len(encoded))
				}
			}
			if _, err := Decode(append(encoded, 0)); err == nil {
				t.Fatal("a body without length was taken")
			}
		})
	}
}

// between reports whether the packet ends at a body when it is cut there.
func between(p Packet, cut int) bool {
	for i := range p.bodies {
		whole := p
		whole.bodies = p.bodies[:i]
		if len(Encode(nil, whole)) == cut {
			return true
		}
	}
	return false
}

func TestUnknownBodies(t *testing.T) {
	p := Packet{Cluster: testCluster, Sender: nodeID(1), bodies: []body{probe{}}}
	for _, tc := range []struct {
		name string
		kind uint8
		want error
	}{{"an odd kind is skipped", 201, nil}, {"an even kind is refused", 202, wire.ErrMalformed}} {
		encoded := append(Encode(nil, p), tc.kind, 3, 1, 2, 3)
		if decoded, err := Decode(encoded); !errors.Is(err, tc.want) || tc.want == nil && len(decoded.bodies) != 1 {
			t.Fatalf("%s: %v, %v", tc.name, decoded, err)
		}
	}
	for _, count := range []int{maxBodies, maxBodies + 1} {
		p.bodies = slices.Repeat([]body{probe{}}, count)
		if _, err := Decode(Encode(nil, p)); (err == nil) != (count <= maxBodies) {
			t.Fatalf("%d bodies: %v", count, err)
		}
	}
}

func TestWhatGoesOverAStream(t *testing.T) {
	of := func(b body) Packet { return Packet{bodies: []body{b}} }
	sized := func(value int) Packet {
		batch := &payload{shared: []*shared{newShared("k", make([]byte, value), false, 1, nodeID(1))}}
		batch.measure()
		return of(rumor{payload: batch})
	}
	limit := MaxDatagram - sized(0).size() - 2 // two lengths take a byte more
	for _, tc := range []struct {
		name string
		p    Packet
		want bool
	}{
		{"a probe", of(probe{}), false},
		{"a rumor of one datagram", sized(limit), false},
		{"a rumor one byte larger", sized(limit + 1), true},
		{"a request to join", of(joinRequest{}), true},
		{"a refusal", of(joinRefusal{}), true},
		{"state", of(stateChunk{}), true},
	} {
		if got := tc.p.Reliable(); got != tc.want {
			t.Errorf("%s: reliable = %v", tc.name, got)
		}
		if encoded := Encode(nil, tc.p); !tc.want && len(encoded) > MaxDatagram {
			t.Errorf("%s: %d bytes in a datagram", tc.name, len(encoded))
		}
	}
}

func TestMalformedPacketsAreRefused(t *testing.T) {
	rumorOf := func(s span, own *delta, list ...*shared) Packet {
		batch := &payload{shared: list}
		if own != nil {
			batch.own = []delta{*own}
		}
		return Packet{Sender: nodeID(1), bodies: []body{rumor{id: RumorID{Origin: nodeID(1), Generation: 1}, span: s, payload: batch}}}
	}
	id := RumorID{Origin: nodeID(1), Generation: 1}
	missingOf := func(n int) Packet {
		return Packet{bodies: []body{answer{id: id, done: true, result: result{missing: make([]NodeID, n)}}}}
	}
	good := delta{owner: nodeID(1), generation: 1, since: 1, upto: 3, entries: []entry{{key: "a", version: 2}, {key: "b", version: 3}}}
	broken := func(change func(d *delta)) *delta {
		d := good
		d.entries = append([]entry(nil), good.entries...)
		change(&d)
		return &d
	}
	for _, tc := range []struct {
		name string
		p    Packet
		want error
	}{
		{"a sound rumor", rumorOf(wholeSpan, &good), nil},
		{"an interval upside down", rumorOf(span{2, 1}, nil), wire.ErrMalformed},
		{"about nobody", rumorOf(wholeSpan, broken(func(d *delta) { d.owner = NodeID{} })), wire.ErrMalformed},
		{"a rumor of nobody", Packet{bodies: []body{rumor{span: wholeSpan}}}, wire.ErrMalformed},
		{"an answer with an interval upside down", Packet{bodies: []body{answer{id: id, span: span{2, 1}}}}, wire.ErrMalformed},
		{"the most missing", missingOf(maxMissing), nil},
		{"one more missing", missingOf(maxMissing + 1), wire.ErrTooLong},
		{"the most avoided", Packet{bodies: []body{rumor{id: id, avoid: make([]uint64, maxAvoid)}}}, nil},
		{"one more avoided", Packet{bodies: []body{rumor{id: id, avoid: make([]uint64, maxAvoid+1)}}}, wire.ErrTooLong},
		{"a count of more than there can be", Packet{bodies: []body{answer{id: id, done: true, result: result{count: MaxMembers + 1}}}}, wire.ErrMalformed},
		{"an empty stretch", rumorOf(wholeSpan, broken(func(d *delta) { d.upto = 1 })), wire.ErrMalformed},
		{"keys out of order", rumorOf(wholeSpan, broken(func(d *delta) { d.entries[0].key = "c" })), wire.ErrMalformed},
		{"a key twice", rumorOf(wholeSpan, broken(func(d *delta) { d.entries[0].key = "b" })), wire.ErrMalformed},
		{"a version before the stretch", rumorOf(wholeSpan, broken(func(d *delta) { d.entries[0].version = 1 })), wire.ErrMalformed},
		{"a version after the stretch", rumorOf(wholeSpan, broken(func(d *delta) { d.entries[0].version = 4 })), wire.ErrMalformed},
		{"the longest key", rumorOf(wholeSpan, nil, newShared(string(make([]byte, MaxKey)), nil, false, 1, nodeID(1))), nil},
		{"a longer key", rumorOf(wholeSpan, nil, newShared(string(make([]byte, MaxKey+1)), nil, false, 1, nodeID(1))), wire.ErrTooLong},
		{"the longest value", rumorOf(wholeSpan, nil, newShared("k", make([]byte, MaxValue), false, 1, nodeID(1))), nil},
		{"a longer value", rumorOf(wholeSpan, nil, newShared("k", make([]byte, MaxValue+1), false, 1, nodeID(1))), wire.ErrTooLong},
		{"a shared entry without key", rumorOf(wholeSpan, nil, newShared("", nil, false, 1, nodeID(1))), wire.ErrMalformed},
		{"a stamp that none can follow", rumorOf(wholeSpan, nil, newShared("k", nil, false, maxStamp, nodeID(1))), wire.ErrMalformed},
		{"the last stamp", rumorOf(wholeSpan, nil, newShared("k", nil, false, maxStamp-1, nodeID(1))), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Decode(Encode(nil, tc.p)); !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
		})
	}
	if _, err := Decode([]byte{packetVersion + 1, kindProbe}); !errors.Is(err, wire.ErrVersion) {
		t.Error("a later version:", err)
	}
	if _, err := Decode(make([]byte, MaxPacket+1)); !errors.Is(err, wire.ErrTooLong) {
		t.Error("a larger packet:", err)
	}
}

// golden is the encoding of a probe: part of our wire format.
func TestTheWireFormatIsStable(t *testing.T) {
	got := fmt.Sprintf("%x", Encode(nil, samples()[0]))
	const want = "02" + "01000000000000000000000000000000" + "910a2dec89025cc10000000000000001" + "03" +
		"0100000000000000" + "0200000000000000" + "0218" + "0100000000000000" + "0200000000000000" + "0300000000000000"
	if got != want {
		t.Fatalf("got %s", got)
	}
}

func FuzzDecode(f *testing.F) {
	for _, p := range samples() {
		f.Add(Encode(nil, p))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if err != nil {
			return
		}
		again := Encode(nil, p)
		if len(again) > p.size() {
			t.Fatal("larger than promised")
		}
		if second, err := Decode(again); err != nil || !bytes.Equal(Encode(nil, second), again) {
			t.Fatalf("does not survive its encoding: %v", err)
		}
		_ = p.String()
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add([]byte{})
	f.Add(EncodeSnapshot(NewView(Contents{Cluster: testCluster, Members: []Member{{ID: nodeID(1), Status: StatusUp}}})))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, record := range [][]byte{b, wire.Seal(snapshotVersion, b)} {
			if s, err := DecodeSnapshot(record); err == nil {
				start(t, s)
			}
		}
	})
}

func start(t *testing.T, s *Snapshot) {
	t.Helper()
	c, err := New(Config{ID: nodeID(1), Boot: 1, Generation: 1, Addr: addrOf(1, 0), Snapshot: s}, simStart)
	if err != nil {
		t.Fatal(err)
	}
	c.Ready()
	c.Tick(c.Next())
	c.Ready()
}

// FuzzReceive hands arbitrary packets, that a peer of the same cluster may send, to a core: no panic, and no map or
// list grows beyond its bound.
func FuzzReceive(f *testing.F) {
	for _, p := range samples() {
		f.Add(Encode(nil, p), uint16(10))
	}
	f.Fuzz(func(t *testing.T, b []byte, step uint16) {
		c, err := New(Config{ID: nodeID(9), Boot: 2, Generation: 1, Addr: addrOf(9, 0)}, simStart)
		if err != nil {
			t.Fatal(err)
		}
		now := simStart
		if step%2 == 0 {
			c.Receive(now, c.cfg.Addr, Found{testCluster})
		} else {
			c.Receive(now, c.cfg.Addr, Join{Seeds: []Peer{addrOf(1, 0)}})
		}
		for len(b) > 0 { // a list of packets, each of the length that its first byte says
			n := min(len(b), 1+int(b[0])*2)
			for _, frame := range [][]byte{b, b[:n], b[1:n]} {
				p, err := Decode(frame)
				if err != nil {
					continue
				}
				for _, receiver := range []BootID{p.ReceiverBoot, c.cfg.Boot, 0} {
					p.ReceiverBoot, p.Cluster = receiver, testCluster
					c.Receive(now, netip.AddrPort{}, p)
					c.Receive(now, addrOf(1, 0), p)
				}
			}
			b = b[n:]
			now = now.Add(time.Duration(step) * time.Millisecond)
			if !c.Next().IsZero() {
				c.Tick(now)
			}
			checkReady(t, c)
		}
		(&checker{cluster: &cluster{t: t}}).bounds(&simNode{core: c})
	})
}

func checkReady(t *testing.T, c *Core) {
	t.Helper()
	ready := c.Ready()
	if len(ready.Send) > 10_000 {
		t.Fatalf("%d packets at once", len(ready.Send))
	}
	for _, out := range ready.Send {
		encoded := Encode(nil, out.Message.(Packet))
		if len(encoded) > MaxPacket {
			t.Fatalf("a packet of %d bytes", len(encoded))
		}
		if _, err := Decode(encoded); err != nil {
			t.Fatalf("an own packet is malformed: %v", err)
		}
	}
}
