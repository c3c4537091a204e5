package testkit

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// Labels that every goroutine of a cluster carries: its nodes are started under them, and goroutines inherit them.
const (
	labelCluster = "egal_cluster"
	labelNode    = "egal_node"
)

// leakDeadline is how long goroutines may take to end after their node's Close has returned: the last instructions of
// a goroutine come after its owner was told.
const leakDeadline = 5 * time.Second

// leaked waits until no goroutine carries the label of this cluster, and describes those that still do at the deadline.
func leaked(cluster string, deadline time.Duration) string {
	end := time.NewTimer(deadline)
	defer end.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		stacks := labelled(cluster)
		if stacks == "" {
			return ""
		}
		select {
		case <-again.C:
		case <-end.C:
			return stacks
		}
	}
}

// labelled returns the stacks of the goroutines with the label of this cluster, empty if there is none. It reads the
// goroutine profile in its text form, a block per distinct stack and label set:
//
//	1 @ 0x47c8ae 0x416a65
//	# labels: {"egal_cluster":"…", "egal_node":"node-0"}
//	#	0x5b1f2a	example.com/m.f+0x2a	/src/m/f.go:12
func labelled(cluster string) string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return fmt.Sprintf("goroutine profile: %v", err)
	}
	label := strconv.Quote(labelCluster) + ":" + strconv.Quote(cluster)
	var found []string
	for block := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(block, label) {
			found = append(found, block)
		}
	}
	return strings.Join(found, "\n\n")
}
