package slots

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/slots/internal/command"
)

// clients are the connections of a service by their number. Safe for use by any goroutine.
type clients struct {
	maximum atomic.Int64 // how many there may be

	mu   sync.Mutex
	last int64                 // guarded by mu: the number given last
	byID map[int64]*connection // guarded by mu
}

func newClients(maximum int) *clients {
	l := &clients{byID: map[int64]*connection{}}
	l.maximum.Store(int64(maximum))
	return l
}

// add numbers a connection, or returns false when there are as many clients as there may be.
func (l *clients) add(c *connection) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int64(len(l.byID)) >= l.maximum.Load() {
		return false
	}
	l.last++
	c.session.ID = l.last
	l.byID[l.last] = c
	return true
}

func (l *clients) remove(c *connection) {
	l.mu.Lock()
	delete(l.byID, c.session.ID)
	l.mu.Unlock()
}

func (l *clients) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byID)
}

// find returns the connection with a number, or nil.
func (l *clients) find(id int64) *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

// all returns the connections in the order of their numbers.
func (l *clients) all() []*connection {
	l.mu.Lock()
	all := make([]*connection, 0, len(l.byID))
	for _, c := range l.byID {
		all = append(all, c)
	}
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b *connection) int { return cmp.Compare(a.session.ID, b.session.ID) })
	return all
}

// kill has a connection closed before its next command.
func (c *connection) kill() {
	if !c.killed.Swap(true) {
		c.owner.interrupt()
	}
}

// killIdle kills the connections that have been silent since before an instant in ms, unless they wait for the end of a
// pause.
func (l *clients) killIdle(before int64) {
	for _, c := range l.all() {
		c.mu.Lock()
		idle := c.seen.active < before && !c.seen.postponed
		c.mu.Unlock()
		if idle {
			c.kill()
		}
	}
}

// maxPause is the longest pause.
const maxPause = 100 * 365 * 24 * time.Hour

// pause holds commands back until an instant.
type pause struct {
	until  int64 // ms since 1970
	writes bool  // only commands that change data
}

// pauseFor begins a pause, or prolongs the one there is: the later end and the stricter kind win.
func (s *Service) pauseFor(now int64, duration time.Duration, writes bool) {
	next := &pause{until: now + duration.Milliseconds(), writes: writes}
	for {
		old := s.paused.Load()
		if old != nil && old.until > now {
			next.until, next.writes = max(next.until, old.until), next.writes && old.writes
		}
		if s.paused.CompareAndSwap(old, next) {
			s.pauseTimer.Reset(time.Duration(next.until-now) * time.Millisecond)
			return
		}
	}
}

// postpones reports whether a command has to wait for the end of a pause.
func (s *Service) postpones(row *command.Command, now int64) bool {
	p := s.paused.Load()
	if p == nil || p.until <= now {
		return false
	}
	return !p.writes || row.Flags&(command.Write|command.MayReplicate) != 0
}

// endPause ends the pause if its time has come.
func (s *Service) endPause() {
	p := s.paused.Load()
	if p == nil {
		return
	}
	if left := p.until - s.config.Now().UnixMilli(); left > 0 {
		s.pauseTimer.Reset(time.Duration(left) * time.Millisecond)
		return
	}
	if s.paused.CompareAndSwap(p, nil) {
		s.engine.resume()
	}
}

// unpause lets everything continue.
func (s *Service) unpause() {
	if s.paused.Swap(nil) != nil {
		s.engine.resume()
	}
}
