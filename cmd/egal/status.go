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
	var wait, watch bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the cluster as one node sees it",
		Long: "Show the cluster as one node sees it: the members, then what is not as it should be and for how long, then the\n" +
			"verdict and a command to go on with. LAST-SEEN is when the node last reached the member.\n" +
			"Exits with 0 when the cluster is healthy, with 5 when it is degraded or not complete.",
		Example: `  egal status                      # the node with its data in ./egal-data, or on port 8946
  egal status --data /var/lib/egal -o wide
  egal status --watch
  egal status --wait --timeout 30s && echo serving
  egal status -o go-template='{{.verdict}}: {{.summary}}'`,
		Args: noArguments,
	}
	o.flags(cmd, "table", "wide", "name")
	to.flags(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the cluster is healthy")
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again whenever it changes, until you interrupt it")
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
		show := func(status web.Status) error {
			done, err := o.document(status, names(status.Members))
			if !done {
				fmt.Fprintln(w.out, o.status(status, paint, time.Now()))
			}
			return err
		}
		if watch {
			return follow(cmd.Context(), w, c.status, show)
		}
		status, err := c.ask(cmd.Context(), wait, timeout)
		if err != nil {
			return err
		}
		if err := show(status); err != nil {
			return err
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

// status is the table, the causes and the verdict.
func (o *output) status(s web.Status, paint painter, now time.Time) string {
	var b strings.Builder
	b.WriteString(o.members(s.Members, paint, now))
	for _, c := range s.Causes {
		if c.Member != "" { // the others are in the summary
			b.WriteString("- " + c.Text + lasting(c.Since, now) + "\n")
		}
	}
	color := map[string]string{web.VerdictHealthy: green, web.VerdictStarting: yellow}[s.Verdict]
	if color == "" {
		color = red
	}
	fmt.Fprintf(&b, "%s: %s; next: %s", paint.paint(color, s.Verdict), s.Summary, s.Next)
	return b.String()
}

// members is the table of members.
func (o *output) members(members []web.Member, paint painter, now time.Time) string {
	head := []string{"NODE", "ADDRESS", "STATE", "ZONE", "OWNS", "SLOTS", "INC", "LAST-SEEN"}
	if o.format == "wide" {
		head = append(head, "EPOCH", "FABRIC", "ROLES", "ID")
	}
	rows := [][]string{head}
	for _, m := range members {
		row := []string{
			m.Name, dash(m.Address), state(m), dash(m.Location), fmt.Sprintf("%.1f%%", 100*m.Owns), fmt.Sprint(m.Slots), fmt.Sprint(m.Incarnation), lastSeen(m, now),
		}
		if o.format == "wide" {
			row = append(row, fmt.Sprint(m.Epoch), m.Fabric, dash(strings.Join(m.Roles, ",")), m.ID)
		}
		rows = append(rows, row)
	}
	// Colours come last: the layout counts what is seen.
	return paint.symbols(o.table(rows))
}

// lastSeen is when the asked node last reached a member.
func lastSeen(m web.Member, now time.Time) string {
	if m.Reachable {
		return "now"
	}
	if ago, known := age(m.Since, now); known {
		return ago + " ago"
	}
	return "-"
}

// lasting says for how long something has been so.
func lasting(since string, now time.Time) string {
	if ago, known := age(since, now); known {
		return " for " + ago
	}
	return ""
}

// age is how long ago a moment was, in the units that matter. The clocks of two machines may differ: nothing lies in the
// future.
func age(since string, now time.Time) (text string, known bool) {
	at, err := time.Parse(time.RFC3339Nano, since)
	if err != nil {
		return "", false
	}
	switch d := max(now.Sub(at), 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second), true
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second), true
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute), true
	default:
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour), true
	}
}

// names are what people call members.
func names(members []web.Member) []string {
	var all []string
	for _, m := range members {
		all = append(all, m.Name)
	}
	return all
}

// state is a member's state with a symbol, so that it does not hang on colour.
func state(m web.Member) string {
	switch {
	case m.State == "down":
		return "○ down"
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
