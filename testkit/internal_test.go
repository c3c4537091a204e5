package testkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// recorder is a testing.TB that keeps what a test reports, so that failing tests can be tested.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	log      bytes.Buffer
	cleanups []func()
	dir      string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Name() string             { return "recorded" }
func (r *recorder) Context() context.Context { return context.Background() }
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }
func (r *recorder) TempDir() string          { return r.dir }
func (r *recorder) Output() io.Writer        { return r }

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(b)
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Errorf(format string, args ...any) {
	fmt.Fprintf(r, format+"\n", args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// run runs a test as package testing does, cleanups included, and returns what it has reported.
func (r *recorder) run(test func(testing.TB)) (failed bool, log string) {
	var running sync.WaitGroup
	running.Go(func() { test(r) })
	running.Wait()
	for i := range r.cleanups {
		running.Go(r.cleanups[len(r.cleanups)-1-i])
		running.Wait()
	}
	return r.failed, r.log.String()
}

func TestALeakedGoroutineFailsTheTest(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	var planted sync.WaitGroup
	defer planted.Wait()
	defer close(stop)
	failed, log := (&recorder{}).run(func(tb testing.TB) {
		c := New(tb, Nodes(1))
		pprof.Do(t.Context(), pprof.Labels(labelCluster, c.label), func(context.Context) {
			planted.Go(func() { <-stop })
		})
	})
	if !failed || !strings.Contains(log, "alive after its end") || !strings.Contains(log, "TestALeakedGoroutineFailsTheTest") {
		t.Errorf("a cluster with a leaked goroutine: failed %v, and says\n%s", failed, log)
	}
}

func TestAClusterThatEndsCleanlyReportsNothing(t *testing.T) {
	t.Parallel()
	failed, log := (&recorder{}).run(func(tb testing.TB) { New(tb, Nodes(3)) })
	if failed || (log != "" && !testing.Verbose()) {
		t.Errorf("a clean cluster: failed %v, and says\n%s", failed, log)
	}
}

func TestAFailedTestPrintsSeedAndLogsOfTheNodes(t *testing.T) {
	t.Parallel()
	failed, log := (&recorder{}).run(func(tb testing.TB) {
		New(tb, Nodes(2), Seed(42))
		tb.Errorf("the test's own fault")
	})
	if !failed || !strings.Contains(log, "seed 42") || !strings.Contains(log, "self=node-1") {
		t.Errorf("a failed test says\n%s", log)
	}
}

func TestTheNumberOfNodesIsBounded(t *testing.T) {
	t.Parallel()
	for nodes, ok := range map[int]bool{0: false, 1: true, maxNodes: true, maxNodes + 1: false} {
		if err := (options{nodes: nodes}).validate(); (err == nil) != ok {
			t.Errorf("%d nodes: %v", nodes, err)
		}
	}
	failed, log := (&recorder{}).run(func(tb testing.TB) { New(tb, Nodes(maxNodes+1)) })
	if !failed || !strings.Contains(log, "want 1 to 64") {
		t.Errorf("too many nodes: failed %v, and says %s", failed, log)
	}
}

func TestKillAndRestartAtTheWrongTimeFailTheTest(t *testing.T) {
	t.Parallel()
	failed, log := (&recorder{}).run(func(tb testing.TB) { New(tb, Nodes(1)).Node(0).Restart(tb) })
	if !failed || !strings.Contains(log, "it is running") {
		t.Errorf("restart of a running node: failed %v, and says %s", failed, log)
	}
	failed, log = (&recorder{}).run(func(tb testing.TB) {
		n := New(tb, Nodes(1)).Node(0)
		n.Kill(tb)
		n.Kill(tb)
	})
	if !failed || !strings.Contains(log, "it is not running") {
		t.Errorf("kill of a killed node: failed %v, and says %s", failed, log)
	}
}

func TestAReservedPortRefusesConnectionsAndIsGivenToNobodyElse(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("ports are reserved on Linux only")
	}
	t.Parallel()
	p, err := reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer p.release()
	for range 3 {
		if _, err := net.Dial("tcp", p.addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dial: got %v, want refused", err)
		}
		if _, err := net.Listen("tcp", p.addr()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("listen without the option: got %v, want in use", err)
		}
		listener, err := listenConfig().Listen(t.Context(), "tcp", p.addr())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", p.addr())
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		listener.Close()
	}
}

func TestReservedPortsAreAllDifferent(t *testing.T) {
	t.Parallel()
	seen := make(map[int]bool)
	for range 200 {
		p, err := reserve()
		if err != nil {
			t.Fatal(err)
		}
		defer p.release()
		if seen[p.number] && runtime.GOOS == "linux" {
			t.Fatalf("port %d twice", p.number)
		}
		seen[p.number] = true
	}
}

func TestTheJournalKeepsTheNewestLines(t *testing.T) {
	t.Parallel()
	for _, lines := range []int{journalLines - 1, journalLines, journalLines + 1} {
		j := &journal{}
		for i := range lines {
			fmt.Fprintf(j, "line %d\n", i)
		}
		j.close()
		fmt.Fprintln(j, "too late")
		var out strings.Builder
		j.print(&out)
		text := out.String()
		first := max(0, lines-journalLines)
		if !strings.Contains(text, fmt.Sprintf("line %d\nline %d\n", first, first+1)) ||
			!strings.HasSuffix(text, fmt.Sprintf("line %d\n", lines-1)) || strings.Contains(text, "line 0\n") != (first == 0) {
			t.Errorf("%d lines: the journal begins with %.40q", lines, text)
		}
	}
}

func TestSlotOfIsThatOfTheSpecification(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]uint16{
		"123456789": 0x31C3, "": 0, "foo": 12182, "foo{}{bar}": 8363,
		"{user1000}.following": slotOf("user1000"), "foo{{bar}}zap": slotOf("{bar"), "foo{bar}{zap}": slotOf("bar"),
	} {
		if got := slotOf(key); got != want {
			t.Errorf("slot of %q: got %d, want %d", key, got, want)
		}
	}
}

func TestASignalIsNotMissed(t *testing.T) {
	t.Parallel()
	var s signal
	s.raise() // nobody waits
	first, second := s.wait(), s.wait()
	s.raise()
	<-first
	<-second
	select {
	case <-s.wait():
		t.Error("a signal of the past is seen")
	default:
	}
}

func TestTheClockDoesNotGoBack(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a step back is accepted")
		}
	}()
	(&Clock{moved: func() {}}).Advance(-time.Second)
}

func TestDataOfNodesOnDiskIsInTheirOwnDirectories(t *testing.T) {
	t.Parallel()
	r := &recorder{dir: t.TempDir()}
	if failed, log := r.run(func(tb testing.TB) { New(tb, Nodes(2), OnDisk()) }); failed {
		t.Fatal(log)
	}
	for _, name := range []string{"node-0", "node-1"} {
		if _, err := os.Stat(filepath.Join(r.dir, name, "node.yaml")); err != nil {
			t.Error(err)
		}
	}
}
