package transport

import (
	"net/netip"
	"time"
)

// Rules is a table of faults over any transport, shared by the nodes of one process.
type Rules struct{}

// NewRules makes an empty table: everything passes.
func NewRules() *Rules { return &Rules{} }

// Wrap puts t under the rules.
func (r *Rules) Wrap(t Transport) Transport { return t }

// Cut stops everything from one address to another, in this direction, at once.
func (r *Rules) Cut(from, to netip.AddrPort) {}

// Partition cuts the groups from each other, both ways.
func (r *Rules) Partition(groups ...[]netip.AddrPort) {}

// Delay adds d to the way from one address to another, in this direction.
func (r *Rules) Delay(from, to netip.AddrPort, d time.Duration) {}

// Drop loses datagrams from one address to another with this probability, 0 to 1.
func (r *Rules) Drop(from, to netip.AddrPort, probability float64) {}

// Heal forgets all rules.
func (r *Rules) Heal() {}
