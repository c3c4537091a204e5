package resp

import (
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestReplies(t *testing.T) {
	for _, tc := range []struct {
		name         string
		write        func(w *Writer)
		resp2, resp3 string
	}{
		{"simple", func(w *Writer) { w.Simple("OK") }, "+OK\r\n", ""},
		{"ok", func(w *Writer) { w.OK() }, "+OK\r\n", ""},
		{"error with line breaks", func(w *Writer) { w.Error("ERR a\r\nb") }, "-ERR a  b\r\n", ""},
		{"integer", func(w *Writer) { w.Int(-5) }, ":-5\r\n", ""},
		{"bulk", func(w *Writer) { w.Bulk([]byte("a\r\n")) }, "$3\r\na\r\n\r\n", ""},
		{"nil bulk", func(w *Writer) { w.Bulk(nil) }, "$0\r\n\r\n", ""},
		{"bulk string", func(w *Writer) { w.BulkString("abc") }, "$3\r\nabc\r\n", ""},
		{"bulk integer", func(w *Writer) { w.BulkInt(-12) }, "$3\r\n-12\r\n", ""},
		{"null", func(w *Writer) { w.Null() }, "$-1\r\n", "_\r\n"},
		{"null array", func(w *Writer) { w.NullArray() }, "*-1\r\n", "_\r\n"},
		{"array", func(w *Writer) { w.Array(2) }, "*2\r\n", ""},
		{"map", func(w *Writer) { w.Map(2) }, "*4\r\n", "%2\r\n"},
		{"set", func(w *Writer) { w.Set(2) }, "*2\r\n", "~2\r\n"},
		{"push", func(w *Writer) { w.Push(2) }, "*2\r\n", ">2\r\n"},
		{"double", func(w *Writer) { w.Double(3.14) }, "$4\r\n3.14\r\n", ",3.14\r\n"},
		{"infinity", func(w *Writer) { w.Double(math.Inf(-1)) }, "$4\r\n-inf\r\n", ",-inf\r\n"},
		{"true", func(w *Writer) { w.Bool(true) }, ":1\r\n", "#t\r\n"},
		{"false", func(w *Writer) { w.Bool(false) }, ":0\r\n", "#f\r\n"},
		{"verbatim", func(w *Writer) { w.Verbatim("txt", "hi") }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
		{"big number", func(w *Writer) { w.BigNumber("123") }, "$3\r\n123\r\n", "(123\r\n"},
		{"raw", func(w *Writer) { w.Raw([]byte(":1\r\n")) }, ":1\r\n", ""},
		{"array counted later", func(w *Writer) {
			w.Int(1)
			mark := w.Mark()
			w.BulkString("abc")
			w.Null()
			w.ArrayAt(mark, 2)
		}, ":1\r\n*2\r\n$3\r\nabc\r\n$-1\r\n", ":1\r\n*2\r\n$3\r\nabc\r\n_\r\n"},
		{"empty array counted later", func(w *Writer) { w.ArrayAt(w.Mark(), 0) }, "*0\r\n", ""},
		{"map counted later", func(w *Writer) {
			mark := w.Mark()
			w.Int(1)
			w.Int(2)
			w.MapAt(mark, 1)
		}, "*2\r\n:1\r\n:2\r\n", "%1\r\n:1\r\n:2\r\n"},
		{"truncated", func(w *Writer) {
			mark := w.Mark()
			w.Array(3)
			w.Int(1)
			w.Truncate(mark)
			w.Error("ERR no")
		}, "-ERR no\r\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for protocol, want := range map[int]string{2: tc.resp2, 3: tc.resp3} {
				if want == "" {
					want = tc.resp2
				}
				w := Writer{Protocol: protocol}
				if tc.write(&w); string(w.Buf) != want {
					t.Errorf("RESP%d: %q, want %q", protocol, w.Buf, want)
				}
				bounded := Writer{Protocol: protocol}
				bounded.Bound(len(want))
				if tc.write(&bounded); string(bounded.Buf) != want || bounded.Overflown() || bounded.Left() != 0 {
					t.Errorf("RESP%d: %q within a bound that is just enough, %v, %d left", protocol, bounded.Buf, bounded.Overflown(), bounded.Left())
				}
				bounded = Writer{Protocol: protocol}
				bounded.Bound(len(want) - 1)
				if tc.write(&bounded); !bounded.Overflown() {
					t.Errorf("RESP%d: %q within a bound that is one too small", protocol, bounded.Buf)
				}
			}
		})
	}
}

func TestDoubles(t *testing.T) {
	for _, tc := range []struct {
		f    float64
		want string
	}{
		{0, "0"},
		{math.Copysign(0, -1), "-0"},
		{1, "1"},
		{-1, "-1"},
		{3, "3"},
		{1.5, "1.5"},
		{-0.1, "-0.1"},
		{3.0e100, "3e+100"},
		{100000000, "100000000"},
		{1e15, "1000000000000000"},
		{1e21, "1e+21"},
		{1e20, "1e+20"},
		{123456789012345680000, "123456789012345680000"},
		{0.001, "0.001"},
		{0.00001, "0.00001"},
		{1e-7, "1e-7"},
		{0.000000123, "1.23e-7"},
		{1.7976931348623157e308, "1.7976931348623157e+308"},
		{5e-324, "5e-324"},
		{0.30000000000000004, "0.30000000000000004"},
		{1234.5678, "1234.5678"},
		{math.Inf(1), "inf"},
		{math.NaN(), "nan"},
		{1 << 52, "4503599627370496"},
		{1 << 60, "1152921504606847000"},
	} {
		if got := string(AppendDouble(nil, tc.f)); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.f, got, tc.want)
		}
	}
}

func TestDoublesReadBackAsThemselves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "f")
		if got, err := strconv.ParseFloat(string(AppendDouble(nil, f)), 64); err != nil || got != f {
			t.Fatalf("%v became %v, %v", f, got, err)
		}
	})
}

func TestWritingAllocatesNothing(t *testing.T) {
	w := Writer{Protocol: 3, Buf: make([]byte, 0, 1000)}
	if n := testing.AllocsPerRun(100, func() {
		w.Buf = w.Buf[:0]
		w.Bulk([]byte("value"))
		w.Int(123)
		w.Double(1.25)
		w.BulkInt(77)
		w.OK()
		w.Null()
		mark := w.Mark()
		w.Bool(true)
		w.ArrayAt(mark, 1)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func valueGenerator(depth int) *rapid.Generator[Value] {
	return rapid.Custom(func(t *rapid.T) Value {
		kinds := []Kind{KindSimple, KindError, KindInt, KindBulk, KindNull, KindDouble, KindBool, KindVerbatim, KindBigNumber}
		if depth > 0 {
			kinds = append(kinds, KindArray, KindSet, KindPush, KindMap)
		}
		v := Value{Kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
		switch v.Kind {
		case KindSimple, KindError:
			v.Text = rapid.StringMatching(`[a-zA-Z0-9 ]*`).Draw(t, "line")
		case KindBulk:
			v.Text = string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		case KindVerbatim:
			v.Format, v.Text = "txt", rapid.String().Draw(t, "text")
		case KindBigNumber:
			v.Text = rapid.StringMatching(`-?[0-9]{1,40}`).Draw(t, "digits")
		case KindInt:
			v.Int = rapid.Int64().Draw(t, "int")
		case KindBool:
			v.Int = rapid.Int64Range(0, 1).Draw(t, "bool")
		case KindDouble:
			v.Float = rapid.Float64().Draw(t, "double")
		case KindArray, KindSet, KindPush, KindMap:
			items := rapid.SliceOfN(valueGenerator(depth-1), 0, 4).Draw(t, "items")
			if v.Kind == KindMap {
				items = items[:len(items)/2*2]
			}
			if len(items) > 0 {
				v.Items = items
			}
		}
		return v
	})
}

func write(w *Writer, v Value) {
	switch v.Kind {
	case KindSimple:
		w.Simple(v.Text)
	case KindError:
		w.Error(v.Text)
	case KindInt:
		w.Int(v.Int)
	case KindBulk:
		w.BulkString(v.Text)
	case KindNull:
		w.Null()
	case KindDouble:
		w.Double(v.Float)
	case KindBool:
		w.Bool(v.Int == 1)
	case KindVerbatim:
		w.Verbatim(v.Format, v.Text)
	case KindBigNumber:
		w.BigNumber(v.Text)
	case KindArray:
		w.Array(len(v.Items))
	case KindSet:
		w.Set(len(v.Items))
	case KindPush:
		w.Push(len(v.Items))
	case KindMap:
		w.Map(len(v.Items) / 2)
	}
	for _, item := range v.Items {
		write(w, item)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := valueGenerator(3).Draw(t, "value")
		w := Writer{Protocol: 3}
		write(&w, v)
		got, n, err := Read(append(w.Buf, "rest"...), Limits{})
		if err != nil || n != len(w.Buf) || !reflect.DeepEqual(got, v) {
			t.Fatalf("%q: %+v, %d bytes, %v; want %+v", w.Buf, got, n, err, v)
		}
		for cut := range len(w.Buf) {
			if _, _, err := Read(w.Buf[:cut], Limits{}); !errors.Is(err, ErrIncomplete) {
				t.Fatalf("cut at %d of %q: %v", cut, w.Buf, err)
			}
		}
	})
}

func TestReadBounds(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("*1\r\n", n) + ":1\r\n" }
	small := Limits{Bulk: 4, Args: 2, Inline: 8}
	for _, tc := range []struct {
		name, input string
		limits      Limits
		want        error
	}{
		{"nested to the bound", nested(MaxDepth), Limits{}, nil},
		{"nested deeper", nested(MaxDepth + 1), Limits{}, ErrMalformed},
		{"attributes without end", strings.Repeat("|0\r\n", 1000), Limits{}, ErrMalformed},
		{"an attribute before a value", "|1\r\n+a\r\n+b\r\n:1\r\n", Limits{}, nil},
		{"a bulk string at the limit", "$4\r\nabcd\r\n", small, nil},
		{"a bulk string above the limit", "$5\r\nabcde\r\n", small, ErrMalformed},
		{"an array at the limit", "*2\r\n:1\r\n:1\r\n", small, nil},
		{"an array above the limit", "*3\r\n", small, ErrMalformed},
		{"a line at the limit", "+1234567\r\n", small, nil},
		{"a line above the limit", "+12345678\r\n", small, ErrMalformed},
		{"a line above the limit without end", "+1234567890", small, ErrMalformed},
		{"a huge declared array", "*1000000\r\n", Limits{}, ErrIncomplete},
		{"a huge declared string", "$500000000\r\n", Limits{}, ErrIncomplete},
		{"RESP2's nulls", "*2\r\n$-1\r\n*-1\r\n", Limits{}, nil},
		{"a null set", "~-1\r\n", Limits{}, ErrMalformed},
		{"an unknown type", "?\r\n", Limits{}, ErrMalformed},
		{"an empty line", "\r\n", Limits{}, ErrMalformed},
		{"a line without carriage return", "+OK\n", Limits{}, ErrMalformed},
		{"a number that is none", ":a\r\n", Limits{}, ErrMalformed},
		{"a hexadecimal double", ",0x10\r\n", Limits{}, ErrMalformed},
		{"a boolean that is none", "#x\r\n", Limits{}, ErrMalformed},
		{"an empty boolean", "#\r\n", Limits{}, ErrMalformed},
		{"a verbatim text without format", "=2\r\nab\r\n", Limits{}, ErrMalformed},
		{"a big number that is none", "(12a\r\n", Limits{}, ErrMalformed},
		{"nothing", "", Limits{}, ErrIncomplete},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, _, err := Read([]byte(tc.input), tc.limits); !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"+OK\r\n", "*2\r\n$1\r\na\r\n:5\r\n", "%1\r\n+a\r\n,1.5\r\n", "=7\r\ntxt:abc\r\n", "|1\r\n+a\r\n+b\r\n#t\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		v, n, err := Read(input, Limits{Bulk: 1000, Args: 100, Inline: 100})
		if err != nil {
			return
		}
		again, m, err := Read(input[:n], Limits{})
		if err != nil || m != n {
			t.Fatalf("%d bytes of %d, %v", m, n, err)
		}
		if v.Kind != again.Kind {
			t.Fatal("two readings differ")
		}
	})
}

func TestNothingIsAppendedAfterAnOverflow(t *testing.T) {
	w := Writer{Protocol: 3}
	w.Bound(100)
	w.OK()
	mark := w.Mark()
	w.BulkString(strings.Repeat("x", 100))
	size := len(w.Buf)
	if !w.Overflown() || size > 100 {
		t.Fatalf("%d bytes, overflown %v", size, w.Overflown())
	}
	w.OK()
	w.Null()
	w.NullArray()
	w.Int(1)
	w.Bulk(nil)
	w.Error("ERR")
	w.Double(1)
	w.Bool(true)
	w.Bool(false)
	w.Verbatim("txt", "")
	w.BigNumber("1")
	w.Raw([]byte(":1\r\n"))
	w.ArrayAt(mark, 1)
	w.MapAt(mark, 1)
	if len(w.Buf) != size {
		t.Fatalf("appended %q", w.Buf[size:])
	}
	w.Truncate(mark)
	if w.OK(); w.Overflown() || string(w.Buf) != "+OK\r\n+OK\r\n" {
		t.Fatalf("%q after the reply was taken back, overflown %v", w.Buf, w.Overflown())
	}
	w.Bound(4)
	if w.Overflown() || w.Left() != 0 {
		t.Fatal("a new bound does not forget the overflow")
	}
	w.Overflow()
	w.Bound(0)
	if w.OK(); w.Overflown() || w.Left() != math.MaxInt {
		t.Fatal("an overflow without a bound")
	}
}
