package slots

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// pipeline draws calls whose replies depend on nothing but the calls before them.
func pipeline(t *rapid.T) string {
	keys := rapid.SampledFrom([]string{"a", "b", "c", "d", "{a}1", "{a}2", "", strings.Repeat("k", 300)})
	values := rapid.SampledFrom([]string{"", "1", "v", "a\r\nb", strings.Repeat("v", 100), strings.Repeat("w", 10_001), strings.Repeat("x", maxAhead)})
	var b strings.Builder
	for range rapid.IntRange(0, 300).Draw(t, "calls") {
		k, other := keys.Draw(t, "key"), keys.Draw(t, "other")
		v := values.Draw(t, "value")
		b.WriteString(rapid.SampledFrom([]string{
			encode("SET", k, v), encode("SET", k, "1"), encode("GET", k), encode("get", k), encode("INCR", k), encode("APPEND", k, "xyz"),
			encode("STRLEN", k), encode("DEL", k, other), encode("MSET", k, v, other, "2"), encode("MGET", k, other, "nothing"),
			encode("SET", k, "v", "EX", "100"), encode("PERSIST", k), encode("EXISTS", k, k), encode("RENAME", k, other), encode("DBSIZE"),
			encode("SELECT", "1"), encode("SELECT", "0"), encode("FLUSHDB"), encode("ECHO", v), encode("PING"),
			encode("CLIENT", "REPLY", "SKIP"), encode("CLIENT", "REPLY", "OFF"), encode("CLIENT", "REPLY", "ON"),
			encode("GET"), encode("GET", k, other), encode("NOTHING", k), encode(""), encode("COMMAND", "NOTHING"),
			"*0\r\n", "*-1\r\n", "\r\n", "PING\r\n", "SET a \"quo ted\"\r\n", "SET b 'x' EX 100\r\n", "GET a\n", "ECHO \"\\x41\"\r\n",
		}).Draw(t, "call"))
	}
	b.WriteString(rapid.SampledFrom([]string{
		"", "", encode("QUIT") + encode("SET", "a", "after"), "*1\r\n$4\r\nPI", "GET unfin", "*x\r\n" + encode("SET", "a", "after"),
		"*2\r\n$3\r\nGET\r\nx", "SET a \"b\r\n", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$99999\r\nx", "POST / HTTP/1.1\r\n" + encode("SET", "a", "after"),
	}).Draw(t, "end"))
	return b.String()
}

// slowly feeds a connection byte by byte, so that no call sees another behind it.
func (h *hand) slowly(input string) (replies string) {
	var waiting []byte
	for i := range len(input) {
		waiting = append(waiting, input[i])
		for again := true; again; again = h.state == turnFull {
			waiting = waiting[h.executor.turn(&h.connection, waiting):]
			replies += string(h.output)
			h.output = h.output[:0]
		}
		if h.state == turnClose || h.state == turnAbort {
			break
		}
	}
	return replies
}

func TestAPipelineInOneGoIsAPipelineByteByByte(t *testing.T) {
	model := start(t, Config{Engine: EngineNet})
	tried := map[string]*Service{}
	for _, engine := range engines() {
		tried[engine] = start(t, Config{Engine: engine})
	}
	rapid.Check(t, func(r *rapid.T) {
		input := pipeline(r)
		cut := rapid.IntRange(0, len(input)).Draw(r, "cut")
		flush := encode("FLUSHALL")
		h := newHand(t, model)
		want := h.slowly(flush + input)
		model.clients.remove(&h.connection)
		for engine, s := range tried {
			c := dial(t, s)
			c.send(flush)
			c.expect("+OK\r\n")
			received := make(chan string)
			go func() {
				all, _ := io.ReadAll(c.in) // a reset ends it too: the server closes what still sends
				received <- string(all)
			}()
			for _, part := range []string{input[:cut], input[cut:]} {
				_, _ = io.WriteString(c.conn, part) // fails when the connection is closed in the middle
			}
			_ = c.conn.CloseWrite()
			got := "+OK\r\n" + <-received
			_ = c.conn.Close()
			// What was sent behind the end resets the connection, which may cost the last replies.
			if got != want && (h.state != turnClose && h.state != turnAbort || !strings.HasPrefix(want, got)) {
				r.Fatalf("%s: got %d bytes %.300q, want %d bytes %.300q", engine, len(got), got, len(want), want)
			}
			if got, want := contents(t, s), contents(t, model); got != want {
				r.Fatalf("%s: got contents %.300q, want %.300q", engine, got, want)
			}
		}
	})
}

// contents are the values that pipeline may have stored.
func contents(tb testing.TB, s *Service) string {
	tb.Helper()
	h := newHand(tb, s)
	defer s.clients.remove(&h.connection)
	return string(h.run([]byte(encode("MGET", "a", "b", "c", "d", "{a}1", "{a}2", "", strings.Repeat("k", 300)) + encode("DBSIZE"))))
}

func TestCallsBehindTheOneThatEndsATurnAreNotConsumed(t *testing.T) {
	big := strings.Repeat("x", outputHighWater+1)
	for name, row := range map[string]struct {
		before, behind string
		state          turnState
		replies        string
	}{
		"a pause": {
			encode("SET", "k", "old") + encode("CLIENT", "PAUSE", "3600000", "WRITE") + encode("GET", "k"),
			encode("SET", "k", "new") + encode("GET", "k"), turnPostponed, "+OK\r\n+OK\r\n$3\r\nold\r\n",
		},
		"much output": {
			encode("SET", "k", "old") + encode("ECHO", big), encode("SET", "k", "new") + "*2\r\n$3\r\nGE", turnFull,
			fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n", len(big), big),
		},
		"a turn's share": {
			encode("SET", "k", "old") + strings.Repeat("*0\r\n", maxTurn-1), encode("SET", "k", "new"), turnUnfinished, "+OK\r\n",
		},
		"the end":                {encode("SET", "k", "old") + encode("QUIT"), encode("SET", "k", "new"), turnClose, "+OK\r\n+OK\r\n"},
		"the end, then an error": {encode("SET", "k", "old") + encode("QUIT"), "*x\r\n", turnClose, "+OK\r\n+OK\r\n"},
		"a kill": {
			encode("SET", "k", "old") + encode("CLIENT", "REPLY", "OFF") + encode("POST", "/"), encode("SET", "k", "new"), turnAbort, "+OK\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{})
			h := newHand(t, s)
			input := []byte(row.before + row.behind)
			if consumed := h.executor.turn(&h.connection, input); consumed != len(row.before) || h.state != row.state {
				t.Fatalf("%d bytes consumed, state %d; want %d, %d", consumed, h.state, len(row.before), row.state)
			}
			if string(h.output) != row.replies {
				t.Errorf("got %.200q, want %.200q", h.output, row.replies)
			}
			other := newHand(t, s)
			if got := string(other.run([]byte(encode("GET", "k")))); got != "$3\r\nold\r\n" {
				t.Errorf("%q after the turn", got)
			}
			if row.state == turnClose || row.state == turnAbort {
				return
			}
			s.unpause()
			h.output = h.output[:0]
			h.executor.turn(&h.connection, []byte(row.behind)) // the bytes that were left, elsewhere
			if !strings.HasPrefix(string(h.output), "+OK\r\n") {
				t.Errorf("then %q", h.output)
			}
			other.output = nil
			if got := string(other.run([]byte(encode("GET", "k")))); got != "$3\r\nnew\r\n" {
				t.Errorf("%q in the end", got)
			}
		})
	}
}

func TestABatchIsBounded(t *testing.T) {
	h := newHand(t, start(t, Config{}))
	x := h.executor
	x.begin(&h.connection)
	for name, row := range map[string]struct {
		input string
		calls int
	}{
		"one call more than there is room for":     {strings.Repeat(encode("PING"), maxBatch+1), maxBatch},
		"exactly as many":                          {strings.Repeat(encode("PING"), maxBatch), maxBatch},
		"one key more":                             {strings.Repeat(encode("GET", "k"), maxBatch-2) + encode("MGET", "a", "b") + encode("GET", "k"), maxBatch - 1},
		"a call of many words":                     {encode("MGET", strings.Repeat("k", maxAhead)) + encode("PING"), 1},
		"a call that ends where the share ends":    {encode("PING") + encode("ECHO", strings.Repeat("x", maxAhead-14-24)) + encode("PING"), 2},
		"a call that ends a byte behind that":      {encode("PING") + encode("ECHO", strings.Repeat("x", maxAhead-14-23)) + encode("PING"), 1},
		"an unfinished call":                       {encode("PING") + "*1\r\n$4\r\nPIN", 1},
		"an error behind a call":                   {encode("PING") + "*x\r\n", 1},
		"an inline call, whose words may not last": {encode("PING") + "PING\r\n" + encode("PING"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			if err := x.gather([]byte(row.input)); err != nil || len(x.batch.calls) != row.calls {
				t.Errorf("%d calls, %v; want %d", len(x.batch.calls), err, row.calls)
			}
			x.parser.Reset()
			if x.batch.empty(true); x.batch.words != nil || x.batch.keys != nil || x.batch.calls != nil {
				t.Error("an emptied batch keeps its input alive")
			}
		})
	}
	x.end(0)
}
