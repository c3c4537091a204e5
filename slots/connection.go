package slots

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/slots/internal/command"
	"github.com/egalcluster/egal/slots/internal/resp"
)

// Bounds of one turn, so that no client keeps the others waiting or makes the server hold what nobody reads.
const (
	// readSize is how many bytes are read from one connection in a turn.
	readSize = 64 << 10
	// maxRead is how many bytes are read at once from a connection that sends something large.
	maxRead = 1 << 20
	// firstBuffer is the size of a new buffer.
	firstBuffer = 16 << 10
	// maxTurn is how many commands of one connection are executed in a turn.
	maxTurn = 1024
	// outputHighWater is how many bytes of unsent replies stop the execution of a connection's further commands.
	outputHighWater = 256 << 10
	// maxKeptBuffer is the largest buffer that is kept for reuse.
	maxKeptBuffer = 64 << 10
)

// replyMode is what CLIENT REPLY asked for; its zero value gives replies.
type replyMode uint8

const (
	replyOff      replyMode = 1 << iota // no replies
	replySkip                           // no reply to this command
	replySkipNext                       // no reply to the next command
)

// after is the mode for the next command.
func (m replyMode) after() replyMode {
	next := m & replyOff
	if m&replySkipNext != 0 {
		next |= replySkip
	}
	return next
}

// connection is one client. It is owned by one goroutine, its event loop or its own, except for what says otherwise.
type connection struct {
	session    command.Session
	parser     *resp.Parser // of an unfinished command; nil when there is none
	remote     string       // the client's address
	local      string       // ours
	created    int64        // ms since 1970
	descriptor int          // of the socket; for CLIENT LIST
	// owner is told to look at the connection by other goroutines.
	owner owner
	// killed closes the connection before its next command.
	killed atomic.Bool

	// input holds received bytes that are not executed; nil when there are none.
	input []byte
	// output holds replies; those before sent have gone out.
	output []byte
	sent   int
	state  turnState
	reply  replyMode

	mu   sync.Mutex
	seen sighting // guarded by mu
}

// refusal is sent to a client there is no room for.
func (s *Service) refusal() []byte {
	if s.cluster != nil {
		return []byte("-ERR max number of clients + cluster connections reached\r\n")
	}
	return []byte("-ERR max number of clients reached\r\n")
}

// prepare fills in what an engine knows of a new connection.
func (c *connection) prepare(s *Service, owner owner, descriptor int, remote, local string) {
	c.session.Protocol = 2
	c.owner, c.descriptor, c.remote, c.local = owner, descriptor, remote, local
	c.created = s.config.Now().UnixMilli()
	c.seen = sighting{protocol: 2, active: c.created, command: "NULL"}
}

// admit gives a connection its number, unless there are too many.
func (s *Service) admit(c *connection) bool {
	if !s.clients.add(c) {
		s.statistics.refused.Add(1)
		return false
	}
	s.statistics.accepted.Add(1)
	return true
}

// grow makes room for more input behind what is there, by doubling: what is allocated follows what was received, never
// what a client announces. It stops at the limit and one read more.
func grow(b []byte, limit int) []byte {
	if free := cap(b) - len(b); free >= firstBuffer || free > 0 && cap(b) >= limit+readSize {
		return b
	}
	larger := make([]byte, len(b), 2*cap(b)+firstBuffer)
	copy(larger, b)
	return larger
}

// owner is what an engine lets other goroutines ask of a connection.
type owner interface {
	// interrupt makes the connection's goroutine notice that it was killed. It does not wait.
	interrupt()
}

// sighting is what others may see of a connection, published at the end of each turn.
type sighting struct {
	database, protocol        int
	name, libName, libVersion string
	readOnly                  bool
	noEvict, noTouch          bool // set by CLIENT; kept for CLIENT LIST
	command                   string
	active                    int64 // ms since 1970 of the last turn, or the last replies sent
	postponed                 bool  // waits for the end of a pause
	input, output             int   // bytes received and not executed; bytes unsent before the last turn
}

// show takes over what a session says of itself.
func (s *sighting) show(session *command.Session) {
	s.database, s.protocol, s.readOnly = session.Database, session.Protocol, session.ReadOnly
	s.name, s.libName, s.libVersion = session.Name, session.LibName, session.LibVersion
}

// turnState says why a turn ended.
type turnState uint8

const (
	// turnDrained: every complete command is executed.
	turnDrained turnState = iota
	// turnUnfinished: the turn's share is used up, there may be more commands.
	turnUnfinished
	// turnFull: the client has to read first.
	turnFull
	// turnPostponed: the service is paused.
	turnPostponed
	// turnClose: the connection is to be closed when its output is sent.
	turnClose
	// turnAbort: the connection is to be closed at once.
	turnAbort
)

// turn executes the commands of input, at most one turn's share of them, and appends the replies to c.output. It
// returns how many bytes of input it is through with.
func (x *executor) turn(c *connection, input []byte) (consumed int) {
	s := x.service
	x.begin(c)
	c.state = turnDrained
	for executed := 0; consumed < len(input); executed++ {
		if executed == maxTurn {
			c.state = turnUnfinished
			break
		}
		if len(x.reply.Buf)-c.sent > outputHighWater {
			c.state = turnFull
			break
		}
		if x.batch.next == len(x.batch.calls) {
			err := x.gather(input[consumed:])
			if err == nil && len(x.batch.calls) == 0 { // not complete
				if len(input)-consumed > s.config.InputLimit {
					c.state = turnAbort
				}
				break
			}
			if err != nil {
				x.refuse(err)
				consumed = len(input)
				break
			}
		}
		call := &x.batch.calls[x.batch.next]
		if len(call.args) > 0 && !x.call(call) {
			c.state = turnPostponed
			break
		}
		x.batch.next++
		consumed += call.size
		if c.state = x.judge(c); c.state != turnDrained {
			break
		}
	}
	if x.batch.next < len(x.batch.calls) {
		x.parser.Reset()
	}
	x.batch.empty(cap(input) > maxKeptBuffer)
	x.end(len(input) - consumed)
	return consumed
}

// refuse answers what is no command. The connection ends with it.
func (x *executor) refuse(err error) {
	s := x.service
	s.statistics.protocolErrors.Add(1)
	mark := x.reply.Mark()
	x.reply.Error("ERR " + err.Error())
	s.statistics.countError(x.reply.Buf[mark:])
	x.connection.state = turnClose
}

// judge decides whether a connection lives on after a command.
func (x *executor) judge(c *connection) turnState {
	switch {
	case c.killed.Load():
		return turnAbort
	case x.reply.Overflown() || len(x.reply.Buf)-c.sent > x.service.config.OutputLimit:
		x.service.statistics.overflowClosed.Add(1)
		return turnAbort
	case c.session.Close:
		return turnClose
	}
	return turnDrained
}

// begin takes the connection's output over.
func (x *executor) begin(c *connection) {
	x.connection, x.running, x.backlog = c, nil, len(c.output)-c.sent
	x.context.Session = &c.session
	x.reply.Buf, x.reply.Protocol = c.output, c.session.Protocol
	x.reply.Bound(c.sent + min(x.service.config.OutputLimit, math.MaxInt-c.sent))
	if x.now.IsZero() {
		x.now = x.service.config.Now()
	}
	x.context.Now = x.now.UnixMilli()
	if c.parser != nil {
		x.parser, c.parser = c.parser, nil
	} else if x.parser == nil {
		x.parser = &resp.Parser{Limits: x.service.limits}
	}
}

// end gives the output back and publishes what others may see.
func (x *executor) end(waiting int) {
	c := x.connection
	x.settle()
	c.output = x.reply.Buf
	x.publish(waiting)
	if waiting > 0 {
		c.parser, x.parser = x.parser, nil
	}
	if !x.sharesTime {
		x.now = time.Time{}
	}
	x.reply.Buf, x.connection, x.context.Session = nil, nil, nil
}

// publish lets others see the connection as it is now.
func (x *executor) publish(waiting int) {
	c := x.connection
	c.mu.Lock()
	seen := &c.seen
	seen.show(&c.session)
	if x.running != nil {
		seen.command = x.running.FullName()
	}
	seen.active, seen.input, seen.output = x.context.Now, waiting, x.backlog
	seen.postponed = c.state == turnPostponed
	c.mu.Unlock()
}

// reads notes that the client takes its replies, which counts as activity.
func (c *connection) reads(now int64) {
	c.mu.Lock()
	c.seen.active = max(c.seen.active, now)
	c.mu.Unlock()
}
