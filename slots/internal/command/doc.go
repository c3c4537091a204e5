// Package command is the command table of a Redis-compatible store, and the functions of its data commands.
//
// # Model
//
// A [Command] is a row of data: name, arity, flags, where its keys are, what it is for, and the function that runs it.
// A [Table] is built once out of lists of rows ([Keyspace] here, connection, server and cluster rows in package slots)
// and never changes. From it come dispatch, routing by keys, COMMAND and COMMAND DOCS, the reference page and the
// support matrix ([Reference], [Compatibility]).
//
// The path of one call: [Table.Find] gives the row or the text of the error; [Command.Keys] gives the positions of the
// keys; the caller resolves them into [Context.Keys], decides by their slots whether this server serves them, locks
// their shards, and calls [Command.Run], which reads [Context.Args] and appends exactly one reply to [Context.Reply].
// A function can rely on the arity and on Keys; all else in Args is a stranger's bytes.
//
// # Concurrency
//
// Table and Command are immutable. A Context belongs to one call. Functions of keyed commands touch the shards of
// Context.Keys only. Commands with the flag [AllKeys] have no keys and must be called without any shard locked: they
// walk the store, which locks its shards one after another, so what they report is not one moment's state.
//
// # Compatibility
//
// The reference is Redis 7.2 as its clients see it: replies, error texts, shapes in both protocols. A row that deviates
// says so in [Command.Differs]; the differential test compares the bytes with a real server where one is installed.
//
// # Limits
//
// Names of commands: [MaxNameLength] bytes. Strings: [Context.MaxString], by default [keyspace.MaxString]. What an error
// repeats of the call: 128 bytes, of an option of EXPIRE 4096. Options are parsed in one pass over the arguments, whose number the protocol bounds.
package command
