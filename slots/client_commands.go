package slots

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/egalcluster/egal/slots/internal/command"
)

// clientRow is CLIENT with its subcommands.
func (s *Service) clientRow() command.Command {
	admin := anytime | command.Admin
	return command.Command{
		Name: "client", Arity: -2, Since: "2.4.0",
		Summary:    "Looks at connections and changes them",
		Complexity: "depends on the subcommand",
		Differs:    "CACHING and TRACKING are missing: the server does not track what clients cache",
		Subcommands: []command.Command{
			{
				Name: "getname", Arity: 2, Flags: anytime, Since: "2.6.9", Complexity: "O(1)",
				Summary: "Returns the name of the connection",
				Run:     clientGetname,
			},
			{
				Name: "getredir", Arity: 2, Flags: anytime, Since: "6.0.0", Complexity: "O(1)",
				Summary: "Returns which connection gets the notifications of this one's tracking: -1, there is no tracking",
				Run:     func(ctx *command.Context) { ctx.Reply.Int(-1) },
			},
			{
				Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Since: "5.0.0", Complexity: "O(1)",
				Summary: "Lists the subcommands",
				Run:     func(ctx *command.Context) { ctx.ReplyHelp("client") },
			},
			{
				Name: "id", Arity: 2, Flags: anytime, Since: "5.0.0", Complexity: "O(1)",
				Summary: "Returns the number of the connection",
				Run:     func(ctx *command.Context) { ctx.Reply.Int(ctx.Session.ID) },
			},
			{
				Name: "info", Arity: 2, Flags: anytime, Since: "6.2.0", Complexity: "O(1)",
				Summary: "Describes the connection",
				Tips:    []string{"nondeterministic_output"},
				Run:     s.clientInfo,
			},
			{
				Name: "kill", Arity: -3, Flags: admin, Since: "2.4.0", Complexity: "O(N), N: number of connections",
				Summary: "Closes connections",
				Arguments: []command.Argument{{Name: "filter", Type: command.OneOf, Arguments: []command.Argument{
					{Name: "old-format", Token: ""},
					{Name: "new-format", Type: command.OneOf, Multiple: true, Since: "2.8.12", Arguments: []command.Argument{
						{Name: "client-id", Type: command.IntegerArgument, Token: "ID", Optional: true},
						clientType("2.8.12"),
						{Name: "username", Token: "USER", Optional: true, Since: "6.0.0"},
						{Name: "addr", Token: "ADDR", Optional: true},
						{Name: "laddr", Token: "LADDR", Optional: true, Since: "6.2.0"},
						choice("skipme", "SKIPME", "YES", "NO"),
					}},
				}}},
				Run: s.clientKill,
			},
			{
				Name: "list", Arity: -2, Flags: admin, Since: "2.4.0", Complexity: "O(N), N: number of connections",
				Summary: "Describes all connections",
				Tips:    []string{"nondeterministic_output"},
				Arguments: []command.Argument{
					clientType("5.0.0"),
					{Name: "client-id", Type: command.IntegerArgument, Token: "ID", Optional: true, Multiple: true, Since: "6.2.0"},
				},
				Run: s.clientList,
			},
			{
				Name: "no-evict", Arity: 3, Flags: admin, Since: "7.0.0", Complexity: "O(1)",
				Summary:   "Protects the connection from being closed for the memory it takes",
				Arguments: []command.Argument{choice("enabled", "", "ON", "OFF")},
				Differs:   "No connection is closed for the memory all of them take together; the wish is only recorded",
				Run:       s.clientNoEvict,
			},
			{
				Name: "no-touch", Arity: 3, Flags: anytime, Since: "7.2.0", Complexity: "O(1)",
				Summary:   "Keeps the connection's reads from counting as uses of keys",
				Arguments: []command.Argument{choice("enabled", "", "ON", "OFF")},
				Differs:   "Uses of keys are not recorded; the wish is",
				Run:       s.clientNoTouch,
			},
			{
				Name: "pause", Arity: -3, Flags: admin, Since: "3.0.0", Complexity: "O(1)",
				Summary: "Makes the commands of all clients wait",
				History: []command.Change{{Version: "6.2.0", Text: "Modes WRITE and ALL"}},
				Arguments: []command.Argument{
					{Name: "timeout", Type: command.IntegerArgument},
					choice("mode", "", "WRITE", "ALL"),
				},
				Run: s.clientPause,
			},
			{
				Name: "reply", Arity: 3, Flags: anytime, Since: "3.2.0", Complexity: "O(1)",
				Summary:   "Chooses whether the connection gets replies",
				Arguments: []command.Argument{choice("action", "", "ON", "OFF", "SKIP")},
				Run:       s.clientReply,
			},
			{
				Name: "setinfo", Arity: 4, Flags: anytime, Since: "7.2.0", Complexity: "O(1)",
				Summary: "Tells the name or the version of the client's library",
				Tips:    []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
				Arguments: []command.Argument{{Name: "attr", Type: command.OneOf, Arguments: []command.Argument{
					{Name: "libname", Token: "LIB-NAME"}, {Name: "libver", Token: "LIB-VER"},
				}}},
				Run: clientSetinfo,
			},
			{
				Name: "setname", Arity: 3, Flags: anytime, Since: "2.6.9", Complexity: "O(1)",
				Summary:   "Names the connection",
				Tips:      []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
				Arguments: []command.Argument{{Name: "connection-name"}},
				Run:       clientSetname,
			},
			{
				Name: "trackinginfo", Arity: 2, Flags: anytime, Since: "6.2.0", Complexity: "O(1)",
				Summary: "Tells how the server tracks what the connection caches: it does not",
				Run:     clientTrackinginfo,
			},
			{
				Name: "unblock", Arity: -3, Flags: admin, Since: "5.0.0", Complexity: "O(1)",
				Summary: "Ends the wait of a connection in a blocking command",
				Arguments: []command.Argument{
					{Name: "client-id", Type: command.IntegerArgument}, choice("unblock-type", "", "TIMEOUT", "ERROR"),
				},
				Differs: "There are no blocking commands, so no connection ever waits in one",
				Run:     clientUnblock,
			},
			{
				Name: "unpause", Arity: 2, Flags: admin, Since: "6.2.0", Complexity: "O(N), N: number of paused connections",
				Summary: "Ends a pause",
				Run: func(ctx *command.Context) {
					s.unpause()
					ctx.Reply.OK()
				},
			},
		},
	}
}

// clientType is the argument TYPE.
func clientType(since string) command.Argument {
	a := choice("client-type", "TYPE", "NORMAL", "MASTER", "REPLICA", "PUBSUB")
	a.Since = since
	return a
}

// choice is an optional argument that is one of a few words, behind a token.
func choice(name, token string, words ...string) command.Argument {
	a := command.Argument{Name: name, Type: command.OneOf, Token: token, Optional: token != "" || name == "mode" || name == "unblock-type"}
	for _, word := range words {
		a.Arguments = append(a.Arguments, command.Argument{Name: strings.ToLower(word), Type: command.PureToken, Token: word})
	}
	return a
}

// own is the connection that runs a call, its published state brought up to date.
func (s *Service) own(ctx *command.Context) *connection {
	c := s.clients.find(ctx.Session.ID)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.show(ctx.Session)
	c.seen.active = ctx.Now
	c.seen.command = strings.ToLower(string(ctx.Args[0]))
	if len(ctx.Args) > 1 && c.seen.command == "client" {
		c.seen.command += "|" + strings.ToLower(string(ctx.Args[1]))
	}
	return c
}

// describe is a connection's line in CLIENT LIST.
func (c *connection) describe(now int64) string {
	c.mu.Lock()
	seen := c.seen
	c.mu.Unlock()
	flags := ""
	if seen.readOnly {
		flags += "r"
	}
	if seen.noEvict {
		flags += "e"
	}
	if seen.noTouch {
		flags += "T"
	}
	if flags == "" {
		flags = "N"
	}
	events := "r"
	if seen.output > 0 {
		events = "rw"
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=0 psub=0 ssub=0 multi=-1 "+
		"qbuf=%d qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=%d oll=0 omem=%d tot-mem=%d events=%s cmd=%s user=%s "+
		"redir=-1 resp=%d lib-name=%s lib-ver=%s\n",
		c.session.ID, c.remote, c.local, c.descriptor, seen.name, max(0, now-c.created)/1000, max(0, now-seen.active)/1000,
		flags, seen.database, seen.input, seen.output, seen.output, seen.input+seen.output, events, seen.command, defaultUser,
		seen.protocol, seen.libName, seen.libVersion)
}

func (s *Service) clientInfo(ctx *command.Context) {
	ctx.Reply.Verbatim("txt", s.own(ctx).describe(ctx.Now))
}

func (s *Service) clientList(ctx *command.Context) {
	s.own(ctx)
	var list []*connection
	switch args := ctx.Args[2:]; {
	case len(args) == 0:
		list = s.clients.all()
	case len(args) == 2 && isWord(args[0], "TYPE"):
		normal, ok := isNormal(args[1])
		if !ok {
			ctx.Reply.Error("ERR Unknown client type '" + string(args[1][:min(len(args[1]), 128)]) + "'")
			return
		}
		if normal {
			list = s.clients.all()
		}
	case len(args) > 1 && isWord(args[0], "ID"):
		for _, word := range args[1:] {
			id, ok := integer(word)
			if !ok {
				ctx.Reply.Error("ERR Invalid client ID")
				return
			}
			if c := s.clients.find(id); c != nil {
				list = append(list, c)
			}
		}
	default:
		ctx.Reply.Error(errSyntax)
		return
	}
	var text strings.Builder
	for _, c := range list {
		text.WriteString(c.describe(ctx.Now))
	}
	ctx.Reply.Verbatim("txt", text.String())
}

// isNormal reports whether a type of clients is the one all of ours have; false, false: there is no such type.
func isNormal(word []byte) (normal, ok bool) {
	if isWord(word, "NORMAL") {
		return true, true
	}
	for _, other := range []string{"MASTER", "REPLICA", "SLAVE", "PUBSUB"} {
		if isWord(word, other) {
			return false, true
		}
	}
	return false, false
}

// killFilter says which connections CLIENT KILL closes.
type killFilter struct {
	id            int64 // 0: any
	remote, local string
	nobody        bool // a type or user that no connection has
	self          bool // the caller's connection too
}

// matches reports whether a connection is meant.
func (f *killFilter) matches(c *connection, caller int64) bool {
	return !f.nobody && (f.id == 0 || f.id == c.session.ID) && (f.remote == "" || f.remote == c.remote) &&
		(f.local == "" || f.local == c.local) && (f.self || c.session.ID != caller)
}

// parse reads pairs of option and value, and returns the text of the error there is.
func (f *killFilter) parse(args [][]byte) string {
	for i := 0; i < len(args); i += 2 {
		if i+1 == len(args) {
			return errSyntax
		}
		option, value := args[i], args[i+1]
		switch {
		case isWord(option, "ID"):
			id, ok := integer(value)
			if !ok || id < 1 {
				return "ERR client-id should be greater than 0"
			}
			f.id = id
		case isWord(option, "TYPE"):
			normal, ok := isNormal(value)
			if !ok {
				return "ERR Unknown client type '" + string(value[:min(len(value), 128)]) + "'"
			}
			f.nobody = f.nobody || !normal
		case isWord(option, "ADDR"):
			f.remote = string(value)
		case isWord(option, "LADDR"):
			f.local = string(value)
		case isWord(option, "USER"):
			if string(value) != defaultUser {
				return "ERR No such user '" + string(value[:min(len(value), 128)]) + "'"
			}
		case isWord(option, "SKIPME") && isWord(value, "YES"):
			f.self = false
		case isWord(option, "SKIPME") && isWord(value, "NO"):
			f.self = true
		default:
			return errSyntax
		}
	}
	return ""
}

func (s *Service) clientKill(ctx *command.Context) {
	byAddress := len(ctx.Args) == 3
	var filter killFilter
	if byAddress {
		filter = killFilter{remote: string(ctx.Args[2]), self: true}
	} else if text := filter.parse(ctx.Args[2:]); text != "" {
		ctx.Reply.Error(text)
		return
	}
	killed := 0
	for _, c := range s.clients.all() {
		if !filter.matches(c, ctx.Session.ID) || byAddress && filter.remote == "" {
			continue
		}
		killed++
		if c.session.ID == ctx.Session.ID {
			ctx.Session.Close = true
		} else {
			c.kill()
		}
	}
	switch {
	case !byAddress:
		ctx.Reply.Int(int64(killed))
	case killed == 0:
		ctx.Reply.Error("ERR No such client")
	default:
		ctx.Reply.OK()
	}
}

// onOff reads the word ON or OFF, or replies that it is neither.
func onOff(ctx *command.Context) (on, ok bool) {
	switch {
	case isWord(ctx.Args[2], "ON"):
		on, ok = true, true
	case isWord(ctx.Args[2], "OFF"):
		ok = true
	}
	if ok {
		ctx.Reply.OK()
	} else {
		ctx.Reply.Error(errSyntax)
	}
	return on, ok
}

func (s *Service) clientNoEvict(ctx *command.Context) {
	if on, ok := onOff(ctx); ok {
		c := s.own(ctx)
		c.mu.Lock()
		c.seen.noEvict = on
		c.mu.Unlock()
	}
}

func (s *Service) clientNoTouch(ctx *command.Context) {
	if on, ok := onOff(ctx); ok {
		c := s.own(ctx)
		c.mu.Lock()
		c.seen.noTouch = on
		c.mu.Unlock()
	}
}

func (s *Service) clientPause(ctx *command.Context) {
	timeout, ok := integer(ctx.Args[2])
	writes := len(ctx.Args) == 4 && isWord(ctx.Args[3], "WRITE")
	switch {
	case len(ctx.Args) > 4:
		ctx.Reply.Error(errSubcommandSyntax(ctx.Args[1]))
	case len(ctx.Args) == 4 && !writes && !isWord(ctx.Args[3], "ALL"):
		ctx.Reply.Error("ERR CLIENT PAUSE mode must be WRITE or ALL")
	case !ok:
		ctx.Reply.Error("ERR timeout is not an integer or out of range")
	case timeout < 0:
		ctx.Reply.Error("ERR timeout is negative")
	case timeout > math.MaxInt64-ctx.Now: // such an end wraps around into the past
		ctx.Reply.OK()
	default:
		s.pauseFor(ctx.Now, time.Duration(min(timeout, maxPause.Milliseconds()))*time.Millisecond, writes)
		ctx.Reply.OK()
	}
}

// errSubcommandSyntax is the reply to words that a subcommand of CLIENT, named as the client did, does not take.
func errSubcommandSyntax(name []byte) string {
	return "ERR unknown subcommand or wrong number of arguments for '" + string(name) + "'. Try CLIENT HELP."
}

func (s *Service) clientReply(ctx *command.Context) {
	c := s.own(ctx)
	switch mode := ctx.Args[2]; {
	case isWord(mode, "ON"):
		c.reply = 0
		ctx.Reply.OK()
	case isWord(mode, "OFF"):
		c.reply |= replyOff
	case isWord(mode, "SKIP"):
		if c.reply&replyOff == 0 {
			c.reply |= replySkipNext
		}
	default:
		ctx.Reply.Error(errSyntax)
	}
}

func clientGetname(ctx *command.Context) {
	if ctx.Session.Name == "" {
		ctx.Reply.Null()
		return
	}
	ctx.Reply.BulkString(ctx.Session.Name)
}

func clientSetname(ctx *command.Context) {
	if !printable(ctx.Args[2]) {
		ctx.Reply.Error(errClientName)
		return
	}
	ctx.Session.Name = string(ctx.Args[2])
	ctx.Reply.OK()
}

func clientSetinfo(ctx *command.Context) {
	attribute, value := ctx.Args[2], ctx.Args[3]
	field := &ctx.Session.LibName
	switch {
	case isWord(attribute, "LIB-NAME"):
	case isWord(attribute, "LIB-VER"):
		field = &ctx.Session.LibVersion
	default:
		ctx.Reply.Error("ERR Unrecognized option '" + string(attribute[:min(len(attribute), 128)]) + "'")
		return
	}
	if !printable(value) {
		ctx.Reply.Error("ERR " + string(attribute) + " cannot contain spaces, newlines or special characters.")
		return
	}
	*field = string(value)
	ctx.Reply.OK()
}

func clientTrackinginfo(ctx *command.Context) {
	w := ctx.Reply
	w.Map(3)
	w.BulkString("flags")
	w.Set(1)
	w.BulkString("off")
	w.BulkString("redirect")
	w.Int(-1)
	w.BulkString("prefixes")
	w.Array(0)
}

func clientUnblock(ctx *command.Context) {
	switch {
	case len(ctx.Args) > 4:
		ctx.Reply.Error(errSubcommandSyntax(ctx.Args[1]))
	case len(ctx.Args) == 4 && !isWord(ctx.Args[3], "TIMEOUT") && !isWord(ctx.Args[3], "ERROR"):
		ctx.Reply.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
	default:
		if _, err := strconv.ParseInt(string(ctx.Args[2]), 10, 64); err != nil {
			ctx.Reply.Error(errNotInteger)
			return
		}
		ctx.Reply.Int(0)
	}
}
