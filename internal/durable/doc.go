// Package durable keeps small files that a crash leaves either old or new, never torn: sealed records, written to a
// temporary file, synced, renamed over the target, with the directory synced after.
//
// # Model
//
// A record is sealed by the caller (wire.Seal: version, payload, CRC-32C) and opened by the caller; [WriteFile] and
// [ReadFile] move bytes. [WriteFile] returns after the new content survives a power cut. When it fails, the old
// content is still there; an error of a sync is final for that attempt and is never repeated on the same file, since
// the operating system may have dropped the dirty pages (the lesson of PostgreSQL's fsync errors of 2018).
// Directories are made with [MakeDir], which syncs every parent it added an entry to.
//
// A [Log] is appended to: [Log.Append] returns after its records survive a power cut, and one that fails is the last. What
// a power cut tears at its end is dropped when it is opened; damage is told apart from that, and refused, but for a last
// append whose seal had no time to get to the disk (some seconds, unless the log was closed).
//
// [Lock] gives a directory to one holder: one process, and inside of it one caller.
//
// # File systems
//
// [FS] is pebble's virtual file system. [OS] is the machine's; [Memory] lives in the process and gives, with
// [Crash], the state that a power cut at this moment would leave.
//
// # Concurrency
//
// Functions are safe for concurrent use on different paths. Two writers of one path need a lock of their own.
//
// # Limits
//
// ReadFile reads at most the limit its caller names, and says ErrTooLarge beyond it.
package durable
