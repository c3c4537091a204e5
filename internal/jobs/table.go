package jobs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// table is the content of the register. Its methods are all that ever happens to a job; they are called on decoded copies.
type table struct {
	last uint64 // id
	jobs []Job  // by ascending id
}

func (t *table) find(id uint64) (*Job, error) {
	at, ok := slices.BinarySearchFunc(t.jobs, id, func(j Job, id uint64) int { return cmp.Compare(j.ID, id) })
	if !ok {
		return nil, fmt.Errorf("job %d: %w", id, ErrNotFound)
	}
	return &t.jobs[at], nil
}

// live counts the jobs that are not finished.
func (t *table) live() int {
	count := 0
	for i := range t.jobs {
		if !t.jobs[i].State.Final() {
			count++
		}
	}
	return count
}

// add makes a job, unless the request has made it already.
func (t *table) add(kind string, arguments []byte, request uint64, now time.Time) (*Job, error) {
	if at := slices.IndexFunc(t.jobs, func(j Job) bool { return j.request == request }); at >= 0 {
		return &t.jobs[at], nil
	}
	if live := t.live(); live >= MaxLive {
		return nil, fmt.Errorf("%w: %d jobs are not finished", ErrFull, live)
	}
	t.last++
	t.jobs = append(t.jobs, Job{ID: t.last, Kind: kind, Arguments: arguments, State: Pending, Created: now, Updated: now, request: request})
	return &t.jobs[len(t.jobs)-1], nil
}

// end puts a job into a final state, and forgets the job that ended first when there are too many.
func (t *table) end(j *Job, state State, now time.Time) {
	j.State, j.Ended, j.Checkpoint = state, now, nil
	if len(t.jobs)-t.live() <= MaxFinished {
		return
	}
	oldest := -1
	for i := range t.jobs {
		if t.jobs[i].State.Final() && (oldest < 0 || t.jobs[i].Ended.Before(t.jobs[oldest].Ended)) {
			oldest = i
		}
	}
	t.jobs = slices.Delete(t.jobs, oldest, oldest+1) // j is no longer valid
}

func (t *table) pause(j *Job, now time.Time) error {
	switch j.State {
	case Pending:
		j.State = Paused
	case Running:
		j.State = Pausing
	case Pausing, Paused:
		return nil
	default:
		return stateError(j, "paused")
	}
	j.Updated = now
	return nil
}

// resume lets a run that has not paused yet go on: it ends and is claimed again.
func (t *table) resume(j *Job, now time.Time) error {
	switch j.State {
	case Paused:
		j.State = Pending
	case Pausing:
		j.State = Running
	case Pending, Running:
		return nil
	default:
		return stateError(j, "resumed")
	}
	j.Updated = now
	return nil
}

func (t *table) cancel(j *Job, now time.Time) error {
	switch j.State {
	case Pending, Paused:
		j.Updated = now
		t.end(j, Cancelled, now)
		return nil
	case Running, Pausing:
		j.State = Cancelling
	case Cancelling, Cancelled:
		return nil
	default:
		return stateError(j, "cancelled")
	}
	j.Updated = now
	return nil
}

func stateError(j *Job, what string) error {
	return fmt.Errorf("job %d is %v and cannot be %s: %w", j.ID, j.State, what, ErrState)
}

// claim gives a job to a process. One that was to stop has stopped with its owner; true: it is to be run.
func (t *table) claim(j *Job, unit string, node gossip.NodeID, boot gossip.BootID, now time.Time) bool {
	j.Epoch++
	j.Updated = now
	if j.State == Pausing || j.State == Cancelling {
		t.release(j, now)
		return false
	}
	j.State, j.Owner, j.Boot, j.Unit = Running, node, boot, unit
	if j.Started.IsZero() {
		j.Started = now
	}
	return true
}

// release takes a job from its owner, who no longer runs it.
func (t *table) release(j *Job, now time.Time) {
	if j.State == Cancelling {
		t.end(j, Cancelled, now)
		return
	}
	if j.State == Pausing {
		j.State = Paused
	} else {
		j.State = Pending
	}
	j.Owner, j.Boot = gossip.NodeID{}, 0
}

// news is what a run has to say.
type news struct {
	id, epoch   uint64
	reports     uint64 // so many have been made
	done, total uint64
	note        string
	checkpoint  []byte
	ended       bool
	told        bool  // to stop
	result      error // of one that has ended
}

// report writes down what a run of the job's epoch says. What one of an older epoch says is not heard.
func (t *table) report(n *news, now time.Time) (changed bool) {
	j, err := t.find(n.id)
	if err != nil || j.Epoch != n.epoch || !j.State.owned() {
		return false
	}
	j.Done, j.Total, j.Note, j.Checkpoint, j.Updated = n.done, n.total, n.note, n.checkpoint, now
	if !n.ended {
		return true
	}
	switch stopped := n.told && isStop(n.result); {
	case n.result == nil:
		t.end(j, Done, now)
	case stopped:
		t.release(j, now)
	case j.State == Cancelling:
		j.Error = cut(n.result.Error(), MaxError)
		t.end(j, Cancelled, now)
	default:
		j.Error = cut(n.result.Error(), MaxError)
		t.end(j, Failed, now)
	}
	return true
}

// cut shortens a text to at most so many bytes of whole characters.
func cut(text string, maximum int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= maximum {
		return text
	}
	return strings.ToValidUTF8(text[:maximum], "")
}

// isStop reports whether a run returned because it was told to.
func isStop(err error) bool {
	for _, stop := range []error{ErrPaused, ErrCancelled, ErrLost, errClosing, contextCanceled} {
		if errors.Is(err, stop) {
			return true
		}
	}
	return false
}
