package fabric

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/fabric/quorum"
)

// Lease is one that this node wants. Its methods are safe from any goroutine.
type Lease struct {
	registers *Registers
	group     quorum.GroupID
	until     atomic.Pointer[time.Time] // on the boot-time clock; nil: not held
	mu        sync.Mutex
	changed   chan struct{} // closed when it is held, or no longer
}

// Hold begins to ask for the lease of a register, and renews it until Release. A second call gives the same Lease.
// ErrUnavailable: this node knows no voter to ask yet.
func (r *Registers) Hold(ctx context.Context, group string) (*Lease, error) {
	id, voters := quorum.GroupID(group), r.voters(group)
	if len(voters) == 0 {
		return nil, fmt.Errorf("fabric: lease of register %q: %w", group, ErrUnavailable)
	}
	r.mu.Lock()
	l, ok := r.leases[id]
	if !ok {
		l = &Lease{registers: r, group: id, changed: make(chan struct{})}
		r.leases[id] = l
	}
	r.mu.Unlock()
	if ok {
		return l, nil
	}
	if err := r.loop.Submit(ctx, r.fabric.ID(), quorum.Hold{Group: id, Voters: voters}); err != nil {
		r.forget(l)
		return nil, fmt.Errorf("fabric: lease of register %q: %w", group, err)
	}
	return l, nil
}

func (r *Registers) lease(group quorum.GroupID, tell func(*Lease)) {
	r.mu.Lock()
	l := r.leases[group]
	r.mu.Unlock()
	if l != nil {
		tell(l)
	}
}

// Held reports whether this node holds the lease now. Whoever acts by it asks before and after it has acted.
func (l *Lease) Held() bool {
	until := l.until.Load()
	return until != nil && l.registers.fabric.bootNow().Before(*until)
}

// Changed is closed when the lease is next won or lost. A lease may run out before that is noticed: Held knows.
func (l *Lease) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// forget makes the next Hold ask anew; false: that has been done.
func (r *Registers) forget(l *Lease) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leases[l.group] != l {
		return false
	}
	delete(r.leases, l.group)
	return true
}

// Release gives the lease back. Doing it again does nothing.
func (l *Lease) Release(ctx context.Context) error {
	r := l.registers
	if !r.forget(l) {
		return nil
	}
	l.lost()
	if err := r.loop.Submit(context.WithoutCancel(ctx), r.fabric.ID(), quorum.Release{Group: l.group}); err != nil { // else it would be renewed for ever
		return fmt.Errorf("fabric: release lease of register %q: %w", l.group, err)
	}
	return nil
}

func (l *Lease) held(until time.Time) {
	if before := l.until.Swap(&until); before == nil {
		l.tell()
	}
}

func (l *Lease) lost() {
	if before := l.until.Swap(nil); before != nil {
		l.tell()
	}
}

func (l *Lease) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}
