package command

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// FuzzCommands runs calls made of arbitrary words: nothing may panic, every call replies exactly once, and the store
// stays consistent. The input is a sequence of calls, one a line; words are separated by single blanks.
func FuzzCommands(f *testing.F) {
	for _, row := range Keyspace() {
		name := row.Name
		f.Add([]byte("SET a 1\n" + name + " a b c d e\n" + name + " a 1 EX 5 GET"))
		f.Add([]byte(name + " a -1 9223372036854775807\n" + name + " encoding a\nSCAN 0"))
	}
	f.Add([]byte("SETRANGE k 100000 x\nAPPEND k y\nGETRANGE k -5 -1\nCOPY k l DB 3 REPLACE\nRENAME l l"))
	f.Fuzz(func(t *testing.T, input []byte) {
		s := newServer(t)
		s.limit = 1 << 20
		for i, line := range bytes.Split(input, []byte("\n")) {
			if i == 64 {
				break
			}
			args := bytes.Split(line, []byte(" "))
			reply := bytes.NewReader(s.call(args...))
			r := bufio.NewReader(reply)
			if _, err := readReply(nil, r); err != nil || r.Buffered()+reply.Len() > 0 {
				t.Fatalf("%q: not exactly one reply: %v", args, err)
			}
			s.now += int64(i)
		}
		s.check(t)
	})
}

// check compares what the store counts with what it holds.
func (s *server) check(t *testing.T) {
	t.Helper()
	const past = 0 // nothing has expired then
	for database := range s.store.Databases() {
		visited := 0
		s.store.Scan(past, database, 0, unlimited, func([]byte, keyspace.Record) bool { visited++; return true })
		if count := s.store.Len(database); count != visited {
			t.Errorf("database %d counts %d keys and holds %d", database, count, visited)
		}
	}
}
