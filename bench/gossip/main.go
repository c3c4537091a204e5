// Command gossip measures how news spreads, three times: the cores that run in nodes in the simulator, where a write
// costs n−1 payloads and ceil(log_{k+1} n) rounds; whole fabrics on the sockets of this machine, timed; and what they
// send while nothing happens.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/egalcluster/egal/bench/report"
	"github.com/egalcluster/egal/fabric/gossip/lab"
)

// fanout is k, the default of nodes.
const fanout = 4

func main() {
	table := report.New("gossip", "Rumors: one write to n members, k = 4", "row", "measured", "unit", "target", "n")
	largest := flag.Int("largest", 10_000, "largest number of simulated members")
	seed := flag.Uint64("seed", 1, "seed of the simulation")
	writes := flag.Int("writes", 50, "writes to time on real sockets")
	idle := flag.Duration("idle", 10*time.Second, "how long to watch real nodes that do nothing")
	flag.Parse()
	err := errors.Join(simulated(table, *largest, *seed), real(context.Background(), table, *writes, *idle))
	if err == nil {
		table.Note("Simulated: links without loss, a round is Config.Tick with k parts in it, seed %d. Real: fabrics of one process over UDP and TCP on 127.0.0.1, "+
			"from the write until the last of them shows it, median and 99th percentile of %d writes; idle bytes are packets without the headers of IP and UDP.", *seed, *writes)
		err = table.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// simulated plays the production cores.
func simulated(table *report.Table, largest int, seed uint64) error {
	for n := 10; n <= largest; n *= 10 {
		e := lab.Experiment{Scheme: lab.SchemeINR, N: n, K: fanout, Updates: 1}
		if err := e.Validate(); err != nil {
			return err
		}
		outcome, _ := lab.Run(e, seed, lab.Watch{})
		row := lab.Summarize(e, []lab.Outcome{outcome})
		table.Add("simulated: payloads of a write", outcome.Payloads, "payloads", n-1, n)
		table.Add("simulated: rounds of a write", row.RoundsMax, "rounds", rounds(n), n)
		table.Add("simulated: messages until silent", row.Messages, "per member", nil, n)
	}
	for _, n := range []int{3, 9, 100, 1000, 10_000} {
		if n > largest {
			break
		}
		idle, err := lab.RunIdle(n, 5*time.Second, seed)
		if err != nil {
			return err
		}
		table.Add("simulated: idle", idle.Bytes, "bytes/s per member", idleTarget(n), n)
	}
	return nil
}

// rounds is ceil(log_{k+1} n).
func rounds(n int) int {
	count := 0
	for reached := 1; reached < n; reached *= fanout + 1 {
		count++
	}
	return count
}

func idleTarget(n int) string {
	if n <= 3 {
		return "at most 500"
	}
	return "at most 2000"
}
