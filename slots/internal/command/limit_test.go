package command

import (
	"fmt"
	"strings"
	"testing"

	"github.com/egalcluster/egal/slots/internal/resp"
)

// Commands whose replies have no bound of their own stop when there is no more room for them.
func TestLongRepliesStopAtTheirBound(t *testing.T) {
	s := newServer(t)
	const keys = 5000
	for i := range keys {
		s.do("SET", fmt.Sprintf("{t}%05d", i), strings.Repeat("v", 100))
	}
	words := func(words ...string) (args [][]byte) {
		for _, word := range words {
			args = append(args, []byte(word))
		}
		return args
	}
	mget := words("MGET")
	for i := range keys {
		mget = append(mget, fmt.Appendf(nil, "{t}%05d", i))
	}
	for name, args := range map[string][][]byte{
		"MGET": mget,
		"KEYS": words("KEYS", "*"),
		"SCAN": words("SCAN", "0", "COUNT", "1000000000"),
	} {
		t.Run(name, func(t *testing.T) {
			whole := len(s.call(args...))
			run := func(limit int) *resp.Writer {
				row, _ := s.table.Find(args)
				c := s.context(row, args)
				c.Reply.Bound(limit)
				if len(c.Keys) > 0 { // all of them are in one slot
					shard := s.store.ShardOf(c.Keys[0].Slot)
					shard.Lock()
					defer shard.Unlock()
				}
				row.Run(c)
				return c.Reply
			}
			if w := run(whole); w.Overflown() || len(w.Buf) != whole {
				t.Errorf("a reply of %d bytes does not fit into as many", whole)
			}
			if w := run(whole - 1); !w.Overflown() {
				t.Errorf("a reply of %d bytes fits into one less", whole)
			}
			if w := run(1000); !w.Overflown() || len(w.Buf) > 1100 {
				t.Errorf("%d bytes of 1000, overflown %v", len(w.Buf), w.Overflown())
			}
			if w := run(1); !w.Overflown() || cap(w.Buf) > 100 {
				t.Errorf("%d bytes of 1, overflown %v", cap(w.Buf), w.Overflown())
			}
		})
	}
}

func TestOtherDatabasesOfACluster(t *testing.T) {
	s := newServer(t)
	s.do("SET", "{a}1", "v")
	for call, want := range map[string]string{
		"COPY {a}1 {a}2 DB 1":          "-" + errCopyCluster,
		"COPY {a}none {a}2 DB 15":      "-" + errCopyCluster,
		"COPY {a}1 {a}2 DB 16":         "-" + errDatabaseRange,
		"COPY {a}1 {a}2 DB -1":         "-" + errDatabaseRange,
		"COPY {a}1 {a}2 DB x":          "-" + errNotInteger,
		"COPY {a}1 {a}2 DB 4294967296": "-" + errIntegerRange,
		"COPY {a}1 {a}2 DB 1 FOO":      "-" + errSyntax,
		"COPY {a}1 {a}1 DB 0":          "-" + errSameObject,
		"COPY {a}1 {a}3 DB 0":          ":1",
		"MOVE {a}1 1":                  "-" + errMoveCluster,
		"MOVE {a}1 0":                  "-" + errMoveCluster,
		"MOVE {a}1 x":                  "-" + errMoveCluster,
		"MOVE {a}none 99":              "-" + errMoveCluster,
	} {
		var args [][]byte
		for word := range strings.FieldsSeq(call) {
			args = append(args, []byte(word))
		}
		row, _ := s.table.Find(args)
		c := s.context(row, args)
		c.Cluster = true
		if row.Run(c); string(c.Reply.Buf) != want+"\r\n" {
			t.Errorf("%s: %q, want %q", call, c.Reply.Buf, want)
		}
	}
}
