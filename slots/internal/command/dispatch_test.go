package command

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/egalcluster/egal/slots/internal/keyspace"
	"github.com/egalcluster/egal/slots/internal/resp"
)

// server is the smallest dispatcher: it finds, resolves keys, locks, runs, unlocks.
type server struct {
	table   *Table
	store   *keyspace.Store
	session Session
	random  *rand.Rand
	now     int64
	limit   int
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	table, err := NewTable(Keyspace())
	if err != nil {
		tb.Fatal(err)
	}
	store := keyspace.New(keyspace.Options{Databases: 16, Shards: 16, Seed: maphash.MakeSeed()})
	tb.Cleanup(store.Close)
	return &server{
		table: table, store: store, session: Session{Protocol: 2},
		random: rand.New(rand.NewPCG(1, 2)), now: 1_700_000_000_000,
	}
}

// context prepares a call, its keys resolved.
func (s *server) context(row *Command, args [][]byte) *Context {
	positions, err := row.Keys(args, nil)
	if err != nil {
		positions = nil
	}
	c := &Context{
		Now: s.now, Args: args, Reply: &resp.Writer{Protocol: s.session.Protocol}, Session: &s.session, Store: s.store,
		Random: s.random, Table: s.table, MaxString: s.limit,
	}
	for _, position := range positions {
		c.Keys = append(c.Keys, s.store.Key(args[position]))
	}
	return c
}

// call runs one command and gives the bytes of its reply.
func (s *server) call(args ...[]byte) []byte {
	row, text := s.table.Find(args)
	if row == nil {
		w := resp.Writer{}
		w.Error(text)
		return w.Buf
	}
	c := s.context(row, args)
	var shards []*keyspace.Shard
	for _, key := range c.Keys {
		shards = append(shards, s.store.ShardOf(key.Slot))
	}
	slices.SortFunc(shards, func(a, b *keyspace.Shard) int { return a.Index() - b.Index() })
	shards = slices.Compact(shards)
	for _, shard := range shards {
		shard.Lock()
	}
	row.Run(c)
	for _, shard := range shards {
		shard.Unlock()
	}
	return c.Reply.Buf
}

// do is call with words.
func (s *server) do(words ...string) string {
	args := make([][]byte, len(words))
	for i, word := range words {
		args[i] = []byte(word)
	}
	return string(s.call(args...))
}
