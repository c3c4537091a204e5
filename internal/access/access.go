package access

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/fabric"
)

// Group is the register of users and roles.
const Group = "access"

// RefreshInterval bounds how old what a node knows may be; see the package comment.
const RefreshInterval = 5 * time.Second

// Config is what an Access is opened with.
type Config struct {
	// Fabric is required.
	Fabric *fabric.Fabric
	// Now stamps changes; nil is time.Now.
	Now func() time.Time
	// Logger takes structured logs; nil logs nothing. No secret is ever logged.
	Logger *slog.Logger
}

// Access is one node's handle on the users and roles of the cluster.
type Access struct {
	config   Config
	followed *fabric.Followed
	known    atomic.Pointer[known] // never nil
	hasher   *hasher
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// known is a state and the channel that is closed when a newer one is known.
type known struct {
	*state
	changed chan struct{}
}

// Open begins to follow users and roles.
func Open(config Config) *Access {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Access{config: config, hasher: newHasher()}
	a.known.Store(&known{&state{}, make(chan struct{})})
	a.followed = config.Fabric.Registers().Follow(Group, (&state{}).encode(), RefreshInterval)
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.running.Go(func() { a.follow(ctx) }) // ends by Close
	return a
}

// Close ends the following. It comes before the fabric's.
func (a *Access) Close() {
	a.stop()
	a.running.Wait()
	a.followed.Close()
}

func (a *Access) follow(ctx context.Context) {
	for {
		changed := a.followed.Changed()
		a.take()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// take publishes the newest content. One that this version cannot read leaves the one before in force.
func (a *Access) take() {
	now := a.followed.Latest()
	if now.Version == 0 {
		return
	}
	s, err := decode(now.Value)
	if err != nil {
		a.config.Logger.Error("users and roles cannot be read", slog.String("event", "access_unreadable"), slog.Any("error", err))
		return
	}
	s.version = now.Version
	next := &known{s, make(chan struct{})}
	for {
		before := a.known.Load()
		if before.version >= s.version {
			return
		}
		if a.known.CompareAndSwap(before, next) {
			close(before.changed)
			return
		}
	}
}

// Known waits until this node has heard of the users and roles at all.
func (a *Access) Known(ctx context.Context) error {
	if _, err := a.followed.Known(ctx); err != nil {
		return fmt.Errorf("access: %w", err)
	}
	a.take()
	return nil
}

// Changed is closed when this node knows of newer users and roles than it does now. To miss nothing, take the channel first.
func (a *Access) Changed() <-chan struct{} { return a.known.Load().changed }

// Version counts the changes that this node knows of.
func (a *Access) Version() uint64 { return a.known.Load().version }

// Users are all users, sorted by name. Not to be changed.
func (a *Access) Users() []User { return a.known.Load().users }

// User is the one with the name.
func (a *Access) User(name string) (User, bool) {
	s := a.known.Load()
	at, ok := s.findUser(name)
	if !ok {
		return User{}, false
	}
	return s.users[at], true
}

// Roles are all roles, sorted by name. Not to be changed.
func (a *Access) Roles() []Role { return a.known.Load().roles }

// Can reports whether a user may do something: only what a role allows.
func (a *Access) Can(user, permission, resource string) bool {
	return a.known.Load().can(user, permission, resource)
}

// Verify reports whether the password is one of the user's, and the user may log in. It takes as long for a user that does
// not exist. ErrBusy: too many are checked at once.
func (a *Access) Verify(ctx context.Context, user, password string) (bool, error) {
	var asked User // nobody
	if u, ok := a.User(user); ok {
		asked = u
	}
	if len(password) > MaxPassword {
		password = "" // nobody's: see checkPassword
	}
	hash, err := a.hasher.hash(ctx, password, asked.secret.salt)
	if err != nil {
		return false, fmt.Errorf("access: verify: %w", err)
	}
	return asked.secret.matches(hash) && !asked.Disabled, nil
}

// compareNames and compareRules order sorted lists.
func compareNames(a, b string) int { return cmp.Compare(a, b) }
func compareRules(a, b Rule) int   { return cmp.Compare(a.Structure, b.Structure) }
