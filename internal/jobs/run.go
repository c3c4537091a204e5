package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
)

// Kind is something that jobs do.
type Kind struct {
	// Name is what jobs call it.
	Name string
	// Unit is what progress counts, in the plural: "slots".
	Unit string
	// Run does the work of a job; see the package comment. The context ends when it has to stop.
	Run func(ctx context.Context, run *Run) error
}

var (
	// errClosing tells a run to stop because its node does.
	errClosing      = errors.New("the node stops")
	contextCanceled = context.Canceled
)

// Run is one process's work on a job. Its methods are safe from any goroutine.
type Run struct {
	job   Job // as it was claimed
	stop  context.CancelCauseFunc
	cause func() error // why it was stopped; nil: it was not

	mu      sync.Mutex // guards what follows
	news    news
	written uint64 // of news.reports
}

// newRun also makes the context that the run gets.
func newRun(j Job) (*Run, context.Context) {
	ctx, stop := context.WithCancelCause(context.Background())
	r := &Run{job: j, stop: stop, cause: func() error { return context.Cause(ctx) }}
	r.news = news{id: j.ID, epoch: j.Epoch, done: j.Done, total: j.Total, note: j.Note, checkpoint: j.Checkpoint}
	return r, ctx
}

// ID is the job's.
func (r *Run) ID() uint64 { return r.job.ID }

// Epoch grows with every run of the job: a fencing token for what it changes elsewhere.
func (r *Run) Epoch() uint64 { return r.job.Epoch }

// Arguments are those the job was started with. Not to be changed.
func (r *Run) Arguments() []byte { return r.job.Arguments }

// Checkpoint is the last one reported, by this run or an earlier one; nil: none. Not to be changed.
func (r *Run) Checkpoint() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.news.checkpoint
}

// Report says how far the run has come, and where another one would go on. Total 0: not known. It is written soon, not at
// once: see the package comment. The error says that the run has to stop, or that the checkpoint is over MaxCheckpoint.
func (r *Run) Report(done, total uint64, checkpoint []byte) error {
	if len(checkpoint) > MaxCheckpoint {
		return fmt.Errorf("jobs: report: checkpoint of %d bytes: %w: at most %d", len(checkpoint), ErrFull, MaxCheckpoint)
	}
	cause := r.cause()
	if errors.Is(cause, ErrLost) || errors.Is(cause, ErrCancelled) {
		return cause
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.news.done, r.news.total, r.news.checkpoint = done, total, slices.Clone(checkpoint)
	r.news.reports++
	return cause // who pauses, or is to go on elsewhere, has a last word
}

// Note says in words what the run does, for people; at most MaxNote bytes of it are kept.
func (r *Run) Note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.news.note = cut(text, MaxNote)
	r.news.reports++
}

// latest is what the run has to say; fresh: nobody has written it down.
func (r *Run) latest() (n news, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.news, r.news.reports > r.written
}

// heard remembers that news were written down.
func (r *Run) heard(n *news) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written = max(r.written, n.reports)
}

// carryOut runs the kind and keeps its result. A panic of it is one.
func (r *Run) carryOut(ctx context.Context, kind Kind, logger *slog.Logger) {
	defer r.stop(context.Canceled) // frees the context
	result := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				logger.Error("a job panicked", slog.String("event", "job_panicked"), slog.Uint64("job", r.job.ID), slog.String("kind", kind.Name),
					slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		return kind.Run(ctx, r)
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.news.ended, r.news.told, r.news.result = true, r.cause() != nil, result
	r.news.reports++
}
