package gossip

import (
	"time"

	"github.com/egalcluster/egal/internal/core"
)

// Core is the gossip state machine of one node.
type Core struct{ view *View }

// New makes the core of one node.
func New(cfg Config, now time.Time) (*Core, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Core{view: NewView(Contents{Self: cfg.ID})}, nil
}

// View is the newest view; it shows local writes as soon as Receive returns.
func (c *Core) View() *View { return c.view }

// Metrics are the core's counters.
func (c *Core) Metrics() Metrics { return Metrics{} }

// Receive takes a packet or a request of the shell.
func (c *Core) Receive(now time.Time, from Peer, m Message) {}

// Tick tells that all deadlines up to now have passed.
func (c *Core) Tick(now time.Time) {}

// Next is the earliest deadline.
func (c *Core) Next() time.Time { return time.Time{} }

// Ready hands over what to do.
func (c *Core) Ready() core.Ready[Peer, Message, Event] { return core.Ready[Peer, Message, Event]{} }
