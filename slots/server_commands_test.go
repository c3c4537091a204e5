package slots

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestServerCommands(t *testing.T) {
	var clock testClock
	s := start(t, Config{Now: clock.now, MaxClients: 100})
	c := dial(t, s)
	refused := func(name, reason string) string {
		return "-ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + reason
	}
	converse(t, c, []exchange{
		{"CONFIG GET maxclients", "[maxclients 100]"},
		{"CONFIG GET nothing", "[]"},
		{"CONFIG GET MAXC* data*", "[databases 16 maxclients 100]"},
		{"CONFIG GET save", "[save ]"},
		{"CONFIG GET appendonly", "[appendonly no]"},
		{"CONFIG GET cluster-enabled", "[cluster-enabled no]"},
		{"CONFIG GET port", "[port " + strconv.Itoa(int(s.Addr().Port())) + "]"},
		{"CONFIG SET maxclients 200 timeout 5", "+OK"},
		{"CONFIG GET maxclients timeout", "[maxclients 200 timeout 5]"},
		{"CONFIG SET cluster-require-full-coverage yes", "+OK"},
		{"CONFIG GET cluster-require-full-coverage", "[cluster-require-full-coverage yes]"},
		{"CONFIG SET cluster-require-full-coverage perhaps", refused("cluster-require-full-coverage", "argument must be 'yes' or 'no'")},
		{"CONFIG SET cluster-require-full-coverage NO", "+OK"},
		{"CONFIG GET cluster-require-full-coverage", "[cluster-require-full-coverage no]"},
		{"CONFIG SET maxclients 300 timeout never", refused("timeout", "argument couldn't be parsed into an integer")},
		{"CONFIG GET maxclients timeout", "[maxclients 200 timeout 5]"},
		{"CONFIG SET maxclients 0", refused("maxclients", "argument must be between 1 and 16777216 inclusive")},
		{"CONFIG SET timeout -1", refused("timeout", "argument must be between 0 and 2147483647 inclusive")},
		{"CONFIG SET databases 3", refused("databases", "can't set immutable config")},
		{"CONFIG SET timeout 1 timeout 2", refused("timeout", "duplicate parameter")},
		{"CONFIG SET appendonly yes", refused("appendonly", "everything is kept in memory")},
		{"CONFIG SET appendonly no", "+OK"},
		{"CONFIG SET nothing 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nothing'"},
		{"CONFIG SET " + strings.Repeat("x", 300) + " 1", "-ERR Unknown option or number of arguments for CONFIG SET - '" + strings.Repeat("x", 300) + "'"},
		{"CONFIG SET x\x00y 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'x'"},
		{"CONFIG SET timeout 1 maxclients", "-ERR syntax error"},
		{"CONFIG SET timeout", "-ERR wrong number of arguments for 'config|set' command"},
		{"CONFIG SET timeout 0", "+OK"},
		{"TIME x", "-ERR wrong number of arguments for 'time' command"},
		{"INFO nothing", ""},
	})
	clock.advance(time.Hour)
	words := strings.Fields(strings.Trim(c.call("TIME"), "[]"))
	seconds, err := strconv.ParseInt(words[0], 10, 64)
	if ahead := time.Until(time.Unix(seconds, 0)); err != nil || ahead < 59*time.Minute || ahead > time.Hour {
		t.Errorf("TIME is %v ahead, %v", ahead, err)
	}
}

func TestInfo(t *testing.T) {
	c := dial(t, start(t, Config{Version: "1.2.3"}))
	c.check("SET fleeting 1 PX 1", "+OK")
	eventually(t, "a key expires", func() bool { return strings.Contains(c.call("INFO stats"), "\r\nexpired_keys:1\r\n") })
	c.check("SELECT 2", "+OK")
	c.check("SET a 1 EX 100", "+OK")
	eventually(t, "the mean time to live is known", func() bool { return strings.Contains(c.call("INFO keyspace"), ",avg_ttl=99") })
	c.check("SET b 1", "+OK")
	c.check("INCR b", ":2")
	c.check("GET b", "2")
	c.check("GET c", "$-1")
	c.check("LPUSHX", "-ERR unknown command 'LPUSHX', with args beginning with: ")
	c.check("INCR b b", "-ERR wrong number of arguments for 'incr' command")
	c.check("SET a b EX 0", "-ERR invalid expire time in 'set' command")

	for call, parts := range map[string][]string{
		"INFO": {
			"# Server\r\nredis_version:7.2.4\r\negal_version:1.2.3\r\nredis_mode:standalone\r\n", "\r\n\r\n# Clients\r\nconnected_clients:1\r\n",
			"# Memory\r\nused_memory:", "# Stats\r\ntotal_connections_received:1\r\n", "# Replication\r\nrole:master\r\n", "# CPU\r\nused_cpu_sys:",
			"# Cluster\r\ncluster_enabled:0\r\n", "# Keyspace\r\ndb2:keys=2,expires=1,avg_ttl=",
		},
		"INFO stats":        {"keyspace_hits:1\r\nkeyspace_misses:1\r\n", "total_error_replies:3\r\n"},
		"INFO commandstats": {"# Commandstats\r\n", "cmdstat_get:calls=2,usec=", "cmdstat_incr:calls=1,usec=", ",rejected_calls=1,failed_calls=0\r\n", "cmdstat_set:calls=4,usec=", ",rejected_calls=0,failed_calls=1\r\n"},
		"INFO errorstats":   {"# Errorstats\r\nerrorstat_ERR:count=3\r\n"},
		"INFO everything":   {"# Server", "# Commandstats", "# Keyspace"},
		"INFO all":          {"# Commandstats"},
		"INFO cpu default":  {"# Server", "# CPU"},
		"INFO CPU memory":   {"# Memory", "# CPU"},
	} {
		text := c.call(call)
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%s lacks %q:\n%s", call, part, text)
			}
		}
	}
	if text := c.call("INFO"); strings.Contains(text, "# Commandstats") {
		t.Error("INFO without a section shows the statistics of commands")
	}
	if text := c.call("INFO cpu"); strings.Contains(text, "# Server") {
		t.Error("INFO cpu shows more than that")
	}
	c.check("CONFIG RESETSTAT", "+OK")
	text := c.call("INFO stats")
	for _, part := range []string{
		"total_connections_received:0\r\ntotal_commands_processed:1\r\n",
		"\r\nexpired_keys:0\r\n", "\r\nkeyspace_hits:0\r\n", "\r\nkeyspace_misses:0\r\n",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("after CONFIG RESETSTAT: no %q in %s", part, text)
		}
	}
	if text := c.call("INFO everything"); strings.Contains(text, "config_file") || strings.Contains(text, "io_threads") {
		t.Errorf("fields without a value of their own: %s", text)
	}
}

func TestTheTimeOfCommandsIsTheirOwn(t *testing.T) {
	var clock testClock
	c := dial(t, start(t, Config{Now: clock.now}))
	c.check("GET a", "$-1")
	clock.advance(time.Hour) // idle
	c.check("GET a", "$-1")
	text := c.call("INFO commandstats")
	_, after, _ := strings.Cut(text, "cmdstat_get:calls=2,usec=")
	usec, _, _ := strings.Cut(after, ",")
	if n, err := strconv.Atoi(usec); err != nil || n > int(time.Minute/time.Microsecond) {
		t.Errorf("two GETs took %q µs: %s", usec, text)
	}
}
