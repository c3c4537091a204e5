package slots

import (
	"fmt"
	"strings"
	"testing"
)

// hand is a connection without a network, whose turns the test makes.
type hand struct {
	connection
	executor *executor
}

func (*hand) interrupt() {}

func newHand(tb testing.TB, s *Service) *hand {
	tb.Helper()
	h := &hand{executor: newExecutor(s)}
	h.prepare(s, h, -1, "hand", "hand")
	if !s.admit(&h.connection) {
		tb.Fatal("too many clients")
	}
	return h
}

// run executes calls on the wire and returns the replies.
func (h *hand) run(input []byte) []byte {
	for len(input) > 0 {
		input = input[h.executor.turn(&h.connection, input):]
	}
	return h.output
}

func TestReadsAndWritesAllocateNothing(t *testing.T) {
	h := newHand(t, start(t, Config{}))
	for name, calls := range map[string]string{
		"SET":             encode("SET", "key:000000000001", strings.Repeat("v", 32)),
		"GET":             encode("GET", "key:000000000001"),
		"GET of nothing":  encode("GET", "nothing"),
		"SET and GET":     encode("SET", "k", "v") + encode("GET", "k"),
		"get in any case": encode("gEt", "key:000000000001"),
		"MGET":            encode("MGET", "a", "b", "c"),
		"PING":            encode("PING"),
	} {
		t.Run(name, func(t *testing.T) {
			pipeline := []byte(strings.Repeat(calls, 16))
			h.output = h.output[:0]
			h.run(pipeline)
			if allocations := testing.AllocsPerRun(100, func() {
				h.output = h.output[:0]
				h.run(pipeline)
			}); allocations != 0 {
				t.Errorf("%v allocations", allocations)
			}
		})
	}
}

func BenchmarkPipeline(b *testing.B) {
	h := newHand(b, start(b, Config{}))
	const keys = 1 << 20
	value := strings.Repeat("v", 32)
	for i := range keys {
		h.output = h.output[:0]
		h.run([]byte(encode("SET", fmt.Sprintf("key:%012d", i), value)))
	}
	set := func(key string) string { return encode("SET", key, value) }
	get := func(key string) string { return encode("GET", key) }
	for _, row := range []struct {
		name  string
		depth int
		call  func(key string) string
	}{{"SET", 1, set}, {"GET", 1, get}, {"SET", 16, set}, {"GET", 16, get}} {
		b.Run(fmt.Sprintf("%s/%d", row.name, row.depth), func(b *testing.B) {
			pipelines := make([][]byte, 4096)
			for i := range pipelines {
				var text strings.Builder
				for j := range row.depth {
					text.WriteString(row.call(fmt.Sprintf("key:%012d", (i*row.depth+j)*7919%keys)))
				}
				pipelines[i] = []byte(text.String())
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				h.output = h.output[:0]
				h.run(pipelines[i%len(pipelines)])
				i++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(row.depth), "ns/call")
		})
	}
}
