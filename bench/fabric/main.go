// Command fabric measures members, failures and decisions on this machine: how soon a killed process is unreachable
// everywhere, how fast a hundred nodes form a cluster and settle after a third of them is gone, what a change of a
// register takes, and what an idle node needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/egalcluster/egal/bench/report"
)

func main() {
	table := report.New("fabric", "The fabric: members, failures, decisions", "row", "measured", "unit", "target", "n")
	tries := flag.Int("tries", 20, "processes to kill")
	changes := flag.Int("changes", 1000, "changes of a register")
	nodes := flag.Int("nodes", 100, "real nodes of one process")
	flag.Parse()
	ctx := context.Background()
	err := errors.Join(crowd(ctx, table, *nodes), decisions(ctx, table, *changes), kills(ctx, table, *tries))
	if err == nil {
		table.Note("Kills: five processes of `egal start` on 127.0.0.1, SIGKILL until each of the others says so on its admin socket, asked without a pause. " +
			"Nodes: fabrics of one process over UDP and TCP on 127.0.0.1, closed without a goodbye. Changes: three voters, each with a log on this machine's disk, one change after the other.")
		err = table.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// milliseconds of a duration, for a table.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
