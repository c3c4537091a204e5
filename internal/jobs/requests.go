package jobs

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric"
)

// This file is what people and programs ask of the jobs, from any node.

// Start makes a job, which a node that knows the kind will claim. An error that wraps fabric.ErrUnknown says that the
// voters did not answer in time: it may have been made, or may be later.
func (s *Service) Start(ctx context.Context, kind string, arguments []byte) (Job, error) {
	if len(arguments) > MaxArguments {
		return Job{}, fmt.Errorf("jobs: start: arguments of %d bytes: %w: at most %d", len(arguments), ErrFull, MaxArguments)
	}
	if !s.known(kind) {
		return Job{}, fmt.Errorf("jobs: start %q: %w", kind, ErrKind)
	}
	arguments = slices.Clone(arguments)
	request := newRequest()
	var id uint64
	now, err := s.change(ctx, func(t *table, now time.Time) error {
		j, err := t.add(kind, arguments, request, now)
		if err == nil {
			id = j.ID
		}
		return err
	})
	if err != nil {
		return Job{}, fmt.Errorf("jobs: start %q: %w", kind, err)
	}
	return now.copyOf(id)
}

// known reports whether any member can run the kind.
func (s *Service) known(kind string) bool {
	s.mu.Lock()
	_, own := s.kinds[kind]
	s.mu.Unlock()
	if own {
		return true
	}
	view := s.fabric.View()
	for _, m := range view.Members() {
		if runs(view, m.ID, kind) {
			return true
		}
	}
	return false
}

// newRequest is a number that no other request has.
func newRequest() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// requestTimeout bounds a request and its repetitions.
const requestTimeout = 5 * time.Second

// change decodes, edits and encodes. edit is called again with a newer table when others were faster, and when it is not
// known whether the change was made: what it does twice must be as if done once.
func (s *Service) change(ctx context.Context, edit func(t *table, now time.Time) error) (*table, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for {
		var refused error
		now, err := s.followed.Change(ctx, func(value []byte) ([]byte, error) {
			t, err := decode(value)
			if err != nil {
				return nil, err
			}
			if refused = edit(t, s.config.Now()); refused != nil {
				return nil, refused
			}
			return t.encode(), nil
		})
		switch {
		case err == nil:
			return decode(now.Value)
		case refused != nil:
			return nil, refused // without the words of the register
		case !errors.Is(err, fabric.ErrUnknown) || ctx.Err() != nil:
			return nil, err
		}
	}
}

// Pause stops a job so that it can go on later. One that runs is Pausing until its run has stopped.
func (s *Service) Pause(ctx context.Context, id uint64) (Job, error) {
	return s.request(ctx, "pause", id, (*table).pause)
}

// Resume lets a paused job go on from its checkpoint.
func (s *Service) Resume(ctx context.Context, id uint64) (Job, error) {
	return s.request(ctx, "resume", id, (*table).resume)
}

// Cancel stops a job for good. One that runs is Cancelling until its run has stopped.
func (s *Service) Cancel(ctx context.Context, id uint64) (Job, error) {
	return s.request(ctx, "cancel", id, (*table).cancel)
}

func (s *Service) request(ctx context.Context, what string, id uint64, do func(*table, *Job, time.Time) error) (Job, error) {
	now, err := s.change(ctx, func(t *table, now time.Time) error {
		j, err := t.find(id)
		if err != nil {
			return err
		}
		return do(t, j, now)
	})
	if err != nil {
		return Job{}, fmt.Errorf("jobs: %s: %w", what, err)
	}
	return now.copyOf(id)
}

// copyOf is the job as a value.
func (t *table) copyOf(id uint64) (Job, error) {
	j, err := t.find(id)
	if err != nil {
		return Job{}, fmt.Errorf("jobs: %w", err)
	}
	return *j, nil
}

// latest waits for the first table, and gives the newest.
func (s *Service) latest(ctx context.Context) (*table, error) {
	_, err := s.followed.Known(ctx)
	if err == nil {
		var t *table
		if t, err = s.table(); err == nil {
			return t, nil
		}
	}
	return nil, fmt.Errorf("jobs: %w", err)
}

// List gives all jobs that are remembered, the oldest first.
func (s *Service) List(ctx context.Context) ([]Job, error) {
	t, err := s.latest(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(t.jobs), nil
}

// Get gives one job. One that this node has not heard of is asked for.
func (s *Service) Get(ctx context.Context, id uint64) (Job, error) {
	t, err := s.latest(ctx)
	if err != nil {
		return Job{}, err
	}
	if id > t.last {
		if _, err := s.followed.Read(ctx); err != nil {
			return Job{}, fmt.Errorf("jobs: %w", err)
		}
		if t, err = s.latest(ctx); err != nil {
			return Job{}, err
		}
	}
	return t.copyOf(id)
}

// Watch gives a job as it is now and then whenever it has changed, until it is finished. It ends with an error when the
// context does, or when the job is forgotten.
func (s *Service) Watch(ctx context.Context, id uint64) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		var seen []byte
		for {
			changed := s.followed.Changed()
			j, err := s.Get(ctx, id)
			if err != nil {
				yield(Job{}, err)
				return
			}
			now := j.append(nil)
			if !bytes.Equal(now, seen) && !yield(j, nil) || j.State.Final() {
				return
			}
			seen = now
			select {
			case <-changed:
			case <-ctx.Done():
				yield(Job{}, fmt.Errorf("jobs: watch: %w", ctx.Err()))
				return
			}
		}
	}
}
