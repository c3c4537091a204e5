package topology

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/egalcluster/egal/internal/wire"
	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// Claim is what a service publishes about itself: where it is reached, and which slots it serves since which epoch.
//
// Encoded it is a sealed record (wire.Seal) of version 1:
//
//	| bytes        | meaning                                                             |
//	|--------------|---------------------------------------------------------------------|
//	| length, n    | host name, at most MaxHost bytes                                    |
//	| 1, 0/4/16    | length of the IP address, and the address                           |
//	| 2, 2         | port, fabric port                                                   |
//	| uvarint      | config epoch, at most MaxEpoch                                      |
//	| slots        | count of ranges; for each: slots since the last range, length - 1   |
type Claim struct {
	// Host is the announced host name, empty if there is none.
	Host string
	// IP is the announced address; the zero Addr is unknown.
	IP netip.Addr
	// Port is where clients are served, BusPort the fabric's port of the node.
	Port, BusPort uint16
	// Epoch is the config epoch: of two claims of one slot the one with the higher epoch counts. 0: never claimed any.
	Epoch uint64
	// Slots are the slots the service serves.
	Slots SlotSet
}

const claimVersion = 1

// Encode gives the sealed record. The host name must not be longer than MaxHost.
func (c *Claim) Encode() []byte {
	ip := c.IP.WithZone("").AsSlice()
	b := wire.AppendBytes(nil, c.Host)
	b = wire.AppendBytes(b, ip)
	b = wire.AppendUint16(b, c.Port)
	b = wire.AppendUint16(b, c.BusPort)
	b = wire.AppendUvarint(b, c.Epoch)
	return wire.Seal(claimVersion, appendRanges(b, c.Slots.Ranges()))
}

// DecodeClaim reads what Encode wrote.
func DecodeClaim(record []byte) (*Claim, error) {
	r, err := open(record, claimVersion)
	if err != nil {
		return nil, fmt.Errorf("topology: decode claim: %w", err)
	}
	c := &Claim{Host: r.String(MaxHost)}
	switch ip := r.Bytes(16); len(ip) {
	case 0:
	case 4, 16:
		c.IP, _ = netip.AddrFromSlice(ip)
	default:
		r.Fail(fmt.Errorf("%w: address of %d bytes", wire.ErrMalformed, len(ip)))
	}
	c.Port, c.BusPort = r.Uint16(), r.Uint16()
	c.Epoch = r.Uvarint()
	if c.Epoch > MaxEpoch {
		r.Fail(fmt.Errorf("%w: epoch %d", wire.ErrMalformed, c.Epoch))
	}
	if !ValidHost(c.Host) {
		r.Fail(fmt.Errorf("%w: host name", wire.ErrMalformed))
	}
	readSlots(r, &c.Slots)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("topology: decode claim: %w", err)
	}
	return c, nil
}

// equal reports whether two claims say the same.
func (c *Claim) equal(other *Claim) bool { return *c == *other }

// open verifies a sealed record of known version and of at most MaxRecord bytes.
func open(record []byte, version uint8) (*wire.Reader, error) {
	if len(record) > MaxRecord {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", wire.ErrTooLong, len(record), MaxRecord)
	}
	got, payload, err := wire.Open(record, version)
	if err != nil {
		return nil, err
	}
	if got != version {
		return nil, fmt.Errorf("%w: %d", wire.ErrVersion, got)
	}
	return wire.NewReader(payload), nil
}

// ValidHost reports whether a host name can be announced: at most MaxHost bytes, and only the characters of names and
// addresses, so that it can stand in any reply. No name at all is valid.
func ValidHost(host string) bool {
	return len(host) <= MaxHost && !slices.ContainsFunc([]byte(host), func(c byte) bool {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		return !letter && !digit && c != '.' && c != '-' && c != '_' && c != ':'
	})
}

// appendRanges appends ascending ranges, each as the distance from the end of the one before and its length - 1.
func appendRanges(b []byte, ranges []Range) []byte {
	b = wire.AppendUvarint(b, uint64(len(ranges)))
	next := 0
	for _, r := range ranges {
		b = wire.AppendUvarint(b, uint64(int(r.First)-next))
		b = wire.AppendUvarint(b, uint64(r.Len()-1))
		next = int(r.Last) + 1
	}
	return b
}

// readSlots reads ranges in their shortest form: ascending, not touching.
func readSlots(r *wire.Reader, slots *SlotSet) {
	next := uint64(0)
	for i := range r.Count(keyspace.Slots, 2) {
		distance, more := r.Uvarint(), r.Uvarint()
		if r.Err() != nil {
			return
		}
		if distance > keyspace.Slots || more > keyspace.Slots || next+distance+more >= keyspace.Slots {
			r.Fail(fmt.Errorf("%w: slot beyond the last", wire.ErrMalformed))
			return
		}
		if i > 0 && distance == 0 {
			r.Fail(fmt.Errorf("%w: ranges touch", wire.ErrMalformed))
			return
		}
		first := next + distance
		for slot := first; slot <= first+more; slot++ {
			slots.Add(keyspace.Slot(slot))
		}
		next = first + more + 1
	}
}
