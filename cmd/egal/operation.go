package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/egalcluster/egal/web"
	"github.com/spf13/cobra"
)

// operation is a verb that changes a member: egal node VERB NODE, POST /api/v1/node/VERB. The node plans it; this side
// asks whether it is meant, and waits.
type operation struct {
	verb, short, long, example string
	keys                       bool // it may lose keys, which --lose-keys agrees to
	ends                       bool // the process ends: --wait waits until it answers no more
}

// operations are all of them.
func operations() []operation {
	return []operation{{
		verb: "leave", short: "Take a node out of the cluster, and end its process",
		long: "Take a node out of the cluster: it says goodbye, the others take it out at once instead of missing it, and its\n" +
			"process ends with exit code 0. The node itself is asked. Slots with keys do not move yet, so a node that holds keys\n" +
			"leaves only with --lose-keys.",
		example: `  egal node leave node-2 --data b --dry-run
  egal node leave node-2 --data b
  egal node leave node-2 --addr 127.0.0.1:8947 --yes --wait --timeout 30s`,
		keys: true, ends: true,
	}}
}

// operationFlags are what an operation is asked with.
type operationFlags struct {
	to                      target
	yes, dryRun, wait, keys bool
	timeout                 time.Duration
}

func operationCommand(w *world, op operation) *cobra.Command {
	o := &output{w: w}
	var f operationFlags
	cmd := &cobra.Command{
		Use: op.verb + " NODE", Short: op.short, Example: op.example,
		Long: op.long + "\n\nNODE is its name, an address of it or the beginning of its id. The plan is shown first, and carried out when you type\n" +
			"the node's name; --yes does without that, and is needed where no terminal is.",
		Args:              exactly(1, "one node"),
		ValidArgsFunction: w.completeMember(&f.to),
	}
	o.flags(cmd, "text", "name")
	f.to.flags(cmd)
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do it without asking")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print the plan, and do nothing")
	if op.keys {
		cmd.Flags().BoolVar(&f.keys, "lose-keys", false, "agree to lose the keys that no other node has")
	}
	if op.ends {
		cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until the node answers no more")
		cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long --wait waits; then the exit code is 6")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		plan, err := w.operate(cmd.Context(), op, args[0], f)
		if err != nil {
			return err
		}
		if done, err := o.document(plan, []string{plan.Name}); done {
			return err
		}
		if plan.Done {
			fmt.Fprintf(w.out, "%s: %s done\n", plan.Name, plan.Verb)
		} else {
			fmt.Fprint(w.out, planInWords(plan))
		}
		return nil
	}
	return cmd
}

// operate asks for the plan, then whether it is meant, and has it carried out.
func (w *world) operate(ctx context.Context, op operation, node string, f operationFlags) (web.Plan, error) {
	c, err := w.connect(f.to)
	if err != nil {
		return web.Plan{}, err
	}
	defer c.close()
	order := web.Order{Node: node, DryRun: true, LoseKeys: f.keys}
	path := "/api/v1/node/" + op.verb
	var plan web.Plan
	if err := c.send(ctx, "POST", path, order, &plan); err != nil {
		return plan, err
	}
	switch {
	case plan.Refused != "":
		return plan, fail(exitFailed, plan.Hint, "%s", plan.Refused)
	case f.dryRun:
		return plan, nil
	}
	if !f.yes {
		if err := w.confirm(ctx, plan); err != nil {
			return plan, err
		}
	}
	order.DryRun = false
	if err := c.send(ctx, "POST", path, order, &plan); err != nil || !f.wait {
		return plan, err
	}
	return plan, c.gone(ctx, plan.Name, f.timeout)
}

// confirm lets a person on a terminal type the name of the node.
func (w *world) confirm(ctx context.Context, plan web.Plan) error {
	if !w.inTTY {
		return fail(exitUsage, "--yes does it without asking, --dry-run prints the plan", "nobody to ask: the input is no terminal")
	}
	fmt.Fprintf(w.err, "%stype %s to go on: ", planInWords(plan), plan.Name)
	typed := make(chan string, 1)
	go func() { // ends with the line, or with the process: a read cannot be interrupted
		line, _ := bufio.NewReader(io.LimitReader(w.in, 4096)).ReadString('\n')
		typed <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return fail(exitInterrupted, "", "interrupted: nothing has been done")
	case name := <-typed:
		if name != plan.Name {
			return fail(exitFailed, "", "%q is not %s: nothing has been done", name, plan.Name)
		}
		return nil
	}
}

// planInWords is the plan, a line for every step.
func planInWords(plan web.Plan) string {
	return plan.Verb + " " + plan.Name + ":\n- " + strings.Join(plan.Steps, "\n- ") + "\n"
}

// errStillThere is the reason to give up waiting.
var errStillThere = errors.New("still there")

// gone waits until the node answers no more.
func (c *client) gone(ctx context.Context, name string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errStillThere)
	defer cancel()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		var node web.Node
		err := c.get(ctx, "/api/v1/node", &node)
		if f := (*fault)(nil); errors.As(err, &f) && f.code == exitUnreachable && ctx.Err() == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errStillThere) {
				return fail(exitTimeout, "it has left the cluster; its process may need longer", "%s still answers after %v", name, timeout)
			}
			return fail(exitInterrupted, "", "interrupted: the node goes on with it")
		}
	}
}
