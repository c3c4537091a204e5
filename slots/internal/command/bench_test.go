package command

import "testing"

// BenchmarkCall measures finding a row, resolving its keys and running it, without locks and network.
func BenchmarkCall(b *testing.B) {
	for _, words := range [][]string{
		{"GET", "key:000000000001"},
		{"SET", "key:000000000001", "0123456789abcdef0123456789abcdef"},
		{"INCR", "counter"},
		{"MGET", "key:000000000001", "b", "c", "d"},
	} {
		b.Run(words[0], func(b *testing.B) {
			s := newServer(b)
			s.do("SET", "key:000000000001", "0123456789abcdef0123456789abcdef")
			var args [][]byte
			for _, word := range words {
				args = append(args, []byte(word))
			}
			row, _ := s.table.Find(args)
			c := s.context(row, args)
			positions := make([]int, 0, 8)
			b.ReportAllocs()
			for b.Loop() {
				row, _ := s.table.Find(args)
				positions, _ = row.Keys(args, positions[:0])
				c.Keys = c.Keys[:0]
				for _, position := range positions {
					c.Keys = append(c.Keys, s.store.Key(args[position]))
				}
				c.Reply.Buf = c.Reply.Buf[:0]
				row.Run(c)
			}
		})
	}
}
