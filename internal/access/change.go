package access

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"
)

// This file is every way to change users and roles. Each call is one change of the register: it is made whole or not at
// all, and an error that wraps fabric.ErrUnknown says that this is not known.

// change decodes, edits and encodes; edit may be called again with a newer state.
func (a *Access) change(ctx context.Context, what string, edit func(s *state, now time.Time) error) error {
	var refused error
	_, err := a.followed.Change(ctx, func(value []byte) ([]byte, error) {
		s, err := decode(value)
		if err != nil {
			return nil, err
		}
		refused = edit(s, a.config.Now())
		b := s.encode()
		if refused == nil && len(b) > MaxBytes {
			refused = fmt.Errorf("%w: users and roles take %d bytes, at most %d", ErrFull, len(b), MaxBytes)
		}
		return b, refused
	})
	if refused != nil {
		err = refused // without the words of the register
	}
	if err != nil {
		return fmt.Errorf("access: %s: %w", what, err)
	}
	a.take()
	return nil
}

func (a *Access) changeUser(ctx context.Context, what, name string, edit func(u *User) error) error {
	return a.change(ctx, what, func(s *state, now time.Time) error {
		u, err := s.user(name)
		if err != nil {
			return err
		}
		u.Changed = now
		return edit(u)
	})
}

// CreateUser makes a user who has no password, no roles, and may do nothing.
func (a *Access) CreateUser(ctx context.Context, name string) error {
	if err := checkName("user", name); err != nil {
		return fmt.Errorf("access: create user: %w", err)
	}
	return a.change(ctx, "create user", func(s *state, now time.Time) (err error) {
		s.users, err = insert(s.users, User{Name: name, Created: now, Changed: now}, func(a, b User) int { return compareNames(a.Name, b.Name) }, MaxUsers)
		return named("user", name, err)
	})
}

// DropUser removes a user.
func (a *Access) DropUser(ctx context.Context, name string) error {
	return a.change(ctx, "drop user", func(s *state, _ time.Time) (err error) {
		s.users, err = remove(s.users, User{Name: name}, func(a, b User) int { return compareNames(a.Name, b.Name) })
		return named("user", name, err)
	})
}

// Enable lets a user log in, or no longer.
func (a *Access) Enable(ctx context.Context, name string, enabled bool) error {
	return a.changeUser(ctx, "enable user", name, func(u *User) error {
		u.Disabled = !enabled
		return nil
	})
}

// SetPassword makes a password the only one of a user.
func (a *Access) SetPassword(ctx context.Context, name, password string) error {
	return a.freshSecret(ctx, "set password", name, password, func(*User) error { return nil })
}

// freshSecret makes a password the only one of a user, under a salt of its own, if may has nothing against it.
func (a *Access) freshSecret(ctx context.Context, what, name, password string, may func(u *User) error) error {
	if err := checkPassword(password); err != nil {
		return fmt.Errorf("access: %s: %w", what, err)
	}
	var fresh secret
	_, _ = rand.Read(fresh.salt[:]) // never fails
	hash, err := a.hasher.hash(ctx, password, fresh.salt)
	if err != nil {
		return fmt.Errorf("access: %s: %w", what, err)
	}
	fresh.hashes = [][hashBytes]byte{hash}
	return a.changeUser(ctx, what, name, func(u *User) error {
		err := may(u)
		if err == nil {
			u.secret, u.Passwords = fresh.clone(), 1
		}
		return err
	})
}

func errMeanwhile(name string) error {
	return fmt.Errorf("passwords of user %q: changed meanwhile\nhint: try again", name)
}

// AddPassword gives a user another password beside those there are.
func (a *Access) AddPassword(ctx context.Context, name, password string) error {
	const what = "add password"
	if u, ok := a.User(name); ok && u.Passwords == 0 {
		return a.freshSecret(ctx, what, name, password, func(u *User) error {
			if u.Passwords > 0 { // it would be lost
				return errMeanwhile(name)
			}
			return nil
		})
	}
	return a.withHash(ctx, what, name, password, func(s *secret, hash [hashBytes]byte) error {
		switch {
		case slices.Contains(s.hashes, hash):
			return fmt.Errorf("password: %w", ErrExists)
		case len(s.hashes) >= MaxPasswords:
			return fmt.Errorf("%w: there are %d passwords", ErrFull, len(s.hashes))
		}
		s.hashes = append(s.hashes, hash)
		return nil
	})
}

// RemovePassword takes one password from a user.
func (a *Access) RemovePassword(ctx context.Context, name, password string) error {
	return a.withHash(ctx, "remove password", name, password, func(s *secret, hash [hashBytes]byte) error {
		at := slices.Index(s.hashes, hash)
		if at < 0 {
			return fmt.Errorf("password: %w", ErrNotFound)
		}
		s.hashes = slices.Delete(s.hashes, at, at+1)
		return nil
	})
}

// ClearPasswords takes all passwords from a user: nobody logs in as this one.
func (a *Access) ClearPasswords(ctx context.Context, name string) error {
	return a.changeUser(ctx, "clear passwords", name, func(u *User) error {
		u.secret, u.Passwords = secret{}, 0
		return nil
	})
}

// withHash stretches a password with the user's salt, and edits the hashes unless the salt has changed meanwhile.
func (a *Access) withHash(ctx context.Context, what, name, password string, edit func(s *secret, hash [hashBytes]byte) error) error {
	err := checkPassword(password)
	known, ok := a.User(name)
	if err == nil && !ok {
		err = named("user", name, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("access: %s: %w", what, err)
	}
	hash, err := a.hasher.hash(ctx, password, known.secret.salt)
	if err != nil {
		return fmt.Errorf("access: %s: %w", what, err)
	}
	return a.changeUser(ctx, what, name, func(u *User) error {
		if u.secret.salt != known.secret.salt {
			return errMeanwhile(name)
		}
		err := edit(&u.secret, hash)
		u.Passwords = len(u.secret.hashes)
		return err
	})
}

// SetRule sets a user's text for a structure; an empty one removes it.
func (a *Access) SetRule(ctx context.Context, name, structure, text string) error {
	err := checkName("structure", structure)
	if err == nil && len(text) > MaxRule {
		err = fmt.Errorf("rule of %d bytes: %w: at most %d", len(text), ErrInvalid, MaxRule)
	}
	if err != nil {
		return fmt.Errorf("access: set rule: %w", err)
	}
	return a.changeUser(ctx, "set rule", name, func(u *User) error {
		u.Rules = slices.DeleteFunc(u.Rules, func(r Rule) bool { return r.Structure == structure })
		if text == "" {
			return nil
		}
		var err error
		u.Rules, err = insert(u.Rules, Rule{structure, text}, compareRules, MaxRules)
		return named("rule for", structure, err)
	})
}

// Grant gives a user a role.
func (a *Access) Grant(ctx context.Context, role, user string) error {
	return a.change(ctx, "grant role", func(s *state, now time.Time) error {
		if _, err := s.role(role); err != nil {
			return err
		}
		u, err := s.user(user)
		if err != nil {
			return err
		}
		u.Changed = now
		u.Roles, err = insert(u.Roles, role, compareNames, MaxUserRoles)
		return named("role", role, err)
	})
}

// Revoke takes a role from a user.
func (a *Access) Revoke(ctx context.Context, role, user string) error {
	return a.changeUser(ctx, "revoke role", user, func(u *User) (err error) {
		u.Roles, err = remove(u.Roles, role, compareNames)
		return named("role", role, err)
	})
}

// CreateRole makes a role that allows nothing.
func (a *Access) CreateRole(ctx context.Context, name string) error {
	if err := checkName("role", name); err != nil {
		return fmt.Errorf("access: create role: %w", err)
	}
	return a.change(ctx, "create role", func(s *state, now time.Time) (err error) {
		s.roles, err = insert(s.roles, Role{Name: name, Created: now, Changed: now}, func(a, b Role) int { return compareNames(a.Name, b.Name) }, MaxRoles)
		return named("role", name, err)
	})
}

// DropRole removes a role, also from the users who have it: one that is made anew under its name is nobody's.
func (a *Access) DropRole(ctx context.Context, name string) error {
	return a.change(ctx, "drop role", func(s *state, now time.Time) (err error) {
		if s.roles, err = remove(s.roles, Role{Name: name}, func(a, b Role) int { return compareNames(a.Name, b.Name) }); err != nil {
			return named("role", name, err)
		}
		for i := range s.users {
			u := &s.users[i]
			if left, err := remove(u.Roles, name, compareNames); err == nil {
				u.Roles, u.Changed = left, now
			}
		}
		return nil
	})
}

// Allow adds a grant to a role.
func (a *Access) Allow(ctx context.Context, role, permission, pattern string) error {
	g := Grant{permission, pattern}
	if err := g.validate(); err != nil {
		return fmt.Errorf("access: allow: %w", err)
	}
	return a.changeRole(ctx, "allow", role, func(r *Role) (err error) {
		r.Grants, err = insert(r.Grants, g, Grant.compare, MaxGrants)
		return named("grant", permission+" on "+pattern, err)
	})
}

// Deny takes a grant from a role. What another grant or another role allows stays allowed.
func (a *Access) Deny(ctx context.Context, role, permission, pattern string) error {
	return a.changeRole(ctx, "deny", role, func(r *Role) (err error) {
		r.Grants, err = remove(r.Grants, Grant{permission, pattern}, Grant.compare)
		return named("grant", permission+" on "+pattern, err)
	})
}

func (a *Access) changeRole(ctx context.Context, what, name string, edit func(r *Role) error) error {
	return a.change(ctx, what, func(s *state, now time.Time) error {
		r, err := s.role(name)
		if err != nil {
			return err
		}
		r.Changed = now
		return edit(r)
	})
}

// named says of what an error is; nil stays nil.
func named(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", what, name, err)
}
