package gossip

import (
	"fmt"

	"github.com/egalcluster/egal/internal/wire"
)

// snapshotVersion is the only one this code reads; version 1 had no tombstones of own keys.
const snapshotVersion = 2

// Snapshot is the replicated state of a view, as a node writes it to its disk and starts from again.
type Snapshot struct {
	cluster ClusterID
	owners  []delta
	shared  []*shared
}

// Cluster is the cluster of the view the snapshot was made of.
func (s *Snapshot) Cluster() ClusterID { return s.cluster }

// EncodeSnapshot makes a sealed record of the view's replicated state.
//
//	| bytes  | meaning                                  |
//	|--------|------------------------------------------|
//	| 16     | cluster                                  |
//	| varint | count of owners, then their whole state  |
//	| varint | count of shared keys, then the entries   |
func EncodeSnapshot(v *View) []byte {
	b := append([]byte(nil), v.cluster[:]...)
	b = wire.AppendUvarint(b, uint64(v.owners.count))
	for o := range v.owners.all() {
		b = appendDelta(b, o.whole())
	}
	list := make([]*shared, 0, v.shared.count)
	for s := range v.shared.all() {
		list = append(list, s)
	}
	return wire.Seal(snapshotVersion, appendSharedList(b, list))
}

// DecodeSnapshot reads what EncodeSnapshot made. It copies what it keeps.
func DecodeSnapshot(record []byte) (*Snapshot, error) {
	version, payload, err := wire.Open(record, snapshotVersion)
	if err == nil && version != snapshotVersion {
		err = fmt.Errorf("%w: %d", wire.ErrVersion, version)
	}
	if err != nil {
		return nil, fmt.Errorf("gossip: decode snapshot: %w", err)
	}
	r := wire.NewReader(payload)
	s := &Snapshot{cluster: ClusterID(readNodeID(r))}
	for range r.Count(MaxMembers, minDeltaBytes) {
		s.owners = append(s.owners, readDelta(r))
	}
	s.shared = readSharedList(r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("gossip: decode snapshot: %w", err)
	}
	return s, nil
}
