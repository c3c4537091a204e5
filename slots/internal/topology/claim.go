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
//	| grants       | count, at most MaxGrants; for each NodeID, index, taken, slots      |
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
	// Grants are slots that the service has given up, until they are claimed by whom they were given to. They are
	// sorted by To, and no slot is in two of them or in Slots.
	Grants []Grant
}

// Grant gives slots to a service: nobody else may claim them.
type Grant struct {
	// To is the service that may claim the slots.
	To ServiceID
	// Slots are those it has not claimed so far.
	Slots SlotSet
	// Taken is the epoch of To's claim when a slot of this service was seen in it: a receipt. Whoever does not know
	// a claim of To at that epoch or above cannot tell which slots are free.
	Taken uint64
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
	b = appendRanges(b, c.Slots.Ranges())
	b = wire.AppendUvarint(b, uint64(len(c.Grants)))
	for i := range c.Grants {
		b = appendServiceID(b, c.Grants[i].To)
		b = wire.AppendUvarint(b, c.Grants[i].Taken)
		b = appendRanges(b, c.Grants[i].Slots.Ranges())
	}
	return wire.Seal(claimVersion, b)
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
	c.readGrants(r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("topology: decode claim: %w", err)
	}
	return c, nil
}

// readGrants reads grants in the form Encode gives them: sorted, none void, no slot twice.
func (c *Claim) readGrants(r *wire.Reader) {
	seen := c.Slots
	for i := range r.Count(MaxGrants, len(ServiceID{}.Node)+3) {
		g := Grant{To: readServiceID(r), Taken: r.Uvarint()}
		readSlots(r, &g.Slots)
		if r.Err() != nil {
			return
		}
		twice := seen.and(&g.Slots)
		if g.void() || g.Taken > MaxEpoch || !twice.empty() || i > 0 && c.Grants[i-1].To.Compare(g.To) >= 0 {
			r.Fail(fmt.Errorf("%w: grant %d", wire.ErrMalformed, i))
			return
		}
		seen = seen.or(&g.Slots)
		c.Grants = append(c.Grants, g)
	}
}

// highest is the highest epoch the claim mentions.
func (c *Claim) highest() uint64 {
	epoch := c.Epoch
	for i := range c.Grants {
		epoch = max(epoch, c.Grants[i].Taken)
	}
	return epoch
}

// has reports whether the service serves the slot, or has had it and gives it away.
func (c *Claim) has(slot keyspace.Slot) bool {
	return c.Slots.Has(slot) || slices.ContainsFunc(c.Grants, func(g Grant) bool { return g.Slots.Has(slot) })
}

// void reports whether a grant says nothing.
func (g *Grant) void() bool { return g.Slots.empty() && g.Taken == 0 }

// entry finds the grant to a service, or makes it. When there are MaxGrants already, the oldest one that is but a
// receipt makes room; nil: there is none.
func (c *Claim) entry(to ServiceID) *Grant {
	find := func() (int, bool) {
		return slices.BinarySearchFunc(c.Grants, to, func(g Grant, to ServiceID) int { return g.To.Compare(to) })
	}
	i, ok := find()
	if !ok && len(c.Grants) == MaxGrants {
		oldest := -1
		for k := range c.Grants {
			if c.Grants[k].Slots.empty() && (oldest < 0 || c.Grants[k].Taken < c.Grants[oldest].Taken) {
				oldest = k
			}
		}
		if oldest < 0 {
			return nil
		}
		c.Grants = slices.Delete(c.Grants, oldest, oldest+1)
		i, ok = find()
	}
	if !ok {
		c.Grants = slices.Insert(c.Grants, i, Grant{To: to})
	}
	return &c.Grants[i]
}

// grant gives a slot to a service; false: too many have been given something that they have not claimed.
func (c *Claim) grant(to ServiceID, slot keyspace.Slot) bool {
	g := c.entry(to)
	if g == nil {
		return false
	}
	g.Slots.Add(slot)
	return true
}

// receipt notes that another service was seen to have a slot of this one.
func (c *Claim) receipt(to ServiceID, epoch uint64) {
	if g := c.entry(to); g != nil {
		g.Taken = max(g.Taken, epoch)
	}
}

// grantedTo are the slots given to a service.
func (c *Claim) grantedTo(to ServiceID) (slots SlotSet) {
	i, ok := slices.BinarySearchFunc(c.Grants, to, func(g Grant, to ServiceID) int { return g.To.Compare(to) })
	if ok {
		slots = c.Grants[i].Slots
	}
	return slots
}

// clone is a copy that can be changed.
func (c *Claim) clone() *Claim {
	next := *c
	next.Grants = slices.Clone(c.Grants)
	return &next
}

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

func appendServiceID(b []byte, id ServiceID) []byte {
	return wire.AppendUvarint(append(b, id.Node[:]...), uint64(id.Index))
}

// readServiceID reads the id of a service whose index is below MaxServicesPerNode.
func readServiceID(r *wire.Reader) (id ServiceID) {
	copy(id.Node[:], r.Raw(len(id.Node)))
	index := r.Uvarint()
	if index >= MaxServicesPerNode {
		r.Fail(fmt.Errorf("%w: service %d of a node", wire.ErrMalformed, index))
		return id
	}
	id.Index = uint32(index)
	return id
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
