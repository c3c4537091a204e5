package gossip

import (
	"fmt"
	"math"
	"net/netip"

	"github.com/egalcluster/egal/internal/wire"
)

// Status is a member's place in its life.
type Status uint8

// A member's life runs Joining, Up, Leaving, Exiting, Removed; Down leads out of it from anywhere. See lifecycle.go.
const (
	StatusJoining Status = iota + 1
	StatusUp
	StatusLeaving
	StatusExiting
	StatusDown
	StatusRemoved
)

// String is the status in lower case.
func (s Status) String() string {
	switch s {
	case StatusJoining:
		return "joining"
	case StatusUp:
		return "up"
	case StatusLeaving:
		return "leaving"
	case StatusExiting:
		return "exiting"
	case StatusDown:
		return "down"
	case StatusRemoved:
		return "removed"
	default:
		return fmt.Sprintf("status(%d)", uint8(s))
	}
}

// Member is what the cluster knows of one node.
type Member struct {
	ID NodeID
	// Boot names the member's present process; Generation grows with each of its processes.
	Boot       BootID
	Generation uint64
	// UpNumber is the order of admission: the oldest member has the smallest. Zero until admitted. A leader that was gone
	// before its decision was heard of, and the one that follows it, may give the same: then the smaller id is the older.
	UpNumber uint64
	Status   Status
	// Weak members were admitted while the leader could not prove that all agree: they have no UpNumber, and never
	// vote. They become full members as soon as the leader can.
	Weak bool
	// Protocols are the versions that the member speaks.
	Protocols Protocols
	// Reachable is false when a quorum of the member's monitors does not reach this process of it, and for a node that
	// reaches nobody, or that has just started and has not heard the member yet.
	Reachable bool
	Addr      netip.AddrPort
	Name      string
	Location  string
	Roles     []string
}

// Limits of what a node tells about itself.
const (
	// MaxName is the longest name, location or role in bytes.
	MaxName = 256
	// MaxRoles is how many roles a node may have.
	MaxRoles = 64
	// MaxMembers is how many nodes a cluster may have, those that left included.
	MaxMembers = 131_072
)

// about is the value of keyNode.
type about struct {
	boot     BootID
	addr     netip.AddrPort
	name     string
	location string
	roles    []string

	phase     phase
	protocols Protocols
}

func (a *about) encode() []byte {
	b := []byte{1}
	b = wire.AppendUint64(b, uint64(a.boot))
	b = appendAddr(b, a.addr)
	b = wire.AppendBytes(b, a.name)
	b = wire.AppendBytes(b, a.location)
	b = wire.AppendUvarint(b, uint64(len(a.roles)))
	for _, role := range a.roles {
		b = wire.AppendBytes(b, role)
	}
	b = append(b, byte(a.phase))
	b = wire.AppendUvarint(b, uint64(a.protocols.Min))
	return wire.AppendUvarint(b, uint64(a.protocols.Max))
}

// decodeAbout gives nil for what is malformed: its owner is then no member, but its state is still passed on.
func decodeAbout(b []byte) *about {
	r := wire.NewReader(b)
	r.Uint8() // versions above 1 append fields
	a := &about{boot: BootID(r.Uint64()), addr: readAddr(r), name: r.String(MaxName), location: r.String(MaxName)}
	for range r.Count(MaxRoles, 1) {
		a.roles = append(a.roles, r.String(MaxName))
	}
	a.phase = phase(r.Uint8())
	a.protocols = Protocols{Min: uint16(min(r.Uvarint(), math.MaxUint16)), Max: uint16(min(r.Uvarint(), math.MaxUint16))}
	if r.Err() != nil || !a.addr.IsValid() || a.phase > phaseExited {
		return nil
	}
	return a
}

// report is the value of keyReport: what a node finds of itself.
type report struct {
	clockOff bool // its clock is off its peers' median
}

func (p *report) encode() []byte { return wire.AppendBool([]byte{1}, p.clockOff) }

func decodeReport(b []byte) *report {
	r := wire.NewReader(b)
	r.Uint8()
	p := &report{clockOff: r.Bool()}
	if r.Err() != nil {
		return nil
	}
	return p
}

func appendAddr(b []byte, addr netip.AddrPort) []byte {
	encoded, _ := addr.MarshalBinary() // never fails: fixed layout
	return wire.AppendBytes(b, encoded)
}

func readAddr(r *wire.Reader) netip.AddrPort {
	var addr netip.AddrPort
	if err := addr.UnmarshalBinary(r.Bytes(MaxName)); err != nil && r.Err() == nil {
		r.Fail(fmt.Errorf("%w: address", wire.ErrMalformed))
	}
	return addr
}

func readNodeID(r *wire.Reader) (id NodeID) {
	copy(id[:], r.Raw(len(id)))
	return id
}
