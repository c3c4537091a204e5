package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is the seam to the disk.
type FS = vfs.FS

var (
	// ErrLocked says that the lock file is held, by this process or another.
	ErrLocked = errors.New("in use")
	// ErrTooLarge says that a file is larger than its reader accepts.
	ErrTooLarge = errors.New("file too large")
)

// temporarySuffix marks the file that becomes the target by a rename; a crash may leave one behind, and the next
// WriteFile of the same path replaces it.
const temporarySuffix = ".new"

// OS is the file system of the machine.
func OS() FS { return vfs.Default }

// Memory is an empty file system in memory that Crash can clone.
func Memory() FS { return vfs.NewCrashableMem() }

// Crash returns what a power cut at this moment would leave of a Memory file system: everything synced and nothing
// else, unlocked. The original goes on unharmed.
func Crash(memory FS) FS { return crash(memory, vfs.CrashCloneCfg{}) }

// CrashTorn is Crash, but each block and each directory entry that was not synced survives with a chance of percent
// of 100, drawn from random.
func CrashTorn(memory FS, percent int, random *rand.Rand) FS {
	return crash(memory, vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: random})
}

func crash(memory FS, config vfs.CrashCloneCfg) FS {
	for layer := memory; layer != nil; layer = layer.Unwrap() {
		if mem, ok := layer.(*vfs.MemFS); ok {
			return mem.CrashClone(config)
		}
	}
	panic("durable: Crash of a file system that is not a Memory")
}

// WriteFile replaces the content of path by record and returns once that survives a power cut. After an error the
// old content is still there, except when only the sync of the directory failed: then it is the old or the new.
// It leaves record unchanged. On the machine's file system the file is for the user of this process alone.
func WriteFile(fsys FS, path string, record []byte) error {
	if err := writeFile(fsys, path, record); err != nil {
		return fmt.Errorf("durable: write %s: %w", path, err)
	}
	return nil
}

func writeFile(fsys FS, path string, record []byte) error {
	temporary := path + temporarySuffix
	file, err := create(fsys, temporary)
	if err != nil {
		return err
	}
	// A File may change what it is given to write, so it gets a copy.
	_, err = file.Write(append([]byte(nil), record...))
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = fsys.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, ignoreAbsent(fsys.Remove(temporary)))
	}
	return syncDir(fsys, fsys.PathDir(path))
}

// create makes an empty file. On the machine's file system nobody but its user may open it at any moment: FS has no
// way to say so, and a mode that is set afterwards comes too late for who has opened the file already.
func create(fsys FS, path string) (vfs.File, error) {
	if fsys != vfs.Default {
		return fsys.Create(path, vfs.WriteCategoryUnspecified)
	}
	if err := ignoreAbsent(os.Remove(path)); err != nil {
		return nil, err
	}
	empty, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := empty.Close(); err != nil {
		return nil, err
	}
	return fsys.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func syncDir(fsys FS, path string) error {
	dir, err := fsys.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// ReadFile returns the content of path. It gives fs.ErrNotExist when there is no such file and ErrTooLarge when the
// file has more than limit bytes.
func ReadFile(fsys FS, path string, limit int) ([]byte, error) {
	file, err := fsys.Open(path)
	if err != nil {
		return nil, fmt.Errorf("durable: read %s: %w", path, err)
	}
	content, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err == nil && len(content) > limit {
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("durable: read %s: %w", path, err)
	}
	return content, nil
}

// MakeDir makes a directory and its missing parents, for the user of this process alone, and returns once they survive a power cut.
func MakeDir(fsys FS, path string) error {
	var missing []string // deepest first
	for p := path; ; p = fsys.PathDir(p) {
		if _, err := fsys.Stat(p); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("durable: make directory %s: %w", path, err)
		}
		missing = append(missing, p)
		if parent := fsys.PathDir(p); parent == p || parent == "." {
			break
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := fsys.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("durable: make directory %s: %w", path, err)
	}
	for _, made := range missing {
		if err := errors.Join(syncDir(fsys, made), syncDir(fsys, fsys.PathDir(made))); err != nil {
			return fmt.Errorf("durable: make directory %s: %w", path, err)
		}
	}
	return nil
}

// Lock makes the caller the one holder of path, a file that is created when absent, until the Closer is closed or
// the process ends. It gives ErrLocked, with a hint, while another process or another caller holds it.
func Lock(fsys FS, path string) (io.Closer, error) {
	name, err := Canonical(fsys, path)
	if err != nil {
		return nil, fmt.Errorf("durable: lock %s: %w", path, err)
	}
	lock, err := fsys.Lock(name)
	switch {
	case err == nil:
		return lock, nil
	case isHeld(err):
		return nil, fmt.Errorf("durable: lock %s: %w by a running node\nhint: stop that node first, or give this one a directory of its own", path, ErrLocked)
	default:
		return nil, fmt.Errorf("durable: lock %s: %w", path, err)
	}
}

// isHeld tells a lock that is held from other errors: EAGAIN or EACCES of fcntl(2) by another process, and the text
// that pebble's vfs has for a holder in this process. An EACCES of opening the file comes as a PathError.
func isHeld(err error) bool {
	if _, opening := errors.AsType[*fs.PathError](err); opening {
		return false
	}
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) || strings.Contains(err.Error(), "held by current process")
}

// Canonical is the one name of a path whose directory exists: absolute and without symbolic links in the directory on
// the machine's file system, unchanged elsewhere. The system's locks are per process, so that inside of a process
// only the name tells two holders apart.
func Canonical(fsys FS, path string) (string, error) {
	if fsys != vfs.Default {
		return path, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}
