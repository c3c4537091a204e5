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
// the one before is done on every node: Install the new one, Use it, Remove the old one. Its methods are safe from any
// goroutine, and transports follow a change with their next packet.
type Keyring struct {
	mu      sync.Mutex // one change at a time
	current atomic.Pointer[keys]
}

// keys is an immutable state of a keyring. A key is its pointer: removed and installed again it is another one.
type keys struct {
	all []*clusterKey
	use *clusterKey
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
	first := newClusterKey(0, key)
	r.current.Store(&keys{all: []*clusterKey{first}, use: first})
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
	if err != nil {
		return fmt.Errorf("%w: %s key %d: %w", ErrKeyring, what, id, err)
	}
	r.current.Store(&next)
	return nil
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
			first := newClusterKey(id, key)
			ring.current.Store(&keys{all: []*clusterKey{first}, use: first})
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

// LoadKeyring reads a key file. It warns when others than the owner may read it.
func LoadKeyring(path string, logger *slog.Logger) (*Keyring, error) {
	ring, err := loadKeyring(path, logger)
	if err != nil {
		return nil, fmt.Errorf("transport: read cluster key %s: %w", path, err)
	}
	return ring, nil
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
