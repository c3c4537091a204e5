package jobs

import (
	"errors"
	"fmt"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// Limits of this package; see the package comment.
const (
	MaxLive       = 64
	MaxFinished   = 32
	MaxKinds      = 64
	MaxKindBytes  = 64
	MaxArguments  = 1 << 10
	MaxCheckpoint = 1 << 10
	MaxUnit       = 32
	MaxNote       = 256
	MaxError      = 512
)

// Errors of this package; test with errors.Is.
var (
	ErrNotFound = errors.New("no such job")
	ErrFull     = errors.New("over a limit")
	ErrKind     = errors.New("no node knows this kind of job")
	// ErrState says that a job in its state cannot be paused, resumed or cancelled.
	ErrState = errors.New("not in this state")

	// ErrPaused, ErrCancelled and ErrLost tell a run to stop. Lost: another run of the job has begun or may begin.
	ErrPaused    = errors.New("the job is to pause")
	ErrCancelled = errors.New("the job is cancelled")
	ErrLost      = errors.New("the job is no longer this run's")
)

// State is where a job is in its life.
type State uint8

// The states; see the package comment.
const (
	Pending State = iota + 1
	Running
	Pausing
	Paused
	Cancelling
	Cancelled
	Done
	Failed
)

// String is the state in lower case.
func (s State) String() string {
	names := [...]string{"pending", "running", "pausing", "paused", "cancelling", "cancelled", "done", "failed"}
	if s < Pending || s > Failed {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return names[s-Pending]
}

// Final reports whether a job stays in this state.
func (s State) Final() bool { return s == Cancelled || s == Done || s == Failed }

// owned reports whether a node runs a job in this state, or should.
func (s State) owned() bool { return s == Running || s == Pausing || s == Cancelling }

// Job is a record of one piece of work.
type Job struct {
	// ID counts the cluster's jobs from 1 on.
	ID        uint64
	Kind      string
	Arguments []byte
	State     State
	// Owner and Boot name the process that runs the job, or was the last to; zero while nobody does.
	Owner gossip.NodeID
	Boot  gossip.BootID
	// Epoch counts the claims.
	Epoch uint64
	// Done of Total in Unit; Total 0: not known.
	Done, Total uint64
	Unit        string
	// Note is what the run says about what it does.
	Note string
	// Checkpoint is where another run goes on; dropped at the end.
	Checkpoint []byte
	// Created, Started, Updated and Ended are zero until they happen.
	Created, Started, Updated, Ended time.Time
	// Error is why the job has failed.
	Error string

	// request tells whether a Start whose outcome was not known has made the job.
	request uint64
}
