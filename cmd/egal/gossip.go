package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/fabric/gossip/lab"
	"github.com/spf13/cobra"
)

// Bounds of a question to the lab.
const (
	maxLabSeeds = 10_000
	maxLabRows  = 10_000
	labGarbage  = 400 // percent of what is in use
)

func gossipCommand(w *world) *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "gossip", Short: "Look at how news spreads",
		Example: "  egal gossip lab --n 1000 --k 1,3,4,8",
	})
	cmd.AddCommand(gossipLabCommand(w))
	return cmd
}

// labFlags are what the lab is asked: every combination of the lists is one experiment.
type labFlags struct {
	n, k, loss, dead, missing, updates, schemes string
	seeds                                       int
	seed                                        uint64
	failures                                    bool
	length                                      time.Duration
}

// compared are the schemes that are compared by default: all, but the other strategies of our own core.
func compared() string {
	var names []string
	for _, s := range lab.Schemes() {
		if s <= lab.SchemeINR {
			names = append(names, s.String())
		}
	}
	return strings.Join(names, ",")
}

func gossipLabCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var f labFlags
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Measure ways to spread an update, simulated under identical conditions",
		Long: "Measure ways to spread an update, simulated under identical conditions: rounds until every live member has it,\n" +
			"copies, messages, packets and bytes. inr, core-literal and core-push are the code that runs in nodes; the others are\n" +
			"the ideas of other systems. Every combination of the lists is one row; the same seed prints the same rows.\n\n" +
			"ROUNDS is the median over the updates of all seeds, MAX the most of all. REACHED is the share of live members that\n" +
			"have the update in the end. TO-ALL is the messages per live member until the last of them has a single update.\n" +
			"PAYLOADS, MESSAGES and BYTES are per live member and update, until nobody has anything to send any more or, where\n" +
			"STOP is oracle, until somebody who sees everybody stops it. PACKETS are per live member and round, while updates\n" +
			"spread. DONE says whether the writer was told rightly who has the update: yes, or named where a live member was given\n" +
			"up and it was told so, or no; - where nobody is told.\n\n" +
			"With --failures, --n, --seeds and --seed count, and the rows are faults. DETECTED is the mean number of seconds until\n" +
			"the first verdict, KNOWN until 99 % of the others know it, with the longest of each. ALERTS, WRONG, SLOW and PAUSES\n" +
			"are per hour of the whole cluster: monitors that miss a member, verdicts on healthy members, verdicts on members that\n" +
			"pause, and pauses. PACKETS and BYTES are per member and second. ISOLATED says whether who hears nobody, alone, knew it.",
		Example: `  egal gossip lab --n 1000 --k 1,3,4,8 -o json
  egal gossip lab --n 10000 --schemes inr,push-pull --loss 20 --dead 0
  egal gossip lab --schemes inr --updates 1,20 --loss 0 --dead 0
  egal gossip lab --failures --n 100`,
		Args: noArguments,
	}
	o.flags(cmd, "table", "brief", "csv")
	cmd.Flags().StringVar(&f.n, "n", "1000", fmt.Sprintf("how many members, 2 to %d", lab.MaxMembers))
	cmd.Flags().StringVar(&f.k, "k", "4", fmt.Sprintf("to how many members a member sends in a round, 1 to %d", lab.MaxFanout))
	cmd.Flags().StringVar(&f.loss, "loss", "0,5,20", "how many percent of the messages are lost")
	cmd.Flags().StringVar(&f.dead, "dead", "0,10", "how many percent of the members are dead without anybody knowing")
	cmd.Flags().StringVar(&f.missing, "missing", "0", "how many percent of the members each view lacks")
	cmd.Flags().StringVar(&f.updates, "updates", "1", fmt.Sprintf("how many updates are written: 1 a single one, more so many in each of %d rounds", lab.StreamRounds))
	cmd.Flags().StringVar(&f.schemes, "schemes", compared(), "which schemes: "+strings.Join(lab.SchemeNames(), ", "))
	cmd.Flags().IntVar(&f.seeds, "seeds", 5, "how many seeds each experiment is played with")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "the first seed")
	cmd.Flags().BoolVar(&f.failures, "failures", false, "measure how failures are detected, by the code that runs in nodes, instead of how updates spread")
	cmd.Flags().DurationVar(&f.length, "length", 10*time.Minute, "with --failures: how long each cluster is watched, in its own time")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.failures {
			return w.labFailures(cmd, o, f)
		}
		if cmd.Flags().Changed("length") {
			return fail(exitUsage, "", "--length goes with --failures")
		}
		experiments, err := f.experiments()
		if err != nil {
			return err
		}
		rows, err := w.measure(cmd.Context(), experiments, f)
		if err != nil {
			return err
		}
		return o.rows(rows, f.seed)
	}
	return cmd
}

// experiments are all combinations: the schemes stand side by side under every condition.
func (f labFlags) experiments() ([]lab.Experiment, error) {
	if f.seeds < 1 || f.seeds > maxLabSeeds {
		return nil, fail(exitUsage, "", "--seeds %d: want 1 to %d", f.seeds, maxLabSeeds)
	}
	schemes, errSchemes := list("schemes", f.schemes, lab.ParseScheme)
	members, errN := list("n", f.n, strconv.Atoi)
	fanouts, errK := list("k", f.k, strconv.Atoi)
	losses, errLoss := list("loss", f.loss, percentage)
	deads, errDead := list("dead", f.dead, percentage)
	missings, errMissing := list("missing", f.missing, percentage)
	updates, errUpdates := list("updates", f.updates, strconv.Atoi)
	if err := cmp.Or(errN, errK, errLoss, errDead, errMissing, errUpdates, errSchemes); err != nil {
		return nil, err
	}
	count := 1
	for _, length := range []int{len(schemes), len(members), len(fanouts), len(losses), len(deads), len(missings), len(updates)} {
		if count *= length; count > maxLabRows {
			return nil, fail(exitUsage, "ask for less at a time", "more than %d combinations", maxLabRows)
		}
	}
	var all []lab.Experiment
	var faults []error
	for row := range count {
		take := func(length int) int { // the list asked first changes fastest
			at := row % length
			row /= length
			return at
		}
		var e lab.Experiment
		e.Loss = losses[take(len(losses))]
		e.Dead = deads[take(len(deads))]
		e.Scheme = schemes[take(len(schemes))]
		e.K = fanouts[take(len(fanouts))]
		e.Missing = missings[take(len(missings))]
		e.Updates = updates[take(len(updates))]
		e.N = members[take(len(members))]
		faults = append(faults, e.Validate())
		all = append(all, e)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, &fault{code: exitUsage, err: firstOf(err)}
	}
	return all, nil
}

// firstOf is the first of joined errors: the same fault shows in many combinations.
func firstOf(err error) error {
	for {
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok {
			return err
		}
		err = joined.Unwrap()[0]
	}
}

// list takes words parted by commas.
func list[T any](flag, text string, parse func(string) (T, error)) ([]T, error) {
	var values []T
	for word := range strings.SplitSeq(text, ",") {
		value, err := parse(strings.TrimSpace(word))
		if err != nil {
			hint := ""
			if flag == "schemes" {
				hint = "schemes are " + strings.Join(lab.SchemeNames(), ", ")
			}
			return nil, fail(exitUsage, hint, "--%s %q: %q is none", flag, text, word)
		}
		values = append(values, value)
	}
	return values, nil
}

func percentage(text string) (float64, error) {
	return strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
}

// measure plays all experiments, and tells on stderr how far it has come and how fast the cores were simulated.
func (w *world) measure(ctx context.Context, experiments []lab.Experiment, f labFlags) ([]lab.Row, error) {
	var rows []lab.Row
	var speed stopwatch
	if !slices.ContainsFunc(experiments, func(e lab.Experiment) bool { return e.N > lab.MaxWhole }) {
		defer debug.SetGCPercent(debug.SetGCPercent(labGarbage)) // what is measured is small: time matters, not memory
	}
	for i, e := range experiments {
		w.progress("%d of %d: %s n=%d k=%d loss=%g dead=%g missing=%g updates=%d", i+1, len(experiments), e.Scheme, e.N, e.K, e.Loss, e.Dead, e.Missing, e.Updates)
		outcomes, err := play(ctx, e, f, &speed)
		if err != nil {
			return nil, err
		}
		rows = append(rows, lab.Summarize(e, outcomes))
	}
	if w.errTTY {
		fmt.Fprint(w.err, "\r\x1b[K")
	}
	if speed.events > 0 {
		fmt.Fprintf(w.err, "%d events of cores in %.2f CPU-seconds: %.2f million per second\n", speed.events, speed.spent.Seconds(), speed.millions())
	}
	return rows, nil
}

// stopwatch measures how fast cores are simulated: the processor time of this process, garbage collection included,
// from when the members are there.
type stopwatch struct {
	events uint64
	spent  time.Duration
	began  time.Duration
}

func (s *stopwatch) millions() float64 { return float64(s.events) / 1e6 / max(s.spent.Seconds(), 1e-9) }

// progress writes a line; on a terminal over the one before.
func (w *world) progress(format string, args ...any) {
	if w.errTTY {
		fmt.Fprintf(w.err, "\r\x1b[K"+format, args...)
		return
	}
	fmt.Fprintf(w.err, format+"\n", args...)
}

// play plays an experiment with all seeds, as many at a time as there are processors; but cores one by one: their time
// is taken, and many of them take gigabytes.
func play(ctx context.Context, e lab.Experiment, f labFlags, speed *stopwatch) ([]lab.Outcome, error) {
	outcomes := make([]lab.Outcome, f.seeds)
	workers := min(runtime.GOMAXPROCS(0), f.seeds)
	watch := lab.Watch{Interrupted: func() bool { return ctx.Err() != nil }}
	if e.Scheme.Production() {
		workers = 1
		watch.Began = func() { speed.began = processorTime() }
	}
	var taken atomic.Int64
	var working sync.WaitGroup
	for range workers {
		working.Go(func() { // ends with the seeds, or the context
			for ctx.Err() == nil {
				seed := int(taken.Add(1)) - 1
				if seed >= f.seeds {
					return
				}
				outcomes[seed], _ = lab.Run(e, f.seed+uint64(seed), watch)
				if e.Scheme.Production() {
					speed.spent += processorTime() - speed.began
					speed.events += outcomes[seed].Events
				}
			}
		})
	}
	working.Wait()
	if ctx.Err() != nil {
		return nil, fail(exitInterrupted, "", "interrupted")
	}
	return outcomes, nil
}

// labDocument is what the lab prints as json and yaml.
type labDocument struct {
	Schema int       `json:"schema"`
	Seed   uint64    `json:"seed"`
	Rows   []lab.Row `json:"rows"`
}

// rows prints what was measured.
func (o *output) rows(rows []lab.Row, seed uint64) error {
	if done, err := o.document(labDocument{Schema: 1, Seed: seed, Rows: rows}, nil); done {
		return err
	}
	if o.format == "brief" {
		fmt.Fprint(o.w.out, o.table(brief(rows)))
		return nil
	}
	table := [][]string{{
		"scheme", "n", "k", "loss", "dead", "missing", "updates", "rounds", "max", "reached", "payloads", "to-all", "messages", "stop", "packets", "bytes", "done",
	}}
	precision := 2
	if o.format == "csv" {
		precision = -1
	}
	for _, r := range rows {
		number := func(x float64) string { return strconv.FormatFloat(x, 'f', precision, 64) }
		bytes := strconv.FormatFloat(r.Bytes, 'f', min(precision, 0), 64)
		reached := strconv.FormatFloat(r.Reached, 'f', -1, 64)
		table = append(table, []string{
			r.Scheme, strconv.Itoa(r.N), strconv.Itoa(r.K), short(r.Loss), short(r.Dead), short(r.Missing), strconv.Itoa(r.Updates),
			short(r.RoundsMedian), strconv.Itoa(r.RoundsMax), reached, number(r.Payloads), number(r.ToAll), number(r.Messages), r.Stop, number(r.Packets), bytes, r.Done,
		})
	}
	if o.format == "csv" {
		if o.noHeaders {
			table = table[1:]
		}
		return csv.NewWriter(o.w.out).WriteAll(table)
	}
	for i, name := range table[0] {
		table[0][i] = strings.ToUpper(name)
	}
	fmt.Fprint(o.w.out, o.table(table))
	return nil
}

func short(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// brief puts the conditions of loss and death into one line: what the tables of the documentation look like.
func brief(rows []lab.Row) [][]string {
	table := [][]string{{"SCHEME", "N", "K", "MISSING", "UPDATES", "LOSS+DEAD", "ROUNDS", "MAX", "PAYLOADS", "MESSAGES", "STOP", "DONE"}}
	for from := 0; from < len(rows); {
		first, to := rows[from], from
		var conditions, rounds, most, payloads, messages, stops, done []string
		for ; to < len(rows) && sameLine(rows[to], first); to++ {
			r := rows[to]
			conditions = append(conditions, short(r.Loss)+"+"+short(r.Dead))
			payloads, messages = append(payloads, fmt.Sprintf("%.1f", r.Payloads)), append(messages, fmt.Sprintf("%.1f", r.Messages))
			stops, done = append(stops, r.Stop), append(done, r.Done)
			if r.Reached == 1 {
				rounds, most = append(rounds, short(r.RoundsMedian)), append(most, strconv.Itoa(r.RoundsMax))
			} else {
				rounds, most = append(rounds, "∞"), append(most, "∞")
			}
		}
		table = append(table, []string{
			first.Scheme, strconv.Itoa(first.N), strconv.Itoa(first.K), short(first.Missing), strconv.Itoa(first.Updates), strings.Join(conditions, " "),
			strings.Join(rounds, "/"), strings.Join(most, "/"), once(payloads), once(messages), once(stops), once(done),
		})
		from = to
	}
	return table
}

// sameLine reports whether rows differ in loss and death alone.
func sameLine(a, b lab.Row) bool {
	return a.Scheme == b.Scheme && a.N == b.N && a.K == b.K && a.Missing == b.Missing && a.Updates == b.Updates
}

// once joins words, or says one word once if they are all the same.
func once(words []string) string {
	for _, word := range words {
		if word != words[0] {
			return strings.Join(words, "/")
		}
	}
	return words[0]
}
