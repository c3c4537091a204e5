package slots

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAPipelineIsAnsweredInOrder(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			c := dial(t, start(t, Config{Engine: engine}))
			var calls, replies strings.Builder
			for i := range 5000 { // several turns
				fmt.Fprint(&calls, encode("SET", "k", fmt.Sprint(i)), encode("GET", "k"))
				fmt.Fprintf(&replies, "+OK\r\n$%d\r\n%d\r\n", len(fmt.Sprint(i)), i)
			}
			go c.send(calls.String())
			c.expect(replies.String())
		})
	}
}

func TestBytesMayComeOneByOne(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			c := dial(t, start(t, Config{Engine: engine}))
			for _, b := range encode("SET", "key", "a\r\nb") + "get key\r\n" + "\r\n" + encode("STRLEN", "key") {
				c.send(string(b))
			}
			c.expect("+OK\r\n$4\r\na\r\nb\r\n:4\r\n")
		})
	}
}

func TestAFrameMayBeCutAnywhere(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine})
			stream := encode("PING") + encode("SET", "key", "value") + encode("GET", "key")
			for cut := 1; cut < len(stream); cut++ {
				c := dial(t, s)
				c.send(stream[:cut])
				// The reply to the first part proves that it was read before the second is sent.
				if cut >= len(encode("PING")) {
					c.expect("+PONG\r\n")
					c.send(stream[cut:])
				} else {
					c.send(stream[cut:])
					c.expect("+PONG\r\n")
				}
				c.expect("+OK\r\n$5\r\nvalue\r\n")
				_ = c.conn.Close()
			}
		})
	}
}

func TestHugeValues(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			c := dial(t, start(t, Config{Engine: engine}))
			const size = 64 << 20
			value := strings.Repeat("0123456789abcdef", size/16)
			go c.send(encode("SET", "big", value) + encode("STRLEN", "big") + encode("GET", "big") + encode("DEL", "big"))
			c.expect("+OK\r\n")
			c.expect(fmt.Sprintf(":%d\r\n$%d\r\n", size, size))
			c.expect(value)
			c.expect("\r\n:1\r\n")
		})
	}
}

func TestProtocolErrorsCloseAfterTheReply(t *testing.T) {
	for name, row := range map[string]struct{ input, reply string }{
		"too many words":            {"*1048577\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		"a word that is too long":   {"*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		"a negative length":         {"*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		"no dollar":                 {"*1\r\nGET\r\n", "-ERR Protocol error: expected '$', got 'G'\r\n"},
		"unbalanced quotes":         {"SET \"a b\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
		"an endless line":           {strings.Repeat("a", 64<<10+1), "-ERR Protocol error: too big inline request\r\n"},
		"after a command":           {"PING\r\n*x\r\nPING\r\n", "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"},
		"a browser's POST":          {"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", ""},
		"a browser's second header": {"Host: localhost\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, engine := range engines() {
				t.Run(engine, func(t *testing.T) {
					s := start(t, Config{Engine: engine})
					c := dial(t, s)
					c.send(row.input)
					c.expect(row.reply)
					c.expectEnd()
					eventually(t, "the client is gone", func() bool { return s.Metrics().Clients == 0 })
				})
			}
		})
	}
}

func TestTheLargestNumberOfWordsIsAccepted(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			c := dial(t, start(t, Config{Engine: engine}))
			const words = 1 << 20
			call := fmt.Sprintf("*%d\r\n$3\r\nDEL\r\n", words) + strings.Repeat("$1\r\nk\r\n", words-1)
			go c.send(call)
			c.expect(":0\r\n")
		})
	}
}

func TestManyConnections(t *testing.T) {
	const connections = 2000
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine, Loops: 2})
			all := make([]*client, connections)
			for i := range all {
				all[i] = dial(t, s)
			}
			for i, c := range all {
				c.send(encode("INCR", "counter") + encode("SET", fmt.Sprint("own", i), fmt.Sprint(i)))
			}
			for i, c := range all {
				c.reply()
				c.expect("+OK\r\n")
				c.check(fmt.Sprint("GET own", i), fmt.Sprint(i))
			}
			all[0].check("GET counter", fmt.Sprint(connections))
			if got := s.Metrics().Clients; got != connections {
				t.Errorf("%d clients, want %d", got, connections)
			}
			for _, c := range all {
				_ = c.conn.Close()
			}
			eventually(t, "all clients are gone", func() bool { return s.Metrics().Clients == 0 })
		})
	}
}

func TestMaxClients(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine, MaxClients: 3})
			var all []*client
			for range 3 {
				c := dial(t, s)
				c.check("PING", "+PONG")
				all = append(all, c)
			}
			refused := dial(t, s)
			refused.expect("-ERR max number of clients reached\r\n")
			refused.expectEnd()
			_ = all[0].conn.Close()
			eventually(t, "a place is free", func() bool { return s.Metrics().Clients == 2 })
			dial(t, s).check("PING", "+PONG")
			if m := s.Metrics(); m.Refused != 1 || m.Accepted != 4 {
				t.Errorf("%+v", m)
			}
			all[1].check("CONFIG SET maxclients 4", "+OK")
			dial(t, s).check("PING", "+PONG")
		})
	}
}

func TestASlowReaderHoldsNeitherMemoryNorOthers(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine, Loops: 1})
			slow, other := dial(t, s), dial(t, s)
			const size, calls = 1 << 20, 400
			value := strings.Repeat("x", size)
			slow.send(encode("SET", "k", value))
			slow.expect("+OK\r\n")
			slow.send(strings.Repeat(encode("GET", "k"), calls))
			before := s.Metrics().Commands
			for range 100 {
				other.check("PING", "+PONG")
			}
			// What is executed is what the sockets' buffers took and a little more, not everything.
			if executed := s.Metrics().Commands - before - 100; executed > calls/2 {
				t.Errorf("%d calls executed for a client that does not read", executed)
			}
			for range calls {
				slow.expect(fmt.Sprintf("$%d\r\n", size))
				if _, err := io.CopyN(io.Discard, slow.in, size); err != nil {
					t.Fatal(err)
				}
				slow.expect("\r\n")
			}
			slow.check("PING", "+PONG")
		})
	}
}

func TestOutputLimit(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			const limit = 1 << 20
			s := start(t, Config{Engine: engine, OutputLimit: limit})
			reply := func(size int) string { return fmt.Sprintf("$%d\r\n%s\r\n", size, strings.Repeat("x", size)) }
			fits := limit - len(reply(limit)) + limit // the largest value whose reply is within the limit
			c := dial(t, s)
			c.send(encode("SET", "k", strings.Repeat("x", fits)))
			c.expect("+OK\r\n")
			c.send(encode("GET", "k"))
			c.expect(reply(fits))
			c.send(encode("APPEND", "k", "x"))
			c.expect(fmt.Sprintf(":%d\r\n", fits+1))
			c.send(encode("GET", "k"))
			c.expectEnd()
			if m := s.Metrics(); m.OverflowClosed != 1 {
				t.Errorf("%+v", m)
			}
		})
	}
}

// A single command can ask for more than a client may leave unread. Its reply is not built any further then.
func TestOutputLimitOfOneCommand(t *testing.T) {
	const limit, keys = 1 << 20, 3000
	cluster := startTestCluster(t, 1, func(_ int, config *Config) { config.OutputLimit = limit })
	s := cluster.services[0]
	setup := newHand(t, s)
	setup.run([]byte(encode("SET", "{t}big", strings.Repeat("x", 64<<10))))
	for i := range keys {
		setup.output = setup.output[:0]
		setup.run([]byte(encode("SET", fmt.Sprintf("{t}%0*d", 1000, i), "")))
	}
	mget := []string{"MGET"}
	for range keys {
		mget = append(mget, "{t}big")
	}
	for name, words := range map[string][]string{
		"MGET":          mget,
		"KEYS":          {"KEYS", "*"},
		"SCAN":          {"SCAN", "0", "COUNT", "1000000000"},
		"GETKEYSINSLOT": {"CLUSTER", "GETKEYSINSLOT", "15891", "1000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHand(t, s)
			before := s.Metrics().OverflowClosed
			h.executor.turn(&h.connection, []byte(encode(words...)))
			if h.state != turnAbort || s.Metrics().OverflowClosed != before+1 {
				t.Errorf("state %d", h.state)
			}
			if len(h.output) > limit || cap(h.output) > 2*limit {
				t.Errorf("a reply of %d bytes in a buffer of %d", len(h.output), cap(h.output))
			}
			// Nobody is to read what CLIENT REPLY OFF keeps from being sent.
			h = newHand(t, s)
			h.run([]byte(encode("CLIENT", "REPLY", "OFF") + encode(words...) + encode("CLIENT", "REPLY", "ON") + encode("PING")))
			if h.state != turnDrained || string(h.output) != "+OK\r\n+PONG\r\n" {
				t.Errorf("without replies: state %d, %.100q", h.state, h.output)
			}
		})
	}
	// At the bound, with replies before it that are not sent yet.
	word := strings.Repeat("x", limit-len("+PONG\r\n")-len("$1000000\r\n\r\n"))
	for extra, state := range map[string]turnState{"": turnDrained, "x": turnAbort} {
		h := newHand(t, s)
		h.output, h.sent = []byte("sent"), len("sent")
		h.executor.turn(&h.connection, []byte(encode("PING")+encode("ECHO", word+extra)))
		if h.state != state || state == turnDrained && len(h.output)-h.sent != limit {
			t.Errorf("%d bytes and %d more: state %d", limit, len(extra), h.state)
		}
	}
}

func TestInputLimit(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			const limit = 256 << 10
			s := start(t, Config{Engine: engine, InputLimit: limit})
			c := dial(t, s)
			head := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n"
			c.send(head + strings.Repeat("x", limit-len(head))) // exactly the limit
			dial(t, s).check("PING", "+PONG")
			eventually(t, "everything is read", func() bool { return s.Metrics().InputBytes >= limit })
			if got := s.Metrics().Clients; got != 2 {
				t.Fatalf("%d clients, want 2", got)
			}
			c.send("x")
			c.expectEnd()
		})
	}
}

func TestALongPipelineKeepsNobodyWaiting(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine, Loops: 1})
			long, other := dial(t, s), dial(t, s)
			const calls = 1_000_000
			var sent sync.WaitGroup
			sent.Go(func() {
				chunk := strings.Repeat("PING\r\n", 1000)
				for range calls / 1000 {
					long.send(chunk)
				}
			})
			received := make(chan error, 1)
			go func() {
				_, err := io.CopyN(io.Discard, long.in, calls*int64(len("+PONG\r\n")))
				received <- err
			}()
			for served := 0; ; served++ {
				other.check("PING", "+PONG")
				select {
				case err := <-received:
					if err != nil {
						t.Fatal(err)
					}
					sent.Wait()
					if served == 0 {
						t.Error("the other client was not served meanwhile")
					}
					return
				default:
				}
			}
		})
	}
}

func TestHalfCloseStillGetsEveryReply(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			c := dial(t, start(t, Config{Engine: engine}))
			const calls = 20_000
			go func() {
				c.send(strings.Repeat(encode("ECHO", "hello"), calls) + "*2\r\n$3\r\nGET\r\n$1")
				_ = c.conn.CloseWrite()
			}()
			for range calls {
				c.expect("$5\r\nhello\r\n")
			}
			c.expectEnd()
		})
	}
}

func TestAResetConnectionIsForgotten(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine})
			for range 50 {
				c := dial(t, s)
				c.send(strings.Repeat(encode("PING"), 100))
				_ = c.conn.SetLinger(0)
				_ = c.conn.Close()
			}
			eventually(t, "all clients are gone", func() bool { m := s.Metrics(); return m.Accepted == 50 && m.Clients == 0 })
			dial(t, s).check("PING", "+PONG")
		})
	}
}

func TestIdleClientsAreClosedAfterTheTimeout(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			var clock testClock
			s := start(t, Config{Engine: engine, Now: clock.now, IdleTimeout: 10 * time.Second})
			idle, busy := dial(t, s), dial(t, s)
			idle.check("PING", "+PONG")
			clock.advance(9 * time.Second)
			busy.check("PING", "+PONG")
			clock.advance(2 * time.Second)
			idle.expectEnd()
			busy.check("CONFIG GET timeout", "[timeout 10]")
			busy.check("CONFIG SET timeout 0", "+OK")
			clock.advance(time.Hour)
			busy.check("PING", "+PONG")
		})
	}
}

func TestAReaderOfALongReplyIsNotIdle(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			var clock testClock
			s := start(t, Config{Engine: engine, Now: clock.now, IdleTimeout: 10 * time.Second})
			c := dial(t, s)
			_ = c.conn.SetReadBuffer(64 << 10)
			const size, part = 32 << 20, 4 << 20
			c.send(encode("SET", "k", strings.Repeat("x", size)))
			c.expect("+OK\r\n")
			c.send(encode("GET", "k"))
			c.expect(fmt.Sprintf("$%d\r\n", size))
			for read := 0; read < size; read += part {
				sent := s.Metrics().OutputBytes
				if _, err := io.CopyN(io.Discard, c.in, part); err != nil {
					t.Fatalf("after %d bytes: %v", read, err)
				}
				if sent < size { // the tail fits into the buffers in between
					eventually(t, "the reply goes on", func() bool { return s.Metrics().OutputBytes > sent })
					clock.advance(6 * time.Second)
					time.Sleep(2 * housekeepingInterval)
				}
			}
			c.expect("\r\n")
			c.check("PING", "+PONG")
			clock.advance(11 * time.Second)
			c.expectEnd()
		})
	}
}

func TestWhoWaitsForTheEndOfAPauseIsNotIdle(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			var clock testClock
			s := start(t, Config{Engine: engine, Now: clock.now, IdleTimeout: 10 * time.Second})
			c, idle, waiting := dial(t, s), dial(t, s), dial(t, s)
			idle.check("PING", "+PONG")
			c.check("CLIENT PAUSE 3600000 WRITE", "+OK")
			waiting.send(encode("PING") + encode("SET", "k", "v"))
			waiting.expect("+PONG\r\n")
			clock.advance(11 * time.Second)
			c.check("PING", "+PONG")
			idle.expectEnd()
			clock.advance(9 * time.Second)
			c.check("CLIENT UNPAUSE", "+OK")
			waiting.expect("+OK\r\n")
			clock.advance(11 * time.Second)
			waiting.expectEnd()
		})
	}
}

// testClock is a wall clock that tests move.
type testClock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *testClock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += by
}

func TestKeysExpireByThemselves(t *testing.T) {
	var clock testClock
	s := start(t, Config{Now: clock.now})
	c := dial(t, s)
	for i := range 100 {
		c.check(fmt.Sprintf("SET k%d v EX 100", i), "+OK")
	}
	c.check("SET stays v", "+OK")
	clock.advance(101 * time.Second)
	eventually(t, "keys expire", func() bool { return s.Metrics().Keys == 1 })
	if m := s.Metrics(); m.Expired != 100 {
		t.Errorf("%+v", m)
	}
}
