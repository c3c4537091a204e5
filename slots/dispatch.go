package slots

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/egalcluster/egal/slots/internal/command"
	"github.com/egalcluster/egal/slots/internal/keyspace"
	"github.com/egalcluster/egal/slots/internal/resp"
)

const errCrossSlot = "CROSSSLOT Keys in request don't hash to the same slot"

// executor runs commands for the connections of one goroutine: the one path from words to reply. It holds what a call
// needs, so that a call allocates nothing.
type executor struct {
	service    *Service
	connection *connection
	context    command.Context
	reply      resp.Writer
	parser     *resp.Parser // lent to connections; nil: the last one kept it
	now        time.Time    // of the turn; zero: to be asked for when it begins
	sharesTime bool         // the next turn goes on at the time this one ended, until now is zeroed
	backlog    int          // unsent bytes at the beginning of the turn

	batch     batch
	positions []int
	shards    []uint64 // a bit for every shard that is locked by the call
	known     [16]knownRow

	// running is the row whose calls since the instant since are not in the statistics yet, calls their number.
	running *command.Command
	since   time.Time
	calls   uint64
	failed  uint64
}

// knownRow is a row that was found before, and the word it was found by.
type knownRow struct {
	row  *command.Command
	size int
	word [16]byte
}

func newExecutor(s *Service) *executor {
	x := &executor{service: s, shards: make([]uint64, (len(s.store.Shards())+63)/64)}
	x.context = command.Context{
		Reply: &x.reply, Store: s.store, Table: s.table, MaxString: s.limits.Bulk, Cluster: s.cluster != nil,
		Random: rand.New(rand.NewPCG(s.seed, s.executors.Add(1))),
	}
	return x
}

// call executes one call and appends its reply. It returns false, having done nothing, when the service is paused for
// this command.
func (x *executor) call(call *call) bool {
	s, c, row := x.service, x.connection, call.row
	mark := x.reply.Mark()
	if row != nil && s.paused.Load() != nil && s.postpones(row, x.context.Now) {
		return false
	}
	if row == nil {
		x.refuseUnknown(call.args, call.refusal)
	} else {
		x.run(call)
	}
	if len(x.reply.Buf) > mark && x.reply.Buf[mark] == '-' {
		s.statistics.countError(x.reply.Buf[mark:])
	}
	if c.reply&(replyOff|replySkip) != 0 {
		x.reply.Truncate(mark)
	}
	c.reply = c.reply.after()
	return true
}

// run executes a call of a row and keeps the row's statistics.
func (x *executor) run(call *call) {
	row := call.row
	x.account(row)
	x.context.Args, x.context.Keys = call.args, x.batch.keys[call.firstKey:call.endKey]
	mark, ran := x.reply.Mark(), true
	if len(row.KeySpecs) > 0 {
		ran = x.runKeyed(row)
	} else {
		row.Run(&x.context)
	}
	session := x.context.Session
	x.reply.Protocol = session.Protocol
	if session.Asking && row.FullName() != "asking" {
		session.Asking = false // good for one command
	}
	switch failed := len(x.reply.Buf) > mark && x.reply.Buf[mark] == '-'; {
	case !ran:
		x.calls--
		x.service.statistics.of(row).rejected.Add(1)
	case failed:
		x.failed++
	}
}

// find looks the row of a call up; those of the calls before most often serve again.
func (x *executor) find(args [][]byte) (*command.Command, string) {
	word := args[0]
	if len(word) == 0 {
		return x.service.table.Find(args)
	}
	known := &x.known[(int(word[0])+len(word))%len(x.known)]
	if known.row != nil && bytes.Equal(word, known.word[:known.size]) && known.row.Accepts(len(args)) {
		return known.row, ""
	}
	row, refusal := x.service.table.Find(args)
	if row != nil && len(word) == len(row.FullName()) && !row.Container() && len(word) <= len(known.word) {
		known.row, known.size = row, copy(known.word[:], word)
	}
	return row, refusal
}

// runKeyed locks the shards of a call's keys, asks the cluster whether the slot is ours, and runs it. It returns false
// when the call was refused instead.
func (x *executor) runKeyed(row *command.Command) (ran bool) {
	s, keys := x.service, x.context.Keys
	if len(keys) == 1 {
		shard := s.store.ShardOf(keys[0].Slot)
		shard.Lock()
		ran = x.runRouted(row)
		shard.Unlock()
		return ran
	}
	if s.cluster != nil && !sameSlot(keys) {
		x.reply.Error(errCrossSlot)
		return false
	}
	x.lockShards()
	ran = x.runRouted(row)
	x.unlockShards()
	return ran
}

func sameSlot(keys []keyspace.Key) bool {
	for i := range keys {
		if keys[i].Slot != keys[0].Slot {
			return false
		}
	}
	return true
}

// runRouted runs a call whose shards are locked, if its slot is served here.
func (x *executor) runRouted(row *command.Command) bool {
	if cluster := x.service.cluster; cluster != nil && len(x.context.Keys) > 0 {
		if text := cluster.route(x.context.Session, row, x.context.Keys[0].Slot); text != "" {
			x.reply.Error(text)
			return false
		}
	}
	row.Run(&x.context)
	return true
}

// lockShards locks the shards of all keys in the order of their index, so that no two calls wait for each other.
func (x *executor) lockShards() {
	for _, key := range x.context.Keys {
		index := x.service.store.ShardOf(key.Slot).Index()
		x.shards[index/64] |= 1 << (index % 64)
	}
	all := x.service.store.Shards()
	for i, word := range x.shards {
		for ; word != 0; word &= word - 1 {
			all[i*64+bits.TrailingZeros64(word)].Lock()
		}
	}
}

func (x *executor) unlockShards() {
	all := x.service.store.Shards()
	for i, word := range x.shards {
		for ; word != 0; word &= word - 1 {
			all[i*64+bits.TrailingZeros64(word)].Unlock()
		}
		x.shards[i] = 0
	}
}

// refuseUnknown answers a call that no row serves. Words of HTTP end the connection: a browser was tricked into
// talking to us.
func (x *executor) refuseUnknown(args [][]byte, text string) {
	if strings.EqualFold(string(args[0]), "post") || strings.EqualFold(string(args[0]), "host:") {
		x.connection.killed.Store(true)
		return
	}
	x.reply.Error(text)
	if row := x.service.table.Lookup(bytes.ToLower(args[0])); row != nil {
		x.service.statistics.of(row).rejected.Add(1)
	}
}

// account opens the statistics of a call. Runs of the same command are entered together, so that the clock is read
// once a run.
func (x *executor) account(row *command.Command) {
	if row != x.running {
		x.settle()
		x.running, x.since = row, x.now
	}
	x.calls++
}

// settle enters the calls since the last settling into the statistics.
func (x *executor) settle() {
	if x.calls == 0 {
		return
	}
	x.now = x.service.config.Now()
	row := x.service.statistics.of(x.running)
	row.calls.Add(x.calls)
	row.nanoseconds.Add(uint64(max(0, x.now.Sub(x.since))))
	row.failed.Add(x.failed)
	x.service.statistics.commands.Add(x.calls)
	x.calls, x.failed, x.since = 0, 0, x.now
}
