package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric"
)

const correct = "correct horse battery staple"

// alice is a node where a user alice with a password may read slots/*.
func alice(t *testing.T, nodes int) *cluster {
	t.Helper()
	c := newCluster(t, nodes)
	a, ctx := c.nodes[0], t.Context()
	must(t, a.CreateUser(ctx, "alice"))
	must(t, a.SetPassword(ctx, "alice", correct))
	must(t, a.CreateRole(ctx, "reader"))
	must(t, a.Allow(ctx, "reader", "read", "slots/*"))
	must(t, a.Grant(ctx, "reader", "alice"))
	return c
}

func verify(t *testing.T, a *Access, user, password string, want bool) {
	t.Helper()
	if got, err := a.Verify(t.Context(), user, password); err != nil || got != want {
		t.Errorf("%s with %d bytes: %v, %v", user, len(password), got, err)
	}
}

// First passwords that are added at the same time do not take each other's place: who is told that it is done, logs in.
func TestFirstPasswordsAtOnce(t *testing.T) {
	a, ctx := alice(t, 1).nodes[0], t.Context()
	must(t, a.ClearPasswords(ctx, "alice"))
	var adding sync.WaitGroup
	var added [4]error
	for i := range added {
		adding.Go(func() { added[i] = a.AddPassword(ctx, "alice", fmt.Sprint("password ", i)) })
	}
	adding.Wait()
	for i, err := range added {
		if err == nil {
			verify(t, a.Access, "alice", fmt.Sprint("password ", i), true)
		}
	}
}

func TestPasswords(t *testing.T) {
	a, ctx := alice(t, 1).nodes[0], t.Context()
	verify(t, a.Access, "alice", correct, true)
	verify(t, a.Access, "alice", correct+" ", false)
	verify(t, a.Access, "alice", "", false)
	verify(t, a.Access, "alice", strings.Repeat("x", MaxPassword+1), false)
	verify(t, a.Access, "bob", correct, false)
	must(t, a.AddPassword(ctx, "alice", "second"))
	verify(t, a.Access, "alice", correct, true)
	verify(t, a.Access, "alice", "second", true)
	must(t, a.RemovePassword(ctx, "alice", correct))
	verify(t, a.Access, "alice", correct, false)
	verify(t, a.Access, "alice", "second", true)
	must(t, a.Enable(ctx, "alice", false))
	verify(t, a.Access, "alice", "second", false)
	if a.Can("alice", "read", "slots/1") {
		t.Error("a disabled user may read")
	}
	must(t, a.Enable(ctx, "alice", true))
	must(t, a.ClearPasswords(ctx, "alice"))
	verify(t, a.Access, "alice", "second", false)
	verify(t, a.Access, "alice", "", false)
	must(t, a.AddPassword(ctx, "alice", "third"))
	verify(t, a.Access, "alice", "third", true)
}

func TestWhatNoRoleAllowsIsDenied(t *testing.T) {
	a, ctx := alice(t, 1).nodes[0], t.Context()
	must(t, a.CreateUser(ctx, "root"))
	must(t, a.CreateRole(ctx, "all"))
	must(t, a.Allow(ctx, "all", "*", "*"))
	must(t, a.Allow(ctx, "all", "read", "exact"))
	must(t, a.Grant(ctx, "all", "root"))
	tests := []struct {
		user, permission, resource string
		want                       bool
	}{
		{"alice", "read", "slots/1", true},
		{"alice", "read", "slots/", true},
		{"alice", "read", "slots", false},
		{"alice", "write", "slots/1", false},
		{"alice", "*", "slots/1", false},
		{"alice", "read", "jobs/1", false},
		{"nobody", "read", "slots/1", false},
		{"", "", "", false},
		{"root", "write", "anything", true},
	}
	for _, test := range tests {
		if got := a.Can(test.user, test.permission, test.resource); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
	must(t, a.Deny(ctx, "all", "*", "*"))
	if a.Can("root", "read", "other") || !a.Can("root", "read", "exact") {
		t.Error("deny takes away what it should not, or not what it should")
	}
	must(t, a.DropRole(ctx, "reader"))
	must(t, a.CreateRole(ctx, "reader"))
	must(t, a.Allow(ctx, "reader", "read", "*"))
	if a.Can("alice", "read", "slots/1") {
		t.Error("a role that was dropped and made anew is still alice's")
	}
	must(t, a.Grant(ctx, "reader", "alice"))
	must(t, a.Revoke(ctx, "reader", "alice"))
	if a.Can("alice", "read", "slots/1") {
		t.Error("a revoked role allows")
	}
}

func TestWhatIsRefused(t *testing.T) {
	a, ctx := alice(t, 1).nodes[0], t.Context()
	long := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name string
		err  error
		want error
	}{
		{"a user twice", a.CreateUser(ctx, "alice"), ErrExists},
		{"a role twice", a.CreateRole(ctx, "reader"), ErrExists},
		{"a grant twice", a.Allow(ctx, "reader", "read", "slots/*"), ErrExists},
		{"a role granted twice", a.Grant(ctx, "reader", "alice"), ErrExists},
		{"a password twice", a.AddPassword(ctx, "alice", correct), ErrExists},
		{"no such user", a.DropUser(ctx, "bob"), ErrNotFound},
		{"no such user to enable", a.Enable(ctx, "bob", true), ErrNotFound},
		{"no such user for a password", a.SetPassword(ctx, "bob", "x"), ErrNotFound},
		{"no such user for another password", a.AddPassword(ctx, "bob", "x"), ErrNotFound},
		{"no such user to grant to", a.Grant(ctx, "reader", "bob"), ErrNotFound},
		{"no such role", a.DropRole(ctx, "writer"), ErrNotFound},
		{"no such role to grant", a.Grant(ctx, "writer", "alice"), ErrNotFound},
		{"no such role to revoke", a.Revoke(ctx, "writer", "alice"), ErrNotFound},
		{"no such grant", a.Deny(ctx, "reader", "read", "*"), ErrNotFound},
		{"no such password", a.RemovePassword(ctx, "alice", "x"), ErrNotFound},
		{"no name", a.CreateUser(ctx, ""), ErrInvalid},
		{"a name with a space", a.CreateUser(ctx, "a b"), ErrInvalid},
		{"a name that is no text", a.CreateUser(ctx, "\xff"), ErrInvalid},
		{"the longest name", a.CreateUser(ctx, long(MaxName)), nil},
		{"a longer name", a.CreateUser(ctx, long(MaxName+1)), ErrInvalid},
		{"no password", a.SetPassword(ctx, "alice", ""), ErrInvalid},
		{"the longest password", a.SetPassword(ctx, "alice", long(MaxPassword)), nil},
		{"a longer password", a.SetPassword(ctx, "alice", long(MaxPassword+1)), ErrInvalid},
		{"the longest rule", a.SetRule(ctx, "alice", "slots", long(MaxRule)), nil},
		{"a longer rule", a.SetRule(ctx, "alice", "slots", long(MaxRule+1)), ErrInvalid},
		{"the longest permission", a.Allow(ctx, "reader", long(MaxPermission), long(MaxPattern)), nil},
		{"a longer permission", a.Allow(ctx, "reader", long(MaxPermission+1), "*"), ErrInvalid},
		{"a longer pattern", a.Allow(ctx, "reader", "read", long(MaxPattern+1)), ErrInvalid},
		{"a star inside", a.Allow(ctx, "reader", "read", "a*b"), ErrInvalid},
		{"two stars", a.Allow(ctx, "reader", "read", "a**"), ErrInvalid},
	}
	for _, test := range tests {
		if !errors.Is(test.err, test.want) || test.want == nil && test.err != nil {
			t.Errorf("%s: %v", test.name, test.err)
		}
	}
}

func TestARuleIsCarriedAsItIs(t *testing.T) {
	a, ctx := alice(t, 1).nodes[0], t.Context()
	must(t, a.SetRule(ctx, "alice", "slots", "~cache:* +@read -keys"))
	must(t, a.SetRule(ctx, "alice", "ring", "GRANT SELECT"))
	u, _ := a.User("alice")
	if u.Rule("slots") != "~cache:* +@read -keys" || u.Rule("ring") != "GRANT SELECT" || u.Rule("actor") != "" {
		t.Errorf("%q", u.Rules)
	}
	must(t, a.SetRule(ctx, "alice", "slots", ""))
	if u, _ = a.User("alice"); len(u.Rules) != 1 {
		t.Errorf("%q", u.Rules)
	}
}

func TestTheRegisterHasABound(t *testing.T) {
	a, ctx := newCluster(t, 1).nodes[0], t.Context()
	const perUser = MaxRules * MaxRule
	for i := range MaxBytes/perUser + 1 {
		must(t, a.CreateUser(ctx, fmt.Sprint("u", i)))
	}
	var err error
	rules := 0
	for ; err == nil && rules <= MaxBytes/MaxRule; rules++ {
		err = a.SetRule(ctx, fmt.Sprint("u", rules/MaxRules), fmt.Sprint("s", rules%MaxRules), strings.Repeat("r", MaxRule))
	}
	if !errors.Is(err, ErrFull) || rules != MaxBytes/MaxRule { // names and times take the place of the last one
		t.Errorf("rule %d: %v", rules, err)
	}
}

func TestHashingIsThrottled(t *testing.T) {
	a := alice(t, 1).nodes[0]
	for range MaxHashing {
		a.hasher.computing <- struct{}{}
	}
	for range MaxHashing + MaxWaiting - 1 {
		a.hasher.waiting <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Verify(ctx, "alice", correct); !errors.Is(err, context.Canceled) {
		t.Errorf("the last one who may wait: %v", err)
	}
	a.hasher.waiting <- struct{}{}
	for _, user := range []string{"alice", "nobody"} { // who does not exist is computed for, too
		if _, err := a.Verify(t.Context(), user, correct); !errors.Is(err, ErrBusy) {
			t.Errorf("%s: one more than may wait: %v", user, err)
		}
	}
	for range MaxHashing {
		<-a.hasher.computing
	}
	<-a.hasher.waiting
	verify(t, a.Access, "alice", correct, true)
}

func TestSecretsAreNotPrinted(t *testing.T) {
	a := alice(t, 1).nodes[0]
	u, _ := a.User("alice")
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", u, u, u, u), fmt.Sprintf("%+v", a.Users())} {
		if strings.Contains(text, fmt.Sprint(u.secret.salt[0], " ", u.secret.salt[1])) || strings.Contains(text, "secret") {
			t.Error(text)
		}
	}
	if strings.Contains(string(a.followed.Latest().Value), correct) {
		t.Error("the register holds a password")
	}
	if err := a.SetPassword(t.Context(), "bob", correct); strings.Contains(err.Error(), correct) {
		t.Error(err)
	}
}

func TestEveryNodeKnows(t *testing.T) {
	c := alice(t, 3)
	c.voting(3)
	for _, n := range c.nodes {
		c.until(n, "alice may read", func() bool { return n.Can("alice", "read", "slots/1") })
		verify(t, n.Access, "alice", correct, true)
	}
	last := c.nodes[2]
	must(t, last.Revoke(t.Context(), "reader", "alice"))
	for _, n := range c.nodes {
		c.until(n, "alice may not read", func() bool { return !n.Can("alice", "read", "slots/1") })
	}
	for _, n := range c.nodes {
		c.stop(n)
	}
	for _, n := range c.nodes {
		c.start(n)
	}
	for _, n := range c.nodes {
		c.until(n, "alice is there after a restart of all", func() bool { _, ok := n.User("alice"); return ok })
		verify(t, n.Access, "alice", correct, true)
	}
}

func TestANodeThatIsCutOffGoesOnWithWhatItKnows(t *testing.T) {
	c := alice(t, 3)
	c.voting(3)
	away := c.nodes[2]
	c.until(away, "alice may read", func() bool { return away.Can("alice", "read", "slots/1") })
	for _, n := range c.nodes[:2] {
		c.rules.Cut(n.addr, away.addr)
		c.rules.Cut(away.addr, n.addr)
	}
	if !away.Can("alice", "read", "slots/1") {
		t.Error("it has forgotten")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := away.CreateUser(ctx, "bob")
	if !errors.Is(err, fabric.ErrUnavailable) && !errors.Is(err, fabric.ErrUnknown) {
		t.Errorf("a node that is cut off makes a user: %v", err)
	}
	must(t, c.nodes[0].Revoke(t.Context(), "reader", "alice"))
	c.rules.Heal()
	c.until(away, "alice may not read", func() bool { return !away.Can("alice", "read", "slots/1") })
}

func BenchmarkVerify(b *testing.B) {
	h := newHasher()
	for b.Loop() {
		_, err := h.hash(b.Context(), correct, [saltBytes]byte{1})
		must(b, err)
	}
}

func BenchmarkCan(b *testing.B) {
	a := &Access{}
	a.known.Store(&known{state: full(100, 10, 8)})
	for b.Loop() {
		if a.Can("user-0050", "none", "none") {
			b.Fatal("allowed")
		}
	}
}
