package command

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "", false},
		{"*", "", false},
		{"*", "abc", true},
		{"**", "a", true}, // the empty text is matchesAll's
		{"a*", "a", true},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"*b*", "abc", true},
		{"a*c*e", "abcde", true},
		{"a*d*c", "abcde", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"?", "é", false},
		{"??", "é", true},
		{"[abc]", "b", true},
		{"[^abc]", "b", false},
		{"[^abc]", "d", true},
		{"[a-c]", "b", true},
		{"[c-a]", "b", true},
		{"[a-c]", "d", false},
		{"[a", "a", true},
		{"[a-", "-", true},
		{"[", "[", false},
		{"[^", "x", true},
		{"[]a]", "]", false},
		{`[\]]`, "]", true},
		{`[\`, `\`, true},
		{"[a-]", "]", true},
		{"[a-]", "b", false}, // a range up to the bracket, which then is no end
		{`\*`, "*", true},
		{`\*`, "a", false},
		{`\`, `\`, true},
		{`\\`, `\`, true},
		{`*\*`, "a*", true},
		{`*\*`, "ab", false},
		{"h*llo[wW]*", "hello world", false},
		{"h*llo?[wW]*", "hello world", true},
	} {
		if got := Match([]byte(c.pattern), []byte(c.text)); got != c.want {
			t.Errorf("%q with %q: %v", c.pattern, c.text, got)
		}
	}
	if !matchFold([]byte("HE[L-M]*O"), []byte("hello")) || Match([]byte("HE*"), []byte("hello")) {
		t.Error("case")
	}
}

// TestMatchOfManyStarsIsFast would not end in a lifetime if every star were tried with every other.
func TestMatchOfManyStarsIsFast(t *testing.T) {
	text := []byte(strings.Repeat("a", 10_000))
	for _, pattern := range []string{strings.Repeat("a*", 1_000) + "b", strings.Repeat("*a", 1_000) + "b", strings.Repeat("*[a]?", 300) + "b"} {
		if Match([]byte(pattern), text) {
			t.Errorf("%.10q… matches", pattern)
		}
	}
}

// slowMatch is the definition: every way a star can go is tried.
func slowMatch(pattern, text []byte) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	if pattern[0] == '*' {
		return slowMatch(pattern[1:], text) || len(text) > 0 && slowMatch(pattern, text[1:])
	}
	if len(text) == 0 {
		return false
	}
	length, ok := matchByte(pattern, text[0], false)
	return ok && slowMatch(pattern[length:], text[1:])
}

func FuzzMatch(f *testing.F) {
	for _, seed := range []string{"*a*b", "[a-c]*?", `\*[^x`, "a**b", "[", ""} {
		f.Add([]byte(seed), []byte("aabbcab"))
	}
	f.Fuzz(func(t *testing.T, pattern, text []byte) {
		pattern, text = pattern[:min(len(pattern), 12)], text[:min(len(text), 12)]
		if len(text) == 0 {
			return
		}
		if got, want := Match(pattern, text), slowMatch(pattern, text); got != want {
			t.Errorf("%q with %q: %v", pattern, text, got)
		}
	})
}
