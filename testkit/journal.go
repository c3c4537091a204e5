package testkit

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// journalLines bounds what a journal keeps.
const journalLines = 4096

// journal collects the log lines of all nodes of a cluster. With a live writer it passes them on as they come, else it
// keeps the newest.
type journal struct {
	mu      sync.Mutex
	live    io.Writer // nil: keep
	lines   []string  // a ring once it is full
	next    int       // where the next line goes in a full ring
	dropped int
	closed  bool
}

// logger returns a logger of one node.
func (j *journal) logger(node string) *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelInfo})).With("self", node)
}

// Write takes one line from a slog handler.
func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed: // the test may be over: its output must not be touched
	case j.live != nil:
		return j.live.Write(line)
	case len(j.lines) < journalLines:
		j.lines = append(j.lines, string(line))
	default:
		j.lines[j.next] = string(line)
		j.next = (j.next + 1) % journalLines
		j.dropped++
	}
	return len(line), nil
}

// close ends the journal: later lines are dropped.
func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
}

// print writes what was kept, oldest first.
func (j *journal) print(w io.Writer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dropped > 0 {
		fmt.Fprintf(w, "… %d older lines dropped\n", j.dropped)
	}
	for i := range j.lines {
		io.WriteString(w, j.lines[(j.next+i)%len(j.lines)])
	}
}
