package slots

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/internal/slab"
	"github.com/egalcluster/egal/slots/internal/command"
	"github.com/egalcluster/egal/slots/internal/keyspace"
	"github.com/egalcluster/egal/slots/internal/resp"
)

const (
	// housekeepingInterval is the time between two looks at expired keys and idle clients.
	housekeepingInterval = 100 * time.Millisecond
	// expiryBudget is how many entries with an expiry one look at expired keys may visit.
	expiryBudget = 16 << 10
	// expiryWorth is the share of expired ones, one in so many, above which another look follows at once.
	expiryWorth = 10
	// expiryTime bounds the looks of one interval.
	expiryTime = housekeepingInterval / 4
)

// Service is one complete server of the store: listener, clients, keyspace. It is safe for use by any goroutine.
type Service struct {
	config  Config
	address netip.AddrPort
	started time.Time
	seed    uint64
	runID   string
	limits  resp.Limits

	arena       *slab.Arena
	store       *keyspace.Store
	table       *command.Table
	statistics  *statistics
	clients     *clients
	cluster     *cluster // nil: by itself
	engine      engine
	engineName  string
	executors   atomic.Uint64         // made so far; the number of the next one
	paused      atomic.Pointer[pause] // nil: not paused
	pauseTimer  *time.Timer           // fires when a pause ends
	idleSeconds atomic.Int64          // clients silent for longer are closed; 0: never
	rates       rates

	fullCoverage atomic.Bool // no key is served while a slot is not

	closing chan struct{} // closed by Close
	once    sync.Once
	wait    sync.WaitGroup
}

// engine is the network side of a service.
type engine interface {
	// start serves the listener, which the engine owns from now on, also when it fails.
	start(listener *net.TCPListener) error
	// resume makes every connection continue that was postponed.
	resume()
	// close closes every connection and waits for the engine's goroutines.
	close()
}

// Start opens the listener and serves clients until Close. ctx bounds the start only.
func Start(ctx context.Context, config Config) (*Service, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	s := &Service{config: config.withDefaults(), closing: make(chan struct{})}
	listener, err := s.listen(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.assemble(ctx); err != nil {
		s.release()
		return nil, errors.Join(fmt.Errorf("slots: start: %w", err), listener.Close())
	}
	if err := s.engine.start(listener); err != nil {
		s.release()
		return nil, fmt.Errorf("slots: start: %w", err)
	}
	s.wait.Go(s.keepHouse)
	s.config.Logger.Info("slots service started", slog.String("event", "slots_started"),
		slog.String("address", s.address.String()), slog.String("engine", s.engineName))
	return s, nil
}

// listen opens the listener. The system's error stays in the chain, so that callers can tell a port in use.
func (s *Service) listen(ctx context.Context) (*net.TCPListener, error) {
	opened, err := s.config.ListenConfig.Listen(ctx, "tcp", s.config.Listen)
	if err != nil {
		return nil, fmt.Errorf("slots: listen on %s: %w", s.config.Listen, err)
	}
	listener, ok := opened.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("slots: listen on %s: not a TCP address", s.config.Listen), opened.Close())
	}
	address := listener.Addr().(*net.TCPAddr).AddrPort()
	s.address = netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
	if !s.config.AllowRemote && !s.address.Addr().IsLoopback() {
		return nil, errors.Join(fmt.Errorf("slots: listen on %s: %w", s.config.Listen, ErrRemote), listener.Close())
	}
	return listener, nil
}

// ErrRemote is returned by Start for an address that others can reach, when Config.AllowRemote is not set.
var ErrRemote = errors.New("reachable beyond this machine without authentication; hint: listen on 127.0.0.1, or allow it explicitly")

// assemble makes everything that serves clients of the listener.
func (s *Service) assemble(ctx context.Context) (err error) {
	s.prepare()
	if s.config.Fabric != nil {
		if s.cluster, err = startCluster(ctx, s); err != nil {
			return err
		}
	}
	if s.table, err = s.commands(); err != nil {
		return err
	}
	s.statistics = newStatistics(s.table)
	s.engine, s.engineName, err = newEngine(s)
	return err
}

// release ends what assemble has begun, engine and housekeeping aside.
func (s *Service) release() {
	if s.cluster != nil {
		s.cluster.close()
	}
	s.arena.Close()
}

// prepare makes the keyspace.
func (s *Service) prepare() {
	s.started = s.config.Now()
	s.seed = s.config.Seed
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	source := rand.New(rand.NewPCG(s.seed, 0))
	s.runID = fmt.Sprintf("%016x%016x%08x", source.Uint64(), source.Uint64(), source.Uint32())
	s.limits = resp.Limits{Bulk: 512 << 20, Args: 1 << 20, Inline: 64 << 10}
	s.arena = slab.New(slab.Options{})
	s.store = keyspace.New(keyspace.Options{Databases: s.config.Databases, Shards: 256, Seed: maphash.MakeSeed(), Arena: s.arena})
	s.clients = newClients(s.config.MaxClients)
	s.fullCoverage.Store(s.config.RequireFullCoverage)
	s.idleSeconds.Store(int64((s.config.IdleTimeout + time.Second - 1) / time.Second))
	s.pauseTimer = time.NewTimer(time.Hour)
	s.pauseTimer.Stop()
}

// commands is the full command table.
func (s *Service) commands() (*command.Table, error) {
	return command.NewTable(command.Keyspace(), s.connectionCommands(), s.serverCommands(), s.cluster.commands())
}

// keepHouse removes expired keys and closes idle clients until Close.
func (s *Service) keepHouse() {
	ticker := time.NewTicker(housekeepingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-s.pauseTimer.C:
			s.endPause()
			continue
		case <-ticker.C:
		}
		s.expire()
		now := s.config.Now()
		s.rates.sample(now, s.statistics)
		if idle := s.idleSeconds.Load(); idle > 0 {
			s.clients.killIdle(now.UnixMilli() - 1000*idle)
		}
	}
}

// expire removes expired keys. It goes on while that is worth it and there is time, so that what has expired does not
// pile up however much is written.
func (s *Service) expire() {
	begin := s.config.Now()
	for now := begin; now.Sub(begin) < expiryTime; now = s.config.Now() {
		looked, removed := s.store.ExpireSome(now.UnixMilli(), expiryBudget)
		if removed*expiryWorth <= looked {
			return
		}
		select {
		case <-s.closing:
			return
		default:
		}
	}
}

// Addr is the address clients are served on.
func (s *Service) Addr() netip.AddrPort { return s.address }

// ID is the service's name in the cluster, 40 hexadecimal digits; by itself, a name that lasts until Close.
func (s *Service) ID() string {
	if s.cluster != nil {
		return s.cluster.id()
	}
	return s.runID
}

// Serving reports whether every slot is served by somebody; a service by itself serves all.
func (s *Service) Serving() bool { return s.cluster == nil || s.cluster.serving() }

// MaxClients is how many clients may be connected now: Config.MaxClients, or what has been set since.
func (s *Service) MaxClients() int { return int(s.clients.maximum.Load()) }

// SetMaxClients bounds the clients from now on; those above the bound stay. Numbers out of 1 to 1<<24 are brought into it.
func (s *Service) SetMaxClients(n int) { s.clients.maximum.Store(int64(min(max(n, 1), maxMaxClients))) }

// RequireFullCoverage tells whether every key is refused now while a single slot is not served.
func (s *Service) RequireFullCoverage() bool { return s.fullCoverage.Load() }

// SetRequireFullCoverage changes that.
func (s *Service) SetRequireFullCoverage(require bool) { s.fullCoverage.Store(require) }

// Changed returns a channel that is closed when Serving, or the slot table, may have changed since the call. Call it
// before looking. A service by itself never changes: its channel is nil.
func (s *Service) Changed() <-chan struct{} {
	if s.cluster == nil {
		return nil
	}
	return s.cluster.changed()
}

// Close stops serving, closes every connection and returns when all goroutines have ended.
func (s *Service) Close() error {
	s.once.Do(func() {
		close(s.closing)
		s.pauseTimer.Stop()
		s.engine.close()
		s.wait.Wait()
		s.release()
		s.config.Logger.Info("slots service stopped", slog.String("event", "slots_stopped"), slog.String("address", s.address.String()))
	})
	return nil
}

// compatibleVersion is the compatible server's version, which clients look at.
const compatibleVersion = "7.2.4"
