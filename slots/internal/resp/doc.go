// Package resp speaks RESP, the Redis serialization protocol, versions 2 and 3 (RESP3 specification, 2018), without
// doing any I/O.
//
//   - [Parser] reads what clients send: arrays of bulk strings, and inline commands as telnet users type them.
//   - [Writer] builds replies in a byte slice.
//   - [Read] reads replies, for tests and command-line tools.
//
// # Concurrency
//
// A Parser or Writer belongs to one connection and is not safe for concurrent use.
//
// # Limits
//
// [Limits] for commands: 512 MiB per argument, 1 Mi arguments, 64 KiB per inline command or length line by default;
// 10 arguments of 16 KiB before authentication. Replies read: [MaxDepth] levels, [Limits].Bulk bytes per string. What
// is declared is never allocated: memory grows with the bytes that have come.
//
// # Deviations
//
// As in the original, the two bytes behind an argument are skipped, not checked, and an empty command is no command.
// Unlike there, a zero byte in an inline command ends its words; the original waits for more until it gives up.
package resp
