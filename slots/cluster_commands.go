package slots

import (
	"strconv"
	"strings"

	"github.com/egalcluster/egal/slots/internal/command"
	"github.com/egalcluster/egal/slots/internal/keyspace"
	"github.com/egalcluster/egal/slots/internal/resp"
	"github.com/egalcluster/egal/slots/internal/topology"
)

// Texts of errors of the CLUSTER group, as the compatible server words them.
const (
	errInvalidSlot     = "ERR Invalid slot"
	errInvalidSlotKeys = "ERR Invalid slot or number of keys"
	errSlotNotInteger  = "ERR value is not an integer or out of range"
)

// commands returns the rows that only make sense in a cluster: CLUSTER, READONLY, READWRITE, ASKING. They are in the
// table of every service; c is nil in a service by itself, and the rows answer accordingly.
func (c *cluster) commands() []command.Command {
	session := func(name, summary string, flags command.Flags, set func(*command.Session)) command.Command {
		return command.Command{
			Name: name, Arity: 1, Flags: flags, Group: "cluster", Since: "3.0.0", Complexity: "O(1)",
			Summary: summary, Categories: []string{"connection"}, Test: "TestClusterSessionCommands",
			Run: c.within(func(ctx *command.Context) {
				set(ctx.Session)
				ctx.Reply.OK()
			}),
		}
	}
	const anywhen = command.Fast | command.Loading | command.Stale
	return []command.Command{
		{
			Name: "cluster", Arity: -2, Group: "cluster", Since: "3.0.0", Complexity: "depends on the subcommand",
			Summary:     "Tells about the cluster and its hash slots",
			Differs:     "Membership and slots follow the fabric: the subcommands that change them are unknown",
			Subcommands: c.subcommands(),
		},
		session("readonly", "Lets the connection read from copies", anywhen, func(s *command.Session) { s.ReadOnly = true }),
		session("readwrite", "Ends READONLY", anywhen, func(s *command.Session) { s.ReadOnly = false }),
		session("asking", "Opens an importing slot for the next command", command.Fast, func(s *command.Session) { s.Asking = true }),
	}
}

// subcommands are the rows of CLUSTER.
func (c *cluster) subcommands() []command.Command {
	const stale, loading, admin = command.Stale, command.Stale | command.Loading, command.Stale | command.Admin
	row := func(name string, flags command.Flags, since, complexity, summary string, run func(*command.Context), arguments ...command.Argument) command.Command {
		return command.Command{
			Name: name, Arity: 2 + len(arguments), Flags: flags, Group: "cluster", Since: since, Complexity: complexity,
			Summary: summary, Arguments: arguments, Run: c.within(run), Test: "TestClusterCommands",
		}
	}
	nondeterministic := func(r command.Command) command.Command {
		r.Tips = []string{"nondeterministic_output"}
		return r
	}
	slot := command.Argument{Name: "slot", Type: command.IntegerArgument}
	node := command.Argument{Name: "node-id"}
	slaves := nondeterministic(row("slaves", admin, "3.0.0", "O(N), N: number of copies",
		"Lists the copies of a primary", c.replicas, node))
	slaves.Deprecated, slaves.ReplacedBy = "5.0.0", "`CLUSTER REPLICAS`"
	info := nondeterministic(row("info", stale, "3.0.0", "O(N), N: number of services", "Tells how the cluster is", c.info))
	info.Differs = "No total_cluster_links_buffer_limit_exceeded: there are no cluster links"
	slots := nondeterministic(row("slots", loading, "3.0.0", "O(N), N: number of services",
		"Lists ranges of slots and who serves them", c.slots))
	slots.Deprecated, slots.ReplacedBy = "7.0.0", "`CLUSTER SHARDS`"
	slots.History = []command.Change{
		{Version: "4.0.0", Text: "Node ids"}, {Version: "7.0.0", Text: "Further addresses of a node"},
	}
	return []command.Command{
		row("countkeysinslot", stale, "3.0.0", "O(1)", "Counts the keys of a slot that are stored here", c.countKeysInSlot, slot),
		nondeterministic(row("getkeysinslot", stale, "3.0.0", "O(N), N: number of keys asked for",
			"Returns names of keys of a slot that are stored here", c.getKeysInSlot,
			slot, command.Argument{Name: "count", Type: command.IntegerArgument})),
		row("help", loading, "5.0.0", "O(1)", "Lists the subcommands", func(ctx *command.Context) { ctx.ReplyHelp("cluster") }),
		info,
		row("keyslot", stale, "3.0.0", "O(N), N: length of the key", "Returns the slot of a key", c.keySlot,
			command.Argument{Name: "key"}),
		row("myid", stale, "3.0.0", "O(1)", "Returns the id of this node", func(ctx *command.Context) { ctx.Reply.BulkString(c.id()) }),
		nondeterministic(row("myshardid", stale, "7.2.0", "O(1)", "Returns the id of the shard this node is in",
			func(ctx *command.Context) { ctx.Reply.BulkString(shardOf(c.self)) })),
		nondeterministic(row("nodes", stale, "3.0.0", "O(N), N: number of services", "Lists all nodes, one a line", c.nodes)),
		nondeterministic(row("replicas", admin, "5.0.0", "O(N), N: number of copies", "Lists the copies of a primary", c.replicas, node)),
		nondeterministic(row("shards", loading, "7.0.0", "O(N), N: number of services",
			"Lists the shards with their slots and nodes", c.shards)),
		slaves,
		slots,
	}
}

// within refuses the command in a service by itself.
func (c *cluster) within(run func(*command.Context)) func(*command.Context) {
	if c != nil {
		return run
	}
	return func(ctx *command.Context) { ctx.Reply.Error(errClusterDisabled) }
}

// shardOf is the id of the shard of a primary: the primary's own, as long as no copy has ever taken its place.
func shardOf(primary topology.ServiceID) string { return primary.String() }

// keySlot: CLUSTER KEYSLOT key
func (c *cluster) keySlot(ctx *command.Context) { ctx.Reply.Int(int64(keyspace.SlotOf(ctx.Args[2]))) }

// countKeysInSlot: CLUSTER COUNTKEYSINSLOT slot
func (c *cluster) countKeysInSlot(ctx *command.Context) {
	slot, err := strconv.ParseInt(string(ctx.Args[2]), 10, 64)
	switch {
	case err != nil:
		ctx.Reply.Error(errSlotNotInteger)
	case slot < 0 || slot >= keyspace.Slots:
		ctx.Reply.Error(errInvalidSlot)
	default:
		ctx.Reply.Int(int64(c.service.store.SlotLen(ctx.Session.Database, keyspace.Slot(slot))))
	}
}

// getKeysInSlot: CLUSTER GETKEYSINSLOT slot count
func (c *cluster) getKeysInSlot(ctx *command.Context) {
	slot, badSlot := strconv.ParseInt(string(ctx.Args[2]), 10, 64)
	count, badCount := strconv.ParseInt(string(ctx.Args[3]), 10, 64)
	switch {
	case badSlot != nil || badCount != nil:
		ctx.Reply.Error(errSlotNotInteger)
		return
	case slot < 0 || slot >= keyspace.Slots || count < 0:
		ctx.Reply.Error(errInvalidSlotKeys)
		return
	}
	shard := c.service.store.ShardOf(keyspace.Slot(slot))
	shard.Lock()
	defer shard.Unlock()
	db := shard.Database(ctx.Session.Database)
	mark, found := ctx.Reply.Mark(), 0
	if count > 0 {
		db.SlotKeys(ctx.Now, keyspace.Slot(slot), func(name []byte) bool {
			ctx.Reply.Bulk(name)
			found++
			return int64(found) < count && !ctx.Reply.Overflown()
		})
	}
	ctx.Reply.ArrayAt(mark, found)
}

// replicas: CLUSTER REPLICAS node-id. No service has copies.
func (c *cluster) replicas(ctx *command.Context) {
	id, err := topology.ParseServiceID(string(ctx.Args[2]))
	if err == nil {
		if _, ok := c.table().Node(id); ok {
			ctx.Reply.Array(0)
			return
		}
	}
	ctx.Reply.Error("ERR Unknown node " + string(ctx.Args[2]))
}

// slots: CLUSTER SLOTS
func (c *cluster) slots(ctx *command.Context) {
	table, w := c.table(), ctx.Reply
	mark, count := w.Mark(), 0
	for slot := 0; slot < keyspace.Slots; {
		owner, ok := table.Owner(keyspace.Slot(slot))
		first := slot
		for slot < keyspace.Slots {
			if next, also := table.Owner(keyspace.Slot(slot)); next != owner || also != ok {
				break
			}
			slot++
		}
		if !ok {
			continue
		}
		count++
		w.Array(3)
		w.Int(int64(first))
		w.Int(int64(slot - 1))
		w.Array(4)
		w.BulkString(owner.Endpoint())
		w.Int(int64(owner.Port))
		w.BulkString(owner.ID.String())
		replyMetadata(w, owner)
	}
	w.ArrayAt(mark, count)
}

// replyMetadata replies the addresses of a node that are not its endpoint.
func replyMetadata(w *resp.Writer, n *topology.Node) {
	if n.Host == "" || n.Address() == "" {
		w.Map(0)
		return
	}
	w.Map(1)
	w.BulkString("ip")
	w.BulkString(n.Address())
}

// shards: CLUSTER SHARDS
func (c *cluster) shards(ctx *command.Context) {
	nodes, w := c.table().Nodes(), ctx.Reply
	w.Array(len(nodes))
	for i := range nodes {
		n := &nodes[i]
		w.Map(2)
		w.BulkString("slots")
		w.Array(2 * len(n.Ranges))
		for _, r := range n.Ranges {
			w.Int(int64(r.First))
			w.Int(int64(r.Last))
		}
		w.BulkString("nodes")
		w.Array(1)
		replyShardNode(w, n)
	}
}

// replyShardNode replies one node of a shard.
func replyShardNode(w *resp.Writer, n *topology.Node) {
	text := func(name, value string) {
		w.BulkString(name)
		w.BulkString(value)
	}
	fields := 7
	if n.Host != "" {
		fields++
	}
	w.Map(fields)
	text("id", n.ID.String())
	w.BulkString("port")
	w.Int(int64(n.Port))
	text("ip", n.Address())
	text("endpoint", n.Endpoint())
	if n.Host != "" {
		text("hostname", n.Host)
	}
	text("role", "master")
	w.BulkString("replication-offset")
	w.Int(0)
	health := "online"
	if !n.Reachable {
		health = "fail"
	}
	text("health", health)
}

// nodes: CLUSTER NODES
func (c *cluster) nodes(ctx *command.Context) {
	o := c.current.Load()
	var b strings.Builder
	for i := range o.table.Nodes() {
		n := &o.table.Nodes()[i]
		lost, unreachable := o.lost[n.ID]
		writeNodeLine(&b, n, ctx.Now, lost, unreachable)
	}
	ctx.Reply.Verbatim("txt", b.String())
}

// writeNodeLine writes one line of CLUSTER NODES:
//
//	id ip:port@fabric-port[,hostname] flags primary ping-sent pong-received config-epoch link-state [slots ...]
//
// The fabric tells whether a node can be reached, not when it was heard last: a reachable one counts as heard now, an
// unreachable one as asked and last heard when it was lost. Times are in milliseconds since 1970.
func writeNodeLine(b *strings.Builder, n *topology.Node, now, lost int64, unreachable bool) {
	flags, ping, pong, link := "master", int64(0), now, "connected"
	if n.Self {
		flags = "myself,master"
	}
	if unreachable {
		flags += ",fail"
		ping, pong, link = lost, lost, "disconnected"
	}
	b.WriteString(n.ID.String() + " " + n.Address() + ":" + strconv.Itoa(n.Port) + "@" + strconv.Itoa(n.BusPort))
	if n.Host != "" {
		b.WriteString("," + n.Host)
	}
	b.WriteString(" " + flags + " - " + strconv.FormatInt(ping, 10) + " " + strconv.FormatInt(pong, 10) + " " +
		strconv.FormatUint(n.Epoch, 10) + " " + link)
	for _, r := range n.Ranges {
		b.WriteString(" " + r.String())
	}
	b.WriteByte('\n')
}

// info: CLUSTER INFO
func (c *cluster) info(ctx *command.Context) {
	table := c.table()
	state := "ok"
	if table.Assigned() == 0 || c.service.fullCoverage.Load() && !table.OK() {
		state = "fail"
	}
	epoch := uint64(0)
	if self := table.Self(); self != nil {
		epoch = self.Epoch
	}
	network := c.service.config.Fabric.Metrics().Transport
	var b strings.Builder
	field := func(name, value string) { b.WriteString(name + ":" + value + "\r\n") }
	number := func(name string, value uint64) { field(name, strconv.FormatUint(value, 10)) }
	field("cluster_state", state)
	number("cluster_slots_assigned", uint64(table.Assigned()))
	number("cluster_slots_ok", uint64(table.ServedSlots()))
	number("cluster_slots_pfail", 0)
	number("cluster_slots_fail", uint64(table.Assigned()-table.ServedSlots()))
	number("cluster_known_nodes", uint64(len(table.Nodes())))
	number("cluster_size", uint64(table.Primaries()))
	number("cluster_current_epoch", table.CurrentEpoch())
	number("cluster_my_epoch", epoch)
	number("cluster_stats_messages_sent", network.DatagramsSent+network.FramesSent)
	number("cluster_stats_messages_received", network.DatagramsReceived+network.FramesReceived)
	ctx.Reply.Verbatim("txt", b.String())
}
