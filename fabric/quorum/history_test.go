package quorum

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// operation is a request with its result, for the register's linearizability.
type operation struct {
	number   uint64
	machine  *machine
	starts   int // which process of it was asked
	kind     requestKind
	expected uint64
	value    string
	called   time.Time
	returned time.Time // zero: not yet, or unknown
	outcome  Outcome   // 0: none
	version  uint64    // with outcomes Done and Conflict
	found    string
}

// ask hands a request to a machine and notes it.
func (c *cluster) ask(m *machine, request Message) *operation {
	o := &operation{number: uint64(len(c.checker.asked) + 1), machine: m, starts: m.starts, called: c.world.Now()}
	var group GroupID
	switch r := request.(type) {
	case Create:
		r.Number, o.kind, o.value = o.number, requestCreate, string(r.Value)
		group, request = r.Group, r
	case Change:
		r.Number, o.kind, o.expected, o.value = o.number, requestChange, r.Expected, string(r.Value)
		group, request = r.Group, r
	case Read:
		r.Number, o.kind = o.number, requestRead
		group, request = r.Group, r
	case Reconfigure:
		r.Number, o.kind, o.expected = o.number, requestReconfigure, r.Expected
		group, request = r.Group, r
	}
	c.checker.history[group] = append(c.checker.history[group], o)
	c.checker.asked[o.number] = o
	c.tell(m, request)
	return o
}

// finish notes the result of an operation.
func (c *cluster) finish(m *machine, r Result) {
	o := c.checker.asked[r.Number]
	if o.machine != m || o.starts != m.starts || o.outcome != 0 {
		c.checker.fatalf("n%d has a result of another process, or a second one", m.number)
	}
	o.outcome = r.Outcome
	if r.Outcome != Unknown {
		o.returned = c.now
	}
	if r.State != nil {
		o.version, o.found = r.State.Version, string(r.State.Value)
	}
}

// closed reports whether all operations that can have a result have one.
func (k *checker) closed(group GroupID) bool {
	return !slices.ContainsFunc(k.history[group], func(o *operation) bool {
		return o.outcome == 0 && o.machine.process != nil && o.machine.starts == o.starts
	})
}

// cell is the model: a register with compare and set.
type cell struct {
	version uint64
	value   string
}

var model = porcupine.Model{
	Init: func() any { return cell{} },
	Step: func(state, input, output any) (bool, any) {
		s, o := state.(cell), input.(*operation)
		switch {
		case o.kind == requestRead, o.kind == requestReconfigure:
			return s == cell{o.version, o.found}, s
		case o.outcome == Conflict:
			return s == cell{o.version, o.found} && s.version != o.expected, s
		case s.version == o.expected:
			return true, cell{o.expected + 1, o.value}
		}
		return o.outcome != Done, s // an unknown one may come to nothing
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v", input) },
}

// linearizable holds the history of a group against the model. Operations without a result may have happened at any
// time since, or never.
func (k *checker) linearizable(group GroupID) {
	var history []porcupine.Operation
	end := int64(1) << 60
	for _, o := range k.history[group] {
		switch {
		case o.outcome == Unavailable, o.outcome == Refused:
			continue // they promise that nothing happened: if it did, others saw it, and have no explanation
		case o.outcome != Done && o.outcome != Conflict && o.kind != requestCreate && o.kind != requestChange:
			continue
		}
		returned := end
		if !o.returned.IsZero() {
			returned = int64(o.returned.Sub(simStart))
		}
		history = append(history, porcupine.Operation{ClientId: int(o.number), Input: o, Call: int64(o.called.Sub(simStart)), Return: returned})
	}
	if !porcupine.CheckOperations(model, history) {
		k.fatalf("%s: the history of %d operations is not linearizable", group, len(history))
	}
	k.ordered(group)
}

// ordered checks the same without a search, and says what is wrong: once an operation has seen a version, no later
// one sees an earlier version, and a version has one value.
func (k *checker) ordered(group GroupID) {
	var seen []*operation
	for _, o := range k.history[group] {
		if o.outcome == Done || o.outcome == Conflict {
			seen = append(seen, o)
		}
	}
	byCall := slices.SortedFunc(slices.Values(seen), func(a, b *operation) int { return a.called.Compare(b.called) })
	slices.SortFunc(seen, func(a, b *operation) int { return a.returned.Compare(b.returned) })
	values := map[uint64]string{}
	newest := &operation{}
	for _, o := range byCall {
		for len(seen) > 0 && seen[0].returned.Before(o.called) {
			if seen[0].version > newest.version {
				newest = seen[0]
			}
			seen = seen[1:]
		}
		if o.version < newest.version {
			k.fatalf("%s: operation %d saw version %d after operation %d had seen %d", group, o.number, o.version, newest.number, newest.version)
		}
		if value, ok := values[o.version]; ok && value != o.found {
			k.fatalf("%s: version %d is %q and %q", group, o.version, value, o.found)
		}
		values[o.version] = o.found
	}
}
