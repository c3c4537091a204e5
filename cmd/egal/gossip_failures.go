package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/egalcluster/egal/fabric/gossip/lab"
	"github.com/spf13/cobra"
)

// labFailures measures the failure detector. The flags that choose ways to spread updates do not go with it.
func (w *world) labFailures(cmd *cobra.Command, o *output, f labFlags) error {
	for _, name := range []string{"k", "loss", "dead", "missing", "updates", "schemes"} {
		if cmd.Flags().Changed(name) {
			return fail(exitUsage, "the rows of --failures are fixed, but for --n and --length", "--%s does not go with --failures", name)
		}
	}
	if o.format == "brief" {
		return fail(exitUsage, "", "-o brief does not go with --failures")
	}
	if f.seeds < 1 || f.seeds > maxLabSeeds {
		return fail(exitUsage, "", "--seeds %d: want 1 to %d", f.seeds, maxLabSeeds)
	}
	members, err := list("n", f.n, strconv.Atoi)
	if err != nil {
		return err
	}
	var all []lab.Failure
	var faults []error
	for _, n := range members {
		for _, e := range lab.Failures(n, f.length) {
			faults = append(faults, e.Validate())
			all = append(all, e)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return &fault{code: exitUsage, err: firstOf(err)}
	}
	rows, err := w.measureFailures(cmd, all, f)
	if err != nil {
		return err
	}
	return o.failureRows(rows, f.seed)
}

// measureFailures plays all experiments one by one, and tells on stderr how far it has come.
func (w *world) measureFailures(cmd *cobra.Command, all []lab.Failure, f labFlags) ([]lab.FailureRow, error) {
	var rows []lab.FailureRow
	var speed stopwatch
	ctx := cmd.Context()
	watch := lab.Watch{Interrupted: func() bool { return ctx.Err() != nil }}
	for i, e := range all {
		w.progress("%d of %d: %s n=%d loss=%g", i+1, len(all), e, e.N, e.Loss)
		var outcomes []lab.FailureOutcome
		for seed := range f.seeds {
			began := processorTime()
			outcome, ok := lab.RunFailure(e, f.seed+uint64(seed), watch)
			if !ok {
				return nil, fail(exitInterrupted, "", "interrupted")
			}
			speed.spent += processorTime() - began
			speed.events += outcome.Events
			outcomes = append(outcomes, outcome)
		}
		rows = append(rows, lab.SummarizeFailures(e, outcomes))
	}
	if w.errTTY {
		fmt.Fprint(w.err, "\r\x1b[K")
	}
	fmt.Fprintf(w.err, "%d events of cores in %.2f CPU-seconds: %.2f million per second\n", speed.events, speed.spent.Seconds(), speed.millions())
	return rows, nil
}

// failureDocument is what the lab prints of failures as json and yaml.
type failureDocument struct {
	Schema int              `json:"schema"`
	Seed   uint64           `json:"seed"`
	Rows   []lab.FailureRow `json:"rows"`
}

// failureRows prints what was measured.
func (o *output) failureRows(rows []lab.FailureRow, seed uint64) error {
	if done, err := o.document(failureDocument{Schema: 1, Seed: seed, Rows: rows}, nil); done {
		return err
	}
	table := [][]string{{
		"fault", "n", "loss", "detected", "max", "known", "max", "missed", "alerts", "wrong", "slow", "pauses", "packets", "bytes", "isolated",
	}}
	precision := 2
	if o.format == "csv" {
		precision = -1
		table[0][4], table[0][6] = "detected_max", "known_max"
	}
	for _, r := range rows {
		number := func(x float64) string { return strconv.FormatFloat(x, 'f', precision, 64) }
		whole := func(x float64) string { return strconv.FormatFloat(x, 'f', min(precision, 0), 64) }
		table = append(table, []string{
			r.Fault, strconv.Itoa(r.N), short(r.Loss), number(r.Detected), number(r.DetectedMax), number(r.Known), number(r.KnownMax), strconv.Itoa(r.Missed),
			whole(r.Alerts), whole(r.Wrong), whole(r.Slow), whole(r.Pauses), number(r.Packets), whole(r.Bytes), r.Isolated,
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
