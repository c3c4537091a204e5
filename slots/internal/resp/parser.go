package resp

// Parser stub follows.

// Limits bound what a client may send. Zero fields mean the defaults.
type Limits struct {
	// Bulk is the longest argument in bytes.
	Bulk int
	// Args is the largest number of arguments of one command.
	Args int
	// Inline is the longest inline command, and the longest line of a length, in bytes.
	Inline int
	// Unauthenticated tightens Args to 10 and Bulk to 16 KiB, with their own error texts.
	Unauthenticated bool
}

// ProtocolError is what a client did wrong; the connection is to be closed after telling it. Its text is Redis' own,
// without the "ERR " in front.
type ProtocolError struct{ text string }

func (e *ProtocolError) Error() string { return e.text }

// Parser reads commands.
type Parser struct {
	// Limits may be changed between commands.
	Limits Limits
}

// Next reads one command.
func (p *Parser) Next(buf []byte) (args [][]byte, n int, err error) { return nil, 0, nil }
