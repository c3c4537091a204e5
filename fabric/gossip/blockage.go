package gossip

import (
	"fmt"

	"github.com/egalcluster/egal/internal/wire"
)

// keyBlockage is the own key in which a leader says what keeps it from deciding.
const keyBlockage = "blocked"

// maxBlockers is how many members a Blockage names.
const maxBlockers = 16

// Cause is why a leader cannot admit and remove members.
type Cause uint8

// The causes of a Blockage.
const (
	CauseUnreachable Cause = iota + 1 // members are unreachable and not down
	CauseDisagree                     // members did not answer, or see an older membership
	CauseFull                         // the shared map takes no record
)

// String is the cause in words.
func (c Cause) String() string {
	switch c {
	case CauseUnreachable:
		return "members are unreachable and not down"
	case CauseDisagree:
		return "members have not confirmed the membership"
	case CauseFull:
		return "the shared map takes no record"
	default:
		return fmt.Sprintf("cause(%d)", uint8(c))
	}
}

// Blockage is what keeps the leader from admitting and removing members, while some wait for that.
type Blockage struct {
	Cause Cause
	// Members are in the way; at most 16 are named.
	Members []NodeID
}

// Blockage is what the leader says that it is stuck on; false: it has said nothing.
func (v *View) Blockage() (Blockage, bool) {
	leader, ok := v.Leader()
	if !ok {
		return Blockage{}, false
	}
	value, ok := v.Own(leader, keyBlockage)
	if !ok {
		return Blockage{}, false
	}
	return decodeBlockage(value)
}

func (b Blockage) encode() []byte {
	named := b.Members[:min(len(b.Members), maxBlockers)]
	text := wire.AppendUvarint([]byte{1, byte(b.Cause)}, uint64(len(named)))
	for _, id := range named {
		text = append(text, id[:]...)
	}
	return text
}

func decodeBlockage(value []byte) (b Blockage, ok bool) {
	r := wire.NewReader(value)
	r.Uint8()
	b.Cause = Cause(r.Uint8())
	for range r.Count(maxBlockers, len(NodeID{})) {
		b.Members = append(b.Members, readNodeID(r))
	}
	return b, r.Err() == nil
}

// setBlockage changes what this node says; nil: that it is not stuck.
func (c *Core) setBlockage(b *Blockage) {
	// Neither write can be refused: the value is small and the key is ours.
	if b == nil {
		_ = c.writeOwn(keyBlockage, nil, true)
		return
	}
	_ = c.writeOwn(keyBlockage, b.encode(), false)
}
