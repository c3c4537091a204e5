package command

import (
	"strings"
)

// Texts of error replies, as the compatible server words them. Clients compare them.
const (
	errWrongType      = "WRONGTYPE Operation against a key holding the wrong kind of value"
	errSyntax         = "ERR syntax error"
	errNotInteger     = "ERR value is not an integer or out of range"
	errNotFloat       = "ERR value is not a valid float"
	errOverflow       = "ERR increment or decrement would overflow"
	errDecrOverflow   = "ERR decrement would overflow"
	errNaN            = "ERR increment would produce NaN or Infinity"
	errStringTooLong  = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	errOffset         = "ERR offset is out of range"
	errNoSuchKey      = "ERR no such key"
	errSameObject     = "ERR source and destination objects are the same"
	errCopyCluster    = "ERR Copying to another database is not allowed in cluster mode"
	errMoveCluster    = "ERR MOVE is not allowed in cluster mode"
	errDatabaseRange  = "ERR DB index is out of range"
	errValueRange     = "ERR value is out of range"
	errInvalidCursor  = "ERR invalid cursor"
	errNXAndOthers    = "ERR NX and XX, GT or LT options at the same time are not compatible"
	errGTAndLT        = "ERR GT and LT options at the same time are not compatible"
	errInvalidCommand = "ERR Invalid command specified"
	errNoKeyArguments = "ERR The command has no key arguments"
	errGetKeysArity   = "ERR Invalid number of arguments specified for command"
	errGetKeysInvalid = "ERR Invalid arguments specified for command"
)

// maxEchoed bounds how much of an unknown call is repeated in its error, so that a reply stays small.
const maxEchoed = 128

// maxOptionEchoed bounds the same for an option that EXPIRE does not know.
const maxOptionEchoed = 4096

// errorUnknownCommand repeats the beginning of the call.
func errorUnknownCommand(args [][]byte) string {
	var b strings.Builder
	b.WriteString("ERR unknown command '")
	b.WriteString(printable(args[0], maxEchoed))
	b.WriteString("', with args beginning with: ")
	for used, i := 0, 1; i < len(args) && used < maxEchoed; i++ {
		word := printable(args[i], maxEchoed-used)
		b.WriteString("'" + word + "' ")
		used += len(word) + len("'' ")
	}
	return b.String()
}

// errorUnknownSubcommand points at the container's HELP.
func errorUnknownSubcommand(c *Command, word []byte) string {
	return "ERR unknown subcommand '" + printable(word, maxEchoed) + "'. Try " + strings.ToUpper(c.Name) + " HELP."
}

// errorArity names the command by its full name.
func errorArity(c *Command) string {
	return "ERR wrong number of arguments for '" + c.FullName() + "' command"
}

// errorExpire names the command whose time to live makes no sense.
func errorExpire(name string) string { return "ERR invalid expire time in '" + name + "' command" }

// printable cuts a word at its first zero byte and to at most n bytes, and replaces what would break the line of an
// error reply.
func printable(word []byte, n int) string {
	word = word[:min(len(word), n)]
	clean := make([]byte, 0, len(word))
	for _, b := range word {
		switch b {
		case 0:
			return string(clean)
		case '\r', '\n':
			b = ' '
		}
		clean = append(clean, b)
	}
	return string(clean)
}
