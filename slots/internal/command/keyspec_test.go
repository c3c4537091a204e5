package command

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestKeys(t *testing.T) {
	first := KeySpec{Index: 1, KeyStep: 1}
	counted := KeySpec{Index: 2, Counted: true, FirstKey: 1, KeyStep: 1}
	for _, c := range []struct {
		says  string
		specs []KeySpec
		call  string
		want  []int
		fails bool
	}{
		{"one key", []KeySpec{first}, "get a", []int{1}, false},
		{"to the end", []KeySpec{{Index: 1, LastKey: -1, KeyStep: 1}}, "del a b c", []int{1, 2, 3}, false},
		{"every second to the end", []KeySpec{{Index: 1, LastKey: -1, KeyStep: 2}}, "mset a 1 b 2", []int{1, 3}, false},
		{"to the last but one", []KeySpec{{Index: 1, LastKey: -2, KeyStep: 1}}, "blpop a b 0", []int{1, 2}, false},
		{"two specifications", []KeySpec{first, {Index: 2, KeyStep: 1}}, "copy a b", []int{1, 2}, false},
		{"a counted range", []KeySpec{counted}, "eval x 2 a b c", []int{3, 4}, false},
		{"a counted range of none", []KeySpec{counted}, "eval x 0 a", nil, false},
		{"a count that is too large", []KeySpec{counted}, "eval x 2 a", nil, true},
		{"a huge count", []KeySpec{counted}, "eval x 9223372036854775807 a", nil, true},
		{"a negative count", []KeySpec{counted}, "eval x -1 a", nil, true},
		{"a count that is no number", []KeySpec{counted}, "eval x y a", nil, true},
		{"no count", []KeySpec{counted}, "eval x", nil, true},
		{"behind a keyword, the first half of the rest", []KeySpec{{Index: 1, Keyword: "STREAMS", LastKey: -1, KeyStep: 1, Limit: 2}}, "xread count 5 streams a b 0 0", []int{4, 5}, false},
		{"an absent keyword", []KeySpec{{Index: 1, Keyword: "STREAMS", LastKey: -1, KeyStep: 1, Limit: 2}}, "xread count 5 a", nil, false},
		{"a keyword looked for from behind", []KeySpec{{Index: -2, Keyword: "KEYS", LastKey: -1, KeyStep: 1}}, "migrate h p k 0 5 keys a b", []int{7, 8}, false},
		{"a key that is not there", []KeySpec{first}, "get", nil, true},
	} {
		t.Run(c.says, func(t *testing.T) {
			var args [][]byte
			for word := range strings.FieldsSeq(c.call) {
				args = append(args, []byte(word))
			}
			row := Command{KeySpecs: c.specs}
			got, err := row.Keys(args, nil)
			if errors.Is(err, ErrKeys) != c.fails || !c.fails && !slices.Equal(got, c.want) {
				t.Errorf("%q: %v, %v", c.call, got, err)
			}
		})
	}
}

func TestOldFormOfKeysFollowsFromTheSpecifications(t *testing.T) {
	for _, c := range []struct {
		specs             []KeySpec
		first, last, step int
		movable           bool
	}{
		{[]KeySpec{{Index: 1, KeyStep: 1}}, 1, 1, 1, false},
		{[]KeySpec{{Index: 1, LastKey: -1, KeyStep: 2}}, 1, -1, 2, false},
		{[]KeySpec{{Index: 1, KeyStep: 1}, {Index: 2, KeyStep: 1}}, 1, 2, 1, false},
		{[]KeySpec{{Index: 1, KeyStep: 1}, {Index: 2, LastKey: -1, KeyStep: 1}}, 1, -1, 1, false},
		{[]KeySpec{{Index: 1, Counted: true, FirstKey: 1, KeyStep: 1}}, 0, 0, 0, true},
		{[]KeySpec{{Index: 1, KeyStep: 1}, {Index: 6, Keyword: "STORE", KeyStep: 1}}, 1, 1, 1, true},
	} {
		row := Command{KeySpecs: c.specs}
		row.settleKeys()
		if row.FirstKey != c.first || row.LastKey != c.last || row.KeyStep != c.step || row.Flags&MovableKeys != 0 != c.movable {
			t.Errorf("%+v: %d %d %d %v", c.specs, row.FirstKey, row.LastKey, row.KeyStep, row.Flags.Names())
		}
	}
}
