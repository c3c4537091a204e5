package slots

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/egalcluster/egal/slots/internal/command"
)

// serverCommands are the rows that tell about the server and set it.
func (s *Service) serverCommands() []command.Command {
	admin := anytime | command.Admin
	rows := []command.Command{
		{
			Name: "config", Arity: -2, Since: "2.0.0",
			Summary:    "Reads and sets the server's parameters",
			Complexity: "depends on the subcommand",
			Differs:    "Only the parameters that this server has; REWRITE is missing: there is no file of its own",
			Subcommands: []command.Command{
				{
					Name: "get", Arity: -3, Flags: admin, Since: "2.0.0", Complexity: "O(N), N: number of parameters asked for",
					Summary:   "Returns the parameters that match patterns, and their values",
					History:   []command.Change{{Version: "7.0.0", Text: "Several patterns"}},
					Arguments: []command.Argument{{Name: "parameter", Multiple: true}},
					Run:       s.configGet,
				},
				{
					Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Since: "5.0.0", Complexity: "O(1)",
					Summary: "Lists the subcommands",
					Run:     func(ctx *command.Context) { ctx.ReplyHelp("config") },
				},
				{
					Name: "resetstat", Arity: 2, Flags: admin, Since: "2.0.0", Complexity: "O(1)",
					Summary: "Zeroes the statistics that INFO shows",
					Tips:    []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
					Run: func(ctx *command.Context) {
						s.statistics.reset()
						s.store.ResetStats()
						ctx.Reply.OK()
					},
				},
				{
					Name: "set", Arity: -4, Flags: admin, Since: "2.0.0", Complexity: "O(N), N: number of parameters",
					Summary: "Sets parameters, all or none",
					History: []command.Change{{Version: "7.0.0", Text: "Several parameters"}},
					Tips:    []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
					Arguments: []command.Argument{{Name: "data", Type: command.Block, Multiple: true, Arguments: []command.Argument{
						{Name: "parameter"}, {Name: "value"},
					}}},
					Run: s.configSet,
				},
			},
		},
		{
			Name: "info", Arity: -1, Flags: command.Loading | command.Stale, Since: "1.0.0",
			Summary:    "Tells how the server is",
			Complexity: "O(1)",
			History:    []command.Change{{Version: "7.0.0", Text: "Several sections"}},
			Tips:       []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
			Categories: []string{"dangerous"},
			Arguments:  []command.Argument{{Name: "section", Optional: true, Multiple: true}},
			Differs:    "Only fields with a value of their own, and egal_version; no sections for persistence and modules",
			Run:        s.info,
		},
		{
			Name: "time", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Since: "2.6.0",
			Summary:    "Returns the server's time",
			Complexity: "O(1)",
			Tips:       []string{"nondeterministic_output"},
			Run:        s.time,
		},
	}
	for i := range rows {
		row := &rows[i]
		row.Group, row.Test = "server", "slots.TestServerCommands"
		for j := range row.Subcommands {
			row.Subcommands[j].Group = "server"
		}
	}
	return rows
}

func (s *Service) time(ctx *command.Context) {
	now := s.config.Now()
	ctx.Reply.Array(2)
	ctx.Reply.BulkInt(now.Unix())
	ctx.Reply.BulkInt(int64(now.Nanosecond() / 1000))
}

// parameter is one row of CONFIG: a parameter of the compatible server that makes sense here, with its true value.
type parameter struct {
	name  string
	value func(*Service) string
	// set takes a new value or returns the reason why not. nil: the value never changes.
	set func(*Service, string) (reason string)
}

func constant(value string) func(*Service) string { return func(*Service) string { return value } }

// only accepts one value: the way things are.
func only(value, otherwise string) func(*Service, string) string {
	return func(_ *Service, given string) string {
		if strings.EqualFold(strings.TrimSpace(given), value) {
			return ""
		}
		return otherwise
	}
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// parameters are the rows of CONFIG, sorted by name.
func parameters() []parameter {
	return []parameter{
		{"appendonly", constant("no"), only("no", "everything is kept in memory")},
		{"bind", func(s *Service) string { return s.address.Addr().String() }, nil},
		{"client-query-buffer-limit", func(s *Service) string { return strconv.Itoa(s.config.InputLimit) }, nil},
		{"cluster-enabled", func(s *Service) string { return yesNo(s.config.Fabric != nil) }, nil},
		{"cluster-require-full-coverage", func(s *Service) string { return yesNo(s.RequireFullCoverage()) }, setFullCoverage},
		{"databases", func(s *Service) string { return strconv.Itoa(s.config.Databases) }, nil},
		{"maxclients", func(s *Service) string { return strconv.Itoa(s.MaxClients()) }, setMaxClients},
		{"maxmemory", constant("0"), only("0", "memory is not limited")},
		{"maxmemory-policy", constant("noeviction"), only("noeviction", "nothing is evicted")},
		{"port", func(s *Service) string { return strconv.Itoa(int(s.address.Port())) }, nil},
		{"proto-max-bulk-len", func(s *Service) string { return strconv.Itoa(s.limits.Bulk) }, nil},
		{"protected-mode", func(s *Service) string { return yesNo(!s.config.AllowRemote) }, nil},
		{"save", constant(""), only("", "everything is kept in memory")},
		{"tcp-keepalive", constant(strconv.Itoa(keepAliveSeconds)), nil},
		{"timeout", func(s *Service) string { return strconv.FormatInt(s.idleSeconds.Load(), 10) }, setTimeout},
	}
}

// number reads an integer parameter, or returns the reason why it cannot.
func number(text string, minimum, maximum int64) (n int64, reason string) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return 0, "argument couldn't be parsed into an integer"
	case n < minimum || n > maximum:
		return 0, "argument must be between " + strconv.FormatInt(minimum, 10) + " and " + strconv.FormatInt(maximum, 10) + " inclusive"
	}
	return n, ""
}

func setMaxClients(s *Service, text string) string {
	n, reason := number(text, 1, maxMaxClients)
	if reason == "" {
		s.SetMaxClients(int(n))
	}
	return reason
}

func setFullCoverage(s *Service, text string) string {
	switch strings.ToLower(text) {
	case "yes":
		s.SetRequireFullCoverage(true)
	case "no":
		s.SetRequireFullCoverage(false)
	default:
		return "argument must be 'yes' or 'no'"
	}
	return ""
}

func setTimeout(s *Service, text string) string {
	n, reason := number(text, 0, 1<<31-1)
	if reason == "" {
		s.idleSeconds.Store(n)
	}
	return reason
}

func (s *Service) configGet(ctx *command.Context) {
	mark, found := ctx.Reply.Mark(), 0
	for _, p := range parameters() {
		for _, pattern := range ctx.Args[2:] {
			if command.Match([]byte(strings.ToLower(string(pattern))), []byte(p.name)) {
				ctx.Reply.BulkString(p.name)
				ctx.Reply.BulkString(p.value(s))
				found++
				break
			}
		}
	}
	ctx.Reply.MapAt(mark, found)
}

// configSet sets all the parameters of a call or none: those set before a refused one get their old values back.
func (s *Service) configSet(ctx *command.Context) {
	args := ctx.Args[2:]
	if len(args)%2 != 0 {
		ctx.Reply.Error(errSyntax)
		return
	}
	rows := make([]parameter, 0, len(args)/2)
	for i := 0; i < len(args); i += 2 {
		row, ok := findParameter(string(args[i]))
		if !ok {
			name, _, _ := bytes.Cut(args[i], []byte{0})
			ctx.Reply.Error("ERR Unknown option or number of arguments for CONFIG SET - '" + string(name) + "'")
			return
		}
		rows = append(rows, row)
	}
	refuse := func(name, reason string) {
		ctx.Reply.Error("ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + reason)
	}
	for i, row := range rows {
		if row.set == nil {
			refuse(row.name, "can't set immutable config")
			return
		}
		for _, earlier := range rows[:i] {
			if earlier.name == row.name {
				refuse(row.name, "duplicate parameter")
				return
			}
		}
	}
	old := make([]string, 0, len(rows))
	for i, row := range rows {
		old = append(old, row.value(s))
		if reason := row.set(s, string(args[2*i+1])); reason != "" {
			for j := range i {
				rows[j].set(s, old[j])
			}
			refuse(row.name, reason)
			return
		}
	}
	ctx.Reply.OK()
}

func findParameter(name string) (parameter, bool) {
	for _, p := range parameters() {
		if strings.EqualFold(p.name, name) {
			return p, true
		}
	}
	return parameter{}, false
}
