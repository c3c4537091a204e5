package slots

import (
	"github.com/egalcluster/egal/slots/internal/command"
	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// Bounds of a batch.
const (
	// maxBatch is how many calls are parsed ahead, and keyspace.MaxPrefetch how many keys.
	maxBatch = keyspace.MaxPrefetch
	// maxAhead is how many bytes a batch has, unless its first call alone has more. They are parsed again if the batch
	// ends early.
	maxAhead = readSize
	// maxKeptWords is how many words a batch keeps room for.
	maxKeptWords = 1024
)

// batch is what is parsed ahead of a pipeline: calls with their rows and keys, so that the keyspace can fetch what all of
// them need before the first is executed. It is a preview only. Calls are executed one by one in their order; when one
// ends the turn (the service is paused, the client has to read, the connection closes) the calls behind it are
// dropped and parsed again from the input, which still has them.
type batch struct {
	calls []call
	next  int            // the call that is to be executed
	words [][]byte       // of all calls; they alias the input
	keys  []keyspace.Key // of all calls; they alias the input
}

// call is one call, parsed.
type call struct {
	args             [][]byte // none: an empty command, to be skipped
	size             int      // bytes of input
	row              *command.Command
	refusal          string // when there is no row
	firstKey, endKey int    // in batch.keys
}

// empty drops the calls. What aliases a large input goes with them, so that it does not live longer than its client.
func (b *batch) empty(large bool) {
	if large || cap(b.words) > maxKeptWords {
		*b = batch{}
		return
	}
	b.calls, b.next, b.words, b.keys = b.calls[:0], 0, b.words[:0], b.keys[:0]
}

// gather makes a new batch of the calls that input begins with. It is empty when the first is not complete. An error is
// that of the first call: one further behind is left to the batch that begins with it, as those before come first.
func (x *executor) gather(input []byte) error {
	b := &x.batch
	b.empty(false)
	window := input
	for at := 0; at < len(window) && len(b.calls) < maxBatch && len(b.keys) < keyspace.MaxPrefetch; {
		inline := window[at] != '*'
		words, n, err := x.parser.Append(b.words, window[at:])
		if err != nil {
			x.parser.Reset()
			if at > 0 {
				break
			}
			return err
		}
		if n == 0 {
			break
		}
		first := len(b.words)
		b.words = words
		x.resolve(words[first:len(words):len(words)], n)
		at += n
		if inline { // its words may alias the parser
			break
		}
		window = input[:min(len(input), maxAhead)]
	}
	if len(b.calls) > 1 && len(b.keys) > 1 {
		x.service.store.Prefetch(x.context.Session.Database, b.keys)
	}
	return nil
}

// resolve adds a call to the batch.
func (x *executor) resolve(args [][]byte, size int) {
	b := &x.batch
	b.calls = append(b.calls, call{args: args, size: size, firstKey: len(b.keys), endKey: len(b.keys)})
	if len(args) == 0 {
		return
	}
	c := &b.calls[len(b.calls)-1]
	if c.row, c.refusal = x.find(args); c.row == nil || len(c.row.KeySpecs) == 0 {
		return
	}
	// Words that contradict the key specification name no keys; the command itself will report what is wrong.
	x.positions, _ = c.row.Keys(args, x.positions[:0])
	for _, position := range x.positions {
		b.keys = append(b.keys, x.service.store.Key(args[position]))
	}
	c.endKey = len(b.keys)
}
