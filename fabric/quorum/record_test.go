package quorum

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/egalcluster/egal/internal/wire"
)

// sampleLog is a log with records of every kind, and where its frames end.
func sampleLog() (log []byte, ends []int) {
	add := func(frame []byte) {
		log = append(log, frame...)
		ends = append(ends, len(log))
	}
	add(appendNode(nil, idOf(1, 0)))
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
		frame, _ := g.append(nil, nil)
		add(frame)
	}
	return log, ends
}

func TestALogBringsBackWhatWasPromised(t *testing.T) {
	log, _ := sampleLog()
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
	if err != nil || !bytes.Equal(again.Log(), whole) || len(whole) >= len(log) {
		t.Fatalf("%v, %d bytes of %d", err, len(whole), len(log))
	}
}

// What is missing at the end was never answered. What is damaged elsewhere may have been.
func TestDamage(t *testing.T) {
	log, ends := sampleLog()
	for cut := range log {
		whole := 0
		for _, end := range ends {
			if end <= cut {
				whole = end
			}
		}
		if n, err := Intact(log[:cut]); n != whole || err != nil {
			t.Fatalf("cut at %d: %d, %v; want %d", cut, n, err, whole)
		}
	}
	for i := range log {
		damaged := slices.Clone(log)
		damaged[i] ^= 0x10
		if _, err := Intact(damaged); !errors.Is(err, ErrLost) {
			t.Fatalf("byte %d is damaged: %v", i, err)
		}
	}
	if n, err := Intact(append(slices.Clone(log), make([]byte, 4096)...)); n != len(log) || err != nil {
		t.Fatalf("a file that grew: %d, %v", n, err)
	}
	cut := log[:len(log)-1]
	if _, err := New(Config{ID: idOf(1, 0), Boot: 1}, cut, simStart); !errors.Is(err, wire.ErrTrailing) {
		t.Fatalf("a log that was not cut off: %v", err)
	}
	newer := wire.Seal(recordVersion+1, []byte{1})
	frame := wire.AppendUint32(wire.AppendUint32(nil, uint32(len(newer))), lengthCheck(uint32(len(newer))))
	if _, err := Intact(append(frame, newer...)); !errors.Is(err, wire.ErrVersion) {
		t.Fatalf("a newer record: %v", err)
	}
	twice := append(slices.Clone(log), appendNode(nil, idOf(1, 0))...)
	if _, err := New(Config{ID: idOf(1, 0), Boot: 1}, twice, simStart); !errors.Is(err, ErrLost) {
		t.Fatalf("two beginnings: %v", err)
	}
}

func FuzzLog(f *testing.F) {
	log, ends := sampleLog()
	f.Add(log)
	for i, end := range ends {
		begin := 0
		if i > 0 {
			begin = ends[i-1]
		}
		f.Add(log[begin:end])
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		whole, err := Intact(log)
		if err != nil {
			return
		}
		c, err := New(Config{ID: idOf(1, 0), Boot: 1, Fresh: true}, log[:whole], simStart)
		if err != nil {
			return
		}
		again, err := New(Config{ID: idOf(1, 0), Boot: 2}, c.Log(), simStart)
		if err != nil || !bytes.Equal(again.Log(), c.Log()) {
			t.Fatalf("a log that was read cannot be written: %v", err)
		}
	})
}
