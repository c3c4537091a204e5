package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/egalcluster/egal/web"
	"github.com/spf13/cobra"
)

const (
	// jobLookAgain is the time between two looks at a job.
	jobLookAgain = 200 * time.Millisecond
	// jobLineEvery is the time between two lines of progress where no terminal is.
	jobLineEvery = 5 * time.Second
	// barCells is how wide a bar is.
	barCells = 24
)

func jobWatchCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var to target
	cmd := &cobra.Command{
		Use:   "watch JOB",
		Short: "Watch a job until it is finished",
		Long: "Watch a job until it is finished: its progress on stderr, as a bar on a terminal, else a line every five seconds and\n" +
			"when its state changes; the finished job on stdout. Interrupting it leaves the job alone, with exit code 130.\n" +
			"Exits with 0 when the job is done, with 1 when it has failed or was cancelled.",
		Example: `  egal job watch 3
  egal job watch 3 -o json 2> progress.log
  egal job watch 3 --addr 127.0.0.1:8947 && echo done`,
		Args:              exactly(1, "the number of a job"),
		ValidArgsFunction: w.completeJob(&to),
	}
	o.flags(cmd, "table", "wide", "name")
	to.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := jobID(args[0])
		if err != nil {
			return err
		}
		paint, err := w.paints(cmd)
		if err != nil {
			return err
		}
		c, err := w.connect(to)
		if err != nil {
			return err
		}
		defer c.close()
		return o.watched(cmd.Context(), c, id, paint)
	}
	return cmd
}

// watched watches a job, and prints it when it is finished.
func (o *output) watched(ctx context.Context, c *client, id uint64, paint painter) error {
	status, err := o.w.watchJob(ctx, c, id)
	if err != nil {
		return err
	}
	done, err := o.document(status, jobNames([]web.Job{status.Job}))
	if err != nil {
		return err
	}
	if !done {
		fmt.Fprint(o.w.out, o.jobs([]web.Job{status.Job}, paint, time.Now()))
	}
	return outcomeOf(status.Job)
}

// outcomeOf is the fault of a job that is not done.
func outcomeOf(j web.Job) error {
	switch j.State {
	case "done":
		return nil
	case "failed":
		return fail(exitFailed, "", "job %d has failed: %s", j.ID, oneLine(j.Error))
	default:
		return fail(exitFailed, "", "job %d was %s", j.ID, j.State)
	}
}

// watchJob shows progress until the job is finished. An interrupt ends the watching alone.
func (w *world) watchJob(ctx context.Context, c *client, id uint64) (web.JobStatus, error) {
	look := time.NewTicker(jobLookAgain)
	defer look.Stop()
	line := time.NewTicker(jobLineEvery)
	defer line.Stop()
	shown := ""
	for due := true; ; {
		var status web.JobStatus
		if err := c.get(ctx, fmt.Sprintf("/api/v1/jobs/%d", id), &status); err != nil {
			return status, w.detached(ctx, id, err)
		}
		j := status.Job
		switch {
		case w.errTTY:
			fmt.Fprint(w.err, "\r\x1b[K"+jobBar(j))
		case due || j.State != shown:
			fmt.Fprintln(w.err, jobInWords(j))
		}
		due, shown = false, j.State
		if j.Final {
			w.endLine()
			return status, nil
		}
		select {
		case <-look.C:
		case <-line.C:
			due = true
		case <-ctx.Done():
			return status, w.detached(ctx, id, ctx.Err())
		}
	}
}

// detached tells how to return to a job that goes on. Another error stays what it is.
func (w *world) detached(ctx context.Context, id uint64, err error) error {
	w.endLine()
	if !errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	fmt.Fprintf(w.err, "job %d goes on; `egal job watch %d` returns to it, `egal job cancel %d` stops it\n", id, id, id)
	return silently(exitInterrupted)
}

// endLine leaves the line of the bar.
func (w *world) endLine() {
	if w.errTTY {
		fmt.Fprintln(w.err)
	}
}

// jobBar is one line of a terminal.
func jobBar(j web.Job) string {
	if j.Total == 0 {
		return jobInWords(j)
	}
	full := barCells * percentOf(j) / 100
	return fmt.Sprintf("%s%s %s", strings.Repeat("█", full), strings.Repeat("░", barCells-full), jobInWords(j))
}

// jobInWords is one line of a log.
func jobInWords(j web.Job) string {
	line := fmt.Sprintf("job %d, %s: %s", j.ID, j.Kind, j.State)
	if progress := progressOf(j); progress != "-" {
		line += ", " + progress
	}
	if j.Node != "" && !j.Final {
		line += ", on " + j.Node
	}
	if j.Note != "" && !j.Final {
		line += ": " + oneLine(j.Note)
	}
	return line
}
