package resp

import "bytes"

// words splits an inline command as the original's command line does: at blanks; "…" keeps blanks and knows the
// escapes \n \r \t \b \a \xHH, any other escaped character standing for itself; '…' keeps everything but \'. A closing
// quote ends its word, so a blank or the end must follow. The line ends at a zero byte. ok is false when a quote is not closed like that.
func (p *Parser) words(args [][]byte, line []byte) (_ [][]byte, ok bool) {
	if end := bytes.IndexByte(line, 0); end >= 0 {
		line = line[:end]
	}
	p.scratch = p.scratch[:0]
	// Words are never longer than what they are written as, so scratch does not move while words alias it.
	if cap(p.scratch) < len(line) && bytes.ContainsAny(line, `"'`) {
		p.scratch = make([]byte, 0, len(line))
	}
	for {
		for len(line) > 0 && blank(line[0]) {
			line = line[1:]
		}
		if len(line) == 0 {
			return args, true
		}
		plain := 0
		for plain < len(line) && !blank(line[plain]) && line[plain] != '"' && line[plain] != '\'' {
			plain++
		}
		if plain == len(line) || blank(line[plain]) {
			args = append(args, line[:plain:plain])
			line = line[plain:]
			continue
		}
		start := len(p.scratch)
		p.scratch = append(p.scratch, line[:plain]...)
		rest, ok := p.quoted(line[plain:])
		if !ok {
			return nil, false
		}
		end := len(p.scratch)
		args = append(args, p.scratch[start:end:end])
		line = rest
	}
}

// quoted appends the word's quoted end to scratch; line begins with a quote.
func (p *Parser) quoted(line []byte) (rest []byte, ok bool) {
	quote := line[0]
	for line = line[1:]; len(line) > 0; {
		c := line[0]
		switch {
		case c == quote:
			return line[1:], len(line) == 1 || blank(line[1])
		case c == '\\' && quote == '"' && len(line) >= 4 && line[1] == 'x' && hex(line[2]) >= 0 && hex(line[3]) >= 0:
			p.scratch = append(p.scratch, byte(hex(line[2])<<4|hex(line[3])))
			line = line[4:]
		case c == '\\' && quote == '"' && len(line) >= 2:
			p.scratch = append(p.scratch, escaped(line[1]))
			line = line[2:]
		case c == '\\' && quote == '\'' && len(line) >= 2 && line[1] == '\'':
			p.scratch = append(p.scratch, '\'')
			line = line[2:]
		default:
			p.scratch = append(p.scratch, c)
			line = line[1:]
		}
	}
	return nil, false
}

func blank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func escaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
