package topology

import (
	"net/netip"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/core"
)

// Config describes the service a Core stands for.
type Config struct {
	// Self is the service.
	Self ServiceID
	// Host is the announced host name, at most MaxHost bytes, may be empty.
	Host string
	// IP is the announced address; the zero Addr is unknown.
	IP netip.Addr
	// Port is where clients are served, BusPort the fabric's port of the node.
	Port, BusPort uint16
	// InitialMembers is how many nodes with a service wait for each other before slots are placed for the first time;
	// 0 stands for 1.
	InitialMembers int
}

// Core keeps one service's claim, and its node's part in the placement.
type Core struct{ config Config }

var _ core.Core[gossip.NodeID, Message, Event] = (*Core)(nil)

// New makes the core of a service that starts.
func New(config Config) *Core { return &Core{config: config} }

// Receive takes a message of the shell.
func (c *Core) Receive(now time.Time, from gossip.NodeID, m Message) {}

// Tick tells that deadlines have passed.
func (c *Core) Tick(now time.Time) {}

// Next is the earliest deadline.
func (c *Core) Next() time.Time { return time.Time{} }

// Ready hands over the events.
func (c *Core) Ready() core.Ready[gossip.NodeID, Message, Event] {
	return core.Ready[gossip.NodeID, Message, Event]{}
}
