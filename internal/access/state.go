package access

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/egalcluster/egal/fabric/quorum"
)

// Limits of this package; see the package comment.
const (
	MaxUsers      = 1024
	MaxRoles      = 256
	MaxBytes      = quorum.MaxValue
	MaxName       = 64
	MaxPasswords  = 8
	MaxUserRoles  = 32
	MaxRules      = 8
	MaxRule       = 4 << 10
	MaxGrants     = 128
	MaxPermission = 64
	MaxPattern    = 256
	MaxPassword   = 512
)

// Errors of changes; test with errors.Is.
var (
	ErrExists   = errors.New("exists already")
	ErrNotFound = errors.New("does not exist")
	ErrFull     = errors.New("over a limit")
	ErrInvalid  = errors.New("not valid")
)

// User is one who may log in.
type User struct {
	Name     string
	Disabled bool
	// Roles are sorted.
	Roles []string
	// Rules are texts for the structures, sorted by structure.
	Rules []Rule
	// Passwords is how many there are; without one nobody logs in as this user.
	Passwords        int
	Created, Changed time.Time

	secret secret
}

// String is the name: what is kept of passwords must not get into a log.
func (u User) String() string { return u.Name }

// GoString is String.
func (u User) GoString() string { return u.Name }

// Rule is a text that a structure alone understands.
type Rule struct{ Structure, Text string }

// Rule is the user's text for a structure; empty: there is none.
func (u *User) Rule(structure string) string {
	if at, ok := slices.BinarySearchFunc(u.Rules, structure, func(r Rule, s string) int { return cmp.Compare(r.Structure, s) }); ok {
		return u.Rules[at].Text
	}
	return ""
}

// Role is a named list of grants.
type Role struct {
	Name string
	// Grants are sorted by permission, then by pattern.
	Grants           []Grant
	Created, Changed time.Time
}

// Grant allows a permission on the resources that a pattern names.
type Grant struct{ Permission, Pattern string }

func (g Grant) compare(other Grant) int {
	return cmp.Or(cmp.Compare(g.Permission, other.Permission), cmp.Compare(g.Pattern, other.Pattern))
}

// covers is linear in the lengths.
func (g Grant) covers(permission, resource string) bool {
	if g.Permission != permission && g.Permission != "*" {
		return false
	}
	prefix, open := strings.CutSuffix(g.Pattern, "*")
	return g.Pattern == resource || open && strings.HasPrefix(resource, prefix)
}

func (g Grant) validate() error {
	switch {
	case g.Permission == "" || len(g.Permission) > MaxPermission:
		return fmt.Errorf("permission of %d bytes: %w: 1 to %d", len(g.Permission), ErrInvalid, MaxPermission)
	case g.Pattern == "" || len(g.Pattern) > MaxPattern:
		return fmt.Errorf("pattern of %d bytes: %w: 1 to %d", len(g.Pattern), ErrInvalid, MaxPattern)
	}
	if at := strings.IndexByte(g.Pattern, '*'); at >= 0 && at != len(g.Pattern)-1 {
		return fmt.Errorf("pattern %q: %w: * stands at its end alone", g.Pattern, ErrInvalid)
	}
	return nil
}

// checkName takes printable names without spaces.
func checkName(what, name string) error {
	if name == "" || len(name) > MaxName || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\uFFFD' }) {
		return fmt.Errorf("name of a %s %q: %w: 1 to %d bytes without spaces", what, name, ErrInvalid, MaxName)
	}
	return nil
}

// state is the content of the register. What a node has published is never changed: changes begin with a decoded copy.
type state struct {
	users []User // sorted by name
	roles []Role // likewise

	version uint64 // of the register; not encoded
}

func (s *state) findUser(name string) (int, bool) {
	return slices.BinarySearchFunc(s.users, name, func(u User, name string) int { return cmp.Compare(u.Name, name) })
}

func (s *state) findRole(name string) (int, bool) {
	return slices.BinarySearchFunc(s.roles, name, func(r Role, name string) int { return cmp.Compare(r.Name, name) })
}

// user is the one with the name, to be changed.
func (s *state) user(name string) (*User, error) {
	at, ok := s.findUser(name)
	if !ok {
		return nil, fmt.Errorf("user %q: %w", name, ErrNotFound)
	}
	return &s.users[at], nil
}

func (s *state) role(name string) (*Role, error) {
	at, ok := s.findRole(name)
	if !ok {
		return nil, fmt.Errorf("role %q: %w", name, ErrNotFound)
	}
	return &s.roles[at], nil
}

// can answers by the grants of the user's roles.
func (s *state) can(name, permission, resource string) bool {
	at, ok := s.findUser(name)
	if !ok || s.users[at].Disabled {
		return false
	}
	for _, granted := range s.users[at].Roles {
		at, ok := s.findRole(granted)
		if ok && slices.ContainsFunc(s.roles[at].Grants, func(g Grant) bool { return g.covers(permission, resource) }) {
			return true
		}
	}
	return false
}

// insert puts an element into a sorted list of at most maximum, unless it is there.
func insert[T any](list []T, element T, compare func(a, b T) int, maximum int) ([]T, error) {
	at, known := slices.BinarySearchFunc(list, element, compare)
	switch {
	case known:
		return list, ErrExists
	case len(list) >= maximum:
		return list, fmt.Errorf("%w: there are %d", ErrFull, len(list))
	}
	return slices.Insert(list, at, element), nil
}

// remove takes an element out of a sorted list.
func remove[T any](list []T, element T, compare func(a, b T) int) ([]T, error) {
	at, known := slices.BinarySearchFunc(list, element, compare)
	if !known {
		return list, ErrNotFound
	}
	return slices.Delete(list, at, at+1), nil
}
