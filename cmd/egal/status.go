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

// askAgain is the time between two questions of --wait.
const askAgain = 50 * time.Millisecond

func statusCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var to target
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the cluster as one node sees it",
		Long: "Show the cluster as one node sees it. The last line is the verdict and a command to go on with.\n" +
			"Exits with 0 when the cluster is healthy, with 5 when it is degraded or not complete.",
		Example: `  egal status                      # the node with its data in ./egal-data, or on port 8946
  egal status --data /var/lib/egal -o wide
  egal status --wait --timeout 30s && echo serving`,
		Args: noArguments,
	}
	o.flags(cmd, "table", "wide")
	to.flags(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the cluster is healthy")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long --wait waits; then the exit code is 6")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		paint, err := w.paints(cmd)
		if err != nil {
			return err
		}
		c, err := w.connect(to)
		if err != nil {
			return err
		}
		defer c.close()
		status, err := c.ask(cmd.Context(), wait, timeout)
		if err != nil {
			return err
		}
		if done, err := o.document(status, nil); err != nil {
			return err
		} else if !done {
			fmt.Fprintln(w.out, o.status(status, paint))
		}
		if status.Verdict != web.VerdictHealthy {
			return silently(exitDegraded)
		}
		return nil
	}
	return cmd
}

// ask asks once, or until the cluster is healthy.
func (c *client) ask(ctx context.Context, wait bool, timeout time.Duration) (web.Status, error) {
	if !wait {
		return c.status(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errNotHealthy)
	defer cancel()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	last := "no answer"
	for {
		status, err := c.status(ctx)
		f := (*fault)(nil)
		switch {
		case err == nil && status.Verdict == web.VerdictHealthy:
			return status, nil
		case err == nil:
			last = status.Summary
		case errors.As(err, &f) && f.code != exitUnreachable && ctx.Err() == nil:
			return status, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errNotHealthy) {
				return status, fail(exitTimeout, "`egal status` shows what is missing", "not healthy after %v: %s", timeout, last)
			}
			return status, fail(exitInterrupted, "", "interrupted")
		}
	}
}

// status is the table and the verdict.
func (o *output) status(s web.Status, paint painter) string {
	head := []string{"NODE", "ADDRESS", "STATE", "ZONE", "OWNS", "SLOTS", "INC"}
	if o.format == "wide" {
		head = append(head, "EPOCH", "FABRIC", "ROLES", "ID")
	}
	rows := [][]string{head}
	for _, m := range s.Members {
		row := []string{
			m.Name, dash(m.Address), state(m), dash(m.Location), fmt.Sprintf("%.1f%%", 100*m.Owns), fmt.Sprint(m.Slots), fmt.Sprint(m.Incarnation),
		}
		if o.format == "wide" {
			row = append(row, fmt.Sprint(m.Epoch), m.Fabric, dash(strings.Join(m.Roles, ",")), m.ID)
		}
		rows = append(rows, row)
	}
	// Colours come last: the layout counts what is seen.
	table := strings.NewReplacer("● ", paint.paint(green, "●")+" ", "○ ", paint.paint(red, "○")+" ", "◐ ", paint.paint(yellow, "◐")+" ").Replace(o.table(rows))
	color := map[string]string{web.VerdictHealthy: green, web.VerdictStarting: yellow}[s.Verdict]
	if color == "" {
		color = red
	}
	return fmt.Sprintf("%s%s: %s; next: %s", table, paint.paint(color, s.Verdict), s.Summary, s.Next)
}

// state is a member's state with a symbol, so that it does not hang on colour.
func state(m web.Member) string {
	switch {
	case !m.Reachable:
		return "○ unreachable"
	case m.State != "up":
		return "◐ " + m.State
	case m.Leader:
		return "● up, leader"
	default:
		return "● up"
	}
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
