package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/egalcluster/egal/bench/report"
	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
)

// patience bounds every wait.
const patience = 2 * time.Minute

// cluster is fabrics of this process, on sockets.
type cluster []*fabric.Fabric

// start begins n nodes at once. With a directory they keep their files there, else in memory.
func start(ctx context.Context, n int, dir string) (cluster, error) {
	var nodes cluster
	var seed string
	for i := range n {
		way, err := transport.Listen(ctx, transport.NetConfig{Addr: "127.0.0.1:0"})
		if err != nil {
			return nodes, err
		}
		if i == 0 {
			seed = way.Addr().String()
		}
		config := fabric.Config{
			FS: durable.Memory(), Dir: "data", Transport: way, Seeds: []string{seed}, Found: i == 0, Name: fmt.Sprint("node-", i+1),
		}
		if dir != "" {
			config.FS, config.Dir = durable.OS(), filepath.Join(dir, strconv.Itoa(i))
		}
		node, err := fabric.Start(ctx, config)
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// close ends all, without a goodbye.
func (c cluster) close() error {
	failed := make([]error, len(c))
	var closing sync.WaitGroup
	for i, node := range c {
		closing.Go(func() { failed[i] = node.Close() })
	}
	closing.Wait()
	return errors.Join(failed...)
}

// until waits until a condition holds on all nodes.
func (c cluster) until(holds func(*gossip.View) bool) error {
	end := time.After(patience)
	for _, node := range c {
		for {
			changed := node.Changed()
			if holds(node.View()) {
				break
			}
			select {
			case <-changed:
			case <-end:
				return errors.New("waited in vain for the nodes to agree")
			}
		}
	}
	return nil
}

// agreed waits until all nodes have equal state.
func (c cluster) agreed() error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		equal := true
		for _, node := range c {
			equal = equal && node.View().Root() == c[0].View().Root()
		}
		if equal {
			return nil
		}
	}
	return errors.New("the nodes never agree")
}

func reachable(v *gossip.View) (count int) {
	for _, m := range v.Members() {
		if m.Status == gossip.StatusUp && m.Reachable {
			count++
		}
	}
	return count
}

// crowd times the forming of a cluster, and what it takes to settle when three in ten are gone at once.
func crowd(ctx context.Context, table *report.Table, n int) (err error) {
	begin := time.Now()
	nodes, err := start(ctx, n, "")
	defer func() { err = errors.Join(err, nodes.close()) }()
	if err != nil {
		return err
	}
	if err := nodes.until(func(v *gossip.View) bool { return reachable(v) == n }); err != nil {
		return fmt.Errorf("form: %w", err)
	}
	table.Add("start all, until everybody shows everybody up", milliseconds(time.Since(begin)), "ms", "under 5000", n)
	if err := nodes.agreed(); err != nil {
		return err
	}
	gone := 3 * n / 10
	killed := nodes[n-gone:]
	nodes = nodes[:n-gone]
	begin = time.Now()
	if err := killed.close(); err != nil {
		return err
	}
	if err := errors.Join(nodes.until(func(v *gossip.View) bool { return reachable(v) == n-gone }), nodes.agreed()); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	table.Add(fmt.Sprintf("%d killed, until the others agree on that", gone), milliseconds(time.Since(begin)), "ms", "under 10000", n)
	return nil
}

// decisions times changes of a register with three voters on disks.
func decisions(ctx context.Context, table *report.Table, changes int) (err error) {
	dir, err := os.MkdirTemp("", "egal-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	nodes, err := start(ctx, 3, dir)
	defer func() { err = errors.Join(err, nodes.close()) }()
	if err != nil {
		return err
	}
	registers := nodes[0].Registers()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if root, err := registers.Read(ctx, fabric.RootGroup); err == nil && len(root.Voters) == 3 {
			break
		}
		if time.Now().After(end) {
			return errors.New("the root group never has three voters")
		}
	}
	if err := registers.Ensure(ctx, "bench", 0, []byte("0")); err != nil {
		return err
	}
	var took []time.Duration
	for range changes {
		begin := time.Now()
		if _, err := registers.Change(ctx, "bench", func(value []byte) ([]byte, error) {
			number, err := strconv.Atoi(string(value))
			return strconv.AppendInt(nil, int64(number+1), 10), err
		}); err != nil {
			return err
		}
		took = append(took, time.Since(begin))
	}
	table.Add("change of a register, p50", milliseconds(report.Percentile(took, 50)), "ms", "under 5", 3)
	table.Add("change of a register, p99", milliseconds(report.Percentile(took, 99)), "ms", nil, 3)
	return nil
}
