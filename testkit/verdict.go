package testkit

import (
	"net/netip"
	"sync/atomic"

	"github.com/egalcluster/egal/fabric/transport"
)

// probeMisses is how many probes in a row the nodes of a test forgive: enough for fifty clusters that start at once
// under the race detector. Tests do not wait for it, since kills and partitions are told to the failure detector.
const probeMisses = 10

// told is a transport through which the test tells a node that a peer cannot be reached, as the system does when a
// connection is refused. The node looks for itself at once then, and comes to its own verdict in a fraction of a second.
type told struct {
	transport.Transport
	handler atomic.Pointer[transport.Handler]
}

// Start begins to deliver.
func (t *told) Start(self transport.Identity, h transport.Handler) {
	t.handler.Store(&h)
	t.Transport.Start(self, h)
}

// refuse tells that a peer refuses.
func (t *told) refuse(peer netip.AddrPort) {
	if h := t.handler.Load(); h != nil {
		(*h).Refused(peer)
	}
}
