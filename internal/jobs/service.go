package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/egalcluster/egal/fabric"
)

const (
	// Group is the register of jobs.
	Group = "jobs"
	// IsolatedIntervals is after how many intervals without an answer of the voters a node gives up its runs.
	IsolatedIntervals = 15

	// kindsKey is the key of a node's own state with the kinds it can run.
	kindsKey         = "jobs"
	defaultInterval  = time.Second
	defaultRunning   = 4
	refreshIntervals = 5
	writeTimeout     = 2 * time.Second
	closeTimeout     = time.Second
)

// Config is what a Service is opened with.
type Config struct {
	// Fabric is required.
	Fabric *fabric.Fabric
	// MaxRunning is how many jobs this node runs at once; 0: 4.
	MaxRunning int
	// Interval is the least time between two writes of progress; 0: one second.
	Interval time.Duration
	// Now stamps jobs; nil is time.Now.
	Now func() time.Time
	// Logger takes structured logs; nil logs nothing.
	Logger *slog.Logger
}

// Service is one node's handle on the jobs of the cluster, and runs its share of them.
type Service struct {
	config   Config
	fabric   *fabric.Fabric
	followed *fabric.Followed
	stop     context.CancelFunc
	tending  sync.WaitGroup
	working  sync.WaitGroup // runs
	wake     chan struct{}  // room for one
	closing  sync.Once

	mu    sync.Mutex // guards what follows
	kinds map[string]Kind
	runs  map[uint64]*Run // by job, until their end is written down; at most MaxRunning
	// newest is the table of this version.
	newest  *table
	version uint64

	published int // kinds; of the tending goroutine alone
}

// Open begins to follow the jobs, and to claim those whose kind is registered.
func Open(config Config) *Service {
	if config.MaxRunning == 0 {
		config.MaxRunning = defaultRunning
	}
	if config.Interval == 0 {
		config.Interval = defaultInterval
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		config: config, fabric: config.Fabric, wake: make(chan struct{}, 1), kinds: map[string]Kind{}, runs: map[uint64]*Run{},
	}
	s.followed = config.Fabric.Registers().Follow(Group, (&table{}).encode(), refreshIntervals*config.Interval)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.tending.Go(func() { s.tend(ctx) }) // these end by Close
	s.tending.Go(func() { s.watchSilence(ctx) })
	return s
}

// Register makes this node able to run a kind of job.
func (s *Service) Register(kind Kind) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.kinds[kind.Name]
	switch {
	case kind.Name == "" || len(kind.Name) > MaxKindBytes || len(kind.Unit) > MaxUnit || kind.Run == nil:
		return fmt.Errorf("jobs: register %q: want a name of 1 to %d bytes, a unit of at most %d, a function", kind.Name, MaxKindBytes, MaxUnit)
	case known:
		return fmt.Errorf("jobs: register %q: it is registered already", kind.Name)
	case len(s.kinds) >= MaxKinds:
		return fmt.Errorf("jobs: register %q: %w: there are %d kinds", kind.Name, ErrFull, len(s.kinds))
	}
	s.kinds[kind.Name] = kind
	s.look()
	return nil
}

// Close stops the runs of this node and gives their jobs back. It comes before the fabric's.
func (s *Service) Close() {
	s.closing.Do(func() {
		s.stop()
		s.tending.Wait()
		if s.published > 0 { // then nobody waits for this node to claim
			s.within(closeTimeout, func(ctx context.Context) error { return s.fabric.DeleteOwn(ctx, kindsKey) })
		}
		for _, r := range s.running() {
			r.stop(errClosing)
		}
		s.working.Wait()
		s.within(closeTimeout, func(ctx context.Context) error { return s.step(ctx, true, false) })
		s.followed.Close()
	})
}

// within does a part of the goodbye. Without it the others find out by themselves, only later.
func (s *Service) within(timeout time.Duration, do func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := do(ctx); err != nil {
		s.config.Logger.Debug("no goodbye", slog.String("event", "jobs_goodbye"), slog.Any("error", err))
	}
}

// look makes tend look at everything again.
func (s *Service) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Service) running() []*Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.runs))
}

func (s *Service) tend(ctx context.Context) {
	ticker := time.NewTicker(s.config.Interval)
	defer ticker.Stop()
	var before error
	for due := false; ; {
		changed, viewChanged := s.followed.Changed(), s.fabric.Changed()
		s.publishKinds(ctx)
		before = s.tell(s.step(ctx, due, true), before)
		due = false
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-viewChanged:
		case <-s.wake:
		case <-ticker.C:
			due = true
		}
	}
}

// tell logs an error that differs from the one before; that the voters are out of reach is told by the followed register.
func (s *Service) tell(err, before error) error {
	if err == nil || errors.Is(err, fabric.ErrUnavailable) || errors.Is(err, fabric.ErrUnknown) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return nil
	}
	if before == nil || before.Error() != err.Error() {
		s.config.Logger.Error("jobs are not tended", slog.String("event", "jobs_failed"), slog.Any("error", err))
	}
	return err
}

// publishKinds tells the others what this node can run.
func (s *Service) publishKinds(ctx context.Context) {
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.kinds))
	s.mu.Unlock()
	if len(names) > s.published && s.fabric.SetOwn(ctx, kindsKey, encodeKinds(names)) == nil {
		s.published = len(names)
	}
}

// table is the newest one that this node knows; nil: none yet. Not to be changed.
func (s *Service) table() (*table, error) {
	now := s.followed.Latest()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Version <= s.version {
		return s.newest, nil
	}
	t, err := decode(now.Value)
	if err != nil {
		return nil, err
	}
	s.newest, s.version = t, now.Version
	return t, nil
}

// obey stops the runs that the newest table stops.
func (s *Service) obey(t *table) {
	for _, r := range s.running() {
		j, err := t.find(r.job.ID)
		switch {
		case err == nil && j.Epoch < r.job.Epoch: // the table is older than the claim
		case err != nil || j.Epoch > r.job.Epoch || !j.State.owned():
			r.stop(ErrLost)
		case j.State == Pausing:
			r.stop(ErrPaused)
		case j.State == Cancelling:
			r.stop(ErrCancelled)
		}
	}
}

// watchSilence gives up the runs of a node that hears nothing of the voters: others may have claimed its jobs. It has a
// goroutine of its own, because tend waits for the voters.
func (s *Service) watchSilence(ctx context.Context) {
	ticker := time.NewTicker(s.config.Interval)
	defer ticker.Stop()
	confirmed := s.followed.Confirmed()
	for silent := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := s.followed.Confirmed(); now != confirmed {
			confirmed, silent = now, 0
			continue
		}
		if silent++; silent >= IsolatedIntervals {
			for _, r := range s.running() {
				r.stop(ErrLost)
			}
		}
	}
}

// step writes down what the runs say and claims what is this node's to run, in one change, if there is anything. Progress
// is written when it is due; ends and claims always.
func (s *Service) step(ctx context.Context, due, claims bool) error {
	t, err := s.table()
	if t == nil || err != nil {
		return err
	}
	s.obey(t)
	all, urgent := s.news(due)
	if !urgent && (!claims || !s.claimant().wants(t)) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var claimed []Job
	_, err = s.followed.Change(ctx, func(value []byte) ([]byte, error) {
		t, err := decode(value)
		if err != nil {
			return nil, err
		}
		now := s.config.Now()
		for i := range all {
			t.report(&all[i], now)
		}
		claimed = nil
		if claims {
			claimed = s.claimant().claim(t, now)
		}
		return t.encode(), nil
	})
	if err != nil {
		return err // after fabric.ErrUnknown a claim that was made shows as one without a run, and is made again
	}
	s.heard(all)
	for _, j := range claimed {
		s.launch(j) //nolint:contextcheck // a run outlives the step
	}
	return nil
}

// news are what the runs have to say; urgent: some of it is to be written now.
func (s *Service) news(due bool) (all []news, urgent bool) {
	for _, r := range s.running() {
		if n, fresh := r.latest(); fresh {
			all = append(all, n)
			urgent = urgent || due || n.ended
		}
	}
	return all, urgent
}

// heard takes note that news were written down, and forgets the runs that have ended.
func (s *Service) heard(all []news) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range all {
		s.runs[all[i].id].heard(&all[i])
		if all[i].ended {
			delete(s.runs, all[i].id)
		}
	}
}

// launch runs a claimed job in a goroutine of its own, which ends with the kind's function; Close waits for it.
func (s *Service) launch(j Job) {
	r, ctx := newRun(j)
	s.mu.Lock()
	s.runs[j.ID] = r
	kind := s.kinds[j.Kind]
	s.mu.Unlock()
	s.config.Logger.Info("a job runs here", slog.String("event", "job_claimed"), slog.Uint64("job", j.ID), slog.String("kind", j.Kind), slog.Uint64("epoch", j.Epoch))
	s.working.Go(func() {
		r.carryOut(ctx, kind, s.config.Logger)
		s.look()
	})
}

// claimant is this node as it is now.
func (s *Service) claimant() *claimant {
	view := s.fabric.View()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &claimant{view: view, kinds: map[string]Kind{}, busy: map[uint64]bool{}, free: s.config.MaxRunning - len(s.runs)}
	c.self, _ = view.Member(s.fabric.ID())
	maps.Copy(c.kinds, s.kinds)
	for id := range s.runs {
		c.busy[id] = true
	}
	return c
}
