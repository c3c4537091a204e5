package command

import "bytes"

// Match reports whether a text matches a glob pattern: "?" is any byte, "*" any run of bytes, "[a-z]" a class ("[^…]"
// its opposite, a missing "]" is understood at the end), "\" takes the next byte as it is.
//
// The cost is at most len(pattern) × len(text), and linear where the pattern consists of "*" and plain bytes: of the
// places a "*" may end, only the first that fits has to be tried, because a later "*" can make up for the rest.
func Match(pattern, text []byte) bool { return match(pattern, text, false) }

// matchFold is Match ignoring the case of ASCII letters.
func matchFold(pattern, text []byte) bool { return match(pattern, text, true) }

// matchesAll reports whether a pattern is the one that matches everything, the empty text included.
func matchesAll(pattern []byte) bool { return len(pattern) == 1 && pattern[0] == '*' }

func match(pattern, text []byte, fold bool) bool {
	if len(text) == 0 {
		return len(pattern) == 0 // as the compatible server: "**" does not match the empty text
	}
	var afterStar []byte // the pattern behind the last star; nil: there was none
	var retry []byte     // the text from which it has to be tried next
	for {
		switch {
		case len(pattern) > 0 && pattern[0] == '*':
			pattern = bytes.TrimLeft(pattern, "*")
			if len(pattern) == 0 {
				return true
			}
			afterStar, retry = pattern, skip(pattern, text, fold)
			text = retry
			continue
		case len(text) == 0 && len(pattern) == 0:
			return true
		case len(text) > 0 && len(pattern) > 0:
			if length, ok := matchByte(pattern, text[0], fold); ok {
				pattern, text = pattern[length:], text[1:]
				continue
			}
		}
		if afterStar == nil || len(retry) == 0 {
			return false
		}
		retry = skip(afterStar, retry[1:], fold)
		pattern, text = afterStar, retry
	}
}

// skip drops the bytes of the text before the first place where the plain bytes at the beginning of the pattern occur.
func skip(pattern, text []byte, fold bool) []byte {
	if fold {
		return text
	}
	plain := pattern
	if end := bytes.IndexAny(pattern, `*?[\`); end >= 0 {
		plain = pattern[:end]
	}
	at := bytes.Index(text, plain)
	if at < 0 {
		return nil
	}
	return text[at:]
}

// matchByte compares one byte with the first element of a pattern that is no star, and tells the element's length.
func matchByte(pattern []byte, b byte, fold bool) (length int, ok bool) {
	switch {
	case pattern[0] == '?':
		return 1, true
	case pattern[0] == '[':
		return matchClass(pattern, b, fold)
	case pattern[0] == '\\' && len(pattern) > 1:
		return 2, sameByte(pattern[1], b, fold)
	}
	return 1, sameByte(pattern[0], b, fold)
}

// matchClass compares one byte with the class a pattern begins with, and tells the class's length.
func matchClass(pattern []byte, b byte, fold bool) (length int, ok bool) {
	at, opposite := 1, false
	if len(pattern) > 1 && pattern[1] == '^' {
		at, opposite = 2, true
	}
	found := false
	for ; at < len(pattern) && pattern[at] != ']'; at++ {
		rest := pattern[at:]
		switch {
		case rest[0] == '\\' && len(rest) > 1:
			at++
			found = found || rest[1] == b
		case len(rest) > 2 && rest[1] == '-':
			at += 2
			found = found || inRange(rest[0], rest[2], b, fold)
		default:
			found = found || sameByte(rest[0], b, fold)
		}
	}
	return min(at+1, len(pattern)), found != opposite
}

// inRange compares a byte with a range given in either order.
func inRange(from, to, b byte, fold bool) bool {
	if from > to {
		from, to = to, from
	}
	if fold {
		from, to, b = lower(from), lower(to), lower(b)
	}
	return from <= b && b <= to
}

func sameByte(a, b byte, fold bool) bool { return a == b || fold && lower(a) == lower(b) }

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}
