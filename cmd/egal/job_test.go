package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/internal/jobs"
	"github.com/egalcluster/egal/web"
)

// jobNode is a node that runs two kinds of jobs: one that goes a step of four for every token, and one that fails.
type jobNode struct {
	*egal.Node
	addr   string
	tokens chan struct{}
}

func startJobNode(t *testing.T) *jobNode {
	t.Helper()
	n, err := egal.Start(t.Context(), egal.Config{Name: "node-1", FabricListen: "127.0.0.1:0", SlotsListen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(web.Handler(n, web.Options{}))
	t.Cleanup(func() {
		server.Close()
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	j := &jobNode{Node: n, addr: strings.TrimPrefix(server.URL, "http://"), tokens: make(chan struct{})}
	for _, kind := range []jobs.Kind{
		{Name: "rebalance", Unit: "slots", Run: j.rebalance},
		{Name: "repair", Run: func(context.Context, *jobs.Run) error { return errors.New("no cheese\nat all") }},
	} {
		if err := n.Jobs().Register(kind); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func (j *jobNode) rebalance(ctx context.Context, run *jobs.Run) error {
	run.Note("moves slots")
	for done := uint64(len(run.Checkpoint())); done < 4; done++ {
		select {
		case <-j.tokens:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := run.Report(done+1, 4, make([]byte, done+1)); err != nil {
			return err
		}
	}
	return nil
}

func (j *jobNode) launch(t *testing.T, kind string) {
	t.Helper()
	if _, err := j.Jobs().Start(t.Context(), kind, nil); err != nil {
		t.Fatal(err)
	}
}

func (j *jobNode) step(t *testing.T) {
	t.Helper()
	select {
	case j.tokens <- struct{}{}:
	case <-time.After(patience):
		t.Fatal("nothing runs")
	}
}

// until waits until a job is in a state.
func (j *jobNode) until(t *testing.T, id uint64, ok func(jobs.Job) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for seen, err := range j.Jobs().Watch(ctx, id) {
		if err != nil {
			t.Fatal(err)
		}
		if ok(seen) {
			return
		}
	}
	t.Fatal("the job ended before")
}

func TestJobsAreListed(t *testing.T) {
	n := startJobNode(t)
	list := func(args ...string) string {
		t.Helper()
		got := egalRun(t, append([]string{"job", "ls", "--addr", n.addr}, args...)...)
		if got.code != exitOK || got.err != "" {
			t.Errorf("%v: %+v", args, got)
		}
		return got.out
	}
	golden(t, goldenFile("job-ls-none.json"), list("-o", "json"))
	n.launch(t, "rebalance")
	n.step(t)
	n.step(t)
	n.until(t, 1, func(j jobs.Job) bool { return j.Done == 2 })
	golden(t, goldenFile("job-ls.json"), settledJob(list("-o", "json")))
	golden(t, goldenFile("job-ls.yaml"), settledJob(list("-o", "yaml")))
	if got := list("-o", "name"); got != "1\n" {
		t.Errorf("names: %q", got)
	}
	if got := strings.Fields(strings.Split(list("-o", "table"), "\n")[1]); strings.Join(got[:10], " ") != "1 rebalance ● running 50%, 2 of 4 slots node-1" {
		t.Errorf("table: %q", got)
	}
	n.step(t)
	n.step(t)
	n.until(t, 1, func(j jobs.Job) bool { return j.State == jobs.Done })
}

func settledJob(text string) string {
	for _, name := range []string{"created", "started", "updated"} {
		for _, quoted := range []string{`"` + name + `": "`, name + `: "`} {
			if before, after, found := strings.Cut(text, quoted); found {
				_, rest, _ := strings.Cut(after, `"`)
				text = before + quoted + `<time>"` + rest
			}
		}
	}
	return settled(text)
}

func TestAJobIsPausedResumedAndCancelled(t *testing.T) {
	n := startJobNode(t)
	n.launch(t, "rebalance")
	n.step(t)
	ask := func(code int, want string, args ...string) {
		t.Helper()
		got := egalRun(t, append(append([]string{"job"}, args...), "--addr", n.addr)...)
		if got.code != code || !strings.Contains(got.out+got.err, want) {
			t.Errorf("%v: %+v", args, got)
		}
	}
	ask(exitOK, "job 1 is pausing\n", "pause", "1")
	n.until(t, 1, func(j jobs.Job) bool { return j.State == jobs.Paused })
	ask(exitOK, "job 1 is paused\n", "pause", "1")
	ask(exitOK, "job 1 is pending\n", "resume", "1")
	n.until(t, 1, func(j jobs.Job) bool { return j.State == jobs.Running })
	ask(exitOK, `"state": "cancelling"`, "cancel", "1", "-o", "json")
	n.until(t, 1, func(j jobs.Job) bool { return j.State == jobs.Cancelled })
	ask(exitOK, "1\n", "cancel", "1", "-o", "name")
	ask(exitFailed, "job 1 is cancelled and cannot be resumed", "resume", "1")
	ask(exitFailed, "error: job 1 was cancelled\n", "watch", "1")
	ask(exitFailed, "no such job\nhint: egal job ls lists them", "pause", "2")
	ask(exitUsage, "is no number of a job", "watch", "one")
	ask(exitUsage, "wants the number of a job", "cancel")
	if got := egalRun(t, "job", "ls", "--data", "nowhere"); got.code != exitUnreachable {
		t.Errorf("%+v", got)
	}
}

func TestAJobIsWatchedToItsEnd(t *testing.T) {
	n := startJobNode(t)
	n.launch(t, "rebalance")
	b := egalInBackground(t, strings.NewReader(""), "job", "watch", "1", "--addr", n.addr, "-o", "json")
	b.err.expect(t, `job 1, rebalance: running, on node-1`)
	for range 4 {
		n.step(t)
	}
	if code := b.wait(t); code != exitOK || !strings.Contains(b.out.text(), `"state": "done"`) || strings.Contains(b.err.text(), "\x1b") {
		t.Errorf("%d\n%s\n%s", code, b.out.text(), b.err.text())
	}
	b.err.expect(t, `job 1, rebalance: done, 100%, 4 of 4 slots\n$`)
	n.launch(t, "repair")
	got := egalRun(t, "job", "watch", "2", "--addr", n.addr)
	if got.code != exitFailed || !strings.HasSuffix(got.err, "error: job 2 has failed: no cheese at all\n") || !strings.Contains(got.out, "○ failed") {
		t.Errorf("%+v", got)
	}
}

func TestWhoInterruptsWatchingLeavesTheJobAlone(t *testing.T) {
	n := startJobNode(t)
	n.launch(t, "rebalance")
	b := egalInBackground(t, strings.NewReader(""), "job", "watch", "1", "--addr", n.addr)
	b.err.expect(t, `running`)
	b.stop()
	if code := b.wait(t); code != exitInterrupted || b.out.text() != "" {
		t.Errorf("%d %s", code, b.out.text())
	}
	b.err.expect(t, "job 1 goes on; `egal job watch 1` returns to it, `egal job cancel 1` stops it\n$")
	for range 4 {
		n.step(t)
	}
	n.until(t, 1, func(j jobs.Job) bool { return j.State == jobs.Done })
}

func TestABarIsForTerminals(t *testing.T) {
	n := startJobNode(t)
	n.launch(t, "rebalance")
	for range 4 {
		n.step(t)
	}
	n.until(t, 1, func(j jobs.Job) bool { return j.State == jobs.Done })
	got := egalWith(t, func(w *world) { w.errTTY = true }, "job", "watch", "1", "--addr", n.addr)
	if want := "\r\x1b[K" + strings.Repeat("█", barCells) + " job 1, rebalance: done, 100%, 4 of 4 slots\n"; got.err != want || got.code != exitOK {
		t.Errorf("%+v", got)
	}
	for _, test := range []struct {
		job  web.Job
		want string
	}{
		{web.Job{ID: 3, Kind: "x", State: "running", Done: 1, Total: 3, Unit: "keys", Node: "a", Note: "b\x1b[2J\nc"}, strings.Repeat("█", 7) + strings.Repeat("░", 17) + " job 3, x: running, 33%, 1 of 3 keys, on a: b [2J c"},
		{web.Job{ID: 3, Kind: "x", State: "running", Done: 9, Total: 3}, strings.Repeat("█", 24) + " job 3, x: running, 100%, 9 of 3"},
		{web.Job{ID: 3, Kind: "x", State: "paused", Done: 5, Unit: "keys"}, "job 3, x: paused, 5 keys"},
		{web.Job{ID: 3, Kind: "x", State: "pending"}, "job 3, x: pending"},
	} {
		if got := jobBar(test.job); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
