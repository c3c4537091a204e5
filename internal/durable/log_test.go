package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/egalcluster/egal/internal/durable"
)

const (
	logPath  = "records.log"
	logLimit = 1 << 20
)

func openLog(t *testing.T, fsys durable.FS) (*durable.Log, [][]byte) {
	t.Helper()
	l, records, err := durable.OpenLog(fsys, logPath, logLimit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, records
}

func TestALogGivesBackWhatWasAppended(t *testing.T) {
	fsys := durable.Memory()
	l, records := openLog(t, fsys)
	if len(records) != 0 {
		t.Fatalf("a new log has %d records", len(records))
	}
	var want [][]byte
	for i := range 20 {
		record := bytes.Repeat([]byte{byte(i)}, i*7)
		if err := l.Append(record); err != nil {
			t.Fatal(err)
		}
		want = append(want, record)
	}
	if err := l.Append([]byte("two"), []byte("at once")); err != nil {
		t.Fatal(err)
	}
	want = append(want, []byte("two"), []byte("at once"))
	again, got := openLog(t, durable.Crash(fsys))
	if !equalRecords(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	if err := again.Replace([][]byte{[]byte("condensed")}); err != nil {
		t.Fatal(err)
	}
	if err := again.Append([]byte("next")); err != nil {
		t.Fatal(err)
	}
	if size := again.Size(); size > 100 {
		t.Errorf("%d bytes after condensing", size)
	}
}

func equalRecords(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// Power cuts tear what was not synced at random: what Append returned for is there, whole, and nothing that was not
// appended.
func TestALogLosesNothingInAPowerCut(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		fsys := durable.Memory()
		appended, sure := 0, 0
		for range 4 {
			l, records := openLog(t, fsys)
			if len(records) < sure || len(records) > appended {
				t.Fatalf("seed %d: %d records, %d are sure of %d", seed, len(records), sure, appended)
			}
			for i, record := range records {
				if string(record) != fmt.Sprint("record ", i) {
					t.Fatalf("seed %d: record %d is %q", seed, i, record)
				}
			}
			appended = len(records)
			for range random.IntN(5) {
				if err := l.Append(fmt.Append(nil, "record ", appended)); err != nil {
					t.Fatal(err)
				}
				appended++
			}
			if random.IntN(3) == 0 {
				all := make([][]byte, appended)
				for i := range all {
					all[i] = fmt.Append(nil, "record ", i)
				}
				if err := l.Replace(all); err != nil {
					t.Fatal(err)
				}
			}
			sure = appended
			fsys = tear(t, fsys, appended, random)
			appended++
		}
	}
}

// tear cuts the power while one more record is on its way: written, and not synced.
func tear(t *testing.T, fsys durable.FS, next int, random *rand.Rand) durable.FS {
	t.Helper()
	failing := errorfs.Wrap(fsys, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData {
			return errors.New("the power is gone")
		}
		return nil
	}))
	l, _, err := durable.OpenLog(failing, logPath, logLimit)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(fmt.Append(nil, "record ", next)); err == nil {
		t.Fatal("an append without its sync succeeded")
	}
	if err := l.Append([]byte("more")); !errors.Is(err, durable.ErrSpoiled) {
		t.Fatalf("after a failed sync: %v", err)
	}
	return durable.CrashTorn(fsys, random.IntN(101), random)
}

// Of records that are appended together a power cut leaves any blocks: that is no damage.
func TestALogIsTornInTheMiddle(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 2))
		fsys := durable.Memory()
		l, _ := openLog(t, fsys)
		if err := l.Append([]byte("sure")); err != nil {
			t.Fatal(err)
		}
		failing := errorfs.Wrap(fsys, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileSyncData {
				return errors.New("the power is gone")
			}
			return nil
		}))
		l, _ = openLog(t, failing)
		if err := l.Append(make([]byte, 5000), []byte("short"), make([]byte, 9000), []byte("last")); err == nil {
			t.Fatal("an append without its sync succeeded")
		}
		_, records, err := durable.OpenLog(durable.CrashTorn(fsys, 50, random), logPath, logLimit)
		if err != nil || len(records) != 1 && len(records) != 5 {
			t.Fatalf("seed %d: %d records, %v", seed, len(records), err)
		}
	}
}

// Every byte of a log is changed in turn: that is noticed, or nothing is gone.
func TestADamagedLogIsNotTaken(t *testing.T) {
	fsys := durable.Memory()
	l, _ := openLog(t, fsys)
	for i := range 3 {
		if err := l.Append(fmt.Append(nil, "record ", i)); err != nil {
			t.Fatal(err)
		}
	}
	content, err := durable.ReadFile(fsys, logPath, logLimit)
	if err != nil {
		t.Fatal(err)
	}
	const seal = 12
	for at := range content {
		damaged := bytes.Clone(content)
		damaged[at] ^= 0x10
		other := durable.Memory()
		if err := durable.WriteFile(other, logPath, damaged); err != nil {
			t.Fatal(err)
		}
		l, records, err := durable.OpenLog(other, logPath, logLimit)
		last := at >= len(content)-seal
		switch {
		case last && (err != nil || len(records) != 3):
			t.Errorf("byte %d, of the seal: %d records, %v", at, len(records), err)
		case !last && !errors.Is(err, durable.ErrDamaged):
			t.Errorf("byte %d: %d records, %v", at, len(records), err)
		}
		if err == nil {
			_ = l.Close()
		}
	}
}

func TestBoundsOfALog(t *testing.T) {
	fsys := durable.Memory()
	l, _ := openLog(t, fsys)
	if err := l.Append(make([]byte, durable.MaxLogRecord+1)); !errors.Is(err, durable.ErrTooLarge) {
		t.Errorf("a record of one byte too many: %v", err)
	}
	if err := l.Append(make([]byte, durable.MaxLogRecord)); err != nil {
		t.Error(err)
	}
	if _, _, err := durable.OpenLog(fsys, logPath, logLimit); !errors.Is(err, durable.ErrTooLarge) {
		t.Errorf("a file that is too large: %v", err)
	}
	if err := l.Replace(nil); err != nil {
		t.Error(err)
	}
	if _, records, err := durable.OpenLog(fsys, logPath, logLimit); err != nil || len(records) != 0 {
		t.Errorf("after replacing: %d records, %v", len(records), err)
	}
}

func FuzzOpenLog(f *testing.F) {
	fsys := durable.Memory()
	l, _, err := durable.OpenLog(fsys, logPath, logLimit)
	if err != nil {
		f.Fatal(err)
	}
	if err := l.Append([]byte("one"), []byte("two")); err != nil {
		f.Fatal(err)
	}
	content, err := durable.ReadFile(fsys, logPath, logLimit)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add(content[:len(content)-1])
	f.Fuzz(func(t *testing.T, content []byte) {
		fsys := vfs.NewMem()
		if err := durable.WriteFile(fsys, logPath, content); err != nil {
			t.Fatal(err)
		}
		l, records, err := durable.OpenLog(fsys, logPath, logLimit)
		if err != nil {
			return
		}
		if err := l.Append([]byte("more")); err != nil {
			t.Fatal(err)
		}
		_, again, err := durable.OpenLog(fsys, logPath, logLimit)
		if err != nil || !equalRecords(again, append(records, []byte("more"))) {
			t.Fatalf("%q and one more are %q, %v", records, again, err)
		}
	})
}
