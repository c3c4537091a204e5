package command

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseIntegerTakesTheCanonicalFormOnly(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "-1": -1, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64, "10": 10,
	} {
		if got, ok := parseInteger([]byte(text)); !ok || got != want {
			t.Errorf("%q: %d %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"", "-", "-0", "+1", "01", "1.0", " 1", "1 ", "1x", "x", "9223372036854775808", "-9223372036854775809", "18446744073709551616",
		"99999999999999999999", "-99999999999999999999", "184467440737095516160", "1\x00",
	} {
		if got, ok := parseInteger([]byte(text)); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestParseIntegerReadsWhatIsPrinted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		if got, ok := parseInteger([]byte(strconv.FormatInt(n, 10))); !ok || got != n {
			t.Errorf("%d: %d %v", n, got, ok)
		}
	})
}

func FuzzParseInteger(f *testing.F) {
	for _, seed := range []string{"0", "-1", "9223372036854775808", "+5", "1e5", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := parseInteger(text)
		want, err := strconv.ParseInt(string(text), 10, 64)
		canonical := err == nil && strconv.FormatInt(want, 10) == string(text)
		if ok != canonical || ok && got != want {
			t.Errorf("%q: %d %v, want %d %v", text, got, ok, want, canonical)
		}
	})
}

func TestParseLongDouble(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "1": "1", "+1.50": "1.5", ".5": "0.5", "5.": "5", "1e3": "1000", "1E-3": "0.001", "0x10": "16", "0x1p3": "8", "-0X.8P1": "-1",
		"0e99999999": "0", "3.14": "3.14", "1e-18": "0", "0.1": "0.1", "18446744073709551616": "18446744073709551616",
		"179769313486231570000000000000000000000": "179769313486231569995377937612657393664",
	} {
		value, ok := parseLongDouble([]byte(text))
		if !ok || string(value.text()) != want {
			t.Errorf("%q: %s %v", text, value.text(), ok)
		}
	}
	for _, text := range []string{
		"", ".", "-", "e5", "1e", "1e+", "0x", "0xg", "0x1p", "1_0", "0b1", "nan", "NaN(1)", " 1", "1 ", "1\x00", "--1", "1e4933", "-1e4933", "1e99999999999999999999",
		"1e-5000", "1e-99999999999999999999", "1..2", "infi", strings.Repeat("1", maxFloatLength+1),
	} {
		if value, ok := parseLongDouble([]byte(text)); ok {
			t.Errorf("%.40q is %s", text, value.text())
		}
	}
	for _, text := range []string{"inf", "-inf", "+Infinity"} {
		if value, ok := parseLongDouble([]byte(text)); !ok || !value.infinite {
			t.Errorf("%q: %v", text, ok)
		}
	}
}

func TestLongDoubleHasABoundOnItsText(t *testing.T) {
	for length, fine := range map[int]bool{maxFloatLength - 1: true, maxFloatLength: true, maxFloatLength + 1: false} {
		if _, ok := parseLongDouble([]byte("1" + strings.Repeat("0", 10) + "." + strings.Repeat("0", length-12))); ok != fine {
			t.Errorf("%d bytes: %v", length, ok)
		}
	}
}

func TestLongDoubleOverflowIsNotFinite(t *testing.T) {
	huge, ok := parseLongDouble([]byte("1.18973149535723176502e+4932"))
	if !ok {
		t.Fatal("the largest number is refused")
	}
	if _, ok := huge.add(huge); ok {
		t.Error("twice the largest number is finite")
	}
}

// TestLongDoubleReadsWhatItPrints holds where the mantissa has more digits than are printed.
func TestLongDoubleReadsWhatItPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole, fraction := rapid.Int64Range(-64, 63).Draw(t, "whole"), rapid.Int64Range(0, 1e8).Draw(t, "fraction")
		text := big.NewRat(whole*1e9+fraction, 1e9).FloatString(9)
		value, ok := parseLongDouble([]byte(text))
		if !ok {
			t.Fatalf("%q is refused", text)
		}
		again, ok := parseLongDouble(value.text())
		if !ok || string(again.text()) != string(value.text()) {
			t.Errorf("%q: %s, %s", text, value.text(), again.text())
		}
		want, _ := new(big.Rat).SetString(text)
		if got, _ := new(big.Rat).SetString(string(value.text())); got.Cmp(want) != 0 {
			t.Errorf("%q is printed as %s", text, value.text())
		}
	})
}

func FuzzParseLongDouble(f *testing.F) {
	for _, seed := range []string{"1.5e3", "0x1p-3", "-inf", "1e-4950", "nan", "", "1e+99999999999999999999"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		value, ok := parseLongDouble(text)
		if !ok || value.infinite {
			return
		}
		if len(value.text()) > maxFloatLength {
			t.Errorf("%q prints %d bytes", text, len(value.text()))
		}
		if got, err := strconv.ParseFloat(string(text), 64); err == nil && !math.IsInf(got, 0) {
			near, _ := value.number.Float64()
			if math.Abs(near-got) > math.Abs(got)*1e-15+math.SmallestNonzeroFloat64 {
				t.Errorf("%q: %v, not %v", text, near, got)
			}
		}
	})
}

func TestParseCursor(t *testing.T) {
	for text, want := range map[string]uint64{
		"": 0, "0": 0, "00": 0, "+5": 5, "-1": math.MaxUint64, "18446744073709551615": math.MaxUint64, "7\x00x": 7,
	} {
		if got, ok := parseCursor([]byte(text)); !ok || got != want {
			t.Errorf("%q: %d %v", text, got, ok)
		}
	}
	for _, text := range []string{"x", "1x", " 1", "-", "18446744073709551616"} {
		if got, ok := parseCursor([]byte(text)); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
}
