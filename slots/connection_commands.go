package slots

import (
	"math"
	"strconv"

	"github.com/egalcluster/egal/slots/internal/command"
)

// Texts of error replies, as the compatible server words them.
const (
	errSyntax       = "ERR syntax error"
	errNotInteger   = "ERR value is not an integer or out of range"
	errNoPassword   = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	errWrongPass    = "WRONGPASS invalid username-password pair or user is disabled."
	errClientName   = "ERR Client names cannot contain spaces, newlines or special characters."
	errSelect       = "ERR SELECT is not allowed in cluster mode"
	errDatabase     = "ERR DB index is out of range"
	errNotInt32     = "ERR value is out of range, value must between -2147483648 and 2147483647"
	errProtocol     = "NOPROTO unsupported protocol version"
	errProtocolType = "ERR Protocol version is not an integer or out of range"
)

// defaultUser is the only user there is.
const defaultUser = "default"

// anytime are the flags of commands of the connection: allowed in every state of the server.
const anytime = command.NoScript | command.Loading | command.Stale

// connectionCommands are the rows of the connection group.
func (s *Service) connectionCommands() []command.Command {
	connection := []string{"connection"}
	login := anytime | command.Fast | command.NoAuth | command.AllowBusy
	rows := []command.Command{
		{
			Name: "auth", Arity: -2, Flags: login, Since: "1.0.0",
			Summary:    "Logs in",
			Complexity: "O(1)",
			History:    []command.Change{{Version: "6.0.0", Text: "User names"}},
			Arguments:  []command.Argument{{Name: "username", Optional: true, Since: "6.0.0"}, {Name: "password"}},
			Differs:    "There are no passwords: the user default is always logged in, and nobody else exists",
			Run:        s.auth,
		},
		s.clientRow(),
		{
			Name: "echo", Arity: 2, Flags: command.Loading | command.Stale | command.Fast, Since: "1.0.0",
			Summary:    "Returns what it is given",
			Complexity: "O(1)",
			Arguments:  []command.Argument{{Name: "message"}},
			Run:        func(ctx *command.Context) { ctx.Reply.Bulk(ctx.Args[1]) },
		},
		{
			Name: "hello", Arity: -1, Flags: login, Since: "6.0.0",
			Summary:    "Introduces client and server, and chooses the protocol",
			Complexity: "O(1)",
			History:    []command.Change{{Version: "6.2.0", Text: "The version may be left out, to be told about the connection only"}},
			Arguments: []command.Argument{{Name: "arguments", Type: command.Block, Optional: true, Arguments: []command.Argument{
				{Name: "protover", Type: command.IntegerArgument},
				{Name: "auth", Type: command.Block, Token: "AUTH", Optional: true, Arguments: []command.Argument{{Name: "username"}, {Name: "password"}}},
				{Name: "clientname", Token: "SETNAME", Optional: true},
			}}},
			Run: s.hello,
		},
		{
			Name: "ping", Arity: -1, Flags: command.Fast, Since: "1.0.0",
			Summary:    "Returns PONG, or what it is given",
			Complexity: "O(1)",
			Tips:       []string{"request_policy:all_shards", "response_policy:all_succeeded"},
			Arguments:  []command.Argument{{Name: "message", Optional: true}},
			Run:        ping,
		},
		{
			Name: "quit", Arity: -1, Flags: login, Since: "1.0.0",
			Summary:    "Closes the connection",
			Complexity: "O(1)",
			Deprecated: "7.2.0", ReplacedBy: "closing the connection",
			Run: func(ctx *command.Context) {
				ctx.Reply.OK()
				ctx.Session.Close = true
			},
		},
		{
			Name: "reset", Arity: 1, Flags: login, Since: "6.2.0",
			Summary:    "Brings the connection back to its first state",
			Complexity: "O(1)",
			Run:        s.reset,
		},
		{
			Name: "select", Arity: 2, Flags: command.Loading | command.Stale | command.Fast, Since: "1.0.0",
			Summary:    "Chooses the database of the connection",
			Complexity: "O(1)",
			Arguments:  []command.Argument{{Name: "index", Type: command.IntegerArgument}},
			Run:        s.selectDatabase,
		},
	}
	for i := range rows {
		row := &rows[i]
		row.Group, row.Categories, row.Test = "connection", connection, "slots.TestConnectionCommands"
		for j := range row.Subcommands {
			row.Subcommands[j].Group, row.Subcommands[j].Categories = "connection", connection
		}
	}
	return rows
}

// isWord compares a word of a call with a keyword given in upper case.
func isWord(word []byte, keyword string) bool {
	if len(word) != len(keyword) {
		return false
	}
	for i, b := range word {
		if 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		if b != keyword[i] {
			return false
		}
	}
	return true
}

// integer reads a word as a number, as strictly as the compatible server: no sign +, no leading zeros or blanks.
func integer(word []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(word), 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == string(word)
}

func ping(ctx *command.Context) {
	switch len(ctx.Args) {
	case 1:
		ctx.Reply.Simple("PONG")
	case 2:
		ctx.Reply.Bulk(ctx.Args[1])
	default:
		ctx.Reply.Error("ERR wrong number of arguments for 'ping' command")
	}
}

func (s *Service) auth(ctx *command.Context) {
	switch {
	case len(ctx.Args) > 3:
		ctx.Reply.Error(errSyntax)
	case len(ctx.Args) == 2:
		ctx.Reply.Error(errNoPassword)
	case string(ctx.Args[1]) != defaultUser:
		ctx.Reply.Error(errWrongPass)
	default:
		ctx.Reply.OK()
	}
}

func (s *Service) selectDatabase(ctx *command.Context) {
	n, ok := integer(ctx.Args[1])
	switch {
	case !ok:
		ctx.Reply.Error(errNotInteger)
	case n < math.MinInt32 || n > math.MaxInt32:
		ctx.Reply.Error(errNotInt32)
	case s.cluster != nil && n != 0:
		ctx.Reply.Error(errSelect)
	case n < 0 || n >= int64(s.store.Databases()):
		ctx.Reply.Error(errDatabase)
	default:
		ctx.Session.Database = int(n)
		ctx.Reply.OK()
	}
}

func (s *Service) hello(ctx *command.Context) {
	protocol, name, named := int64(0), "", false
	if len(ctx.Args) > 1 {
		var ok bool
		if protocol, ok = integer(ctx.Args[1]); !ok {
			ctx.Reply.Error(errProtocolType)
			return
		}
		if protocol != 2 && protocol != 3 {
			ctx.Reply.Error(errProtocol)
			return
		}
	}
	for i := 2; i < len(ctx.Args); i++ {
		option, left := ctx.Args[i], len(ctx.Args)-i-1
		switch {
		case isWord(option, "AUTH") && left >= 2:
			if string(ctx.Args[i+1]) != defaultUser {
				ctx.Reply.Error(errWrongPass)
				return
			}
			i += 2
		case isWord(option, "SETNAME") && left >= 1:
			if !printable(ctx.Args[i+1]) {
				ctx.Reply.Error(errClientName)
				return
			}
			name, named = string(ctx.Args[i+1]), true
			i++
		default:
			ctx.Reply.Error("ERR Syntax error in HELLO option '" + string(option[:min(len(option), 128)]) + "'")
			return
		}
	}
	if named {
		ctx.Session.Name = name
	}
	if protocol != 0 {
		ctx.Session.Protocol = int(protocol)
		ctx.Reply.Protocol = int(protocol)
	}
	mode := "standalone"
	if s.cluster != nil {
		mode = "cluster"
	}
	w := ctx.Reply
	w.Map(7)
	w.BulkString("server")
	w.BulkString("redis")
	w.BulkString("version")
	w.BulkString(compatibleVersion)
	w.BulkString("proto")
	w.Int(int64(ctx.Session.Protocol))
	w.BulkString("id")
	w.Int(ctx.Session.ID)
	w.BulkString("mode")
	w.BulkString(mode)
	w.BulkString("role")
	w.BulkString("master")
	w.BulkString("modules")
	w.Array(0)
}

// printable reports whether a word may be the name of a client: no blanks, no control characters, no other bytes.
func printable(word []byte) bool {
	for _, b := range word {
		if b < '!' || b > '~' {
			return false
		}
	}
	return true
}

func (s *Service) reset(ctx *command.Context) {
	session := ctx.Session
	session.Database, session.Protocol, session.Name = 0, 2, ""
	session.ReadOnly, session.Asking = false, false
	own := s.own(ctx)
	own.reply &^= replyOff | replySkipNext // a SKIP before keeps this reply from being sent
	own.mu.Lock()
	own.seen.noEvict, own.seen.noTouch = false, false
	own.mu.Unlock()
	ctx.Reply.Simple("RESET")
}
