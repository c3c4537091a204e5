package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/hlc"
	"github.com/egalcluster/egal/internal/settings"
	"github.com/egalcluster/egal/web"
)

// How long verbs wait for what they show.
const (
	spreadPatience = 2 * time.Second
	noticePatience = 10 * time.Second
	returnPatience = 2 * time.Second
	quietPatience  = 10 * time.Second
)

// quiet is how long nothing of a change is sent before it counts as spread: some rounds of the strategies that have
// rounds.
const quiet = 350 * time.Millisecond

// verb is one word of the demo.
type verb struct {
	name, arguments, doc string
	run                  func(d *demo, ctx context.Context, arguments []string) error
}

func demoVerbs() []verb {
	return []verb{
		{`\set`, "KEY VALUE [N]", "write a key of the shared map on node N (1), and show when it arrives at the others", (*demo).set},
		{`\get`, "KEY", "show the key on every node", (*demo).get},
		{`\kill`, "N", "end node N without a goodbye", (*demo).kill},
		{`\restart`, "N", "start node N again: the same id, ports and slots", (*demo).restart},
		{`\partition`, "1,2|3", "cut the network between groups of nodes", (*demo).partition},
		{`\slow`, "N 200ms", "delay everything from and to node N", (*demo).slow},
		{`\heal`, "", "end all cuts and delays", (*demo).heal},
		{`\status`, "", "the cluster as a table, and whom each node reaches", (*demo).status},
		{`\help`, "", "this list", (*demo).help},
		{`\quit`, "", "end the demo and all its nodes", nil},
	}
}

// errArguments says that a verb has too few or too many arguments.
var errArguments = errors.New("arguments")

// execute runs one line and tells whether it was the last.
func (d *demo) execute(ctx context.Context, line string) (quit bool) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return false
	}
	name := `\` + strings.TrimPrefix(strings.ToLower(words[0]), `\`)
	var names []string
	for _, v := range demoVerbs() {
		names = append(names, v.name)
		if v.name != name {
			continue
		}
		if v.run == nil {
			return true
		}
		err := v.run(d, ctx, words[1:])
		if errors.Is(err, errArguments) {
			err = fail(exitUsage, "", `usage: %s %s`, v.name, v.arguments)
		}
		report(d.w.err, err)
		return false
	}
	hint := `\help lists all`
	if near, found := settings.Nearest(name, names); found {
		hint = "did you mean " + near + "? " + hint
	}
	report(d.w.err, fail(exitUsage, hint, "no verb %s", name))
	return false
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.w.out, format+"\n", args...) }

func (d *demo) help(context.Context, []string) error {
	for _, v := range demoVerbs() {
		d.say("  %-22s %s", v.name+" "+v.arguments, v.doc)
	}
	return nil
}

// find returns the node of a number.
func (d *demo) find(text string) (*demoNode, error) {
	number, err := strconv.Atoi(strings.TrimPrefix(text, "node-"))
	if err != nil || number < 1 || number > len(d.nodes) {
		return nil, fail(exitUsage, fmt.Sprintf("nodes are 1 to %d", len(d.nodes)), "no node %q", text)
	}
	return d.nodes[number-1], nil
}

// observe waits on every given node until a condition holds, and returns after how long that was; -1: it did not.
func observe(ctx context.Context, nodes []*demoNode, from time.Time, patience time.Duration, holds func(*egal.Node) bool) []time.Duration {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	took := make([]time.Duration, len(nodes))
	var waiting sync.WaitGroup
	for i, n := range nodes {
		waiting.Go(func() { took[i] = await(ctx, n.process(), from, holds) })
	}
	waiting.Wait()
	return took
}

func await(ctx context.Context, process *egal.Node, from time.Time, holds func(*egal.Node) bool) time.Duration {
	for {
		view, table := process.Fabric().Changed(), process.Slots()[0].Changed()
		if holds(process) {
			return time.Since(from)
		}
		select {
		case <-view:
		case <-table:
		case <-process.Done():
			return -1
		case <-ctx.Done():
			return -1
		}
	}
}

func (d *demo) set(ctx context.Context, arguments []string) error {
	if len(arguments) < 2 || len(arguments) > 3 {
		return errArguments
	}
	up := d.up()
	if len(up) == 0 {
		return fail(exitFailed, `\restart 1`, "no node runs")
	}
	writer, key, value := up[0], web.SharedPrefix+arguments[0], arguments[1]
	if len(arguments) == 3 {
		var err error
		if writer, err = d.find(arguments[2]); err != nil {
			return err
		}
		if writer.process() == nil {
			return fail(exitFailed, fmt.Sprintf(`\restart %d`, writer.number), "%s is killed", writer.name)
		}
	}
	before := make(map[*egal.Node]hlc.Timestamp)
	for _, n := range up {
		_, before[n.process()], _ = n.process().Fabric().View().Shared(key)
	}
	var failed error
	earlier := d.silence(ctx) // so that what is counted below belongs to this change
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from := time.Now()
	var writing sync.WaitGroup
	writing.Go(func() {
		if failed = writer.process().Fabric().SetShared(ctx, key, []byte(value)); failed != nil {
			cancel() // nobody will hear of it
		}
	})
	took := observe(ctx, up, from, spreadPatience, func(n *egal.Node) bool {
		got, stamp, ok := n.Fabric().View().Shared(key)
		return ok && stamp > before[n] && string(got) == value
	})
	writing.Wait()
	if failed != nil {
		return failed
	}
	d.say("%s = %s written on %s", arguments[0], value, writer.name)
	for _, n := range d.nodes {
		switch at := slices.Index(up, n); {
		case at < 0:
			d.say("  %s is killed", n.name)
		case took[at] < 0:
			d.say("  %s has not heard of it after %s", n.name, milliseconds(spreadPatience))
		default:
			d.say("  %s after %s", n.name, milliseconds(took[at]))
		}
	}
	sent := d.silence(ctx).minus(earlier)
	d.say("  %d messages on the wire: %d with the change, %d answers (--gossip %s)", sent.payloads+sent.answers, sent.payloads, sent.answers, d.gossip)
	return nil
}

// traffic counts what nodes send to spread changes.
type traffic struct{ payloads, answers uint64 }

func (t traffic) minus(before traffic) traffic {
	return traffic{t.payloads - before.payloads, t.answers - before.answers}
}

// traffic is what the nodes that run have sent so far.
func (d *demo) traffic(context.Context) (sum traffic) {
	for _, n := range d.up() {
		m := n.process().Metrics().Fabric.Gossip //nolint:contextcheck // counters are there whatever the context says
		sum.payloads += m.PayloadsSent
		sum.answers += m.ReceiptsSent + m.DoneSent
	}
	return sum
}

// silence waits until nothing more is sent, and returns what has been sent so far.
func (d *demo) silence(ctx context.Context) traffic {
	ctx, cancel := context.WithTimeout(ctx, quietPatience)
	defer cancel()
	look := time.NewTicker(quiet)
	defer look.Stop()
	for last := d.traffic(ctx); ; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return last
		}
		now := d.traffic(ctx)
		if now == last {
			return now
		}
		last = now
	}
}

func (d *demo) get(_ context.Context, arguments []string) error {
	if len(arguments) != 1 {
		return errArguments
	}
	for _, n := range d.nodes {
		process := n.process()
		if process == nil {
			d.say("  %s is killed", n.name)
		} else if value, stamp, ok := process.Fabric().View().Shared(web.SharedPrefix + arguments[0]); ok {
			d.say("  %s %s = %s, written %s", n.name, arguments[0], value, stamp.Wall().Format("15:04:05.000"))
		} else {
			d.say("  %s has no %s", n.name, arguments[0])
		}
	}
	return nil
}

func (d *demo) kill(ctx context.Context, arguments []string) error {
	if len(arguments) != 1 {
		return errArguments
	}
	n, err := d.find(arguments[0])
	if err != nil {
		return err
	}
	process := n.process()
	if process == nil {
		return fail(exitUsage, fmt.Sprintf(`\restart %d`, n.number), "%s is killed already", n.name)
	}
	from, id := time.Now(), process.Fabric().ID()
	if err := n.kill(); err != nil {
		return err
	}
	d.say("%s is killed: its slots answer CLUSTERDOWN until \\restart %d", n.name, n.number)
	d.noticed(ctx, d.up(), from, func(n *egal.Node) bool { return !reaches(n, id) && !routes(n, id) })
	return nil
}

// reaches tells whether a node finds a member reachable.
func reaches(n *egal.Node, id gossip.NodeID) bool {
	m, known := n.Fabric().View().Member(id)
	return known && m.Reachable && m.Status == gossip.StatusUp
}

// routes tells whether a node sends clients to a member.
func routes(n *egal.Node, id gossip.NodeID) bool {
	for _, owner := range n.Slots()[0].Table().Nodes() {
		if owner.ID.Node == id && owner.Reachable && owner.Slots() > 0 {
			return true
		}
	}
	return false
}

// serves tells whether a node reaches a member and sends clients to it.
func serves(n *egal.Node, id gossip.NodeID) bool { return reaches(n, id) && routes(n, id) }

// noticed says when each node has noticed something.
func (d *demo) noticed(ctx context.Context, nodes []*demoNode, from time.Time, holds func(*egal.Node) bool) {
	for i, took := range observe(ctx, nodes, from, noticePatience, holds) {
		if took < 0 {
			d.say("  %s has not noticed after %s", nodes[i].name, milliseconds(noticePatience))
		} else {
			d.say("  %s has noticed after %s", nodes[i].name, milliseconds(took))
		}
	}
}

func (d *demo) restart(ctx context.Context, arguments []string) error {
	if len(arguments) != 1 {
		return errArguments
	}
	n, err := d.find(arguments[0])
	if err != nil {
		return err
	}
	if n.process() != nil {
		return fail(exitUsage, fmt.Sprintf(`\kill %d`, n.number), "%s runs", n.name)
	}
	from := time.Now()
	if err := d.run(ctx, n); err != nil {
		return err
	}
	id := n.process().Fabric().ID()
	took := observe(ctx, []*demoNode{n}, from, returnPatience, func(n *egal.Node) bool { return serves(n, id) })
	if took[0] < 0 {
		// Killed before it had noted that it was admitted, and nobody is there to ask.
		d.say("%s runs and waits for the others: \\status", n.name)
		return nil
	}
	d.say("%s is back with its slots after %s, as the same node %.8s", n.name, milliseconds(took[0]), n.process().ID())
	others := slices.DeleteFunc(d.up(), func(other *demoNode) bool { return other == n })
	d.noticed(ctx, others, from, func(n *egal.Node) bool { return serves(n, id) })
	observe(ctx, d.up(), from, returnPatience, routesToAll) // some may have waited for this one to be let in
	return nil
}

// routesToAll tells whether a node sends clients to every member that it reaches.
func routesToAll(n *egal.Node) bool {
	return !slices.ContainsFunc(n.Fabric().View().Members(), func(m gossip.Member) bool {
		return m.Reachable && (m.Status != gossip.StatusUp || !routes(n, m.ID))
	})
}

// groups takes "1,2|3". Nodes that are not named are a group of their own.
func (d *demo) groups(text string) ([][]*demoNode, error) {
	var groups [][]*demoNode
	seen := make(map[*demoNode]bool)
	for part := range strings.SplitSeq(text, "|") {
		var group []*demoNode
		for number := range strings.SplitSeq(part, ",") {
			n, err := d.find(strings.TrimSpace(number))
			if err != nil {
				return nil, err
			}
			if seen[n] {
				return nil, fail(exitUsage, `for example \partition 1,2|3`, "%s is in two groups", n.name)
			}
			seen[n], group = true, append(group, n)
		}
		groups = append(groups, group)
	}
	rest := slices.DeleteFunc(slices.Clone(d.nodes), func(n *demoNode) bool { return seen[n] })
	if len(rest) > 0 {
		groups = append(groups, rest)
	}
	if len(groups) < 2 {
		return nil, fail(exitUsage, `for example \partition 1,2|3`, "one group is no partition")
	}
	return groups, nil
}

func (d *demo) partition(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return errArguments
	}
	groups, err := d.groups(strings.Join(arguments, ""))
	if err != nil {
		return err
	}
	addresses := make([][]netip.AddrPort, len(groups))
	side := make(map[gossip.NodeID]int)
	for i, group := range groups {
		for _, n := range group {
			addresses[i] = append(addresses[i], n.fabric)
			if process := n.process(); process != nil {
				side[process.Fabric().ID()] = i
			}
		}
	}
	from := time.Now()
	d.rules.Heal()
	d.rules.Partition(addresses...)
	d.say("the network is cut: %s; \\heal ends it", strings.Join(arguments, ""))
	d.noticed(ctx, d.up(), from, func(n *egal.Node) bool {
		for id, other := range side {
			if other != side[n.Fabric().ID()] && (reaches(n, id) || routes(n, id)) {
				return false
			}
		}
		return true
	})
	return nil
}

func (d *demo) heal(ctx context.Context, _ []string) error {
	var running []gossip.NodeID
	for _, n := range d.up() {
		running = append(running, n.process().Fabric().ID())
	}
	from := time.Now()
	d.rules.Heal()
	d.say("the network is whole")
	d.noticed(ctx, d.up(), from, func(n *egal.Node) bool {
		return !slices.ContainsFunc(running, func(id gossip.NodeID) bool { return !serves(n, id) })
	})
	return nil
}

func (d *demo) slow(_ context.Context, arguments []string) error {
	if len(arguments) != 2 {
		return errArguments
	}
	n, err := d.find(arguments[0])
	if err != nil {
		return err
	}
	delay, err := time.ParseDuration(arguments[1])
	if err != nil || delay < 0 {
		return fail(exitUsage, `for example \slow 2 200ms`, "no delay: %q", arguments[1])
	}
	for _, other := range d.nodes {
		if other != n {
			d.rules.Delay(n.fabric, other.fabric, delay)
			d.rules.Delay(other.fabric, n.fabric, delay)
		}
	}
	d.say("everything from and to %s takes %s longer; \\heal ends it", n.name, milliseconds(delay))
	return nil
}

func (d *demo) status(context.Context, []string) error {
	up := d.up()
	if len(up) == 0 {
		d.say(`no node runs; next: \restart 1`)
		return nil
	}
	o := &output{w: d.w, format: "table"}
	status := web.StatusOf(up[0].process())
	if status.Verdict == web.VerdictDegraded {
		status.Next = `\heal`
		if killed := slices.IndexFunc(d.nodes, func(n *demoNode) bool { return n.process() == nil }); killed >= 0 {
			status.Next = fmt.Sprintf(`\restart %d`, killed+1)
		}
	}
	d.say("%s", o.status(status, d.paint, time.Now()))
	for _, n := range up {
		var reached, lost []string
		for _, m := range web.StatusOf(n.process()).Members {
			if m.Reachable {
				reached = append(reached, m.Name)
			} else {
				lost = append(lost, m.Name)
			}
		}
		line := fmt.Sprintf("  %s reaches %s", n.name, strings.Join(reached, ", "))
		if len(lost) > 0 {
			line += ", not " + strings.Join(lost, ", ")
		}
		d.say("%s", line)
	}
	return nil
}
