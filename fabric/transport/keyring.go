package transport

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/egalcluster/egal/internal/invariant"
)

const (
	// MaxKeys is how many keys a keyring holds.
	MaxKeys = 4
	// KeyBytes is the size of a cluster key.
	KeyBytes = 32
	// MaxKeyFile is how many bytes a key file has at most.
	MaxKeyFile = 16 << 10
)

// Errors of the keyring; test with errors.Is.
var (
	// ErrKeyFile says that a key file is malformed.
	ErrKeyFile = errors.New("malformed key file")
	// ErrKeyring says that a change to the keyring is refused.
	ErrKeyring = errors.New("transport: keyring")
)

// Key is a cluster key. Printing it shows that there is one, never what it is.
type Key [KeyBytes]byte

// Format prints no secret, whatever the verb.
func (Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "(secret)") }

// Hash names a key without giving it away: 16 hexadecimal digits of its SHA-256 under a label.
func (k Key) Hash() string {
	sum := sha256.Sum256(append([]byte("egal cluster key "), k[:]...))
	return hex.EncodeToString(sum[:8])
}

// KeyInfo tells of a key without the key.
type KeyInfo struct {
	ID    uint8
	Hash  string
	InUse bool // seals what this node sends; the others only open
}

// Keyring is a node's set of up to MaxKeys cluster keys, one of which seals. A key is replaced in three steps, each when
// the one before is done on every node: Install the new one, Use it, Remove the old one. A keyring that was loaded from a
// file writes every change there before it takes effect. Its methods are safe from any goroutine, and transports follow a
// change with their next packet.
type Keyring struct {
	path    string     // its file; empty: none
	mu      sync.Mutex // one change at a time
	current atomic.Pointer[keys]
}

// keys is an immutable state of a keyring. A key is its pointer: removed and installed again it is another one.
type keys struct {
	all     []*clusterKey
	use     *clusterKey
	changed chan struct{} // closed when another state has taken the place of this one
}

type clusterKey struct {
	id     uint8
	secret Key
	prk    []byte // what subkeys are expanded from
}

func newClusterKey(id uint8, secret Key) *clusterKey {
	prk, err := hkdf.Extract(sha256.New, secret[:], []byte("egal fabric 2"))
	invariant.Check(err == nil, "transport: hkdf: %v", err)
	return &clusterKey{id, secret, prk}
}

func newKeys(first *clusterKey) *keys {
	return &keys{all: []*clusterKey{first}, use: first, changed: make(chan struct{})}
}

// attempt is the key that a stream is dialled with: the one in use, and after every dial that a peer did not answer the
// next one. Until the old key is removed, a peer that was away during a rotation has that alone.
func (k *keys) attempt(number int) *clusterKey {
	at := slices.Index(k.all, k.use)
	return k.all[(at+number)%len(k.all)]
}

func (k *keys) find(id uint8) *clusterKey {
	for _, key := range k.all {
		if key.id == id {
			return key
		}
	}
	return nil
}

// NewKeyring makes a keyring of one key, in use, with id 0.
func NewKeyring(key Key) *Keyring {
	r := &Keyring{}
	r.current.Store(newKeys(newClusterKey(0, key)))
	return r
}

// Install adds a key, which opens from now on.
func (r *Keyring) Install(id uint8, key Key) error {
	return r.change("install", id, func(now keys) (keys, error) {
		switch {
		case now.find(id) != nil:
			return now, errors.New("this id is taken")
		case len(now.all) == MaxKeys:
			return now, fmt.Errorf("there are %d keys already", MaxKeys)
		}
		for _, other := range now.all {
			if other.secret == key {
				return now, fmt.Errorf("it is key %d", other.id)
			}
		}
		now.all = append(slices.Clip(now.all), newClusterKey(id, key))
		return now, nil
	})
}

// Use makes an installed key the one that seals.
func (r *Keyring) Use(id uint8) error {
	return r.change("use", id, func(now keys) (keys, error) {
		now.use = now.find(id)
		if now.use == nil {
			return now, errors.New("no such key")
		}
		return now, nil
	})
}

// Remove forgets a key; the one in use stays. Streams that were opened with it end.
func (r *Keyring) Remove(id uint8) error {
	return r.change("remove", id, func(now keys) (keys, error) {
		gone := now.find(id)
		switch gone {
		case nil:
			return now, errors.New("no such key")
		case now.use:
			return now, errors.New("it is in use")
		}
		var rest []*clusterKey
		for _, key := range now.all {
			if key != gone {
				rest = append(rest, key)
			}
		}
		now.all = rest
		return now, nil
	})
}

func (r *Keyring) change(what string, id uint8, f func(keys) (keys, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := f(*r.current.Load())
	if err == nil && r.path != "" {
		err = writeSecret(r.path, next.encode())
	}
	if err != nil {
		return fmt.Errorf("%w: %s key %d: %w", ErrKeyring, what, id, err)
	}
	r.store(next)
	return nil
}

// store puts a state in the place of the present one; mu is held.
func (r *Keyring) store(next keys) {
	before := r.current.Load()
	next.changed = make(chan struct{})
	r.current.Store(&next)
	close(before.changed)
}

// Changed is closed when the keys differ from those that Keys lists now. To miss nothing, take the channel first.
func (r *Keyring) Changed() <-chan struct{} { return r.current.Load().changed }

// Reload reads the keyring's file again, if it has one. After an error everything stays as it was; streams whose key is
// still there stay open.
func (r *Keyring) Reload() error {
	if r.path == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	read, err := loadKeyring(r.path, nil)
	if err != nil {
		return fmt.Errorf("transport: read cluster key %s: %w", r.path, err)
	}
	before, next := r.current.Load(), *read.current.Load()
	for i, key := range next.all {
		if known := before.find(key.id); known != nil && known.secret == key.secret {
			next.all[i] = known
		}
	}
	next.use = next.all[0]
	if next.use != before.use || !slices.Equal(sorted(next.all), sorted(before.all)) {
		r.store(next)
	}
	return nil
}

func sorted(all []*clusterKey) []*clusterKey {
	return slices.SortedFunc(slices.Values(all), func(a, b *clusterKey) int { return int(a.id) - int(b.id) })
}

// Find gives the key that a hash names, for a node that is to install it.
func (r *Keyring) Find(hash string) (id uint8, key Key, ok bool) {
	for _, key := range r.current.Load().all {
		if key.secret.Hash() == hash {
			return key.id, key.secret, true
		}
	}
	return 0, Key{}, false
}

// Keys lists the keys in the order of their installation.
func (r *Keyring) Keys() []KeyInfo {
	now := r.current.Load()
	infos := make([]KeyInfo, len(now.all))
	for i, key := range now.all {
		infos[i] = KeyInfo{ID: key.id, Hash: key.secret.Hash(), InUse: key == now.use}
	}
	return infos
}

func (r *Keyring) holds(key *clusterKey) bool { return r.current.Load().find(key.id) == key }

// ParseKeyring reads a key file: one key a line, as "id:base64" or as base64 alone, which is id 0. Empty lines and lines
// that begin with # say nothing. The first key is in use.
func ParseKeyring(content []byte) (*Keyring, error) {
	if len(content) > MaxKeyFile {
		return nil, fmt.Errorf("%w: over %d bytes", ErrKeyFile, MaxKeyFile)
	}
	var ring *Keyring
	number := 0
	for line := range bytes.Lines(content) {
		number++
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		id, key, err := parseKey(text)
		switch {
		case err != nil:
		case ring == nil:
			ring = &Keyring{}
			ring.current.Store(newKeys(newClusterKey(id, key)))
		default:
			err = ring.Install(id, key)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrKeyFile, number, err)
		}
	}
	if ring == nil {
		return nil, fmt.Errorf("%w: no key in it\nhint: one line with %d bytes in base64", ErrKeyFile, KeyBytes)
	}
	return ring, nil
}

// parseKey reads a line. Its errors never quote the key.
func parseKey(text string) (id uint8, key Key, err error) {
	if before, after, ok := strings.Cut(text, ":"); ok {
		parsed, err := strconv.ParseUint(before, 10, 8)
		if err != nil {
			return 0, Key{}, errors.New("the id before ':' is no number from 0 to 255")
		}
		id, text = uint8(parsed), after
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(text)
	switch {
	case err != nil:
		return 0, Key{}, errors.New("the key is no base64")
	case len(decoded) != KeyBytes:
		return 0, Key{}, fmt.Errorf("the key has %d bytes: want %d", len(decoded), KeyBytes)
	case bytes.Count(decoded, decoded[:1]) == KeyBytes:
		return 0, Key{}, errors.New("the key is one byte repeated")
	}
	return id, Key(decoded), nil
}

// LoadKeyring reads a key file, and keeps it as the keyring changes. It warns when others than the owner may read it.
func LoadKeyring(path string, logger *slog.Logger) (*Keyring, error) {
	ring, err := loadKeyring(path, logger)
	if err != nil {
		return nil, fmt.Errorf("transport: read cluster key %s: %w", path, err)
	}
	ring.path = path
	return ring, nil
}

// encode is the key file: the key in use first.
func (k *keys) encode() []byte {
	b := []byte("# Keys of an Egal cluster, written by the node as they change. Give them to no one else.\n")
	line := func(key *clusterKey) {
		b = fmt.Appendf(b, "%d:%s\n", key.id, base64.StdEncoding.EncodeToString(key.secret[:]))
	}
	line(k.use)
	for _, key := range k.all {
		if key != k.use {
			line(key)
		}
	}
	return b
}

// writeSecret puts a file of mode 0600 in the place of another at once: nobody sees a part of it, nor does a crash leave
// one. A link stays a link to the file that it names.
func writeSecret(path string, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func loadKeyring(path string, logger *slog.Logger) (*Keyring, error) {
	content, mode, err := readSmall(path, MaxKeyFile)
	if err != nil {
		return nil, err
	}
	if mode.Perm()&0o077 != 0 && logger != nil {
		logger.Warn("others may read the cluster key: chmod 600", "event", "transport_key_mode", "file", path, "mode", mode.Perm().String())
	}
	return ParseKeyring(content)
}

// readSmall reads a file of at most limit bytes, one more if it is larger.
func readSmall(path string, limit int64) ([]byte, os.FileMode, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	return content, info.Mode(), err
}
