// Command testkit measures how long people wait: for a cluster in a test, and for the demo.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/egalcluster/egal/bench/proc"
	"github.com/egalcluster/egal/bench/report"
	"github.com/egalcluster/egal/testkit"
)

const demoPatience = 20 * time.Second

func main() {
	testing.Init()
	table := report.New("testkit", "Start: testkit.New and the demo", "row", "p50 ms", "p99 ms", "worst ms", "runs")
	runs := flag.Int("runs", 200, "clusters to start; the demo is started a tenth as often")
	flag.Parse()
	if err := run(context.Background(), table, *runs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, table *report.Table, runs int) error {
	for _, nodes := range []int{1, 3, 9} {
		times, err := clusters(ctx, nodes, runs)
		if err != nil {
			return err
		}
		add(table, fmt.Sprintf("testkit.New, %d nodes converged and serving", nodes), times)
	}
	times, err := demos(ctx, max(1, runs/10))
	if err != nil {
		return err
	}
	add(table, "egal demo, command to three serving nodes", times)
	table.Note("One after another on an otherwise idle machine; testkit.New keeps the nodes' disks in memory.")
	return table.Close()
}

func add(table *report.Table, name string, times []time.Duration) {
	milliseconds := func(p int) float64 { return float64(report.Percentile(times, p).Microseconds()) / 1000 }
	table.Add(name, milliseconds(50), milliseconds(99), milliseconds(100), len(times))
}

// clusters starts and ends clusters one after another.
func clusters(ctx context.Context, nodes, runs int) ([]time.Duration, error) {
	var times []time.Duration
	for range runs {
		tb := &tb{ctx: ctx}
		var took time.Duration
		tb.run(func() {
			begin := time.Now()
			testkit.New(tb, testkit.Nodes(nodes))
			took = time.Since(begin)
		})
		if tb.failed {
			return nil, fmt.Errorf("testkit.New with %d nodes: %w", nodes, errors.Join(tb.faults...))
		}
		times = append(times, took)
	}
	return times, nil
}

// tb is as much of a testing.TB as the testkit needs outside a test.
type tb struct {
	testing.TB
	ctx context.Context

	mu       sync.Mutex
	failed   bool
	faults   []error
	cleanups []func()
}

func (t *tb) Helper()                  {}
func (t *tb) Name() string             { return "bench" }
func (t *tb) Context() context.Context { return t.ctx }
func (t *tb) Output() io.Writer        { return os.Stderr }
func (t *tb) Failed() bool             { t.mu.Lock(); defer t.mu.Unlock(); return t.failed }
func (t *tb) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *tb) Fatal(args ...any)        { t.Fatalf("%s", fmt.Sprint(args...)) }

func (t *tb) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = true
	t.faults = append(t.faults, fmt.Errorf(format, args...))
}

func (t *tb) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	panic(t)
}

// run runs a test with its cleanups.
func (t *tb) run(test func()) {
	defer func() {
		for i := range t.cleanups {
			t.cleanups[len(t.cleanups)-1-i]()
		}
		if cause := recover(); cause != nil && cause != any(t) {
			panic(cause)
		}
	}()
	test()
}

// respAddress finds the addresses of the store in what the demo prints.
var respAddress = regexp.MustCompile(`redis-cli -c -p (\d+)`)

// demos starts the demo again and again and takes the time until each of its nodes answers.
func demos(ctx context.Context, runs int) ([]time.Duration, error) {
	dir, err := os.MkdirTemp("", "egal-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary, err := proc.Build(ctx, dir)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for range runs {
		took, err := demo(ctx, binary, dir)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	return times, nil
}

func demo(ctx context.Context, binary, dir string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "demo", "--nodes", "3")
	cmd.Dir = dir
	stdin, err := cmd.StdinPipe() // an open input keeps the demo running
	if err != nil {
		return 0, err
	}
	defer stdin.Close()
	output, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	var text []byte
	chunk := make([]byte, 4096)
	for {
		n, err := output.Read(chunk)
		text = append(text, chunk[:n]...)
		if found := respAddress.FindAllSubmatch(text, -1); len(found) >= 3 {
			for _, address := range found {
				if err := proc.Serving("127.0.0.1:" + string(address[1])); err != nil {
					return 0, err
				}
			}
			return time.Since(begin), nil
		}
		if err != nil {
			return 0, fmt.Errorf("egal demo: %w; it printed\n%s", err, text)
		}
	}
}
