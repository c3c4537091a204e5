package slots

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/egalcluster/egal/slots/internal/command"
)

// maxErrorCodes bounds the codes of error replies that are counted apart; further ones are counted as "ERR".
const maxErrorCodes = 128

// commandStatistics counts the calls of one command.
type commandStatistics struct {
	calls, nanoseconds, rejected, failed atomic.Uint64
}

// statistics counts what a service does. Safe for use by any goroutine.
type statistics struct {
	byRow map[*command.Command]*commandStatistics // immutable after newStatistics

	commands, errors               atomic.Uint64
	accepted, refused              atomic.Uint64
	protocolErrors, overflowClosed atomic.Uint64
	inputBytes, outputBytes        atomic.Uint64

	mu     sync.Mutex
	byCode map[string]uint64 // guarded by mu
}

func newStatistics(table *command.Table) *statistics {
	s := &statistics{byRow: map[*command.Command]*commandStatistics{}, byCode: map[string]uint64{}}
	for _, row := range table.Commands() {
		s.byRow[row] = &commandStatistics{}
		for i := range row.Subcommands {
			s.byRow[&row.Subcommands[i]] = &commandStatistics{}
		}
	}
	return s
}

// of returns the counters of a row of the table.
func (s *statistics) of(row *command.Command) *commandStatistics { return s.byRow[row] }

// countError counts an encoded error reply by its code.
func (s *statistics) countError(reply []byte) {
	s.errors.Add(1)
	code := reply[1:]
	if end := bytes.IndexAny(code, " \r"); end >= 0 {
		code = code[:end]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.byCode[string(code)]; !known && len(s.byCode) >= maxErrorCodes {
		code = []byte("ERR")
	}
	s.byCode[string(code)]++
}

// reset zeroes everything, as CONFIG RESETSTAT does.
func (s *statistics) reset() {
	for _, row := range s.byRow {
		for _, counter := range []*atomic.Uint64{&row.calls, &row.nanoseconds, &row.rejected, &row.failed} {
			counter.Store(0)
		}
	}
	for _, counter := range []*atomic.Uint64{
		&s.commands, &s.errors, &s.accepted, &s.refused, &s.protocolErrors, &s.overflowClosed, &s.inputBytes, &s.outputBytes,
	} {
		counter.Store(0)
	}
	s.mu.Lock()
	clear(s.byCode)
	s.mu.Unlock()
}
