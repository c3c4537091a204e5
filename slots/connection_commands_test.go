package slots

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	hello2 = "[server redis version 7.2.4 proto :2 id :1 mode standalone role master modules []]"
	hello3 = "[server redis version 7.2.4 proto :3 id :1 mode standalone role master modules []]"
)

// A row of a conversation: a call and its reply.
type exchange struct{ call, reply string }

// converse has one connection make the calls in their order.
func converse(t *testing.T, c *client, rows []exchange) {
	t.Helper()
	for _, row := range rows {
		c.check(row.call, row.reply)
	}
}

func TestConnectionCommands(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			c := dial(t, start(t, Config{Engine: engine}))
			converse(t, c, []exchange{
				{"PING", "+PONG"},
				{"PING hello", "hello"},
				{"PING a b", "-ERR wrong number of arguments for 'ping' command"},
				{"ECHO hello", "hello"},
				{"HELLO", hello2},
				{"HELLO 1", "-NOPROTO unsupported protocol version"},
				{"HELLO 4", "-NOPROTO unsupported protocol version"},
				{"HELLO two", "-ERR Protocol version is not an integer or out of range"},
				{"HELLO 3 wrong", "-ERR Syntax error in HELLO option 'wrong'"},
				{"HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'"},
				{"HELLO 3 AUTH nobody secret", "-WRONGPASS invalid username-password pair or user is disabled."},
				{"HELLO 3 SETNAME \x7f", "-ERR Client names cannot contain spaces, newlines or special characters."},
				{"CLIENT GETNAME", "$-1"},
				{"HELLO 3 AUTH default secret SETNAME me", hello3},
				{"CLIENT GETNAME", "me"},
				{"GET nothing", "_"},
				{"HELLO 2", hello2},
				{"GET nothing", "$-1"},
				{"SELECT 16", "-ERR DB index is out of range"},
				{"SELECT -1", "-ERR DB index is out of range"},
				{"SELECT one", "-ERR value is not an integer or out of range"},
				{"SELECT 2147483648", "-ERR value is out of range, value must between -2147483648 and 2147483647"},
				{"SET k 0", "+OK"},
				{"SELECT 15", "+OK"},
				{"GET k", "$-1"},
				{"AUTH secret", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"},
				{"AUTH default secret", "+OK"},
				{"AUTH nobody secret", "-WRONGPASS invalid username-password pair or user is disabled."},
				{"AUTH a b c", "-ERR syntax error"},
				{"HELLO 3", hello3},
				{"RESET", "+RESET"},
				{"GET nothing", "$-1"},
				{"GET k", "0"},
				{"CLIENT GETNAME", "$-1"},
				{"QUIT now please", "+OK"},
			})
			c.expectEnd()
		})
	}
}

func TestClientCommands(t *testing.T) {
	s := start(t, Config{})
	c := dial(t, s)
	converse(t, c, []exchange{
		{"CLIENT", "-ERR wrong number of arguments for 'client' command"},
		{"CLIENT DANCE", "-ERR unknown subcommand 'DANCE'. Try CLIENT HELP."},
		{"CLIENT TRACKING on", "-ERR unknown subcommand 'TRACKING'. Try CLIENT HELP."},
		{"CLIENT ID", ":1"},
		{"CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command"},
		{"CLIENT SETNAME worker", "+OK"},
		{"CLIENT GETNAME", "worker"},
		{"CLIENT SETINFO lib-name driver", "+OK"},
		{"CLIENT SETINFO lib-ver 1.0", "+OK"},
		{"CLIENT SETINFO lib-name \x01", "-ERR lib-name cannot contain spaces, newlines or special characters."},
		{"CLIENT SETINFO lib-color red", "-ERR Unrecognized option 'lib-color'"},
		{"CLIENT NO-EVICT maybe", "-ERR syntax error"},
		{"CLIENT NO-EVICT on", "+OK"},
		{"CLIENT NO-TOUCH on", "+OK"},
		{"CLIENT GETREDIR", ":-1"},
		{"CLIENT TRACKINGINFO", "[flags [off] redirect :-1 prefixes []]"},
		{"CLIENT UNBLOCK 1", ":0"},
		{"CLIENT UNBLOCK x", "-ERR value is not an integer or out of range"},
		{"CLIENT UNBLOCK 999 TIMEOUT x", "-ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP."},
		{"CLIENT UNBLOCK 1 gently", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"},
		{"CLIENT LIST TYPE pirate", "-ERR Unknown client type 'pirate'"},
		{"CLIENT LIST TYPE master", ""},
		{"CLIENT LIST ID", "-ERR syntax error"},
		{"CLIENT LIST ID x", "-ERR Invalid client ID"},
		{"CLIENT LIST ID 99", ""},
		{"CLIENT REPLY maybe", "-ERR syntax error"},
		{"CLIENT REPLY ON", "+OK"},
	})
	info := c.call("CLIENT INFO")
	for _, part := range []string{
		"id=1 addr=" + c.conn.LocalAddr().String() + " laddr=" + s.Addr().String() + " fd=", " name=worker ", " flags=eT ",
		" db=0 ", " cmd=client|info ", " user=default ", " resp=2 ", " lib-name=driver ", " lib-ver=1.0\n",
	} {
		if !strings.Contains(info, part) {
			t.Errorf("CLIENT INFO lacks %q: %q", part, info)
		}
	}
	other := dial(t, s)
	other.check("SELECT 3", "+OK")
	for _, call := range []string{"CLIENT LIST", "CLIENT LIST TYPE normal", "CLIENT LIST ID 1 2"} {
		if list := c.call(call); strings.Count(list, "\n") != 2 || !strings.Contains(list, "db=3 ") || !strings.Contains(list, "cmd=select ") {
			t.Errorf("%s: %q", call, list)
		}
	}
	if help := c.call("CLIENT HELP"); !strings.Contains(help, "SETNAME") {
		t.Errorf("CLIENT HELP: %q", help)
	}
}

func TestClientReply(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			c := dial(t, start(t, Config{Engine: engine}))
			c.send(encode("CLIENT", "REPLY", "SKIP") + encode("ECHO", "unheard") + encode("ECHO", "heard"))
			c.expect("$5\r\nheard\r\n")
			c.send(encode("CLIENT", "REPLY", "OFF") + encode("ECHO", "unheard") + encode("WRONG") + encode("CLIENT", "REPLY", "SKIP") +
				encode("ECHO", "unheard") + encode("CLIENT", "REPLY", "ON") + encode("ECHO", "heard"))
			c.expect("+OK\r\n$5\r\nheard\r\n")
		})
	}
}

// replyWords are the calls of the transitions of CLIENT REPLY by the letters of a conversation.
var replyWords = map[rune]string{
	's': "CLIENT REPLY SKIP", 'o': "CLIENT REPLY OFF", 'O': "CLIENT REPLY ON", '?': "CLIENT REPLY maybe",
	'r': "RESET", 'p': "PING", '!': "NOSUCH",
}

// replyTranscript has a new connection make the calls, and returns what is heard of them and of CLIENT REPLY ON and
// ECHO behind them.
func replyTranscript(t *testing.T, network, address, letters string) string {
	t.Helper()
	conn, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	var calls strings.Builder
	for _, letter := range letters {
		calls.WriteString(replyWords[letter] + "\r\n")
	}
	const end = "$3\r\nend\r\n"
	calls.WriteString("CLIENT REPLY ON\r\nECHO end\r\n")
	if _, err := io.WriteString(conn, calls.String()); err != nil {
		t.Fatal(err)
	}
	heard := make([]byte, 0, 4096)
	for !strings.HasSuffix(string(heard), end) {
		n, err := conn.Read(heard[len(heard):cap(heard)])
		if heard = heard[:len(heard)+n]; err != nil {
			t.Fatalf("%s: %q, then %v", letters, heard, err)
		}
	}
	return strings.TrimSuffix(string(heard), "+OK\r\n"+end)
}

func TestTransitionsOfClientReply(t *testing.T) {
	const ok, pong, reset, syntax = "+OK\r\n", "+PONG\r\n", "+RESET\r\n", "-ERR syntax error\r\n"
	address := start(t, Config{}).Addr().String()
	for letters, want := range map[string]string{ // as the original answers them
		"p": pong, "O": ok, "o": "", "s": "", "r": reset, "?": syntax,
		"sp": "", "spp": pong, "s?p": pong, "s!p": pong,
		"ssp": "", "sspp": pong, "sssp": "", "sop": "", "sopO": ok, "sOp": ok + pong, "ssOp": ok + pong, "ssop": "",
		"srp": pong, "ssrp": pong,
		"op": "", "oOp": ok + pong, "osOp": ok + pong, "ospO": ok, "oop": "", "orp": reset + pong, "osrp": reset + pong, "o?O": ok,
		"OOp": ok + ok + pong, "Osp": ok, "Oop": ok, "rsp": reset,
	} {
		if got := replyTranscript(t, "tcp", address, letters); got != want {
			t.Errorf("%s: heard %q, want %q", letters, got, want)
		}
	}
}

// Every conversation of up to four calls is heard as the original's.
func TestClientReplyIsTheOriginals(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: thousands of connections")
	}
	socket := startOriginal(t)
	address := start(t, Config{}).Addr().String()
	conversations := []string{""}
	for first := 0; len(conversations[first]) < 4; first++ {
		for letter := range replyWords {
			conversations = append(conversations, conversations[first]+string(letter))
		}
	}
	for _, letters := range conversations {
		ours := strings.ReplaceAll(replyTranscript(t, "tcp", address, letters), ", with args beginning with: ", "")
		theirs := strings.ReplaceAll(replyTranscript(t, "unix", socket, letters), ", with args beginning with: ", "")
		if ours != theirs {
			t.Errorf("%s: heard %q, of the original %q", letters, ours, theirs)
		}
	}
}

func TestClientKill(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine, Loops: 2})
			c := dial(t, s)
			converse(t, c, []exchange{
				{"CLIENT KILL nobody", "-ERR No such client"},
				{"CLIENT KILL 1.2.3.4:5", "-ERR No such client"},
				{"CLIENT KILL ID 0", "-ERR client-id should be greater than 0"},
				{"CLIENT KILL ID x", "-ERR client-id should be greater than 0"},
				{"CLIENT KILL ID 99", ":0"},
				{"CLIENT KILL ID 1", ":0"},
				{"CLIENT KILL TYPE pirate", "-ERR Unknown client type 'pirate'"},
				{"CLIENT KILL TYPE pubsub SKIPME no", ":0"},
				{"CLIENT KILL USER nobody", "-ERR No such user 'nobody'"},
				{"CLIENT KILL SKIPME maybe", "-ERR syntax error"},
				{"CLIENT KILL ID 1 SKIPME", "-ERR syntax error"},
				{"CLIENT KILL COLOR red", "-ERR syntax error"},
				{"CLIENT KILL USER default ADDR 1:2 LADDR 3:4 SKIPME no", ":0"},
			})
			victim := func() *client {
				v := dial(t, s)
				v.check("PING", "+PONG")
				return v
			}
			first, second, third := victim(), victim(), victim()
			c.check("CLIENT KILL "+first.conn.LocalAddr().String(), "+OK")
			first.expectEnd()
			c.check("CLIENT KILL ID "+strings.TrimPrefix(second.call("CLIENT ID"), ":"), ":1")
			second.expectEnd()
			c.check("CLIENT KILL TYPE normal LADDR "+s.Addr().String(), ":1")
			third.expectEnd()
			c.check("CLIENT KILL USER default SKIPME no", ":1")
			c.expectEnd()
			eventually(t, "all clients are gone", func() bool { return s.Metrics().Clients == 0 })
		})
	}
}

func TestClientPause(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine, Loops: 2})
			c, other := dial(t, s), dial(t, s)
			converse(t, c, []exchange{
				{"CLIENT PAUSE x", "-ERR timeout is not an integer or out of range"},
				{"CLIENT PAUSE -1", "-ERR timeout is negative"},
				{"CLIENT PAUSE 1 some", "-ERR CLIENT PAUSE mode must be WRITE or ALL"},
				{"CLIENT PAUSE 1 all x", "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP."},
				{"CLIENT pause 1 all x", "-ERR unknown subcommand or wrong number of arguments for 'pause'. Try CLIENT HELP."},
				{"CLIENT PAUSE 9223372036854775808", "-ERR timeout is not an integer or out of range"},
				{"CLIENT PAUSE 9223372036854775807", "+OK"}, // its end wraps around: no pause, as in the original
				{"SET k old", "+OK"},
				{"CLIENT PAUSE 9223370000000000000 WRITE", "+OK"},
				{"CLIENT UNPAUSE", "+OK"},
				{"CLIENT PAUSE 3600000 WRITE", "+OK"},
				{"GET k", "old"},
			})
			other.send(encode("GET", "k") + encode("SET", "k", "new") + encode("GET", "k"))
			other.expect("$3\r\nold\r\n")
			c.check("GET k", "old")
			c.check("CLIENT UNPAUSE", "+OK")
			other.expect("+OK\r\n$3\r\nnew\r\n")

			before := time.Now()
			c.check("CLIENT PAUSE 50", "+OK") // all commands, so its end is its only end
			other.check("PING", "+PONG")
			c.check("PING", "+PONG")
			if waited := time.Since(before); waited < 49*time.Millisecond { // the clock counts whole milliseconds
				t.Errorf("the pause of 50 ms ended after %v", waited)
			}
		})
	}
}

func TestClosingAPausedServiceEndsIt(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s, err := Start(t.Context(), Config{Engine: engine})
			if err != nil {
				t.Fatal(err)
			}
			c := dial(t, s)
			c.check("CLIENT PAUSE 3600000", "+OK")
			c.send(encode("PING"))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			c.expectEnd()
		})
	}
}

func TestUnknownCommands(t *testing.T) {
	c := dial(t, start(t, Config{}))
	converse(t, c, []exchange{
		{"FOO", "-ERR unknown command 'FOO', with args beginning with: "},
		{"FOO bar", "-ERR unknown command 'FOO', with args beginning with: 'bar' "},
		{"GET", "-ERR wrong number of arguments for 'get' command"},
		{"CONFIG DANCE", "-ERR unknown subcommand 'DANCE'. Try CONFIG HELP."},
	})
	if got := c.call("INFO errorstats"); got != "# Errorstats\r\nerrorstat_ERR:count=4\r\n" {
		t.Errorf("%q", got)
	}
}

func TestCallsOfManyKeysFromAllSidesNeverWaitForEachOther(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine, Loops: 4})
			const callers, rounds = 8, 300
			done := make(chan error, callers)
			for i := range callers {
				c := dial(t, s)
				go func() {
					var calls, want strings.Builder
					for round := range rounds {
						a, b := fmt.Sprint("k", (i*7+round)%13), fmt.Sprint("k", (i*5+3*round)%13)
						calls.WriteString(encode("MSET", a, "v", b, "v", "x", "v") + encode("EXISTS", b, a, "x"))
						want.WriteString("+OK\r\n:3\r\n")
					}
					go c.send(calls.String())
					got := make([]byte, want.Len())
					_, err := io.ReadFull(c.in, got)
					if err == nil && string(got) != want.String() {
						err = fmt.Errorf("got %.100q", got)
					}
					done <- err
				}()
			}
			for range callers {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestTheConnectionTellsThatItIsAClusters(t *testing.T) {
	cluster := startTestCluster(t, 1, nil)
	c := dial(t, cluster.services[0])
	converse(t, c, []exchange{
		{"HELLO 2", strings.Replace(hello2, "standalone", "cluster", 1)},
		{"SELECT 0", "+OK"},
		{"SELECT 1", "-ERR SELECT is not allowed in cluster mode"},
		{"CONFIG GET cluster-enabled databases", "[cluster-enabled yes databases 1]"},
		{"MGET a b", "-CROSSSLOT Keys in request don't hash to the same slot"},
		{"MSET {a}1 x {a}2 y", "+OK"},
		{"MGET {a}2 {a}1", "[y x]"},
		{"COPY {a}1 {a}2 DB 1", "-ERR Copying to another database is not allowed in cluster mode"},
		{"COPY {a}1 {a}2 DB 16", "-ERR DB index is out of range"},
		{"COPY {a}1 {a}2 DB 0 REPLACE", ":1"},
		{"MOVE {a}1 1", "-ERR MOVE is not allowed in cluster mode"},
	})
	if text := c.call("INFO"); !strings.Contains(text, "redis_mode:cluster\r\n") || !strings.Contains(text, "cluster_enabled:1\r\n") {
		t.Errorf("INFO: %s", text)
	}
	if text := c.call("INFO commandstats"); !strings.Contains(text, "cmdstat_mget:calls=1,") || !strings.Contains(text, ",rejected_calls=1,") {
		t.Errorf("INFO commandstats: %s", text)
	}
}
