package slots

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
	"github.com/egalcluster/egal/slots/internal/keyspace"
	"github.com/egalcluster/egal/slots/internal/topology"
)

// testCluster is a few nodes in this process: fabrics over a network in memory, services on loopback.
type testCluster struct {
	t        testing.TB
	network  *transport.Network
	rules    *transport.Rules
	seeds    []string
	fabrics  []*fabric.Fabric
	services []*Service
}

// startTestCluster starts n nodes that wait for each other, and waits until all slots are served. edit may change the
// configuration of a service.
func startTestCluster(tb testing.TB, n int, edit func(i int, config *Config)) *testCluster {
	tb.Helper()
	c := &testCluster{t: tb, network: transport.NewNetwork(1), rules: transport.NewRules()}
	for i := range n {
		c.seeds = append(c.seeds, c.address(i).String())
	}
	for range n {
		c.add(n, edit)
	}
	c.await("all slots are served", func() bool {
		for _, s := range c.services {
			if !s.Serving() || len(s.Table().Nodes()) != n {
				return false
			}
		}
		return true
	})
	return c
}

func (c *testCluster) address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 7946)
}

// add starts one more node.
func (c *testCluster) add(initialMembers int, edit func(i int, config *Config)) *Service {
	c.t.Helper()
	i := len(c.fabrics)
	way, err := c.network.Listen(c.address(i))
	if err != nil {
		c.t.Fatal(err)
	}
	f, err := fabric.Start(c.t.Context(), fabric.Config{
		FS: durable.Memory(), Dir: "data", Transport: c.rules.Wrap(way), Seeds: c.seeds, Found: i == 0,
		Name: "n" + strconv.Itoa(i+1), Rand: uint64(i) + 1,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = f.Close() })
	config := Config{Fabric: f, InitialMembers: initialMembers}
	if edit != nil {
		edit(i, &config)
	}
	s := start(c.t, config)
	c.fabrics, c.services = append(c.fabrics, f), append(c.services, s)
	return s
}

// await waits for a condition that depends on the tables of the services.
func (c *testCluster) await(what string, condition func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		changed := make(chan struct{}, 1)
		watch, stop := context.WithCancel(ctx)
		for _, s := range c.services {
			go func(next <-chan struct{}) { // ends with watch
				select {
				case <-next:
					select {
					case changed <- struct{}{}:
					default:
					}
				case <-watch.Done():
				}
			}(s.Changed())
		}
		ok := condition()
		if !ok {
			select {
			case <-changed:
			case <-ctx.Done():
				stop()
				for _, s := range c.services {
					c.t.Logf("%s sees\n%s", s.ID(), s.Table())
				}
				c.t.Fatalf("never: %s", what)
			}
		}
		stop()
		if ok {
			return
		}
	}
}

// owner is the service that owns a slot, by the first one's table.
func (c *testCluster) owner(slot keyspace.Slot) *Service {
	c.t.Helper()
	n, ok := c.services[0].Table().Owner(slot)
	if !ok {
		c.t.Fatalf("nobody owns slot %d", slot)
	}
	for _, s := range c.services {
		if s.ID() == n.ID.String() {
			return s
		}
	}
	c.t.Fatalf("an unknown service owns slot %d", slot)
	return nil
}

// other is a service that does not own the slot.
func (c *testCluster) other(slot keyspace.Slot) *Service {
	for _, s := range c.services {
		if !s.Table().Mine(slot) {
			return s
		}
	}
	c.t.Fatal("one service owns all")
	return nil
}

func TestThreeNodesShareTheSlotsAndRedirect(t *testing.T) {
	c := startTestCluster(t, 3, nil)
	for _, s := range c.services {
		if slots := s.Table().Self().Slots(); slots < 5461 || slots > 5462 {
			t.Errorf("%s serves %d slots", s.ID(), slots)
		}
		if s.Table().String() == "" || len(s.ID()) != 40 {
			t.Errorf("id %q", s.ID())
		}
	}
	const key, slot = "foo", 12182
	right, wrong := dial(t, c.owner(slot)), dial(t, c.other(slot))
	if got := right.call("SET foo bar"); got != "+OK" {
		t.Error(got)
	}
	want := fmt.Sprintf("-MOVED %d %s", slot, c.owner(slot).Addr())
	for _, call := range []string{"GET foo", "SET foo bar", "MGET foo {foo}x"} {
		if got := wrong.call(call); got != want {
			t.Errorf("%s: %s, want %s", call, got, want)
		}
	}
	if got := right.call("MGET foo hello"); got != "-CROSSSLOT Keys in request don't hash to the same slot" {
		t.Error(got)
	}
	if got := right.call("CLUSTER COUNTKEYSINSLOT 12182"); got != ":1" {
		t.Error(got)
	}
	right.send(encode("CLUSTER", "GETKEYSINSLOT", "12182", "10"))
	right.expect("*1\r\n$3\r\nfoo\r\n")
}

func TestASingleServiceRefusesClusterCommands(t *testing.T) {
	c := dial(t, start(t, Config{}))
	for call, want := range map[string]string{
		"CLUSTER SLOTS":         "-" + errClusterDisabled,
		"CLUSTER KEYSLOT a":     "-" + errClusterDisabled,
		"CLUSTER HELP":          "-" + errClusterDisabled,
		"READONLY":              "-" + errClusterDisabled,
		"READWRITE":             "-" + errClusterDisabled,
		"ASKING":                "-" + errClusterDisabled,
		"CLUSTER":               "-ERR wrong number of arguments for 'cluster' command",
		"CLUSTER MYID a":        "-ERR wrong number of arguments for 'cluster|myid' command",
		"CLUSTER NONSENSE":      "-ERR unknown subcommand 'NONSENSE'. Try CLUSTER HELP.",
		"CLUSTER ADDSLOTS 1":    "-ERR unknown subcommand 'ADDSLOTS'. Try CLUSTER HELP.",
		"CLUSTER GETKEYSINSLOT": "-ERR wrong number of arguments for 'cluster|getkeysinslot' command",
	} {
		if got := c.call(call); got != want {
			t.Errorf("%s: %s, want %s", call, got, want)
		}
	}
}

// The replies were compared with those of redis-server 7.0.15 in cluster mode.
func TestClusterCommands(t *testing.T) {
	cluster := startTestCluster(t, 1, nil)
	s := cluster.services[0]
	c, port, id := dial(t, s), strconv.Itoa(int(s.Addr().Port())), s.ID()
	for call, want := range map[string]string{
		"CLUSTER KEYSLOT foo":              ":12182",
		"CLUSTER KEYSLOT {foo}bar":         ":12182",
		"CLUSTER MYID":                     id,
		"CLUSTER MYSHARDID":                id,
		"CLUSTER COUNTKEYSINSLOT 16383":    ":0",
		"CLUSTER COUNTKEYSINSLOT 16384":    "-ERR Invalid slot",
		"CLUSTER COUNTKEYSINSLOT -1":       "-ERR Invalid slot",
		"CLUSTER COUNTKEYSINSLOT a":        "-ERR value is not an integer or out of range",
		"CLUSTER GETKEYSINSLOT 1 -1":       "-ERR Invalid slot or number of keys",
		"CLUSTER GETKEYSINSLOT 16384 1":    "-ERR Invalid slot or number of keys",
		"CLUSTER GETKEYSINSLOT 1 a":        "-ERR value is not an integer or out of range",
		"CLUSTER REPLICAS abc":             "-ERR Unknown node abc",
		"CLUSTER SLOTS 1":                  "-ERR wrong number of arguments for 'cluster|slots' command",
		"CLUSTER FOO bar":                  "-ERR unknown subcommand 'FOO'. Try CLUSTER HELP.",
		"CLUSTER GETKEYSINSLOT 16383 1000": "[]",
		"CLUSTER REPLICAS " + id:           "[]",
		"CLUSTER SLAVES " + id:             "[]",
	} {
		if got := c.call(call); got != want {
			t.Errorf("%s: %s, want %s", call, got, want)
		}
	}
	bulk := func(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
	shard := bulk("id") + bulk(id) + bulk("port") + ":" + port + "\r\n" + bulk("ip") + bulk("127.0.0.1") +
		bulk("endpoint") + bulk("127.0.0.1") + bulk("role") + bulk("master") + bulk("replication-offset") + ":0\r\n" +
		bulk("health") + bulk("online")
	slots := "*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n" + bulk("127.0.0.1") + ":" + port + "\r\n" + bulk(id)
	c.send(encode("CLUSTER", "SLOTS"))
	c.expect(slots + "*0\r\n")
	c.send(encode("CLUSTER", "SHARDS"))
	c.expect("*1\r\n*4\r\n" + bulk("slots") + "*2\r\n:0\r\n:16383\r\n" + bulk("nodes") + "*1\r\n*14\r\n" + shard)
	c.call("HELLO 3")
	c.send(encode("CLUSTER", "SLOTS"))
	c.expect(slots + "%0\r\n")
	c.send(encode("CLUSTER", "SHARDS"))
	c.expect("*1\r\n%2\r\n" + bulk("slots") + "*2\r\n:0\r\n:16383\r\n" + bulk("nodes") + "*1\r\n%7\r\n" + shard)
	c.send(encode("CLUSTER", "NODES"))
	c.expect("=")
	if line := c.line() + c.line(); !regexp.MustCompile(`^\d+txt:` + id + ` 127\.0\.0\.1:` + port +
		`@7946 myself,master - 0 \d{13} 1 connected 0-16383$`).MatchString(line) {
		t.Errorf("CLUSTER NODES: %q", line)
	}
	c.expect("\r\n")
	c.send(encode("CLUSTER", "INFO"))
	c.expect("=")
	c.line()
	for _, want := range []string{
		"txt:cluster_state:ok", "cluster_slots_assigned:16384", "cluster_slots_ok:16384", "cluster_slots_pfail:0",
		"cluster_slots_fail:0", "cluster_known_nodes:1", "cluster_size:1", "cluster_current_epoch:1", "cluster_my_epoch:1",
		"cluster_stats_messages_sent:", "cluster_stats_messages_received:", "",
	} {
		if got := c.line(); !strings.HasPrefix(got, want) {
			t.Errorf("CLUSTER INFO: %q, want %q", got, want)
		}
	}
}

// line reads a line of a reply.
func (c *client) line() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimRight(line, "\r\n")
}

func TestClusterSessionCommands(t *testing.T) {
	c := dial(t, startTestCluster(t, 1, nil).services[0])
	for _, call := range []string{"READONLY", "SET a b", "READWRITE", "ASKING", "GET a"} {
		if got := c.call(call); strings.HasPrefix(got, "-") {
			t.Errorf("%s: %s", call, got)
		}
	}
	if got := c.call("READONLY 1"); got != "-ERR wrong number of arguments for 'readonly' command" {
		t.Error(got)
	}
}

func TestAnAnnouncedNameIsTheEndpoint(t *testing.T) {
	c := startTestCluster(t, 2, func(i int, config *Config) {
		if i == 0 {
			config.Announce = Announce{Host: "db-1.example", Port: 7777}
		}
	})
	mine := c.services[0].Table().Self().Ranges[0].First
	n, _ := c.services[1].Table().Owner(mine)
	if n.Endpoint() != "db-1.example" || n.Port != 7777 || n.Address() != "127.0.0.1" {
		t.Errorf("announced as %s (%s) port %d", n.Endpoint(), n.Address(), n.Port)
	}
	if text := c.services[1].cluster.route(nil, nil, mine); text != fmt.Sprintf("MOVED %d db-1.example:7777", mine) {
		t.Error(text)
	}
	client := dial(t, c.services[1])
	client.call("HELLO 3")
	if got := client.call("CLUSTER SLOTS"); !strings.Contains(got, "db-1.example :7777 "+c.services[0].ID()) || !strings.Contains(got, "ip 127.0.0.1") {
		t.Error(got)
	}
	if got := client.call("CLUSTER NODES"); !strings.Contains(got, "127.0.0.1:7777@7946,db-1.example ") {
		t.Error(got)
	}
	if got := client.call("CLUSTER SHARDS"); !strings.Contains(got, "hostname db-1.example") {
		t.Error(got)
	}
}

func TestAnnouncedNamesAreChecked(t *testing.T) {
	f := startTestCluster(t, 1, nil).fabrics[0]
	for name, config := range map[string]Config{
		"a name with a space": {Announce: Announce{Host: "a b"}},
		"a name too long":     {Announce: Announce{Host: strings.Repeat("a", topology.MaxHost+1)}},
		"an index too high":   {Index: topology.MaxServicesPerNode},
	} {
		config.Fabric = f
		if s, err := Start(t.Context(), config); err == nil {
			t.Errorf("%s: accepted", name)
			_ = s.Close()
		}
	}
}

func TestTheSlotsOfALostNodeAreNotServedAndTheOthersAre(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprintf("full coverage %v", full), func(t *testing.T) {
			c := startTestCluster(t, 3, func(_ int, config *Config) { config.RequireFullCoverage = full })
			lost, here := c.services[2].Table().Self().Ranges[0].First, c.services[0].Table().Self().Ranges[0].First
			for i := range 2 {
				c.rules.Cut(c.address(i), c.address(2))
				c.rules.Cut(c.address(2), c.address(i))
			}
			c.await("the loss is noticed", func() bool { return !c.services[0].Serving() })
			wantLost, wantHere := errSlotNotServed, ""
			if full {
				wantLost, wantHere = errClusterDown, errClusterDown
			}
			route := c.services[0].cluster.route
			if got := route(nil, nil, lost); got != wantLost {
				t.Errorf("slot of the lost node: %q", got)
			}
			if got := route(nil, nil, here); got != wantHere {
				t.Errorf("slot served here: %q", got)
			}
			client := dial(t, c.services[0])
			if got := client.call("CLUSTER NODES"); !regexp.MustCompile(`master,fail - \d{13} \d{13} \d+ disconnected`).MatchString(got) {
				t.Error(got)
			}
			if got := client.call("CLUSTER INFO"); !strings.Contains(got, "cluster_slots_ok:109") ||
				strings.Contains(got, "cluster_state:fail") != full {
				t.Error(got)
			}
			c.rules.Heal()
			c.await("all is well again", func() bool { return c.services[0].Serving() && c.services[2].Serving() })
			if got := route(nil, nil, here); got != "" {
				t.Error(got)
			}
		})
	}
}

func TestALateNodeGetsEmptySlotsOnly(t *testing.T) {
	c := startTestCluster(t, 3, nil)
	key := make(map[keyspace.Slot]string)
	for i := 0; len(key) < 3; i++ { // a key in the last slot of every share: just those that move
		name := "k" + strconv.Itoa(i)
		slot := keyspace.SlotOf([]byte(name))
		ranges := c.owner(slot).Table().Self().Ranges
		if last := ranges[len(ranges)-1].Last; slot == last {
			key[slot] = name
			dial(t, c.owner(slot)).call("SET " + name + " v")
		}
	}
	late := c.add(3, nil)
	c.await("the late node has its share", func() bool {
		return late.Serving() && late.Table().Self().Slots() >= 4090 && c.services[0].Table().Assigned() == keyspace.Slots
	})
	for slot, name := range key {
		if late.Table().Mine(slot) {
			t.Errorf("slot %d moved although it holds %s", slot, name)
		}
		if got := dial(t, c.owner(slot)).call("GET " + name); got != "v" {
			t.Errorf("%s is %q", name, got)
		}
	}
	slot := late.Table().Self().Ranges[0].First
	c.await("the others redirect", func() bool {
		return c.services[0].cluster.route(nil, nil, slot) == fmt.Sprintf("MOVED %d %s", slot, late.Addr())
	})
}

// A write can never fall between the look at an empty slot and the end of its service: what is written while the slot
// is still served keeps it here.
func TestWritesRaceWithReleases(t *testing.T) {
	c := startTestCluster(t, 1, nil)
	s := c.services[0]
	const slot = 12182
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var written atomic.Int64
	go func() { // ends with ctx
		defer close(ended)
		for ctx.Err() == nil {
			shard := s.store.ShardOf(slot)
			shard.Lock()
			if s.cluster.route(nil, nil, slot) == "" {
				k := s.store.Key([]byte("foo"))
				shard.Database(0).Set(0, k, keyspace.TypeString, []byte("v"), 0)
				written.Add(1)
				shard.Unlock()
				continue
			}
			if shard.Database(0).SlotLen(slot) > 0 {
				t.Error("a key in a slot that was given up")
			}
			shard.Unlock()
		}
	}()
	for turn := 0; turn < 2000 || written.Load() < 100; turn++ {
		if s.cluster.releaseOne(slot) {
			s.cluster.serves[slot/64].Or(1 << (slot % 64))
		} else {
			shard := s.store.ShardOf(slot)
			shard.Lock()
			shard.Database(0).FlushSlot(slot)
			shard.Unlock()
		}
	}
	cancel()
	<-ended
}

func BenchmarkRoute(b *testing.B) {
	c := startTestCluster(b, 1, nil).services[0].cluster
	for b.Loop() {
		if c.route(nil, nil, 12182) != "" {
			b.Fatal("not served")
		}
	}
}
