package command

import (
	"errors"
)

// KeyFlags say what a command does with the keys of one KeySpec.
type KeyFlags uint16

// The flags of a key. The first four tell how the key is opened, the next four what happens to its value.
const (
	KeyReadOnly   KeyFlags = 1 << iota // RO: the value is read only
	KeyReadWrite                       // RW: the value is read and changed
	KeyOverwrite                       // OW: the value is replaced whatever it was
	KeyRemove                          // RM: the key is removed
	KeyAccess                          // the value, or part of it, is given to the caller
	KeyUpdate                          // the value changes by what was there
	KeyInsert                          // something is added, nothing changed or removed
	KeyDelete                          // something is removed
	KeyNotKey                          // looks like a key to routing, is none
	KeyIncomplete                      // the specification may miss keys
	KeyVariable                        // the flags depend on the other arguments
)

var keyFlagNames = []struct {
	flag KeyFlags
	name string
}{
	{KeyReadOnly, "RO"},
	{KeyReadWrite, "RW"},
	{KeyOverwrite, "OW"},
	{KeyRemove, "RM"},
	{KeyAccess, "access"},
	{KeyUpdate, "update"},
	{KeyInsert, "insert"},
	{KeyDelete, "delete"},
	{KeyNotKey, "not_key"},
	{KeyIncomplete, "incomplete"},
	{KeyVariable, "variable_flags"},
}

// Names lists the flags as COMMAND INFO and COMMAND GETKEYSANDFLAGS show them.
func (f KeyFlags) Names() []string {
	var names []string
	for _, row := range keyFlagNames {
		if f&row.flag != 0 {
			names = append(names, row.name)
		}
	}
	return names
}

// KeySpec says where keys stand in a call: where the search begins, and how keys follow from there.
//
// The search begins at word Index; or, when Keyword is not empty, behind the first word equal to Keyword, looking from
// word Index on (negative: from the end of the call backwards). Then either a range of keys follows (LastKey,
// KeyStep, Limit), or, when CountAt is positive or Counted is set, a word that tells their number.
type KeySpec struct {
	// Notes is a remark for COMMAND INFO.
	Notes string
	// Flags say what happens to these keys.
	Flags KeyFlags
	// Index is the word where the search begins; with a Keyword, where the search for it begins.
	Index int
	// Keyword, when not empty, is the word before the first key, in upper case.
	Keyword string
	// LastKey is the last key relative to the first one; negative: counted from the end of the call, -1 is its last.
	LastKey int
	// KeyStep is the distance between two keys.
	KeyStep int
	// Limit, for LastKey -1, stops at 1/Limit of the remaining words; 0 and 1 mean no limit.
	Limit int
	// Counted tells that the word CountAt (relative to the beginning) holds the number of keys, and FirstKey is where
	// the first of them stands (relative to the beginning).
	Counted           bool
	CountAt, FirstKey int
}

// ErrKeys is returned by Command.Keys when a call contradicts its key specification.
var ErrKeys = errors.New("command: keys: the arguments do not tell where the keys are")

// Keys appends to dst the positions of the keys of a call, in the order of the key specifications. It allocates only
// what dst lacks. With ErrKeys dst is returned as it was. It means that the words contradict a specification, such as a count of keys that is no number:
// the command has no key to be routed by, and its function will report what is wrong.
func (c *Command) Keys(args [][]byte, dst []int) ([]int, error) {
	before := len(dst)
	for i := range c.KeySpecs {
		first, last, step, ok := c.KeySpecs[i].find(args)
		if !ok {
			return dst[:before], ErrKeys
		}
		for position := first; position <= last; position += step {
			dst = append(dst, position)
		}
	}
	return dst, nil
}

// find tells the range of keys of one specification. An absent keyword, or a specification that is no range (KeyStep
// zero), yields an empty range (last before first).
func (k *KeySpec) find(args [][]byte) (first, last, step int, ok bool) {
	first = k.Index
	if k.Keyword != "" {
		first = k.begin(args)
	}
	if first == 0 || k.KeyStep == 0 {
		return 1, 0, 1, true
	}
	switch {
	case k.Counted:
		if first+k.CountAt >= len(args) {
			return 0, 0, 0, false
		}
		count, isNumber := parseInteger(args[first+k.CountAt])
		if !isNumber || count < 0 || count > int64(len(args)) {
			return 0, 0, 0, false
		}
		first += k.FirstKey
		last = first + (int(count)-1)*k.KeyStep
		if count == 0 {
			return 1, 0, 1, true
		}
	case k.LastKey >= 0:
		last = first + k.LastKey
	case k.Limit > 1:
		last = first + (len(args)-first)/k.Limit + k.LastKey
	default:
		last = len(args) + k.LastKey
	}
	if last < first || last >= len(args) {
		return 0, 0, 0, false
	}
	return first, last, k.KeyStep, true
}

// begin is the word behind the keyword, or 0 when the call does not hold it.
func (k *KeySpec) begin(args [][]byte) int {
	if k.Index >= 0 {
		for i := k.Index; i < len(args)-1; i++ {
			if equalFold(args[i], k.Keyword) {
				return i + 1
			}
		}
		return 0
	}
	for i := len(args) + k.Index; i > 0; i-- {
		if equalFold(args[i], k.Keyword) {
			return i + 1
		}
	}
	return 0
}

// settleKeys derives what follows from the key specifications: the old form of the first range of keys, unless the row
// gives one, and the flag MovableKeys when the old form does not tell all keys.
func (c *Command) settleKeys() {
	for _, spec := range c.KeySpecs {
		if spec.Keyword != "" || spec.Counted || spec.KeyStep == 0 {
			c.Flags |= MovableKeys
		}
	}
	if c.FirstKey != 0 {
		return
	}
	for i, spec := range c.KeySpecs {
		if spec.Keyword != "" || spec.Counted || spec.KeyStep == 0 {
			continue
		}
		last := spec.LastKey
		if last >= 0 {
			last += spec.Index
		}
		switch {
		case c.FirstKey == 0:
			c.FirstKey, c.LastKey, c.KeyStep = spec.Index, last, spec.KeyStep
		case c.KeyStep == 1 && spec.KeyStep == 1 && c.LastKey == c.KeySpecs[i].Index-1:
			c.LastKey = last
		}
	}
}
