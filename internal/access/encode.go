package access

import (
	"fmt"
	"time"

	"github.com/egalcluster/egal/internal/wire"
)

// The value of the register: stateVersion, the users, the roles. Lists are sorted and have no repetitions, so that one
// state has one encoding. Hashes are of hashScheme; another way to stretch passwords will get a number of its own.
const (
	stateVersion = 1
	hashScheme   = 1 // Argon2id with the constants of password.go
)

func (s *state) encode() []byte {
	b := wire.AppendUvarint([]byte{stateVersion}, uint64(len(s.users)))
	for i := range s.users {
		b = s.users[i].append(b)
	}
	b = wire.AppendUvarint(b, uint64(len(s.roles)))
	for i := range s.roles {
		b = s.roles[i].append(b)
	}
	return b
}

func (u *User) append(b []byte) []byte {
	b = wire.AppendBool(wire.AppendBytes(b, u.Name), u.Disabled)
	b = append(append(b, hashScheme), u.secret.salt[:]...)
	b = wire.AppendUvarint(b, uint64(len(u.secret.hashes)))
	for _, hash := range u.secret.hashes {
		b = append(b, hash[:]...)
	}
	b = wire.AppendUvarint(b, uint64(len(u.Roles)))
	for _, role := range u.Roles {
		b = wire.AppendBytes(b, role)
	}
	b = wire.AppendUvarint(b, uint64(len(u.Rules)))
	for _, r := range u.Rules {
		b = wire.AppendBytes(wire.AppendBytes(b, r.Structure), r.Text)
	}
	return appendTimes(b, u.Created, u.Changed)
}

func (r *Role) append(b []byte) []byte {
	b = wire.AppendBytes(b, r.Name)
	b = wire.AppendUvarint(b, uint64(len(r.Grants)))
	for _, g := range r.Grants {
		b = wire.AppendBytes(wire.AppendBytes(b, g.Permission), g.Pattern)
	}
	return appendTimes(b, r.Created, r.Changed)
}

func appendTimes(b []byte, created, changed time.Time) []byte {
	return wire.AppendUint64(wire.AppendUint64(b, uint64(created.UnixMicro())), uint64(changed.UnixMicro()))
}

// Least bytes of list elements, for wire.Reader.Count.
const (
	leastUser  = 1 + 1 + 1 + saltBytes + 1 + 1 + 1 + 16
	leastRole  = 1 + 1 + 16
	leastRule  = 2
	leastGrant = 2
)

func decode(b []byte) (*state, error) {
	r := wire.NewReader(b)
	if version := r.Uint8(); r.Err() == nil && version != stateVersion {
		r.Fail(fmt.Errorf("%w: %d", wire.ErrVersion, version))
	}
	s := &state{}
	for range r.Count(MaxUsers, leastUser) {
		s.users = append(s.users, readUser(r))
	}
	for range r.Count(MaxRoles, leastRole) {
		s.roles = append(s.roles, readRole(r))
	}
	ascending(r, s.users, func(a, b User) int { return compareNames(a.Name, b.Name) })
	ascending(r, s.roles, func(a, b Role) int { return compareNames(a.Name, b.Name) })
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("access: decode: %w", err)
	}
	return s, nil
}

func readUser(r *wire.Reader) (u User) {
	u.Name, u.Disabled = readName(r, "user"), r.Bool()
	if scheme := r.Uint8(); r.Err() == nil && scheme != hashScheme {
		r.Fail(fmt.Errorf("%w: hash scheme %d", wire.ErrMalformed, scheme))
	}
	copy(u.secret.salt[:], r.Raw(saltBytes))
	u.Passwords = r.Count(MaxPasswords, hashBytes)
	for range u.Passwords {
		var hash [hashBytes]byte
		copy(hash[:], r.Raw(hashBytes))
		u.secret.hashes = append(u.secret.hashes, hash)
	}
	for range r.Count(MaxUserRoles, 1) {
		u.Roles = append(u.Roles, readName(r, "role"))
	}
	for range r.Count(MaxRules, leastRule) {
		u.Rules = append(u.Rules, Rule{Structure: readName(r, "structure"), Text: r.String(MaxRule)})
	}
	ascending(r, u.Roles, compareNames)
	ascending(r, u.Rules, compareRules)
	u.Created, u.Changed = readTime(r), readTime(r)
	return u
}

func readRole(r *wire.Reader) (role Role) {
	role.Name = readName(r, "role")
	for range r.Count(MaxGrants, leastGrant) {
		g := Grant{Permission: r.String(MaxPermission), Pattern: r.String(MaxPattern)}
		if err := g.validate(); err != nil {
			r.Fail(err)
		}
		role.Grants = append(role.Grants, g)
	}
	ascending(r, role.Grants, Grant.compare)
	role.Created, role.Changed = readTime(r), readTime(r)
	return role
}

func readName(r *wire.Reader, what string) string {
	name := r.String(MaxName)
	if err := checkName(what, name); r.Err() == nil && err != nil {
		r.Fail(err)
	}
	return name
}

func readTime(r *wire.Reader) time.Time { return time.UnixMicro(int64(r.Uint64())).UTC() }

// ascending fails for a list that is not sorted or has an element twice.
func ascending[T any](r *wire.Reader, list []T, compare func(a, b T) int) {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			r.Fail(fmt.Errorf("%w: a list is not sorted", wire.ErrMalformed))
		}
	}
}
