package gossip

import (
	"bytes"
	"strings"
	"time"

	"github.com/egalcluster/egal/internal/hlc"
	"github.com/egalcluster/egal/internal/wire"
)

// Limits of the shared map.
const (
	// MaxShared is how many keys, deleted ones included, the shared map may have before new ones are refused at
	// their origin. Replicas take up to twice as many, because origins may reach the limit side by side.
	MaxShared = 65_536
	// MaxSharedBytes is how many bytes of keys and values the shared map may have, with the same rule.
	MaxSharedBytes = 64 << 20
	// reservedBytes is how much more there is for what the cluster itself writes, one key per member above all: a map
	// that its users have filled must not keep anybody out.
	reservedBytes = 32 << 20
	// maxReplicated is how many shared keys a replica, or a packet, has at most.
	maxReplicated = 2*MaxShared + MaxMembers
	// TombstoneLife is how long a deleted shared key is remembered.
	TombstoneLife = 24 * time.Hour
)

// maxStamp keeps a stamp that can always be followed by a later one; decoders refuse what is above.
const maxStamp = hlc.Timestamp(1) << 63

type sharedKey string

func (k sharedKey) Compare(other sharedKey) int { return strings.Compare(string(k), string(other)) }
func (k sharedKey) bucket() uint8               { return uint8(wire.Hash64(0, string(k)) >> 56) }

// shared is one key of the shared map: immutable. The newest (stamp, node) wins everywhere.
type shared struct {
	key       sharedKey
	value     []byte
	deleted   bool
	stamp     hlc.Timestamp
	node      NodeID
	admission *admission // decoded value of a member's key; nil otherwise
	verdict   *verdict   // decoded value of a verdict's key; nil otherwise
}

func (s *shared) rowKey() sharedKey { return s.key }
func (s *shared) bytes() int        { return len(s.key) + len(s.value) }

// digest is the key's part of the root hash.
func (s *shared) digest() uint64 {
	return wire.Mix64(wire.Hash64(1, string(s.key)) ^ wire.Mix64(uint64(s.stamp)^wire.Hash64(2, s.node[:])))
}

func newShared(key string, value []byte, deleted bool, stamp hlc.Timestamp, node NodeID) *shared {
	s := &shared{key: sharedKey(key), value: value, deleted: deleted, stamp: stamp, node: node}
	if !deleted && strings.HasPrefix(key, admissionPrefix) {
		s.admission = decodeAdmission(value)
	}
	if !deleted && strings.HasPrefix(key, verdictPrefix) {
		s.verdict = decodeVerdict(key, value, node, stamp)
	}
	return s
}

// newer reports whether a, of the same key, supersedes b. It is a total order over everything that can differ, so that merging is
// commutative, associative and idempotent even for entries that no correct node would write.
func newer(a, b *shared) bool {
	if c := recordOrder(a.admission, b.admission); c != 0 {
		return c > 0 // what was decided about a member moves forward only, whatever the clocks say
	}
	if a.stamp != b.stamp {
		return a.stamp > b.stamp
	}
	if c := a.node.Compare(b.node); c != 0 {
		return c > 0
	}
	if a.deleted != b.deleted {
		return a.deleted
	}
	return bytes.Compare(a.value, b.value) > 0
}
