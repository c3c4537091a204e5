package command

// serverRows are the commands of whole databases, and COMMAND.
var serverRows = []Command{
	{
		Name: "command", Arity: -1, Flags: Loading | Stale, Group: "server", Since: "2.8.13",
		Summary:    "Describes all commands",
		Complexity: "O(N), N: number of commands",
		Tips:       []string{"nondeterministic_output_order"},
		Categories: []string{"connection"},
		Subcommands: []Command{
			{
				Name: "count", Arity: 2, Flags: Loading | Stale, Group: "server", Since: "2.8.13",
				Summary:    "Returns the number of commands",
				Complexity: "O(1)",
				Categories: []string{"connection"},
				Run:        commandCount,
			},
			{
				Name: "docs", Arity: -2, Flags: Loading | Stale, Group: "server", Since: "7.0.0",
				Summary:    "Returns the documentation of commands",
				Complexity: "O(N), N: number of commands asked for",
				Tips:       []string{"nondeterministic_output_order"},
				Categories: []string{"connection"},
				Arguments:  []Argument{{Name: "command-name", Optional: true, Multiple: true}},
				Run:        commandDocs,
			},
			{
				Name: "getkeys", Arity: -4, Flags: Loading | Stale, Group: "server", Since: "2.8.13",
				Summary:    "Returns the keys of a call",
				Complexity: "O(N), N: words of the call",
				Categories: []string{"connection"},
				Run:        commandGetkeys,
			},
			{
				Name: "getkeysandflags", Arity: -4, Flags: Loading | Stale, Group: "server", Since: "7.0.0",
				Summary:    "Returns the keys of a call and what happens to them",
				Complexity: "O(N), N: words of the call",
				Categories: []string{"connection"},
				Run:        commandGetkeysandflags,
			},
			{
				Name: "help", Arity: 2, Flags: Loading | Stale, Group: "server", Since: "5.0.0",
				Summary:    "Lists the subcommands",
				Complexity: "O(1)",
				Categories: []string{"connection"},
				Run:        commandHelp,
			},
			{
				Name: "info", Arity: -2, Flags: Loading | Stale, Group: "server", Since: "2.8.13",
				Summary:    "Describes the given commands, or all",
				Complexity: "O(N), N: number of commands asked for",
				History:    []Change{{"7.0.0", "Without a name: all commands"}},
				Tips:       []string{"nondeterministic_output_order"},
				Categories: []string{"connection"},
				Arguments:  []Argument{{Name: "command-name", Optional: true, Multiple: true}},
				Run:        commandInfo,
			},
			{
				Name: "list", Arity: -2, Flags: Loading | Stale, Group: "server", Since: "7.0.0",
				Summary:    "Returns the names of the commands, all or by a filter",
				Complexity: "O(N), N: number of commands",
				Tips:       []string{"nondeterministic_output_order"},
				Categories: []string{"connection"},
				Arguments: []Argument{
					{Name: "filterby", Type: OneOf, Token: "FILTERBY", Optional: true, Arguments: []Argument{
						{Name: "module-name", Token: "MODULE"},
						{Name: "category", Token: "ACLCAT"},
						{Name: "pattern", Type: PatternArgument, Token: "PATTERN"},
					}},
				},
				Run: commandList,
			},
		},
		Run: commandAll,
	},
	{
		Name: "dbsize", Arity: 1, Flags: ReadOnly | Fast | AllKeys, Group: "server", Since: "1.0.0",
		Summary:    "Counts the keys of the selected database",
		Complexity: "O(1)",
		Tips:       []string{"request_policy:all_shards", "response_policy:agg_sum"},
		Categories: []string{"keyspace"},
		Run:        dbsize,
	},
	{
		Name: "flushdb", Arity: -1, Flags: Write | AllKeys, Group: "server", Since: "1.0.0",
		Summary:    "Deletes the keys of the selected database",
		Complexity: "O(N), N: number of keys",
		History:    []Change{{"4.0.0", "Mode ASYNC"}, {"6.2.0", "Mode SYNC"}},
		Tips:       []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Categories: []string{"keyspace", "dangerous"},
		Arguments: []Argument{
			{Name: "async", Type: OneOf, Optional: true, Arguments: []Argument{
				{Name: "async", Type: PureToken, Token: "ASYNC", Since: "4.0.0"},
				{Name: "sync", Type: PureToken, Token: "SYNC", Since: "6.2.0"},
			}},
		},
		Run: flushdb,
	},
	{
		Name: "flushall", Arity: -1, Flags: Write | AllKeys, Group: "server", Since: "1.0.0",
		Summary:    "Deletes the keys of all databases",
		Complexity: "O(N), N: number of keys",
		History:    []Change{{"4.0.0", "Mode ASYNC"}, {"6.2.0", "Mode SYNC"}},
		Tips:       []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Categories: []string{"keyspace", "dangerous"},
		Arguments: []Argument{
			{Name: "async", Type: OneOf, Optional: true, Arguments: []Argument{
				{Name: "async", Type: PureToken, Token: "ASYNC", Since: "4.0.0"},
				{Name: "sync", Type: PureToken, Token: "SYNC", Since: "6.2.0"},
			}},
		},
		Run: flushall,
	},
}
