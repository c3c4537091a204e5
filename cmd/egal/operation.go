package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/web"
	"github.com/spf13/cobra"
)

// operation is a verb that changes a member: egal node VERB NODE, POST /api/v1/node/VERB. The node plans it; this side
// asks whether it is meant, and waits.
type operation struct {
	verb, short, long, example string
	keys                       bool // it may lose keys, which --lose-keys agrees to
	ends                       bool // the process of the asked node ends: --wait waits until it answers no more
	// reached tells whether a node shows what the operation is for; m is the member there, if it is known.
	reached func(m web.Member, known bool) bool
}

// operations are all of them.
func operations() []operation {
	gone := func(_ web.Member, known bool) bool { return !known }
	return []operation{{
		verb: "leave", short: "Take a node out of the cluster, and end its process",
		long: "Take a node out of the cluster: it says goodbye, the others take it out at once instead of missing it, and its\n" +
			"process ends with exit code 0. The node itself is asked. Slots with keys do not move yet, so a node that holds keys\n" +
			"leaves only with --lose-keys. --wait waits until the node answers no more, and with --ask also until that other node\n" +
			"and all that it reaches have taken it out.",
		example: `  egal node leave node-2 --data b --dry-run
  egal node leave node-2 --data b
  egal node leave node-2 --addr 127.0.0.1:8947 --yes --wait --ask 127.0.0.1:8946 --timeout 30s`,
		keys: true, ends: true, reached: gone,
	}, {
		verb: "down", short: "Take an unreachable member for down, before the cluster does",
		long: "Take a member that cannot be reached for down, as the down policy would after a while: the others decide without it.\n" +
			"What it owns stays its own, and it joins again by itself when it comes back. Any other node is asked. --wait waits\n" +
			"until all members that the asked node reaches agree.",
		example: `  egal node down node-3 --dry-run
  egal node down node-3 --yes --wait`,
		reached: func(m web.Member, known bool) bool { return !known || m.State == gossip.StatusDown.String() },
	}, {
		verb: "forget", short: "Remove a member that will not come back",
		long: "Remove a member that is down or cannot be reached, for good: what it owned is nobody's, and its process, if it still\n" +
			"runs, stops when it hears of it. A member that owns slots is forgotten only with --lose-keys, since nobody else has\n" +
			"the keys in them. Any other node is asked. --wait waits until all members that the asked node reaches agree.",
		example: `  egal node forget node-3 --dry-run
  egal node forget node-3 --lose-keys --yes --wait --timeout 30s`,
		keys: true, reached: gone,
	}}
}

// operationFlags are what an operation is asked with.
type operationFlags struct {
	to                      target
	ask                     string // address of another node, for --wait
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
	op.flags(cmd, &f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.ask != "" && !f.wait {
			return fail(exitUsage, "add --wait", "--ask is for --wait")
		}
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

func (op operation) flags(cmd *cobra.Command, f *operationFlags) {
	f.to.flags(cmd)
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do it without asking")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print the plan, and do nothing")
	if op.keys {
		cmd.Flags().BoolVar(&f.keys, "lose-keys", false, "agree to lose the keys that no other node has")
	}
	wait := "wait until all members that the asked node reaches agree"
	if op.ends {
		wait = "wait until the node answers no more"
		cmd.Flags().StringVar(&f.ask, "ask", "", "host:port of another node's API, for --wait: until it and all that it reaches agree")
	}
	cmd.Flags().BoolVar(&f.wait, "wait", false, wait)
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long --wait waits; then the exit code is 6")
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
	return plan, w.awaitOperation(ctx, op, c, plan, f)
}

// errStillThere is the reason to give up waiting.
var errStillThere = errors.New("still there")

// awaitOperation waits until an operation has had its effect, as far as somebody can be asked.
func (w *world) awaitOperation(ctx context.Context, op operation, c *client, plan web.Plan, f operationFlags) error {
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, errStillThere)
	defer cancel()
	if op.ends {
		if err := c.gone(ctx, plan.Name, f.timeout); err != nil || f.ask == "" {
			return err
		}
		other, err := w.connect(target{addr: f.ask})
		if err != nil {
			return err
		}
		defer other.close()
		c = other
	}
	return c.agreed(ctx, op, plan, f.timeout)
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

// gone waits until the node answers no more. The cause of the context's end is errStillThere when it took too long.
func (c *client) gone(ctx context.Context, name string, timeout time.Duration) error {
	return repeat(ctx, func() (bool, error) {
		var node web.Node
		err := c.get(ctx, "/api/v1/node", &node)
		f := (*fault)(nil)
		return errors.As(err, &f) && f.code == exitUnreachable && ctx.Err() == nil, nil
	}, func() error {
		return fail(exitTimeout, "it has left the cluster; its process may need longer", "%s still answers after %v", name, timeout)
	})
}

// agreed waits until the asked node shows what the operation is for, and all that it reaches have the same members.
func (c *client) agreed(ctx context.Context, op operation, plan web.Plan, timeout time.Duration) error {
	last := c.where + " does not answer"
	return repeat(ctx, func() (bool, error) {
		var list web.Members
		var agreement web.Agreement
		err := c.get(ctx, "/api/v1/members", &list)
		if err == nil {
			at := slices.IndexFunc(list.Members, func(m web.Member) bool { return m.ID == plan.Node })
			var m web.Member
			if at >= 0 {
				m = list.Members[at]
			}
			if last = c.where + " does not show it"; !op.reached(m, at >= 0) {
				return false, nil
			}
			err = c.get(ctx, "/api/v1/agreement", &agreement)
		}
		f := (*fault)(nil)
		switch {
		case err == nil && agreement.Agreed:
			return true, nil
		case err == nil:
			last = fmt.Sprintf("%d of %d reachable members agree", agreement.Same, agreement.Reached)
		case errors.As(err, &f) && (f.code == exitDenied || f.code == exitUsage):
			return false, err
		}
		return false, nil
	}, func() error {
		return fail(exitTimeout, "it is done, and the others hear of it; egal status shows who is unreachable", "%s %s: not agreed after %v: %s", plan.Verb, plan.Name, timeout, last)
	})
}

// repeat asks again and again until it is done, or fails; late is the error of the end of ctx by errStillThere.
func repeat(ctx context.Context, ask func() (bool, error), late func() error) error {
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		if done, err := ask(); done || err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errStillThere) {
				return late()
			}
			return fail(exitInterrupted, "", "interrupted: the node goes on with it")
		}
	}
}
