package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/egalcluster/egal/internal/wire"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stepping is a file system that calls step before every operation that changes something, and can fail one.
type stepping struct {
	FS
	step func() error
}

type steppingFile struct {
	vfs.File
	step func() error
}

func (s stepping) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := s.step(); err != nil {
		return nil, err
	}
	f, err := s.FS.Create(name, c)
	return steppingFile{f, s.step}, err
}

func (s stepping) Rename(a, b string) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.FS.Rename(a, b)
}

func (s stepping) MkdirAll(name string, perm fs.FileMode) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.FS.MkdirAll(name, perm)
}

func (s stepping) OpenDir(name string) (vfs.File, error) {
	f, err := s.FS.OpenDir(name)
	return steppingFile{f, s.step}, err
}

func (f steppingFile) Write(b []byte) (int, error) {
	if err := f.step(); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

func (f steppingFile) Sync() error {
	if err := f.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

const limit = 1 << 20

func TestACrashAtAnyStepLeavesTheOldOrTheNewContent(t *testing.T) {
	older := wire.Seal(1, bytes.Repeat([]byte("old"), 5000))
	newer := wire.Seal(1, bytes.Repeat([]byte("newer"), 5000))
	for _, percent := range []int{0, 50, 100} {
		for seed := range uint64(20) {
			memory := Memory()
			must(t, MakeDir(memory, "data/fabric"))
			must(t, WriteFile(memory, "data/fabric/state", older))
			random := rand.New(rand.NewPCG(seed, 1))
			var crashed []FS
			watched := stepping{memory, func() error {
				crashed = append(crashed, CrashTorn(memory, percent, random))
				return nil
			}}
			must(t, WriteFile(watched, "data/fabric/state", newer))
			if len(crashed) != 5 {
				t.Fatalf("%d steps, want create, write, sync, rename, sync of the directory", len(crashed))
			}
			crashed = append(crashed, CrashTorn(memory, percent, random))
			for step, disk := range crashed {
				got, err := ReadFile(disk, "data/fabric/state", limit)
				must(t, err)
				isNew := bytes.Equal(got, newer)
				if !isNew && !bytes.Equal(got, older) {
					t.Fatalf("seed %d, crash before step %d: %d bytes that are neither", seed, step, len(got))
				}
				if step == len(crashed)-1 && !isNew {
					t.Fatalf("seed %d: the content was lost after WriteFile returned", seed)
				}
				must(t, WriteFile(disk, "data/fabric/state", older)) // leftovers do not hinder the next one
			}
		}
	}
}

func TestAFailureAtAnyStepKeepsTheOldContent(t *testing.T) {
	broken := errors.New("input/output error")
	for failing := 1; failing <= 5; failing++ {
		memory := Memory()
		must(t, MakeDir(memory, "data"))
		must(t, WriteFile(memory, "data/state", []byte("old")))
		steps := 0
		failingFS := stepping{memory, func() error {
			if steps++; steps == failing {
				return broken
			}
			return nil
		}}
		err := WriteFile(failingFS, "data/state", []byte("new"))
		if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "durable: write data/state: ") {
			t.Fatalf("step %d: %v", failing, err)
		}
		if steps != failing {
			t.Fatalf("step %d failed and %d more followed", failing, steps-failing)
		}
		got, err := ReadFile(Crash(memory), "data/state", limit)
		if err != nil || string(got) != "old" {
			t.Fatalf("step %d: %q, %v", failing, got, err)
		}
	}
}

func TestMadeDirectoriesSurviveACrash(t *testing.T) {
	memory := Memory()
	must(t, MakeDir(memory, "/a/b/c"))
	must(t, MakeDir(memory, "/a/b/c"))
	must(t, MakeDir(memory, "/a/b/d"))
	after := Crash(memory)
	for _, dir := range []string{"/a/b/c", "/a/b/d"} {
		if info, err := after.Stat(dir); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := after.Stat("/a/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestReadFileNamesWhatIsWrong(t *testing.T) {
	memory := Memory()
	must(t, WriteFile(memory, "file", make([]byte, 100)))
	for _, tc := range []struct {
		path  string
		limit int
		want  error
	}{{"file", 100, nil}, {"file", 101, nil}, {"file", 99, ErrTooLarge}, {"absent", 100, fs.ErrNotExist}} {
		if _, err := ReadFile(memory, tc.path, tc.limit); !errors.Is(err, tc.want) {
			t.Errorf("%s, at most %d bytes: %v, want %v", tc.path, tc.limit, err, tc.want)
		}
	}
}

func TestADamagedRecordIsRecognised(t *testing.T) {
	memory := Memory()
	record := wire.Seal(2, []byte("payload"))
	for _, tc := range []struct {
		name   string
		damage func([]byte) []byte
		newest uint8
		want   error
	}{
		{"whole", func(b []byte) []byte { return b }, 2, nil},
		{"of a later version", func(b []byte) []byte { return b }, 1, wire.ErrVersion},
		{"with a flipped bit", func(b []byte) []byte { b[3] ^= 4; return b }, 2, wire.ErrChecksum},
		{"cut off", func(b []byte) []byte { return b[:len(b)-1] }, 2, wire.ErrChecksum},
		{"empty", func([]byte) []byte { return nil }, 2, wire.ErrTruncated},
	} {
		t.Run(tc.name, func(t *testing.T) {
			must(t, WriteFile(memory, "file", tc.damage(bytes.Clone(record))))
			got, err := ReadFile(memory, "file", limit)
			must(t, err)
			if _, _, err := wire.Open(got, tc.newest); !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
		})
	}
}

func TestALockHasOneHolder(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, link))
	memory := Memory()
	for _, tc := range []struct {
		name          string
		fs            FS
		path, another string
	}{
		{"memory", memory, "LOCK", "LOCK"},
		{"disk", OS(), filepath.Join(dir, "LOCK"), filepath.Join(dir, ".", "LOCK")},
		{"disk, by a symbolic link", OS(), filepath.Join(dir, "LOCK"), filepath.Join(link, "LOCK")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lock, err := Lock(tc.fs, tc.path)
			must(t, err)
			_, err = Lock(tc.fs, tc.another)
			if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), tc.another) || !strings.Contains(err.Error(), "\nhint: ") {
				t.Fatal(err)
			}
			must(t, lock.Close())
			again, err := Lock(tc.fs, tc.another)
			must(t, err)
			must(t, again.Close())
		})
	}
	if _, err := Lock(OS(), filepath.Join(dir, "absent", "LOCK")); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	lock, err := Lock(memory, "LOCK")
	must(t, err)
	defer func() { must(t, lock.Close()) }()
	after, err := Lock(Crash(memory), "LOCK") // the holder died in the crash
	must(t, err)
	must(t, after.Close())
}

func TestTheMachinesFileSystem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	must(t, MakeDir(OS(), dir))
	path := filepath.Join(dir, "file")
	for i := range 3 {
		want := fmt.Sprint("content ", i)
		must(t, WriteFile(OS(), path, []byte(want)))
		if got, err := ReadFile(OS(), path, limit); err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if names, err := OS().List(dir); err != nil || len(names) != 1 {
		t.Fatalf("%v, %v", names, err)
	}
}

// What a node knows of its cluster is not for the machine's other users, whatever their umask.
func TestDirectoriesAndFilesAreForTheirUserAlone(t *testing.T) {
	top := filepath.Join(t.TempDir(), "data")
	dir := filepath.Join(top, "fabric")
	must(t, MakeDir(OS(), dir))
	path := filepath.Join(dir, "members")
	must(t, os.WriteFile(path, []byte("of an earlier version"), 0o644))
	must(t, os.WriteFile(path+temporarySuffix, []byte("left by a crash"), 0o644))
	must(t, WriteFile(OS(), path, []byte("new")))
	for name, want := range map[string]fs.FileMode{top: 0o700, dir: 0o700, path: 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, want %v", name, info.Mode().Perm(), want)
		}
	}
}

func ExampleWriteFile() {
	disk := Memory()
	if err := WriteFile(disk, "state", wire.Seal(1, []byte("hello"))); err != nil {
		panic(err)
	}
	record, err := ReadFile(Crash(disk), "state", 1<<10)
	if err != nil {
		panic(err)
	}
	_, payload, err := wire.Open(record, 1)
	fmt.Printf("%s %v\n", payload, err)
	// Output: hello <nil>
}
