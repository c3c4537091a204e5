package testkit

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"testing"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric/transport"
)

// A Node is one node of a cluster: an identity, a disk and ports that outlive the process which runs on them.
type Node struct {
	cluster *Cluster
	index   int
	name    string
	fabric  port // node to node
	resp    port // clients
	data    string

	life sync.Mutex // held while the process starts or stops

	mu      sync.Mutex // guards what follows
	process *egal.Node // nil: not running
	disk    *egal.Disk // nil: on the disk of the machine
	id      string
	watch   *watch
	way     *told // to the other nodes
}

// watch is the goroutine that turns the events of one running process into signals of the cluster.
type watch struct {
	stop chan struct{}
	done chan struct{}
}

// Index is the node's place in Cluster.Nodes.
func (n *Node) Index() int { return n.index }

// Name is the node's name in logs and views: node-0, node-1, …
func (n *Node) Name() string { return n.name }

// String is Name.
func (n *Node) String() string { return n.name }

// RESPAddr is where Redis clients connect: 127.0.0.1 and a port that stays the same over restarts.
func (n *Node) RESPAddr() string { return n.resp.addr() }

// FabricAddr is where the other nodes connect.
func (n *Node) FabricAddr() string { return n.fabric.addr() }

// ID is the node's identity, which outlives Kill. It is empty before the node's first start.
func (n *Node) ID() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id
}

// Egal is the running node itself, nil while it is killed. A Restart makes a new one.
func (n *Node) Egal() *egal.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// Kill ends the node as SIGKILL does: no goodbye to the others, and what a disk in memory has not synced is lost. When
// it returns, the node's ports refuse connections. The others find out by themselves; Converged waits for that.
func (n *Node) Kill(tb testing.TB) {
	tb.Helper()
	n.life.Lock()
	defer n.life.Unlock()
	if n.Egal() == nil {
		tb.Fatalf("testkit: kill %s: it is not running", n)
	}
	if err := n.stop(true); err != nil {
		tb.Errorf("testkit: kill %s: %v", n, err)
	}
}

// Restart starts the node again: the same identity, disk and ports. It returns when the node has started; Converged
// waits until it is back in the cluster and serves its slots. The node must have been killed.
func (n *Node) Restart(tb testing.TB) {
	tb.Helper()
	n.life.Lock()
	defer n.life.Unlock()
	if n.Egal() != nil {
		tb.Fatalf("testkit: restart %s: it is running", n)
	}
	if err := n.start(context.WithoutCancel(tb.Context())); err != nil {
		tb.Fatalf("testkit: restart %s: %v", n, err)
	}
}

// start runs the node's process under the labels of the cluster. The caller holds n.life, or owns the node.
func (n *Node) start(ctx context.Context) error {
	c := n.cluster
	var process *egal.Node
	var err error
	labels := pprof.Labels(labelCluster, c.label, labelNode, n.name)
	pprof.Do(ctx, labels, func(ctx context.Context) { process, err = egal.Start(ctx, n.config()) })
	if err != nil {
		return err
	}
	w := &watch{stop: make(chan struct{}), done: make(chan struct{})}
	n.mu.Lock()
	n.process, n.watch, n.id = process, w, process.ID()
	n.mu.Unlock()
	go w.run(process, &c.changed) // ends in stop
	return nil
}

func (n *Node) config() egal.Config {
	c := n.cluster
	logger := c.journal.logger(n.name)
	listen := listenConfig()
	return egal.Config{
		Data: n.data, Disk: n.disk, Name: n.name,
		Seeds: c.seeds(), FirstSeed: n.index == 0, InitialMembers: c.options.nodes,
		FabricListen: n.fabric.addr(), SlotsListen: n.resp.addr(), ListenConfig: listen,
		Transport: func(ctx context.Context) (transport.Transport, error) {
			t, err := transport.Listen(ctx, transport.NetConfig{Addr: n.fabric.addr(), ListenConfig: listen, Logger: logger})
			if err != nil {
				return nil, err
			}
			way := &told{Transport: c.rules.Wrap(t)}
			n.mu.Lock()
			n.way = way
			n.mu.Unlock()
			return way, nil
		},
		ProbeMisses: probeMisses,
		Now:         c.Clock.Now, Seed: c.options.seed + uint64(n.index), Logger: logger,
	}
}

// stop ends the process and its watch. After a crash the disk has lost what was not synced at this moment, so that
// nothing which Close writes survives. The caller holds n.life.
func (n *Node) stop(crash bool) error {
	n.mu.Lock()
	process, w := n.process, n.watch
	n.process, n.watch, n.way = nil, nil, nil
	if crash && n.disk != nil {
		n.disk = n.disk.Crash()
	}
	n.mu.Unlock()
	if process == nil {
		return nil
	}
	close(w.stop)
	<-w.done
	err := process.Close()
	n.cluster.changed.raise()
	return err
}

func (w *watch) run(process *egal.Node, changed *signal) {
	defer close(w.done)
	members, slots := process.Fabric(), process.Slots()[0]
	for {
		view, table := members.Changed(), slots.Changed()
		changed.raise() // what has happened until now: later events close the channels
		select {
		case <-view:
		case <-table:
		case <-w.stop:
			return
		}
	}
}

// refuse tells the running process that a peer cannot be reached.
func (n *Node) refuse(peer *Node) {
	n.mu.Lock()
	way := n.way
	n.mu.Unlock()
	if way != nil {
		way.refuse(peer.fabricAddr())
	}
}

// prepare gives the node its ports and its disk.
func (n *Node) prepare() error {
	var err error
	if n.fabric, err = reserve(); err != nil {
		return err
	}
	if n.resp, err = reserve(); err != nil {
		n.fabric.release()
		return err
	}
	if dir := n.cluster.dir; dir != "" {
		n.data = filepath.Join(dir, n.name)
	} else {
		n.disk = egal.MemoryDisk()
	}
	return nil
}

func newNode(c *Cluster, index int) *Node {
	return &Node{cluster: c, index: index, name: fmt.Sprintf("node-%d", index)}
}
