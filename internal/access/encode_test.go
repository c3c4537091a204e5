package access

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/wire"
)

// full is a state with that many of everything.
func full(users, roles, grants int) *state {
	s := &state{}
	at := time.UnixMicro(1_700_000_000_000_000).UTC()
	for i := range roles {
		r := Role{Name: fmt.Sprintf("role-%04d", i), Created: at, Changed: at}
		for j := range grants {
			r.Grants = append(r.Grants, Grant{fmt.Sprintf("permission-%04d", j), "slots/*"})
		}
		s.roles = append(s.roles, r)
	}
	for i := range users {
		u := User{Name: fmt.Sprintf("user-%04d", i), Disabled: i%2 == 1, Created: at, Changed: at, Rules: []Rule{{"slots", "+@all"}}}
		for j := range min(roles, MaxUserRoles) {
			u.Roles = append(u.Roles, s.roles[j].Name)
		}
		s.users = append(s.users, u)
	}
	return s
}

func TestBoundsOfTheEncoding(t *testing.T) {
	user := func(edit func(u *User)) *state {
		s := full(1, 1, 1)
		edit(&s.users[0])
		return s
	}
	names := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("n%04d", i))
		}
		return list
	}
	tests := []struct {
		name    string
		maximum int
		of      func(n int) *state
	}{
		{"users", MaxUsers, func(n int) *state { return full(n, 1, 1) }},
		{"roles", MaxRoles, func(n int) *state { return full(1, n, 1) }},
		{"grants", MaxGrants, func(n int) *state { return full(1, 1, n) }},
		{"roles of a user", MaxUserRoles, func(n int) *state { return user(func(u *User) { u.Roles = names(n) }) }},
		{"passwords", MaxPasswords, func(n int) *state {
			return user(func(u *User) { u.secret.hashes, u.Passwords = make([][hashBytes]byte, n), n })
		}},
		{"rules", MaxRules, func(n int) *state {
			return user(func(u *User) {
				u.Rules = nil
				for _, name := range names(n) {
					u.Rules = append(u.Rules, Rule{name, "x"})
				}
			})
		}},
		{"a name", MaxName, func(n int) *state { return user(func(u *User) { u.Name = strings.Repeat("x", n) }) }},
		{"a rule", MaxRule, func(n int) *state { return user(func(u *User) { u.Rules[0].Text = strings.Repeat("x", n) }) }},
	}
	for _, test := range tests {
		at := test.of(test.maximum)
		back, err := decode(at.encode())
		if err != nil || !bytes.Equal(back.encode(), at.encode()) {
			t.Errorf("%s at %d: %v", test.name, test.maximum, err)
		}
		if _, err := decode(test.of(test.maximum + 1).encode()); !errors.Is(err, wire.ErrTooLong) {
			t.Errorf("%s at %d: %v", test.name, test.maximum+1, err)
		}
	}
}

func TestListsHaveABound(t *testing.T) {
	list := []string{"a", "c"}
	if _, err := insert(list, "b", compareNames, 2); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if list, err := insert(list, "b", compareNames, 3); err != nil || strings.Join(list, "") != "abc" {
		t.Error(list, err)
	}
}

func TestDamageIsRefused(t *testing.T) {
	whole := full(2, 2, 2).encode()
	for n := range whole {
		if _, err := decode(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes", n, len(whole))
		}
	}
	unsorted := full(2, 2, 2)
	unsorted.users[0], unsorted.users[1] = unsorted.users[1], unsorted.users[0]
	twice := full(2, 2, 2)
	twice.roles[1] = twice.roles[0]
	for name, b := range map[string][]byte{
		"trailing": append(bytes.Clone(whole), 0), "version": append([]byte{stateVersion + 1}, whole[1:]...),
		"unsorted": unsorted.encode(), "twice": twice.encode(), "nothing": nil,
	} {
		if _, err := decode(b); err == nil {
			t.Error(name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add((&state{}).encode())
	f.Add(full(3, 2, 4).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decode(b)
		if err == nil && !bytes.Equal(s.encode(), b) {
			t.Errorf("one state, two encodings: %x and %x", b, s.encode())
		}
	})
}
