package access

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/argon2"
)

// How passwords are stretched: the second of the equivalent settings that OWASP's Password Storage Cheat Sheet gives for
// Argon2id, which fits many computations a second into a data node.
const (
	hashMemory = 19 << 10 // KiB
	hashPasses = 2
	hashLanes  = 1

	saltBytes = 16
	hashBytes = 32
)

// Bounds of the computations of one node.
const (
	// MaxHashing is how many passwords are stretched at once.
	MaxHashing = 2
	// MaxWaiting is how many callers wait for their turn.
	MaxWaiting = 32
)

// ErrBusy says that too many passwords are being checked: try again.
var ErrBusy = errors.New("too many passwords are being checked\nhint: try again in a second")

// secret is what is kept of a user's passwords. They share a salt, so that one computation answers for all of them.
type secret struct {
	salt   [saltBytes]byte
	hashes [][hashBytes]byte
}

// matches compares in a time that depends on the count of the hashes alone.
func (s *secret) matches(hash [hashBytes]byte) bool {
	found := 0
	for i := range s.hashes {
		found |= subtle.ConstantTimeCompare(s.hashes[i][:], hash[:])
	}
	return found == 1
}

// clone shares nothing with s.
func (s *secret) clone() secret { return secret{s.salt, slices.Clone(s.hashes)} }

func checkPassword(password string) error {
	if password == "" || len(password) > MaxPassword || strings.IndexByte(password, 0) >= 0 {
		return fmt.Errorf("password of %d bytes: %w: 1 to %d, without zero bytes", len(password), ErrInvalid, MaxPassword)
	}
	return nil
}

// hasher bounds the computations: a place among those who wait, then one among those who compute.
type hasher struct{ waiting, computing chan struct{} }

func newHasher() *hasher {
	return &hasher{waiting: make(chan struct{}, MaxHashing+MaxWaiting), computing: make(chan struct{}, MaxHashing)}
}

// hash stretches a password. ErrBusy: nobody else may wait.
func (h *hasher) hash(ctx context.Context, password string, salt [saltBytes]byte) (hash [hashBytes]byte, err error) {
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return hash, ErrBusy
	}
	select {
	case h.computing <- struct{}{}:
		defer func() { <-h.computing }()
	case <-ctx.Done():
		return hash, ctx.Err()
	}
	copy(hash[:], argon2.IDKey([]byte(password), salt[:], hashPasses, hashMemory, hashLanes, hashBytes))
	return hash, nil
}
