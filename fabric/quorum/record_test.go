package quorum

import (
	"errors"
	"reflect"
	"slices"
	"testing"
)

// sampleLog is a log with records of every kind.
func sampleLog() [][]byte {
	save := saveNode(idOf(1, 0))
	f := Configuration{Epoch: 3, Voters: []Voter{{ID: idOf(2, 0)}}}
	b := Ballot{Counter: 2, Proposer: idOf(2, 0), Boot: 1}
	at := b
	at.Step = 3
	for _, g := range []*register{
		{group: "promised", promised: b},
		{group: "accepted", promised: b, accepted: at, state: &State{Version: 1, Value: []byte("v"), Configuration: f}},
		{group: "left", promised: b, accepted: at, left: &f},
		{group: "promised", promised: Ballot{Counter: 9, Proposer: idOf(3, 0), Boot: 1}},
	} {
		save, _ = g.append(save, nil)
	}
	return Records(save)
}

func TestALogBringsBackWhatWasPromised(t *testing.T) {
	log := sampleLog()
	c, err := New(Config{ID: idOf(1, 0), Boot: 1}, log, simStart)
	if err != nil {
		t.Fatal(err)
	}
	if g := c.registers["promised"]; g.promised.Counter != 9 {
		t.Fatalf("the last record does not count: %v", g.promised)
	}
	if c.Accepted("accepted") == nil || c.Accepted("left") != nil || c.registers["left"].left.Epoch != 3 {
		t.Fatal("something is missing")
	}
	if ready := c.Ready(); ready.Save != nil {
		t.Fatal("a restart saves something")
	}
	whole := c.Log()
	again, err := New(Config{ID: idOf(1, 0), Boot: 2}, whole, simStart)
	if err != nil || !reflect.DeepEqual(again.Log(), whole) || len(whole) != len(log)-1 {
		t.Fatalf("%v, %d records of %d", err, len(whole), len(log))
	}
}

func TestADamagedRecordIsALostLog(t *testing.T) {
	for i, record := range sampleLog() {
		for at := range record {
			log := sampleLog()
			log[i] = slices.Clone(record)
			log[i][at] ^= 0x10
			if _, err := New(Config{ID: idOf(1, 0), Boot: 1}, log, simStart); !errors.Is(err, ErrLost) {
				t.Fatalf("record %d, byte %d: %v", i, at, err)
			}
			log[i] = record[:at]
			if _, err := New(Config{ID: idOf(1, 0), Boot: 1}, log, simStart); !errors.Is(err, ErrLost) {
				t.Fatalf("record %d, cut at %d: %v", i, at, err)
			}
		}
	}
}

func TestALargestRecord(t *testing.T) {
	f := Configuration{Epoch: maxCounter, Lease: MaxLease}
	for i := range MaxVoters {
		f.Voters = append(f.Voters, Voter{ID: idOf(i, 0)})
		f.Next = append(f.Next, Voter{ID: idOf(i, 1)})
	}
	b := Ballot{Counter: maxCounter, Proposer: idOf(1, 0), Boot: 1 << 63, Step: maxStep}
	g := &register{group: GroupID(make([]byte, MaxGroupID)), promised: b, accepted: b, state: &State{
		Version: maxCounter, Change: ChangeID{idOf(1, 0), 1 << 63, 1 << 63}, Value: make([]byte, MaxValue), Configuration: f,
	}}
	if save, _ := g.append(nil, nil); len(Records(save)[0]) > MaxRecord {
		t.Fatalf("%d bytes", len(save))
	}
	if encoded := Encode(nil, report{g.group, turn{1 << 63, 1 << 63}, b, g.state}); len(encoded) > MaxPacket {
		t.Fatalf("%d bytes", len(encoded))
	}
}

func FuzzLog(f *testing.F) {
	for _, record := range sampleLog() {
		f.Add(record)
	}
	first := sampleLog()[0]
	f.Fuzz(func(t *testing.T, record []byte) {
		c, err := New(Config{ID: idOf(1, 0), Boot: 1}, [][]byte{first, record}, simStart)
		if err != nil {
			return
		}
		again, err := New(Config{ID: idOf(1, 0), Boot: 2}, c.Log(), simStart)
		if err != nil || !reflect.DeepEqual(again.Log(), c.Log()) {
			t.Fatalf("a log that was read cannot be written: %v", err)
		}
	})
}
