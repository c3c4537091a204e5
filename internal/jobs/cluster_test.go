package jobs

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
)

const (
	// patience bounds every wait for an event.
	patience = 30 * time.Second
	// interval is short, so that tests are; a node counts as cut off after fifteen of it.
	interval = 100 * time.Millisecond
)

// cluster is a set of fabrics in memory, each with its jobs, and what their runs do.
type cluster struct {
	t       testing.TB
	network *transport.Network
	rules   *transport.Rules
	nodes   []*node
	record  *record
}

type node struct {
	*Service
	fabric *fabric.Fabric
	disk   durable.FS
	addr   netip.AddrPort
	gate   chan struct{} // a token lets a run of this node do one step
	dead   bool
}

func newCluster(tb testing.TB, nodes int) *cluster {
	tb.Helper()
	c := &cluster{t: tb, network: transport.NewNetwork(1), rules: transport.NewRules(), record: &record{}}
	tb.Cleanup(func() {
		for _, n := range c.nodes {
			if !n.dead {
				c.stop(n)
			}
		}
		for _, complaint := range c.record.complaints() {
			tb.Error(complaint)
		}
	})
	for range nodes {
		n := &node{disk: durable.Memory(), gate: make(chan struct{})}
		c.nodes = append(c.nodes, n)
		c.start(n)
	}
	c.voting(nodes)
	return c
}

func (c *cluster) start(n *node) {
	c.t.Helper()
	addr := n.addr
	if !addr.IsValid() {
		addr = netip.MustParseAddrPort("10.0.0.1:0")
	}
	way, err := c.network.Listen(addr)
	must(c.t, err)
	n.addr, n.dead = way.Addr(), false
	n.fabric, err = fabric.Start(context.Background(), fabric.Config{
		FS: n.disk, Dir: "data", Transport: c.rules.Wrap(way), Seeds: []string{c.nodes[0].addr.String()}, Found: n == c.nodes[0],
	})
	must(c.t, err)
	n.Service = Open(Config{Fabric: n.fabric, Interval: interval, MaxRunning: 2})
	must(c.t, n.Register(Kind{Name: "steps", Unit: "steps", Run: func(ctx context.Context, r *Run) error { return c.record.run(ctx, r, n) }}))
	must(c.t, n.Register(Kind{Name: "panics", Run: func(context.Context, *Run) error { panic("out of cheese") }}))
	must(c.t, n.Register(Kind{Name: "fails", Run: func(context.Context, *Run) error { return fmt.Errorf("no cheese") }}))
}

// stop stops a node as it should be stopped.
func (c *cluster) stop(n *node) {
	c.t.Helper()
	n.Close()
	must(c.t, n.fabric.Close())
	n.dead = true
}

// kill stops a node without a word to the others.
func (c *cluster) kill(n *node) {
	c.t.Helper()
	must(c.t, n.fabric.Close())
	n.Close()
	n.dead = true
}

// voting waits until the register of jobs has so many voters.
func (c *cluster) voting(count int) {
	c.t.Helper()
	end := time.After(patience)
	for _, n := range c.nodes {
		_, err := n.followed.Known(c.t.Context())
		must(c.t, err)
		for {
			changed := n.fabric.Changed()
			now, err := n.fabric.Registers().Read(c.t.Context(), Group)
			if err == nil && len(now.Voters) == count && now.Epoch%2 == 1 {
				break
			}
			select {
			case <-changed:
			case <-time.After(10 * time.Millisecond):
			case <-end:
				c.t.Fatalf("never %d voters", count)
			}
		}
	}
}

// until waits until ok holds for a job as the node sees it.
func (c *cluster) until(n *node, id uint64, what string, ok func(j Job) bool) Job {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	var last Job
	for j, err := range n.Watch(ctx, id) {
		if err != nil {
			c.t.Fatalf("waited in vain for job %d: %s; it is %+v: %v", id, what, last, err)
		}
		if last = j; ok(j) {
			return j
		}
	}
	c.t.Fatalf("job %d ended, and never: %s; it is %+v", id, what, last)
	return last
}

func is(state State) func(Job) bool { return func(j Job) bool { return j.State == state } }

// steps starts a job of so many steps.
func (c *cluster) steps(n *node, count uint64) Job {
	c.t.Helper()
	j, err := n.Start(c.t.Context(), "steps", binary.LittleEndian.AppendUint64(nil, count))
	must(c.t, err)
	return j
}

// owner is the node that runs a job.
func (c *cluster) owner(j Job) *node {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.fabric.ID() == j.Owner {
			return n
		}
	}
	c.t.Fatalf("job %d has no owner among the nodes: %v", j.ID, j.Owner)
	return nil
}

// step lets the runs of a node do so many steps.
func (c *cluster) step(n *node, count int) {
	c.t.Helper()
	end := time.After(patience)
	for range count {
		select {
		case n.gate <- struct{}{}:
		case <-end:
			c.t.Fatal("nothing runs here")
		}
	}
}

// begun is one run that has begun.
type begun struct {
	job, epoch, at uint64 // at: the step it begins with
	node           *node
	ended          chan error // room for one
}

// record is what the runs of a cluster have done.
type record struct {
	mu    sync.Mutex // guards what follows
	begun []*begun
	now   int           // how many run
	most  int           // at once
	news  chan struct{} // closed when a run begins
}

// await waits until so many runs of a job have begun; job 0: so many of all.
func (r *record) await(tb testing.TB, job uint64, count int) []*begun {
	tb.Helper()
	for end := time.After(patience); ; {
		r.mu.Lock()
		if r.news == nil {
			r.news = make(chan struct{})
		}
		news := r.news
		r.mu.Unlock()
		if all := r.of(job); len(all) >= count {
			return all
		}
		select {
		case <-news:
		case <-end:
			tb.Fatalf("never %d runs of job %d", count, job)
		}
	}
}

// run is a job that counts to its argument, a step for each token of the gate.
func (r *record) run(ctx context.Context, run *Run, n *node) (err error) {
	total, at := binary.LittleEndian.Uint64(run.Arguments()), uint64(0)
	if checkpoint := run.Checkpoint(); checkpoint != nil {
		at = binary.LittleEndian.Uint64(checkpoint)
	}
	b := r.begin(run.ID(), run.Epoch(), at, n)
	defer func() { r.end(b, err) }()
	run.Note("counts")
	for ; at < total; at++ {
		select {
		case <-n.gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := run.Report(at+1, total, binary.LittleEndian.AppendUint64(nil, at+1)); err != nil {
			return err
		}
	}
	return nil
}

func (r *record) begin(job, epoch, at uint64, n *node) *begun {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &begun{job: job, epoch: epoch, at: at, node: n, ended: make(chan error, 1)}
	r.begun = append(r.begun, b)
	r.now++
	r.most = max(r.most, r.now)
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
	return b
}

func (r *record) end(b *begun, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now--
	b.ended <- err
}

// of are the runs of a job; 0: of all.
func (r *record) of(job uint64) (all []*begun) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.begun {
		if b.job == job || job == 0 {
			all = append(all, b)
		}
	}
	return all
}

// complaints checks that no two runs have one epoch of a job.
func (r *record) complaints() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[[2]uint64]bool{}
	for _, b := range r.begun {
		key := [2]uint64{b.job, b.epoch}
		if seen[key] {
			all = append(all, fmt.Sprintf("job %d has two runs of epoch %d", b.job, b.epoch))
		}
		seen[key] = true
	}
	return all
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
