package gossip

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"

	"github.com/egalcluster/egal/internal/wire"
)

// NodeID names a node for ever: it is made once and lives in the node's data directory. The zero NodeID names nobody.
type NodeID [16]byte

// BootID names one start of a node's process, so that packets meant for an earlier one are recognised. The zero
// BootID means "whoever is there now".
type BootID uint64

// ClusterID is made once, when a cluster is founded. Nodes of different clusters never exchange state. The zero
// ClusterID means "in no cluster".
type ClusterID [16]byte

// Peer is where packets for a node go.
type Peer = netip.AddrPort

// ParseNodeID reads the 32 hexadecimal digits that String prints.
func ParseNodeID(s string) (NodeID, error) {
	var id NodeID
	if err := parseHex(id[:], s); err != nil {
		return NodeID{}, fmt.Errorf("gossip: parse node id: %w", err)
	}
	return id, nil
}

// String prints 32 hexadecimal digits.
func (id NodeID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id names nobody.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// Compare orders node ids by their bytes.
func (id NodeID) Compare(other NodeID) int { return bytes.Compare(id[:], other[:]) }

// point is the node's place on the hash ring and the base of its slot in every rumor's order. It is part of the wire
// format, like wire.Hash64, and takes fewer steps.
func (id NodeID) point() uint64 {
	return wire.Mix64(binary.LittleEndian.Uint64(id[:8]) ^ wire.Mix64(binary.LittleEndian.Uint64(id[8:])))
}

func (id NodeID) bucket() uint8 { return uint8(id.point() >> 56) }

// ParseClusterID reads the 32 hexadecimal digits that String prints.
func ParseClusterID(s string) (ClusterID, error) {
	var id ClusterID
	if err := parseHex(id[:], s); err != nil {
		return ClusterID{}, fmt.Errorf("gossip: parse cluster id: %w", err)
	}
	return id, nil
}

// String prints 32 hexadecimal digits.
func (id ClusterID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id means "in no cluster".
func (id ClusterID) IsZero() bool { return id == ClusterID{} }

func parseHex(dst []byte, s string) error {
	if len(s) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("%q: want %d hexadecimal digits", s, hex.EncodedLen(len(dst)))
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}
