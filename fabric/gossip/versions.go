package gossip

import (
	"fmt"

	"github.com/egalcluster/egal/internal/wire"
)

// Versions of what nodes say to each other. Every node tells which ones it speaks; the cluster speaks one that all
// its members do. The leader raises it once all can, and know it of each other. It never falls.

// Protocols is a range of versions, both ends included.
type Protocols struct{ Min, Max uint16 }

// The versions that this code speaks.
const (
	ProtocolMin uint16 = 1
	ProtocolMax uint16 = 1
)

// clusterPrefix begins the shared keys in which the founder and the leaders set what holds for all members.
const clusterPrefix = "cluster/"

// protocolKey is the shared key with the version that the cluster speaks.
const protocolKey = clusterPrefix + "protocol"

// String prints the range as 1 or 1-2.
func (p Protocols) String() string {
	if p.Min == p.Max {
		return fmt.Sprint(p.Min)
	}
	return fmt.Sprintf("%d-%d", p.Min, p.Max)
}

// holds reports whether the version is in the range.
func (p Protocols) holds(version uint16) bool { return p.Min <= version && version <= p.Max }

// Protocol is the version that the cluster speaks; 0 while the node is in none.
func (v *View) Protocol() uint16 {
	if v.cluster.IsZero() {
		return 0
	}
	s, ok := v.shared.find(protocolKey)
	if !ok {
		return ProtocolMin
	}
	return decodeProtocol(s.value)
}

func encodeProtocol(version uint16) []byte { return wire.AppendUvarint([]byte{1}, uint64(version)) }

// decodeProtocol gives the least version for what is malformed.
func decodeProtocol(b []byte) uint16 {
	r := wire.NewReader(b)
	r.Uint8()
	version := r.Uvarint()
	if r.Err() != nil || version < uint64(ProtocolMin) || version > 1<<16-1 {
		return ProtocolMin
	}
	return uint16(version)
}

// raisable is the version that the leader could raise the cluster's to; 0: none that is higher.
func (c *Core) raisable() uint16 {
	target := c.cfg.Protocols.Max
	for i := range c.view.members {
		target = min(target, c.view.members[i].Protocols.Max)
	}
	if target <= c.view.Protocol() {
		return 0
	}
	return target
}

// unfit says why a node that speaks these versions cannot become a member; "": it can.
func (c *Core) unfit(p Protocols) string {
	if spoken := c.view.Protocol(); !p.holds(spoken) {
		return fmt.Sprintf("%s: the node speaks %v, the cluster %d", ReasonProtocol, p, spoken)
	}
	return ""
}

// checkProtocol tells the shell, once, when this node cannot follow its cluster any more.
func (c *Core) checkProtocol() {
	spoken := c.view.Protocol()
	unfit := c.synced && spoken != 0 && !c.cfg.Protocols.holds(spoken)
	if unfit && !c.unfitSaid {
		c.report(Incompatible{Spoken: spoken, Own: c.cfg.Protocols})
	}
	c.unfitSaid = unfit
}
