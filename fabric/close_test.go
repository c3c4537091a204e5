package fabric

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever is under way: a node ends at once, and nothing of it stays. The bubble does not end while a goroutine lives.
func TestCloseWaitsForNoVoter(t *testing.T) {
	for _, silence := range []time.Duration{0, 5 * time.Second} { // the voters have just gone, or are unreachable
		t.Run(fmt.Sprint(silence), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { closeWithoutVoters(t, silence) })
		})
	}
}

func closeWithoutVoters(t *testing.T, silence time.Duration) {
	t.Helper()
	_, rules, nodes, _ := members(t, 3, nil)
	leader := nodes[0] // it keeps the root group, too
	r := leader.Registers()
	for len(rootVoters(leader.View())) < 3 {
		time.Sleep(time.Second)
	}
	must(t, r.Ensure(t.Context(), "lease", time.Second, nil))
	lease, err := r.Hold(t.Context(), "lease")
	must(t, err)
	followed, unmade := r.Follow("counter", []byte("0"), time.Second), r.Follow("later", nil, time.Second)
	_, err = followed.Known(t.Context())
	must(t, err)
	cutOff(rules, 0, 3)
	time.Sleep(silence)
	late := r.Follow("too late", nil, time.Second) // nobody can make it
	var waiting sync.WaitGroup
	for name, call := range map[string]func(ctx context.Context) error{
		"read":   func(ctx context.Context) error { _, err := r.Read(ctx, "counter"); return err },
		"unmade": func(ctx context.Context) error { _, err := r.Read(ctx, "nobody's"); return err },
		"change": func(ctx context.Context) error { _, err := r.Change(ctx, "counter", increment); return err },
		"follow": func(ctx context.Context) error { _, err := followed.Change(ctx, increment); return err },
		"ensure": func(ctx context.Context) error { return r.Ensure(ctx, "new", 0, nil) },
	} {
		waiting.Go(func() {
			if err := call(t.Context()); err == nil {
				t.Errorf("%s without voters: no error", name)
			}
		})
	}
	time.Sleep(time.Millisecond)
	begin := time.Now()
	for _, f := range []*Followed{followed, unmade, late} {
		f.Close()
	}
	must(t, leader.Close())
	if took := time.Since(begin); took >= time.Second {
		t.Errorf("closing took %v", took)
	}
	waiting.Wait()
	if took := time.Since(begin); took >= time.Second {
		t.Errorf("callers waited for %v", took)
	}
	if lease.Held() {
		t.Error("a node that has ended holds a lease")
	}
	if _, err := r.Read(t.Context(), "counter"); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a read after the end: %v", err)
	}
	for _, f := range nodes[1:] {
		must(t, f.Close())
	}
}

// A core whose log cannot be written answers nobody.
func TestANodeThatMustStopKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rules, nodes, _ := members(t, 3, nil)
		cutOff(rules, 0, 3)
		begin, answer := time.Now(), make(chan error, 1)
		go func() { // ends with the answer
			_, err := nodes[0].Registers().Change(t.Context(), RootGroup, func(b []byte) ([]byte, error) { return b, nil })
			answer <- err
		}()
		synctest.Wait()
		nodes[0].mustStop(ErrForgotten)
		if err := <-answer; !errors.Is(err, ErrUnknown) || !errors.Is(err, ErrForgotten) || time.Since(begin) > 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		for _, f := range nodes {
			must(t, f.Close())
		}
	})
}
