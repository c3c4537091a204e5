package loop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/internal/core"
)

const (
	// DefaultInbox is how many messages wait for the core when Config.Inbox is zero.
	DefaultInbox = 4096
	// MaxBatch is how many messages the core receives before deadlines are looked at and Ready is carried out.
	MaxBatch = 256
)

// ErrClosed is what Submit and Inspect return once the loop has ended, by Close or by a failed Save.
var ErrClosed = errors.New("loop: closed")

// Config connects a core to the world. All callbacks run on the core's goroutine and must not block; a nil one is
// skipped.
type Config[P comparable, M, E any] struct {
	// Now is the clock the core sees; nil is time.Now.
	Now func() time.Time
	// Inbox bounds the messages that wait; 0 is DefaultInbox.
	Inbox int
	// Send sends one message to a peer, best effort.
	Send func(to P, m M)
	// Save makes a record durable; it may take as long as the disk does.
	Save func(record []byte) error
	// Notify takes one event of the core.
	Notify func(event E)
	// Failed is told once that Save failed, which ended the loop.
	Failed func(err error)
}

// item is one entry of the inbox: a message, a function to run on the core's goroutine, or both.
type item[P comparable, M any] struct {
	from    P
	message M
	receive bool // there is a message
	call    func()
}

// Loop owns one core.
type Loop[P comparable, M, E any] struct {
	core    core.Core[P, M, E]
	config  Config[P, M, E]
	inbox   chan item[P, M]
	wake    chan struct{}
	stop    chan struct{} // closed by Close
	ended   chan struct{} // closed when the goroutine has ended
	once    sync.Once
	dropped atomic.Uint64
}

// Start makes the goroutine that owns c from here on. What c is ready to do already is carried out first.
func Start[P comparable, M, E any](c core.Core[P, M, E], config Config[P, M, E]) *Loop[P, M, E] {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Inbox <= 0 {
		config.Inbox = DefaultInbox
	}
	l := &Loop[P, M, E]{
		core:   c,
		config: config,
		inbox:  make(chan item[P, M], config.Inbox),
		wake:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
		ended:  make(chan struct{}),
	}
	go l.run() // ends by Close or a failed Save; Close waits for it
	return l
}

// Post hands over a message without waiting. It reports false when the message was dropped: the inbox is full, which
// is counted, or the loop has ended.
func (l *Loop[P, M, E]) Post(from P, m M) bool {
	if l.over() {
		return false
	}
	select {
	case l.inbox <- item[P, M]{from: from, message: m, receive: true}:
		return true
	default:
		l.dropped.Add(1)
		return false
	}
}

// Submit hands over a message and waits for room in the inbox, for ctx, or for the end of the loop. It does not wait
// until the core has received the message: Request does.
func (l *Loop[P, M, E]) Submit(ctx context.Context, from P, m M) error {
	return l.put(ctx, item[P, M]{from: from, message: m, receive: true})
}

// Inspect runs f on the core's goroutine, after everything accepted earlier was carried out, and waits for it.
func (l *Loop[P, M, E]) Inspect(ctx context.Context, f func()) error {
	return l.call(ctx, item[P, M]{}, f)
}

// Request hands over a message, lets the loop carry out what comes of it, and then runs f on the core's goroutine. It
// waits for all of that. When ctx ends earlier, the message may still be received.
func (l *Loop[P, M, E]) Request(ctx context.Context, from P, m M, f func()) error {
	return l.call(ctx, item[P, M]{from: from, message: m, receive: true}, f)
}

func (l *Loop[P, M, E]) call(ctx context.Context, i item[P, M], f func()) error {
	done := make(chan struct{})
	i.call = func() { f(); close(done) }
	if err := l.put(ctx, i); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("loop: request: %w", context.Cause(ctx))
	case <-l.ended:
	}
	select { // the loop may have ended right after f
	case <-done:
		return nil
	default:
		return ErrClosed
	}
}

func (l *Loop[P, M, E]) put(ctx context.Context, i item[P, M]) error {
	if l.over() {
		return ErrClosed
	}
	select {
	case l.inbox <- i:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("loop: submit: %w", context.Cause(ctx))
	case <-l.stop:
		return ErrClosed
	case <-l.ended:
		return ErrClosed
	}
}

func (l *Loop[P, M, E]) over() bool {
	select {
	case <-l.stop:
		return true
	case <-l.ended:
		return true
	default:
		return false
	}
}

// Wake makes the loop read the clock and look at the deadlines again; call it when Now has been moved.
func (l *Loop[P, M, E]) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Dropped counts the messages that Post found no room for.
func (l *Loop[P, M, E]) Dropped() uint64 { return l.dropped.Load() }

// Close ends the loop and waits for its goroutine. It may be called more than once.
func (l *Loop[P, M, E]) Close() {
	l.once.Do(func() { close(l.stop) })
	<-l.ended
}

func (l *Loop[P, M, E]) run() {
	defer close(l.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	if !l.carryOut() {
		return
	}
	for {
		now := l.config.Now()
		next := l.core.Next()
		if !next.IsZero() && !next.After(now) {
			l.core.Tick(now)
			if !l.carryOut() {
				return
			}
			// A core that is always due must not keep messages or Close waiting.
			select {
			case <-l.stop:
				return
			case i := <-l.inbox:
				if !l.take(i) {
					return
				}
			default:
			}
			continue
		}
		var deadline <-chan time.Time // nil, which never comes, when there is none
		if !next.IsZero() {
			timer.Reset(next.Sub(now))
			deadline = timer.C
		}
		select {
		case <-l.stop:
			return
		case i := <-l.inbox:
			if !l.take(i) {
				return
			}
		case <-deadline:
		case <-l.wake:
		}
	}
}

// take hands a batch to the core, beginning with first, and carries out what comes of it.
func (l *Loop[P, M, E]) take(first item[P, M]) bool {
	for n, i := 1, first; ; n++ {
		if i.receive {
			// The clock is read after the message has arrived: a process that was stopped in between must not take an old
			// moment for now, least of all when it grants a lease.
			l.core.Receive(l.config.Now(), i.from, i.message)
		}
		if i.call != nil {
			if !l.carryOut() {
				return false
			}
			i.call()
		}
		if n == MaxBatch {
			return l.carryOut()
		}
		select {
		case i = <-l.inbox:
		default:
			return l.carryOut()
		}
	}
}

// carryOut does what the core is ready for; false means that Save failed and the loop must end.
func (l *Loop[P, M, E]) carryOut() bool {
	ready := l.core.Ready()
	if ready.Save != nil && l.config.Save != nil {
		if err := l.config.Save(ready.Save); err != nil {
			if l.config.Failed != nil {
				l.config.Failed(fmt.Errorf("loop: save: %w", err))
			}
			return false
		}
	}
	if l.config.Send != nil {
		for _, out := range ready.Send {
			l.config.Send(out.To, out.Message)
		}
	}
	if l.config.Notify != nil {
		for _, event := range ready.Notify {
			l.config.Notify(event)
		}
	}
	return true
}
