package resp

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// parseAll feeds input in pieces of so many bytes and gives the commands and the error in the end.
func parseAll(p *Parser, input []byte, piece int) (commands [][]string, rest int, err error) {
	var buf []byte
	for len(input) > 0 {
		n := min(piece, len(input))
		buf = append(bytes.Clone(buf), input[:n]...) // a new buffer each time: nothing may point to the old one
		input = input[n:]
		for {
			args, n, err := p.Next(buf)
			if err != nil {
				return commands, len(buf), err
			}
			if n == 0 {
				break
			}
			if len(args) > 0 {
				command := []string{}
				for _, arg := range args {
					command = append(command, string(arg))
				}
				commands = append(commands, command)
			}
			buf = buf[n:]
		}
	}
	return commands, len(buf), nil
}

func TestCommands(t *testing.T) {
	long := strings.Repeat("x", 70000)
	for _, tc := range []struct {
		name, input string
		want        [][]string
		rest        int
	}{
		{"a multibulk command", "*2\r\n$3\r\nGET\r\n$3\r\nfoo\r\n", [][]string{{"GET", "foo"}}, 0},
		{"a pipeline", "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", [][]string{{"PING"}, {"PING"}}, 0},
		{"an unfinished argument", "*1\r\n$4\r\nPIN", nil, 11},
		{"an argument without its end", "*1\r\n$4\r\nPING\r", nil, 13},
		{"an unfinished count", "*1\r", nil, 3},
		{"an empty argument", "*1\r\n$0\r\n\r\n", [][]string{{""}}, 0},
		{"an argument with line breaks", "*1\r\n$4\r\n\r\n\r\n\r\n", [][]string{{"\r\n\r\n"}}, 0},
		{"an empty array", "*0\r\n*1\r\n$1\r\na\r\n", [][]string{{"a"}}, 0},
		{"a negative array", "*-1\r\n*1\r\n$1\r\na\r\n", [][]string{{"a"}}, 0},
		{"a long argument", "*1\r\n$70000\r\n" + long + "\r\n", [][]string{{long}}, 0},
		{"inline", "SET foo  bar\r\n", [][]string{{"SET", "foo", "bar"}}, 0},
		{"inline without carriage return", "PING\n", [][]string{{"PING"}}, 0},
		{"an empty line", "\r\n\nPING\r\n", [][]string{{"PING"}}, 0},
		{"inline, then multibulk, then inline", "PING\r\n*1\r\n$1\r\na\r\nECHO b\r\n", [][]string{{"PING"}, {"a"}, {"ECHO", "b"}}, 0},
		{"double quotes", `SET k "a b\n\t\x41\"\q"` + "\r\n", [][]string{{"SET", "k", "a b\n\tA\"q"}}, 0},
		{"an unfinished hex escape", `"\x4"` + "\n", [][]string{{"x4"}}, 0},
		{"single quotes", `'a\'b\n' c` + "\n", [][]string{{`a'b\n`, "c"}}, 0},
		{"an empty quoted word", `SET k ""` + "\n", [][]string{{"SET", "k", ""}}, 0},
		{"quotes inside a word", `a"b c" d` + "\n", [][]string{{"ab c", "d"}}, 0},
		{"two quoted words", `"a" 'b'` + "\n", [][]string{{"a", "b"}}, 0},
		{"a zero byte ends the line", "a b\x00c d\n", [][]string{{"a", "b"}}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, piece := range []int{1, 2, 3, 7, 1 << 20} {
				if piece < 7 && len(tc.input) > 1000 {
					continue
				}
				got, rest, err := parseAll(&Parser{}, []byte(tc.input), piece)
				if err != nil || rest != tc.rest || !reflect.DeepEqual(got, tc.want) {
					t.Fatalf("in pieces of %d: %.100q, %d bytes left, %v", piece, got, rest, err)
				}
			}
		})
	}
}

func TestProtocolErrors(t *testing.T) {
	small := Limits{Bulk: 100, Args: 20, Inline: 30}
	locked := Limits{Unauthenticated: true}
	for _, tc := range []struct {
		name, input string
		limits      Limits
		want        string // "" for none
	}{
		{"a count that is no number", "*x\r\n", small, "invalid multibulk length"},
		{"a count with a leading zero", "*01\r\n", small, "invalid multibulk length"},
		{"an empty count", "*\r\n", small, "invalid multibulk length"},
		{"a count beyond 64 bits", "*99999999999999999999\r\n", small, "invalid multibulk length"},
		{"a count at the limit", "*20\r\n", small, ""},
		{"a count above the limit", "*21\r\n", small, "invalid multibulk length"},
		{"the default count", "*1048576\r\n", Limits{}, ""},
		{"above the default count", "*1048577\r\n", Limits{}, "invalid multibulk length"},
		{"a count line at the limit", "*" + strings.Repeat("1", 29), small, ""},
		{"a count line above the limit", "*" + strings.Repeat("1", 30), small, "too big mbulk count string"},
		{"a length line above the limit", "*1\r\n$" + strings.Repeat("1", 30), small, "too big bulk count string"},
		{"no dollar", "*1\r\nx4\r\n", small, "expected '$', got 'x'"},
		{"a length that is no number", "*1\r\n$x\r\n", small, "invalid bulk length"},
		{"a negative length", "*1\r\n$-1\r\n", small, "invalid bulk length"},
		{"a length at the limit", "*1\r\n$100\r\n", small, ""},
		{"a length above the limit", "*1\r\n$101\r\n", small, "invalid bulk length"},
		{"the default length", "*1\r\n$536870912\r\n", Limits{}, ""},
		{"above the default length", "*1\r\n$536870913\r\n", Limits{}, "invalid bulk length"},
		{"ten arguments before authentication", "*10\r\n", locked, ""},
		{"eleven before authentication", "*11\r\n", locked, "unauthenticated multibulk length"},
		{"16 KiB before authentication", "*1\r\n$16384\r\n", locked, ""},
		{"more before authentication", "*1\r\n$16385\r\n", locked, "unauthenticated bulk length"},
		{"an inline command at the limit", strings.Repeat("x", 30), small, ""},
		{"an inline command above the limit", strings.Repeat("x", 31), small, "too big inline request"},
		{"an open quote", "\"abc\r\n", small, "unbalanced quotes in request"},
		{"an open single quote", "'abc\r\n", small, "unbalanced quotes in request"},
		{"a quote inside a word's end", "\"a\"b\r\n", small, "unbalanced quotes in request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, piece := range []int{1, 1 << 20} {
				_, _, err := parseAll(&Parser{Limits: tc.limits}, []byte(tc.input), piece)
				var protocol *ProtocolError
				switch {
				case tc.want == "" && err != nil:
					t.Fatal(err)
				case tc.want != "" && (!errors.As(err, &protocol) || err.Error() != "Protocol error: "+tc.want):
					t.Fatalf("in pieces of %d: %v", piece, err)
				}
			}
		})
	}
}

func TestLoweredLimitsMeetAnUnfinishedInlineCommand(t *testing.T) {
	var p Parser
	buf := bytes.Repeat([]byte{'x'}, 1000)
	if _, n, err := p.Next(buf); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	p.Limits.Inline = 10
	if _, _, err := p.Next(append(buf, '\n')); err == nil {
		t.Fatal("no error")
	}
}

func TestParsingAllocatesNothing(t *testing.T) {
	var p Parser
	input := []byte("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$32\r\n01234567890123456789012345678901\r\n")
	inline := []byte("PING\r\n")
	if n := testing.AllocsPerRun(100, func() {
		if args, n, err := p.Next(input); len(args) != 3 || n != len(input) || err != nil {
			t.Fatal(args, n, err)
		}
		if args, _, _ := p.Next(inline); len(args) != 1 {
			t.Fatal(args)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestADeclaredCountAllocatesNothing(t *testing.T) {
	input := []byte("*1000000\r\n$500000000\r\nabc")
	if n := testing.AllocsPerRun(100, func() {
		var p Parser
		if _, n, err := p.Next(input); n != 0 || err != nil {
			t.Fatal(n, err)
		}
	}); n > 1 {
		t.Fatalf("%v allocations", n)
	}
}

func encode(commands [][]string) (b []byte) {
	for _, args := range commands {
		b = fmt.Appendf(b, "*%d\r\n", len(args))
		for _, arg := range args {
			b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(arg), arg)
		}
	}
	return b
}

func TestWhatIsEncodedIsParsedInAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		commands := rapid.SliceOf(rapid.SliceOfN(rapid.String(), 1, 6)).Draw(t, "commands")
		got, rest, err := parseAll(&Parser{}, encode(commands), rapid.IntRange(1, 40).Draw(t, "piece"))
		if err != nil || rest != 0 || len(got) != len(commands) {
			t.Fatalf("%q, %d bytes left, %v", got, rest, err)
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], commands[i]) {
				t.Fatalf("%q instead of %q", got[i], commands[i])
			}
		}
	})
}

func FuzzParser(f *testing.F) {
	for _, seed := range []string{
		"*2\r\n$3\r\nGET\r\n$3\r\nfoo\r\n", "PING\r\n", "*-1\r\n*0\r\n", `SET "a\x41" 'b'` + "\r\n", "*1\r\n$5\r\nab", "*1\r\nx",
	} {
		f.Add([]byte(seed), uint8(1))
	}
	f.Fuzz(func(t *testing.T, input []byte, piece uint8) {
		limits := Limits{Bulk: 1000, Args: 50, Inline: 100}
		whole, _, wholeErr := parseAll(&Parser{Limits: limits}, input, len(input)+1)
		parts, _, partsErr := parseAll(&Parser{Limits: limits}, input, int(piece)+1)
		if !reflect.DeepEqual(whole, parts) || fmt.Sprint(wholeErr) != fmt.Sprint(partsErr) {
			t.Fatalf("whole: %q, %v; in pieces: %q, %v", whole, wholeErr, parts, partsErr)
		}
		for _, args := range whole {
			if len(args) > 51 {
				t.Fatalf("%d arguments", len(args))
			}
		}
	})
}

func BenchmarkParser(b *testing.B) {
	var p Parser
	input := []byte("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$32\r\n01234567890123456789012345678901\r\n")
	for b.Loop() {
		if _, n, _ := p.Next(input); n != len(input) {
			b.Fatal(n)
		}
	}
}
