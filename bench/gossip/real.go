package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/egalcluster/egal/bench/report"
	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
)

const (
	formPatience  = 2 * time.Minute
	writePatience = 10 * time.Second
	// between is the time between two writes: those that follow closely are coalesced and collected, which is another measure.
	between = 250 * time.Millisecond
	// quiet is how long nobody sends news in a cluster that has settled.
	quiet = 2 * time.Second
)

// real times writes on fabrics with sockets.
func real(ctx context.Context, table *report.Table, writes int, idle time.Duration) error {
	for _, n := range []int{3, 100} {
		if err := realOf(ctx, table, n, writes, idle); err != nil {
			return fmt.Errorf("%d real nodes: %w", n, err)
		}
	}
	return nil
}

func realOf(ctx context.Context, table *report.Table, n, writes int, idle time.Duration) (err error) {
	var nodes []*fabric.Fabric
	defer func() { //nolint:contextcheck // closing waits for whatever the context says
		var closing sync.WaitGroup
		failed := make([]error, len(nodes))
		for i, node := range nodes {
			closing.Go(func() { failed[i] = node.Close() })
		}
		closing.Wait()
		err = errors.Join(err, errors.Join(failed...))
	}()
	var seed string
	for i := range n {
		way, err := transport.Listen(ctx, transport.NetConfig{Addr: "127.0.0.1:0"})
		if err != nil {
			return err
		}
		if i == 0 {
			seed = way.Addr().String()
		}
		node, err := fabric.Start(ctx, fabric.Config{
			FS: durable.Memory(), Dir: "data", Transport: way, Seeds: []string{seed}, Found: i == 0, Name: fmt.Sprint("node-", i+1),
		})
		if err != nil {
			return err
		}
		nodes = append(nodes, node)
	}
	begin := time.Now()
	if _, err := all(ctx, nodes, formPatience, func(v *gossip.View) bool { return up(v) == n }); err != nil {
		return fmt.Errorf("form: %w", err)
	}
	table.Add("real: all start at once, until everybody shows everybody up", float64(time.Since(begin).Microseconds())/1000, "ms", nil, n)

	settled, err := settle(ctx, nodes)
	if err != nil {
		return err
	}
	table.Add("real: until nothing of that is sent any more", float64(settled.Microseconds())/1000, "ms", nil, n)

	before := sent(ctx, nodes)
	pause(ctx, idle)
	after := sent(ctx, nodes)
	seconds := idle.Seconds() * float64(n)
	table.Add("real: idle", float64(after.bytes-before.bytes)/seconds, "bytes/s per node", idleTarget(n), n)

	var took []time.Duration
	payloads := -sent(ctx, nodes).payloads
	for i := range writes {
		pause(ctx, between)
		key, value := "bench", fmt.Sprint(i)
		last, err := write(ctx, nodes, nodes[i%n], key, value)
		if err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
		took = append(took, last)
	}
	payloads += sent(ctx, nodes).payloads
	milliseconds := func(p int) float64 { return float64(report.Percentile(took, p).Microseconds()) / 1000 }
	target := "under 30"
	if n <= 3 {
		target = "under 3"
	}
	table.Add("real: one write to all, p50", milliseconds(50), "ms", target, n)
	table.Add("real: one write to all, p99", milliseconds(99), "ms", nil, n)
	table.Add("real: payloads of a write", float64(payloads)/float64(writes), "payloads", n-1, n)
	return nil
}

// settle waits until no node has sent news for a while, and returns how long that took.
func settle(ctx context.Context, nodes []*fabric.Fabric) (time.Duration, error) {
	begin := time.Now()
	changed, last := begin, sent(ctx, nodes).payloads
	for time.Since(changed) < quiet {
		pause(ctx, quiet/10)
		if time.Since(begin) > formPatience {
			return 0, errors.New("news never ends")
		}
		if now := sent(ctx, nodes).payloads; now != last {
			changed, last = time.Now(), now
		}
	}
	return changed.Sub(begin), nil
}

// write writes and returns after how long the last node shows it.
func write(ctx context.Context, nodes []*fabric.Fabric, writer *fabric.Fabric, key, value string) (time.Duration, error) {
	begin := time.Now()
	var failed error
	var writing sync.WaitGroup
	writing.Go(func() { failed = writer.SetShared(ctx, key, []byte(value)) })
	end, err := all(ctx, nodes, writePatience, func(v *gossip.View) bool {
		got, _, ok := v.Shared(key)
		return ok && string(got) == value
	})
	writing.Wait()
	return end.Sub(begin), errors.Join(failed, err)
}

// all waits until a condition holds on all nodes, and returns when it did on the last.
func all(ctx context.Context, nodes []*fabric.Fabric, patience time.Duration, holds func(*gossip.View) bool) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	at := make([]time.Time, len(nodes))
	var waiting sync.WaitGroup
	for i, node := range nodes {
		waiting.Go(func() {
			for {
				changed := node.Changed()
				if holds(node.View()) {
					at[i] = time.Now()
					return
				}
				select {
				case <-changed:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	waiting.Wait()
	var last time.Time
	for _, t := range at {
		if t.IsZero() {
			return last, ctx.Err()
		}
		if t.After(last) {
			last = t
		}
	}
	return last, nil
}

func up(v *gossip.View) (count int) {
	for _, m := range v.Members() {
		if m.Status == gossip.StatusUp && m.Reachable {
			count++
		}
	}
	return count
}

// counters are what nodes have sent.
type counters struct{ bytes, payloads int64 }

func sent(_ context.Context, nodes []*fabric.Fabric) (sum counters) {
	for _, node := range nodes {
		m := node.Metrics().Gossip //nolint:contextcheck // counters are there whatever the context says
		sum.bytes += int64(m.BytesSent)
		sum.payloads += int64(m.PayloadsSent)
	}
	return sum
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
