package command

import (
	"bytes"
	"math/big"
	"strconv"
)

// longDouble is the number INCRBYFLOAT computes with. The compatible server uses the 80-bit extended format there, with
// a mantissa of 64 bits, and prints 17 digits behind the point; results are equal only if the mantissa is. The range of
// exponents is checked where it matters: a number that the format cannot hold is not accepted.
type longDouble struct {
	number   big.Float // precision longDoubleBits, or the zero value
	infinite bool
}

const (
	longDoubleBits = 64
	// maxExponent and minExponent bound 0.5 ≤ mantissa < 1 times 2^exponent: the largest finite number, and half of
	// the smallest one, which rounds to zero.
	maxExponent, minExponent = 16384, -16445
	// maxDecimalExponent is beyond the decimal exponent of every finite number, whatever its mantissa.
	maxDecimalExponent = 3 * maxFloatLength
	// maxFloatLength bounds the text of a number.
	maxFloatLength = 5*1024 - 1
	// fractionDigits is how many digits behind the point are kept.
	fractionDigits = 17
)

// parseLongDouble reads a decimal or hexadecimal number or an infinity, as strtold does. Blanks, "nan" and numbers that
// the format cannot hold are refused.
func parseLongDouble(text []byte) (longDouble, bool) {
	var value longDouble
	if len(text) == 0 || len(text) > maxFloatLength {
		return value, false
	}
	digits, negative := text, false
	if text[0] == '+' || text[0] == '-' {
		digits, negative = text[1:], text[0] == '-'
	}
	if equalFold(digits, "INF") || equalFold(digits, "INFINITY") {
		value.infinite = true
		return value, true
	}
	if len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x' {
		if !value.scan(digits[2:], 16) {
			return value, false
		}
	} else if !value.scan(digits, 10) {
		return value, false
	}
	if negative {
		value.number.Neg(&value.number)
	}
	return value, true
}

// scan reads digits with an optional point and exponent, and rounds them to the format once.
func (l *longDouble) scan(text []byte, base int) bool {
	mantissa, exponent, ok := splitExponent(text, base)
	if !ok {
		return false
	}
	if point := bytes.IndexByte(mantissa, '.'); point >= 0 {
		fraction := len(mantissa) - point - 1
		if base == 16 {
			fraction *= 4
		}
		exponent -= fraction
		mantissa = append(mantissa[:point:point], mantissa[point+1:]...)
	}
	if len(mantissa) == 0 || !allDigits(mantissa, base) {
		return false
	}
	whole, _ := new(big.Int).SetString(string(mantissa), base)
	l.number.SetPrec(longDoubleBits)
	if whole.Sign() == 0 {
		return true
	}
	if exponent > maxDecimalExponent || exponent < -2*maxDecimalExponent {
		return false
	}
	ratio := new(big.Rat).SetInt(whole)
	power := big.NewInt(10)
	if base == 16 {
		power.SetInt64(2)
	}
	power.Exp(power, big.NewInt(int64(max(exponent, -exponent))), nil)
	if exponent >= 0 {
		ratio.Mul(ratio, new(big.Rat).SetInt(power))
	} else {
		ratio.Quo(ratio, new(big.Rat).SetInt(power))
	}
	l.number.SetRat(ratio)
	size := l.number.MantExp(nil)
	return size <= maxExponent && size >= minExponent
}

// splitExponent cuts "1.5e3" (decimal) or "1.8p3" (hexadecimal) into mantissa and exponent.
func splitExponent(text []byte, base int) (mantissa []byte, exponent int, ok bool) {
	mark := byte('e')
	if base == 16 {
		mark = 'p'
	}
	at := bytes.IndexFunc(text, func(r rune) bool { return r|0x20 == rune(mark) })
	if at < 0 {
		return text, 0, true
	}
	digits := text[at+1:]
	if len(digits) > 0 && (digits[0] == '+' || digits[0] == '-') {
		digits = digits[1:]
	}
	if len(digits) == 0 || !allDigits(digits, 10) {
		return nil, 0, false
	}
	exponent, err := strconv.Atoi(string(text[at+1:]))
	if err != nil || exponent > 8*maxDecimalExponent || exponent < -8*maxDecimalExponent {
		exponent = 8 * maxDecimalExponent // out of any range, whatever the sign
	}
	return text[:at], exponent, true
}

func allDigits(text []byte, base int) bool {
	for _, b := range text {
		decimal := '0' <= b && b <= '9'
		letter := base == 16 && 'a' <= b|0x20 && b|0x20 <= 'f'
		if !decimal && !letter {
			return false
		}
	}
	return true
}

// add gives l+m, or false when the sum is not finite.
func (l *longDouble) add(m longDouble) (longDouble, bool) {
	var sum longDouble
	if l.infinite || m.infinite {
		return sum, false
	}
	sum.number.SetPrec(longDoubleBits).Add(&l.number, &m.number)
	return sum, sum.number.Sign() == 0 || sum.number.MantExp(nil) <= maxExponent
}

// text prints the number in full with at most fractionDigits digits behind the point, without trailing zeros.
func (l *longDouble) text() []byte {
	text := l.number.Append(nil, 'f', fractionDigits)
	text = bytes.TrimRight(text, "0")
	text = bytes.TrimSuffix(text, []byte("."))
	if string(text) == "-0" {
		return text[1:]
	}
	return text
}
