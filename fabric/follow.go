package fabric

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
)

// This file keeps a register in sight: many nodes hold its newest content without asking its voters all the time. Who
// changes it puts the new version under a shared key; whoever holds an older one reads the register. The key is a hint:
// one that is late, lost or wrong costs time and nothing else, because everybody also reads at an interval.

const (
	// followPrefix begins the shared keys with the versions of followed registers.
	followPrefix = "register/"
	// followTimeout bounds one attempt to read or make the register.
	followTimeout = 2 * time.Second
	// followAgain is the time between two attempts.
	followAgain = 200 * time.Millisecond
)

// Followed is a register whose newest content this node holds. Its methods are safe from any goroutine.
type Followed struct {
	registers *Registers
	group     string
	initial   []byte
	interval  time.Duration
	stop      context.CancelFunc
	running   sync.WaitGroup
	doubt     chan struct{} // room for one: what is held may be older than it should be
	confirmed atomic.Uint64

	mu       sync.Mutex // guards what follows
	held     Register   // Version 0: none yet
	announce uint64     // the version that this node has to tell the others of
	changed  chan struct{}
}

// Follow makes the register, with the initial value and without leases, if it is not there, and keeps its content at
// hand until Close. The content is, while the voters answer, at most the interval behind, and as a rule a round of gossip.
func (r *Registers) Follow(group string, initial []byte, interval time.Duration) *Followed {
	f := &Followed{
		registers: r, group: group, initial: initial, interval: interval, doubt: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.running.Go(func() { f.follow(ctx) }) // ends by Close
	return f
}

// Close ends it. It comes before the fabric's.
func (f *Followed) Close() {
	f.stop()
	f.running.Wait()
}

// Latest is the newest content that this node has seen; Version 0: none yet.
func (f *Followed) Latest() Register {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held
}

// Changed is closed when there is a newer content than Latest returns now. To miss nothing, take the channel first.
func (f *Followed) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Confirmed counts the answers of a majority of the voters: while it stands still, this node may be cut off from them.
func (f *Followed) Confirmed() uint64 { return f.confirmed.Load() }

// Known waits for the first content.
func (f *Followed) Known(ctx context.Context) (Register, error) {
	for {
		changed := f.Changed()
		if now := f.Latest(); now.Version > 0 {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Register{}, errors.Join(ErrUnavailable, ctx.Err())
		}
	}
}

// Read is Registers.Read; Latest then is as new.
func (f *Followed) Read(ctx context.Context) (Register, error) {
	if _, err := f.Known(ctx); err != nil { // before that nobody may have made it
		return Register{}, err
	}
	now, err := f.registers.Read(ctx, f.group)
	if err == nil {
		f.hold(now, false)
	}
	return now, err
}

// Change is Registers.Change; Latest then is as new, and the others hear of it.
func (f *Followed) Change(ctx context.Context, change func(value []byte) ([]byte, error)) (Register, error) {
	if _, err := f.Known(ctx); err != nil {
		return Register{}, err
	}
	now, err := f.registers.Change(ctx, f.group, change)
	if err != nil {
		f.look()
		return now, err
	}
	f.hold(now, true)
	f.announceTo(ctx, f.registers.fabric.View())
	return now, nil
}

// hold takes what a majority has confirmed.
func (f *Followed) hold(now Register, announce bool) {
	f.confirmed.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Version <= f.held.Version {
		return
	}
	f.held = now
	if announce {
		f.announce = now.Version
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// look makes follow read the register.
func (f *Followed) look() {
	select {
	case f.doubt <- struct{}{}:
	default:
	}
}

func (f *Followed) follow(ctx context.Context) {
	fabric := f.registers.fabric
	timer := time.NewTimer(f.interval)
	defer timer.Stop()
	doubtful, lost := true, false
	heeded := uint64(0) // the newest hint that was followed: one that is wrong is not followed again and again
	for {
		viewChanged, changed := fabric.Changed(), f.Changed()
		view := fabric.View()
		hinted := f.hinted(view)
		if held := f.Latest().Version; (doubtful || hinted > max(held, heeded)) && len(rootVoters(view)) > 0 {
			err := f.refresh(ctx, doubtful && held > 0)
			if ctx.Err() != nil {
				return
			}
			lost = f.tell(lost, err)
			if doubtful = err != nil; doubtful {
				timer.Reset(followAgain)
				viewChanged = nil
			} else {
				timer.Reset(f.interval)
				heeded = hinted
			}
			changed = f.Changed()
		}
		f.announceTo(ctx, view)
		select {
		case <-ctx.Done():
			return
		case <-viewChanged:
		case <-changed:
		case <-f.doubt:
			doubtful = true
		case <-timer.C:
			doubtful = true
			timer.Reset(f.interval)
		}
	}
}

// refresh reads the register, and makes it if this node has never seen it and nobody has it. What is learned after a doubt
// may be a change of this node that nobody was told of.
func (f *Followed) refresh(ctx context.Context, announce bool) error {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	if f.Latest().Version == 0 {
		if err := f.find(ctx); err != nil {
			return err
		}
	}
	now, err := f.registers.Read(ctx, f.group)
	if err != nil {
		return err
	}
	f.hold(now, announce)
	return nil
}

// find makes the register unless it is there: a read of one that nobody has made waits for ever. Who has listed it may
// have died before it was made.
func (f *Followed) find(ctx context.Context) error {
	now, err := f.registers.Read(ctx, RootGroup)
	if err != nil {
		return err
	}
	listed, err := decodeRoot(now.Value)
	if err != nil {
		return err
	}
	if _, known := listed.find(f.group); known {
		ctx, cancel := context.WithTimeout(ctx, followTimeout/4)
		defer cancel()
		if _, err := f.registers.Read(ctx, f.group); err == nil {
			return nil
		}
	}
	return f.registers.Ensure(ctx, f.group, 0, f.initial)
}

// tell logs when the register gets out of reach, and when it is back.
func (f *Followed) tell(lost bool, err error) bool {
	logger, register := f.registers.fabric.logger, slog.String("register", f.group)
	switch {
	case err != nil && !lost && f.Latest().Version > 0:
		logger.Warn("a register is out of reach", slog.String("event", "register_unreachable"), register, slog.Any("error", err))
		return true
	case err == nil && lost:
		logger.Info("a register is back", slog.String("event", "register_reachable"), register)
		return false
	}
	return lost
}

// hinted is the version that the shared key names.
func (f *Followed) hinted(view *gossip.View) uint64 {
	value, _, _ := view.Shared(followPrefix + f.group)
	in := wire.NewReader(value)
	version := in.Uvarint()
	if in.Err() != nil {
		return 0
	}
	return version
}

// announceTo tells the others of the newest version that this node has made. Of two that are told at once the older one
// may win: then its newer one is told again.
func (f *Followed) announceTo(ctx context.Context, view *gossip.View) {
	f.mu.Lock()
	version := f.announce
	f.mu.Unlock()
	if version > f.hinted(view) {
		_ = f.registers.fabric.SetShared(ctx, followPrefix+f.group, wire.AppendUvarint(nil, version)) // a node whose clock is off may not: the interval is left
	}
}
