package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAJobIsSeenFromEveryNode(t *testing.T) {
	c := newCluster(t, 3)
	j := c.steps(c.nodes[1], 3)
	if j.ID != 1 || j.State != Pending {
		t.Errorf("%+v", j)
	}
	running := c.until(c.nodes[2], j.ID, "it runs", is(Running))
	owner := c.owner(running)
	c.step(owner, 2)
	for _, n := range c.nodes {
		seen := c.until(n, j.ID, "two steps", func(j Job) bool { return j.Done == 2 })
		if seen.Total != 3 || seen.Unit != "steps" || seen.Note != "counts" || seen.Epoch != 1 || seen.Started.IsZero() {
			t.Errorf("%+v", seen)
		}
	}
	c.step(owner, 1)
	for _, n := range c.nodes {
		seen := c.until(n, j.ID, "done", is(Done))
		if seen.Done != 3 || seen.Ended.IsZero() || seen.Checkpoint != nil || seen.Error != "" {
			t.Errorf("%+v", seen)
		}
		if all, err := n.List(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
	}
}

func TestAJobSurvivesTheNodeThatRanIt(t *testing.T) {
	c := newCluster(t, 3)
	j := c.steps(c.nodes[0], 4)
	first := c.owner(c.until(c.nodes[0], j.ID, "it runs", is(Running)))
	c.step(first, 2)
	var other *node
	for _, n := range c.nodes {
		if n != first {
			other = n
			c.until(n, j.ID, "the checkpoint is written", func(j Job) bool { return j.Done == 2 })
		}
	}
	c.kill(first)
	again := c.until(other, j.ID, "another node runs it", func(j Job) bool { return j.State == Running && j.Epoch == 2 })
	c.step(c.owner(again), 2)
	c.until(other, j.ID, "done", is(Done))
	if all := c.record.of(j.ID); len(all) != 2 || all[1].at != 2 || all[1].node == first {
		t.Errorf("%+v", all)
	}
}

func TestANodeThatStopsGivesItsJobsBack(t *testing.T) {
	c := newCluster(t, 3)
	j := c.steps(c.nodes[0], 2)
	first := c.owner(c.until(c.nodes[0], j.ID, "it runs", is(Running)))
	c.step(first, 1)
	first.Close() // its fabric lives: nobody finds it unreachable
	for _, n := range c.nodes {
		if n != first {
			again := c.until(n, j.ID, "another node runs it", func(j Job) bool { return j.State == Running && j.Epoch == 2 || j.State.Final() })
			if again.Done != 1 {
				t.Errorf("what was reported last is lost: %+v", again)
			}
		}
	}
}

func TestAPauseSurvivesARestartOfAll(t *testing.T) {
	c := newCluster(t, 3)
	j := c.steps(c.nodes[0], 3)
	c.step(c.owner(c.until(c.nodes[0], j.ID, "it runs", is(Running))), 1)
	if pausing, err := c.nodes[2].Pause(t.Context(), j.ID); err != nil || pausing.State != Pausing {
		t.Errorf("%+v, %v", pausing, err)
	}
	c.until(c.nodes[1], j.ID, "paused", is(Paused))
	for _, n := range c.nodes {
		c.kill(n)
	}
	for _, n := range c.nodes {
		c.start(n)
	}
	for _, n := range c.nodes {
		if paused := c.until(n, j.ID, "it is there", func(Job) bool { return true }); paused.State != Paused || paused.Done != 1 || !paused.Owner.IsZero() {
			t.Errorf("%+v", paused)
		}
	}
	if resumed, err := c.nodes[1].Resume(t.Context(), j.ID); err != nil || resumed.State != Pending {
		t.Errorf("%+v, %v", resumed, err)
	}
	c.step(c.owner(c.until(c.nodes[0], j.ID, "it runs again", is(Running))), 2)
	c.until(c.nodes[2], j.ID, "done", is(Done))
	if all := c.record.of(j.ID); len(all) != 2 || all[1].at != 1 {
		t.Errorf("%+v", all)
	}
}

func TestARunningJobSurvivesARestartOfAll(t *testing.T) {
	c := newCluster(t, 3)
	j := c.steps(c.nodes[0], 2)
	c.step(c.owner(c.until(c.nodes[0], j.ID, "it runs", is(Running))), 1)
	for _, n := range c.nodes {
		c.until(n, j.ID, "the checkpoint is written", func(j Job) bool { return j.Done == 1 })
	}
	for _, n := range c.nodes {
		c.kill(n)
	}
	for _, n := range c.nodes {
		c.start(n)
	}
	again := c.until(c.nodes[1], j.ID, "it runs again", func(j Job) bool { return j.State == Running && j.Epoch > 1 })
	if again.Done != 1 {
		t.Errorf("%+v", again)
	}
}

func TestCancel(t *testing.T) {
	c := newCluster(t, 3)
	j := c.steps(c.nodes[0], 2)
	c.until(c.nodes[0], j.ID, "it runs", is(Running))
	if cancelling, err := c.nodes[1].Cancel(t.Context(), j.ID); err != nil || cancelling.State != Cancelling {
		t.Errorf("%+v, %v", cancelling, err)
	}
	c.until(c.nodes[2], j.ID, "cancelled", is(Cancelled))
	run := c.record.of(j.ID)[0]
	if err := <-run.ended; !errors.Is(err, ErrCancelled) {
		t.Errorf("the run ended with %v", err)
	}
	for what, request := range map[string]func(context.Context, uint64) (Job, error){"pause": c.nodes[0].Pause, "resume": c.nodes[0].Resume} {
		if _, err := request(t.Context(), j.ID); !errors.Is(err, ErrState) {
			t.Errorf("%s what was cancelled: %v", what, err)
		}
	}
	if again, err := c.nodes[0].Cancel(t.Context(), j.ID); err != nil || again.State != Cancelled {
		t.Errorf("cancel twice: %+v, %v", again, err)
	}
}

func TestAJobThatPanicsFailsAndTheProcessLives(t *testing.T) {
	c := newCluster(t, 1)
	n := c.nodes[0]
	for kind, text := range map[string]string{"panics": "panic: out of cheese", "fails": "no cheese"} {
		j, err := n.Start(t.Context(), kind, nil)
		must(t, err)
		if failed := c.until(n, j.ID, "failed", is(Failed)); failed.Error != text {
			t.Errorf("%+v", failed)
		}
	}
	j := c.steps(n, 0)
	c.until(n, j.ID, "done", is(Done))
}

func TestARunnerThatIsCutOffIsFenced(t *testing.T) {
	c := newCluster(t, 3)
	j := c.steps(c.nodes[0], 3)
	old := c.owner(c.until(c.nodes[0], j.ID, "it runs", is(Running)))
	c.step(old, 1)
	var others []*node
	for _, n := range c.nodes {
		c.until(n, j.ID, "the checkpoint is written", func(j Job) bool { return j.Done == 1 })
		if n != old {
			others = append(others, n)
			c.rules.Cut(n.addr, old.addr)
			c.rules.Cut(old.addr, n.addr)
		}
	}
	c.step(old, 1) // it goes on, and cannot write it down
	again := c.until(others[0], j.ID, "another node runs it", func(j Job) bool { return j.State == Running && j.Epoch > 1 })
	if again.Done != 1 {
		t.Errorf("%+v", again)
	}
	select { // it hears nothing of the voters, and gives up
	case err := <-c.record.of(j.ID)[0].ended:
		if !errors.Is(err, ErrLost) {
			t.Errorf("the old run ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the old run goes on")
	}
	c.rules.Heal()
	c.step(c.owner(again), 2)
	done := c.until(old, j.ID, "done", is(Done))
	if done.Owner == old.fabric.ID() || done.Done != 3 {
		t.Errorf("%+v", done)
	}
}

// A run that learns of its successor before it feels cut off is told the same.
func TestARunOfAnOldEpochIsLost(t *testing.T) {
	c := newCluster(t, 1)
	n := c.nodes[0]
	j := c.steps(n, 2)
	run := c.record.await(t, j.ID, 1)[0]
	_, err := n.change(t.Context(), func(t *table, now time.Time) error { // as another node would
		j, err := t.find(j.ID)
		if err == nil {
			t.claim(j, "steps", [16]byte{1}, 1, now)
		}
		return err
	})
	must(t, err)
	if err := <-run.ended; !errors.Is(err, ErrLost) {
		t.Errorf("the run ended with %v", err)
	}
	again := c.until(n, j.ID, "it runs here again", func(j Job) bool { return j.Epoch == 3 && j.State == Running })
	if again.Owner != n.fabric.ID() {
		t.Errorf("%+v", again)
	}
}

func TestANodeRunsAtMostSoManyJobs(t *testing.T) {
	c := newCluster(t, 1)
	n := c.nodes[0]
	var all []Job
	for range 5 {
		all = append(all, c.steps(n, 1))
	}
	c.record.await(t, 0, 2)
	for range all {
		c.step(n, 1)
	}
	for _, j := range all {
		c.until(n, j.ID, "done", is(Done))
	}
	if c.record.most != 2 {
		t.Errorf("%d ran at once", c.record.most)
	}
}

func TestWhatIsRefused(t *testing.T) {
	c := newCluster(t, 1)
	n, ctx := c.nodes[0], t.Context()
	check := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := n.Start(ctx, "unheard of", nil)
	check("an unknown kind", err, ErrKind)
	_, err = n.Start(ctx, "steps", make([]byte, MaxArguments+1))
	check("arguments", err, ErrFull)
	_, err = n.Get(ctx, 99)
	check("get", err, ErrNotFound)
	_, err = n.Pause(ctx, 99)
	check("pause", err, ErrNotFound)
	for _, err := range n.Watch(ctx, 99) {
		check("watch", err, ErrNotFound)
	}
	r, _ := newRun(Job{ID: 1})
	check("the largest checkpoint", r.Report(1, 1, make([]byte, MaxCheckpoint)), nil)
	check("a larger checkpoint", r.Report(1, 1, make([]byte, MaxCheckpoint+1)), ErrFull)
	work := func(context.Context, *Run) error { return nil }
	for name, kind := range map[string]Kind{
		"no name": {Run: work}, "no function": {Name: "x"}, "twice": {Name: "steps", Run: work},
		"a long name": {Name: strings.Repeat("x", MaxKindBytes+1), Run: work}, "a long unit": {Name: "y", Unit: strings.Repeat("x", MaxUnit+1), Run: work},
	} {
		if n.Register(kind) == nil {
			t.Errorf("registered: %s", name)
		}
	}
	for i := len(n.kinds); i < MaxKinds; i++ {
		check("a kind", n.Register(Kind{Name: fmt.Sprint("kind", i), Run: work}), nil)
	}
	check("one kind more", n.Register(Kind{Name: "one more", Run: work}), ErrFull)
}

func TestTheTableHasABound(t *testing.T) {
	c := newCluster(t, 1)
	n, ctx := c.nodes[0], t.Context()
	for range MaxLive {
		j := c.steps(n, 1)
		_, err := n.Pause(ctx, j.ID)
		must(t, err)
	}
	if _, err := n.Start(ctx, "steps", nil); !errors.Is(err, ErrFull) {
		t.Errorf("one more than %d: %v", MaxLive, err)
	}
	for id := uint64(1); id <= MaxLive; id++ {
		if _, err := n.Cancel(ctx, id); err != nil && !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	for id := uint64(MaxLive - MaxFinished + 1); id <= MaxLive; id++ {
		if j, err := n.Get(ctx, id); err == nil {
			c.until(n, j.ID, "cancelled", is(Cancelled))
		}
	}
	if all, err := n.List(ctx); err != nil || len(all) != MaxFinished {
		t.Errorf("%d jobs are remembered, %v", len(all), err)
	}
}

// BenchmarkJob is a job from its start, by any of three nodes, until it is done and that is known there.
func BenchmarkJob(b *testing.B) {
	c := newCluster(b, 3)
	for i := 0; b.Loop(); i++ {
		n := c.nodes[i%3]
		c.until(n, c.steps(n, 0).ID, "done", is(Done))
	}
}

func TestNodesThatStartJobsAtOnceMakeEachOnce(t *testing.T) {
	c := newCluster(t, 3)
	const each = MaxFinished / 3
	var starting sync.WaitGroup
	for _, n := range c.nodes {
		starting.Go(func() {
			for range each {
				if _, err := n.Start(t.Context(), "steps", make([]byte, 8)); err != nil { // no steps
					t.Error(err)
				}
			}
		})
	}
	starting.Wait()
	for id := uint64(1); id <= 3*each; id++ {
		c.until(c.nodes[0], id, "done", is(Done))
	}
	if all, err := c.nodes[0].List(t.Context()); err != nil || len(all) != 3*each {
		t.Errorf("%d jobs, %v", len(all), err)
	}
}
