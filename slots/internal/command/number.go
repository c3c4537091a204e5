package command

import "math"

// maxIntegerLength is the length of the longest decimal int64, "-9223372036854775808".
const maxIntegerLength = 20

// parseInteger reads a decimal int64 in its one canonical form: no sign but a leading minus, no leading zero, no "-0",
// no blanks.
func parseInteger(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > maxIntegerLength {
		return 0, false
	}
	if len(text) == 1 && text[0] == '0' {
		return 0, true
	}
	digits, negative := text, text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) == 0 || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	var value uint64
	for _, b := range digits {
		if b < '0' || b > '9' {
			return 0, false
		}
		digit := uint64(b - '0')
		if value > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		value = value*10 + digit
	}
	if negative {
		if value > -math.MinInt64 {
			return 0, false
		}
		return -int64(value), true
	}
	return int64(value), value <= math.MaxInt64
}

// equalFold compares a word with an upper-case keyword, ignoring the case of ASCII letters.
func equalFold(word []byte, keyword string) bool {
	if len(word) != len(keyword) {
		return false
	}
	for i, b := range word {
		if 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		if b != keyword[i] {
			return false
		}
	}
	return true
}
