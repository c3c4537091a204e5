package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egalcluster/egal/internal/core"
)

// echo is a core that writes down what happens to it and does what its messages say.
type echo struct {
	received []string
	ticks    []time.Time
	deadline time.Time
	ready    core.Ready[int, string, string]
	block    chan struct{} // when not nil, Receive waits for it
}

func (e *echo) Receive(now time.Time, from int, m string) {
	if e.block != nil {
		<-e.block
	}
	e.received = append(e.received, fmt.Sprintf("%d:%s", from, m))
	switch m {
	case "alarm":
		e.deadline = now.Add(time.Second)
	case "save":
		e.ready.Save = []byte("record")
		fallthrough
	case "send":
		e.ready.Send = append(e.ready.Send, core.Out[int, string]{To: from, Message: "answer"})
		e.ready.Notify = append(e.ready.Notify, "event")
	}
}

func (e *echo) Tick(now time.Time) {
	e.ticks = append(e.ticks, now)
	e.deadline = time.Time{}
}
func (e *echo) Next() time.Time { return e.deadline }

func (e *echo) Ready() core.Ready[int, string, string] {
	r := e.ready
	e.ready = core.Ready[int, string, string]{}
	return r
}

func TestReadyIsCarriedOutInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		l := Start(&echo{}, Config[int, string, string]{
			Save:   func(b []byte) error { log = append(log, "save "+string(b)); return nil },
			Send:   func(to int, m string) { log = append(log, fmt.Sprintf("send %s to %d", m, to)) },
			Notify: func(e string) { log = append(log, "notify "+e) },
		})
		defer l.Close()
		if err := l.Request(t.Context(), 7, "save", func() { log = append(log, "request") }); err != nil {
			t.Fatal(err)
		}
		if want := []string{"save record", "send answer to 7", "notify event", "request"}; !slices.Equal(log, want) {
			t.Fatalf("%q, want %q", log, want)
		}
	})
}

func TestNothingIsSentAfterAFailedSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		var failure error
		l := Start(&echo{}, Config[int, string, string]{
			Save:   func([]byte) error { return full },
			Send:   func(int, string) { t.Error("sent") },
			Notify: func(string) { t.Error("notified") },
			Failed: func(err error) { failure = err },
		})
		defer l.Close()
		if err := l.Request(t.Context(), 1, "save", func() { t.Error("request ran") }); !errors.Is(err, ErrClosed) {
			t.Fatalf("request: %v", err)
		}
		if !errors.Is(failure, full) {
			t.Fatalf("failure: %v", failure)
		}
		if l.Post(1, "x") || !errors.Is(l.Submit(t.Context(), 1, "x"), ErrClosed) {
			t.Fatal("a message was taken after the end")
		}
	})
}

// ticksOf asks on the core's goroutine.
func ticksOf(t *testing.T, l *Loop[int, string, string], e *echo) (ticks []time.Time) {
	t.Helper()
	if err := l.Inspect(t.Context(), func() { ticks = slices.Clone(e.ticks) }); err != nil {
		t.Fatal(err)
	}
	return ticks
}

func TestDeadlinesComeWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{}
		l := Start(e, Config[int, string, string]{})
		defer l.Close()
		begin := time.Now()
		l.Post(1, "alarm")
		time.Sleep(999 * time.Millisecond) // the bubble's time
		synctest.Wait()
		if len(ticksOf(t, l, e)) != 0 {
			t.Fatal("too early")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if ticks := ticksOf(t, l, e); len(ticks) != 1 || ticks[0].Sub(begin) != time.Second {
			t.Fatalf("ticks: %v", ticks)
		}
	})
}

func TestWakeLooksAtAMovedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		offset := time.Duration(0)
		e := &echo{}
		l := Start(e, Config[int, string, string]{Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(offset)
		}})
		defer l.Close()
		l.Post(1, "alarm")
		synctest.Wait()
		mu.Lock()
		offset = time.Hour
		mu.Unlock()
		l.Wake()
		synctest.Wait()
		if ticks := ticksOf(t, l, e); len(ticks) != 1 {
			t.Fatalf("ticks: %v", ticks)
		}
	})
}

func TestTheInboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{block: make(chan struct{})}
		l := Start(e, Config[int, string, string]{Inbox: 2})
		defer l.Close()
		l.Post(0, "held by the core")
		synctest.Wait()
		for i, want := range []bool{true, true, false} {
			if l.Post(i, "x") != want {
				t.Fatalf("message %d of an inbox of 2: taken = %t", i+1, !want)
			}
		}
		if l.Dropped() != 1 {
			t.Fatalf("dropped %d", l.Dropped())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Submit(ctx, 3, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("submit to a full inbox: %v", err)
		}
		waiting := make(chan error)
		go func() { waiting <- l.Submit(t.Context(), 4, "last") }()
		synctest.Wait()
		close(e.block)
		if err := <-waiting; err != nil {
			t.Fatal(err)
		}
		if err := l.Inspect(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		if want := []string{"0:held by the core", "0:x", "1:x", "4:last"}; !slices.Equal(e.received, want) {
			t.Fatalf("%q, want %q", e.received, want)
		}
	})
}

func TestMessagesOfOneBatchAreAnsweredTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{block: make(chan struct{})}
		var batches []int
		events := 0
		l := Start(e, Config[int, string, string]{
			Save:   func([]byte) error { batches = append(batches, len(e.received)); return nil },
			Notify: func(string) { events++ },
		})
		defer l.Close()
		for i := range MaxBatch + 1 {
			l.Post(i, "save")
			synctest.Wait()
		}
		close(e.block)
		if err := l.Inspect(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		if want := []int{MaxBatch, MaxBatch + 1}; !slices.Equal(batches, want) || events != MaxBatch+1 {
			t.Fatalf("saved after %v messages, %d events", batches, events)
		}
	})
}

func TestCloseEndsWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{block: make(chan struct{})}
		l := Start(e, Config[int, string, string]{Inbox: 1})
		l.Post(0, "held")
		synctest.Wait()
		l.Post(0, "fills the inbox")
		errs := make(chan error, 2)
		go func() { errs <- l.Submit(t.Context(), 1, "x") }()
		go func() { errs <- l.Inspect(t.Context(), func() {}) }()
		synctest.Wait()
		closed := make(chan struct{})
		go func() { l.Close(); close(closed) }()
		synctest.Wait()
		for range 2 {
			if err := <-errs; !errors.Is(err, ErrClosed) {
				t.Fatal(err)
			}
		}
		close(e.block)
		<-closed
		l.Close()
	})
}

func TestACoreThatIsAlwaysDueKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Start(&eager{}, Config[int, string, string]{})
		if err := l.Inspect(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		l.Close()
	})
}

type eager struct{ echo }

func (e *eager) Tick(time.Time)  {}
func (e *eager) Next() time.Time { return time.Unix(1, 0) }

func ExampleStart() {
	l := Start(&echo{}, Config[int, string, string]{
		Send: func(to int, m string) { fmt.Printf("to %d: %s\n", to, m) },
	})
	l.Post(7, "send")
	_ = l.Inspect(context.Background(), func() { fmt.Println("carried out") })
	l.Close()
	// Output:
	// to 7: answer
	// carried out
}
