package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/egalcluster/egal/web"
	"github.com/spf13/cobra"
)

func jobCommand(w *world) *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "job", Short: "Look at long work, and steer it",
		Example: "  egal job ls\n  egal job watch 3\n  egal job pause 3",
	})
	cmd.AddCommand(jobListCommand(w), jobWatchCommand(w))
	for _, request := range jobRequests() {
		cmd.AddCommand(jobRequestCommand(w, request))
	}
	return cmd
}

func jobListCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var to target
	var watch bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the jobs of the cluster",
		Long: "List the jobs of the cluster, the oldest first: all that are not finished, and the last that are. Any node answers.\n" +
			"AGE is how long ago a job was started.",
		Example: `  egal job ls
  egal job ls -o wide --watch
  egal job ls -o go-template='{{range .jobs}}{{.id}} {{.state}}{{"\n"}}{{end}}'`,
		Args: noArguments,
	}
	o.flags(cmd, "table", "wide", "name")
	to.flags(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "list them again whenever one changes, until you interrupt it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		paint, err := w.paints(cmd)
		if err != nil {
			return err
		}
		return listing(cmd.Context(), w, to, "/api/v1/jobs", watch, func(all web.Jobs) error {
			done, err := o.document(all, jobNames(all.Jobs))
			if !done {
				fmt.Fprint(w.out, o.jobs(all.Jobs, paint, time.Now()))
			}
			return err
		})
	}
	return cmd
}

func jobNames(all []web.Job) (names []string) {
	for _, j := range all {
		names = append(names, strconv.FormatUint(j.ID, 10))
	}
	return names
}

// jobs is the table.
func (o *output) jobs(all []web.Job, paint painter, now time.Time) string {
	head := []string{"JOB", "KIND", "STATE", "PROGRESS", "NODE", "AGE", "NOTE"}
	if o.format == "wide" {
		head = append(head, "EPOCH", "CREATED", "ENDED")
	}
	rows := [][]string{head}
	for _, j := range all {
		old, _ := age(j.Created, now)
		note := j.Note
		if j.Error != "" {
			note = j.Error
		}
		row := []string{fmt.Sprint(j.ID), j.Kind, jobState(j), progressOf(j), dash(j.Node), dash(old), dash(oneLine(note))}
		if o.format == "wide" {
			row = append(row, fmt.Sprint(j.Epoch), dash(j.Created), dash(j.Ended))
		}
		rows = append(rows, row)
	}
	return paint.symbols(o.table(rows))
}

// jobState is a job's state with a symbol, so that it does not hang on colour.
func jobState(j web.Job) string {
	switch j.State {
	case "running", "done":
		return "● " + j.State
	case "failed":
		return "○ " + j.State
	default:
		return "◐ " + j.State
	}
}

// progressOf says how far a job has come.
func progressOf(j web.Job) string {
	unit := ""
	if j.Unit != "" {
		unit = " " + j.Unit
	}
	switch {
	case j.Total > 0:
		return fmt.Sprintf("%d%%, %d of %d%s", percentOf(j), j.Done, j.Total, unit)
	case j.Done > 0:
		return fmt.Sprintf("%d%s", j.Done, unit)
	default:
		return "-"
	}
}

// percentOf is 0 to 100, rounded down: 100 is all.
func percentOf(j web.Job) int {
	if j.Total == 0 {
		return 0
	}
	return int(100 * min(float64(j.Done)/float64(j.Total), 1))
}

// oneLine keeps a text from breaking a table or a terminal.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }), " ")
}

// jobRequest is what can be asked of a job: egal job VERB JOB.
type jobRequest struct{ verb, short, long string }

func jobRequests() []jobRequest {
	return []jobRequest{
		{"pause", "Stop a job so that it can go on later", "A job that runs is pausing until it has stopped. A paused one stays so, also when all nodes start anew."},
		{"resume", "Let a paused job go on", "It goes on where it has stopped, on any node that can run it."},
		{"cancel", "Stop a job for good", "A job that runs is cancelling until it has stopped. What it has done stays done."},
	}
}

func jobRequestCommand(w *world, request jobRequest) *cobra.Command {
	o := &output{w: w}
	var to target
	cmd := &cobra.Command{
		Use: request.verb + " JOB", Short: request.short, Long: request.short + ". " + request.long + " Any node may be asked.",
		Example:           "  egal job " + request.verb + " 3\n  egal job " + request.verb + " 3 -o json",
		Args:              exactly(1, "the number of a job"),
		ValidArgsFunction: w.completeJob(&to),
	}
	o.flags(cmd, "text", "name")
	to.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := jobID(args[0])
		if err != nil {
			return err
		}
		c, err := w.connect(to)
		if err != nil {
			return err
		}
		defer c.close()
		var status web.JobStatus
		if err := c.send(cmd.Context(), "POST", fmt.Sprintf("/api/v1/jobs/%d/%s", id, request.verb), struct{}{}, &status); err != nil {
			return err
		}
		done, err := o.document(status, jobNames([]web.Job{status.Job}))
		if !done {
			fmt.Fprintf(w.out, "job %d is %s\n", id, status.Job.State)
		}
		return err
	}
	return cmd
}

func jobID(word string) (uint64, error) {
	id, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		return 0, fail(exitUsage, "`egal job ls` lists them", "%q is no number of a job", word)
	}
	return id, nil
}

// completeJob offers the jobs that are not finished, asked from the node that the flags name. Nobody there: no offers.
func (w *world) completeJob(to *target) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
		defer cancel()
		var all web.Jobs
		if len(args) > 0 || w.read(ctx, *to, "/api/v1/jobs", &all) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var offers []string
		for _, j := range all.Jobs {
			if !j.Final {
				offers = append(offers, cobra.CompletionWithDesc(fmt.Sprint(j.ID), j.Kind+", "+j.State))
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}
