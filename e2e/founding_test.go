package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// family is five processes on loopback: three seeds, the first of which founds, and two ordinary nodes.
type family struct {
	process []*process
	args    [][]string
	data    []string
}

func newFamily(t *testing.T) *family {
	t.Helper()
	const count, seeds = 5, 3
	f := &family{process: make([]*process, count)}
	ports := freePorts(t, 3*count)
	var join []string
	for i := range seeds {
		join = append(join, "127.0.0.1:"+ports[3*i])
	}
	for i := range count {
		f.data = append(f.data, t.TempDir())
		f.args = append(f.args, []string{
			"start", "--data", f.data[i], "--name", fmt.Sprintf("node-%d", i+1), "--join", strings.Join(join, ","),
			"--fabric-listen", "127.0.0.1:" + ports[3*i], "--slots-listen", "127.0.0.1:" + ports[3*i+1], "--web-listen", "127.0.0.1:" + ports[3*i+2],
		})
	}
	return f
}

func (f *family) start(t *testing.T, i int) {
	t.Helper()
	f.process[i] = start(t, nil, f.args[i]...)
}

// status is what `egal status` says of a running node.
func (f *family) status(t *testing.T, i int) (cluster string, up int) {
	t.Helper()
	text, _ := try(t, nil, binary, "status", "--data", f.data[i], "-o", "json") // the exit code says what the text does
	var s struct {
		Cluster string `json:"cluster"`
		Members []struct {
			State     string `json:"state"`
			Reachable bool   `json:"reachable"`
		} `json:"members"`
	}
	if json.Unmarshal([]byte(text), &s) != nil {
		return "", 0
	}
	for _, m := range s.Members {
		if m.State == "up" && m.Reachable {
			up++
		}
	}
	return s.Cluster, up
}

// together waits until the named nodes are in one cluster with so many members, and returns its id.
func (f *family) together(t *testing.T, members int, nodes ...int) string {
	t.Helper()
	var cluster string
	eventually(t, fmt.Sprintf("nodes %v are in one cluster of %d", nodes, members), func() bool {
		cluster = ""
		for _, i := range nodes {
			id, up := f.status(t, i)
			if id == "" || up != members || cluster != "" && id != cluster {
				return false
			}
			cluster = id
		}
		return true
	})
	return cluster
}

// orders are all orders of so many things.
func orders(count int) (all [][]int) {
	var extend func(order []int)
	extend = func(order []int) {
		if len(order) == count {
			all = append(all, order)
			return
		}
		for i := range count {
			if !strings.Contains(fmt.Sprint(order), fmt.Sprint(i)) {
				extend(append(slices.Clip(order), i))
			}
		}
	}
	extend(nil)
	return all
}

// Whatever order three seeds and two ordinary nodes are started in, at once or one after the other: they are one cluster.
// EGAL_E2E_LONG=1 plays all 120 orders, both ways.
func TestEveryStartOrderFoundsOneCluster(t *testing.T) {
	all := orders(5)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	pauses := []time.Duration{0, 150 * time.Millisecond}
	count := 4
	if os.Getenv("EGAL_E2E_LONG") == "1" {
		count = len(all) * len(pauses)
	}
	for n := range count {
		order, pause := all[n/len(pauses)], pauses[n%len(pauses)]
		t.Run(fmt.Sprintf("%v every %v", order, pause), func(t *testing.T) {
			f := newFamily(t)
			for _, i := range order {
				f.start(t, i)
				time.Sleep(pause) // the distance between starts is part of the order
			}
			f.together(t, 5, 0, 1, 2, 3, 4)
			for _, p := range f.process {
				p.kill()
			}
		})
	}
}

// The first seed founds once: started again, even with an empty directory, it joins the cluster that lives.
func TestTheFirstSeedJoinsTheLivingCluster(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		t.Run(fmt.Sprintf("empty directory %v", fresh), func(t *testing.T) {
			f := newFamily(t)
			for i := range f.process {
				f.start(t, i)
			}
			before := f.together(t, 5, 0, 1, 2, 3, 4)
			f.process[0].kill()
			members := 5
			if fresh { // it comes as a new node, and the old one stays a member that is not there
				f.data[0] = t.TempDir()
				f.args[0][2] = f.data[0]
			}
			f.start(t, 0)
			if after := f.together(t, members, 0, 1, 2, 3, 4); after != before {
				t.Errorf("cluster %s, before it was %s", after, before)
			}
		})
	}
}
