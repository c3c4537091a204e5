package transport

import (
	"net/netip"
	"time"
)

// Link describes how a memory network carries what goes from one address to another. The zero Link is perfect.
type Link struct {
	// Latency is how long everything takes; Jitter adds a random part up to its value.
	Latency, Jitter time.Duration
	// Loss, Duplicate and Reorder are probabilities, 0 to 1, for each datagram. A lost segment of a stream is
	// retransmitted: it delays the frame.
	Loss, Duplicate, Reorder float64
}

// Network is a network in memory.
type Network struct{}

// NewNetwork makes a network whose randomness comes from seed.
func NewNetwork(seed uint64) *Network { return &Network{} }

// Listen opens a transport at addr; port 0 picks a free one.
func (n *Network) Listen(addr netip.AddrPort) (Transport, error) { return nil, ErrAddress }

// SetLink sets how everything travels that has no link of its own.
func (n *Network) SetLink(link Link) {}

// SetLinkBetween sets how things travel from one address to another, in this direction.
func (n *Network) SetLinkBetween(from, to netip.AddrPort, link Link) {}

// Cut stops everything from one address to another, in this direction, and resets the stream.
func (n *Network) Cut(from, to netip.AddrPort) {}

// Heal ends all cuts.
func (n *Network) Heal() {}

// Reset breaks the stream from one address to another: frames on their way are lost.
func (n *Network) Reset(from, to netip.AddrPort) {}
