package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/egalcluster/egal/web"
	"github.com/spf13/cobra"
)

func nodeCommand(w *world) *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "node", Short: "Look at members of the cluster, and take one out",
		Example: "  egal node ls\n  egal node status node-2\n  egal node leave node-2 --dry-run\n  egal node forget node-3 --dry-run",
	})
	cmd.AddCommand(nodeListCommand(w), nodeStatusCommand(w))
	for _, o := range operations() {
		cmd.AddCommand(operationCommand(w, o))
	}
	return cmd
}

func nodeListCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var to target
	var watch bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the members of the cluster",
		Long: "List the members of the cluster as one node sees them. STATE is up, joining, leaving, exiting or down, or unreachable;\n" +
			"LAST-SEEN is when the node last reached the member.",
		Example: `  egal node ls -o wide
  egal node ls -o name | xargs -n 1 egal node status
  egal node ls -o go-template='{{range .members}}{{.name}} {{.fabric}}{{"\n"}}{{end}}'`,
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
		return listing(cmd.Context(), w, to, "/api/v1/members", watch, func(members web.Members) error {
			done, err := o.document(members, names(members.Members))
			if !done {
				fmt.Fprint(w.out, o.members(members.Members, paint, time.Now()))
			}
			return err
		})
	}
	return cmd
}

func nodeStatusCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var to target
	cmd := &cobra.Command{
		Use:   "status NODE",
		Short: "Show one member, and what is wrong with it",
		Long: "Show one member as the asked node sees it. NODE is its name, an address of it or the beginning of its id.\n" +
			"Exits with 0 when nothing is wrong with it, else with 5.",
		Example: `  egal node status node-2
  egal node status node-2 -o json
  egal node status 127.0.0.1:7947 --addr 127.0.0.1:8947`,
		Args:              exactly(1, "one node"),
		ValidArgsFunction: w.completeMember(&to),
	}
	o.flags(cmd, "table", "name")
	to.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		paint, err := w.paints(cmd)
		if err != nil {
			return err
		}
		var status web.MemberStatus
		if err := w.read(cmd.Context(), to, "/api/v1/members/"+url.PathEscape(args[0]), &status); err != nil {
			return err
		}
		done, err := o.document(status, []string{status.Member.Name})
		if err != nil {
			return err
		}
		if !done {
			fmt.Fprint(w.out, o.member(status, paint, time.Now()))
		}
		if len(status.Causes) > 0 {
			return silently(exitDegraded)
		}
		return nil
	}
	return cmd
}

// member describes one member, a line for every property.
func (o *output) member(s web.MemberStatus, paint painter, now time.Time) string {
	m := s.Member
	slots := fmt.Sprintf("%d, %.1f%%", m.Slots, 100*m.Owns)
	if len(m.Ranges) > 0 {
		slots += ": " + strings.Join(m.Ranges, " ")
	}
	rows := [][2]string{
		{"NODE", m.Name},
		{"ID", m.ID},
		{"STATE", state(m)},
		{"ADDRESS", dash(m.Address)},
		{"FABRIC", m.Fabric},
		{"ZONE", dash(m.Location)},
		{"ROLES", dash(strings.Join(m.Roles, ","))},
		{"SLOTS", slots},
		{"EPOCH", fmt.Sprint(m.Epoch)},
		{"VERSION", dash(m.Version) + ", protocol " + m.Protocols},
		{"INC", fmt.Sprint(m.Incarnation)},
		{"LAST-SEEN", lastSeen(m, now)},
	}
	if since, known := age(m.Since, now); known {
		rows = append(rows, [2]string{"SINCE", since})
	}
	if len(s.Unreached) > 0 {
		rows = append(rows, [2]string{"UNREACHED", strings.Join(s.Unreached, ",")})
	}
	for _, check := range s.Checks {
		mark := "+"
		if !check.OK {
			mark = "-"
		}
		rows = append(rows, [2]string{"READY", mark + " " + check.Name + ": " + check.Detail})
	}
	var b strings.Builder
	columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(columns, row[0]+"\t"+row[1])
	}
	_ = columns.Flush() // a strings.Builder takes everything
	for _, c := range s.Causes {
		b.WriteString("- " + c.Text + lasting(c.Since, now) + "\n")
	}
	return paint.symbols(b.String())
}

// completeTimeout bounds the question behind a completion: a shell waits for it.
const completeTimeout = 500 * time.Millisecond

// completeMember offers the names of members, asked from the node that the flags name. Nobody there: no offers.
func (w *world) completeMember(to *target) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
		defer cancel()
		var members web.Members
		if err := w.read(ctx, *to, "/api/v1/members", &members); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var offers []string
		for _, m := range members.Members {
			offers = append(offers, cobra.CompletionWithDesc(m.Name, state(m)))
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}
