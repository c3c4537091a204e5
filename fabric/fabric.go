package fabric

import (
	"context"
	"net"
	"net/netip"

	"github.com/egalcluster/egal/fabric/gossip"
)

// Fabric is one node's handle on the running cluster.
type Fabric struct{ view gossip.View }

// Start opens the data directory and joins or founds a cluster in the background.
func Start(ctx context.Context, config Config) (*Fabric, error) { return nil, config.Validate() }

// ID is the node's identity, made once with its data directory.
func (f *Fabric) ID() gossip.NodeID { return gossip.NodeID{} }

// Addr is where other nodes reach this one.
func (f *Fabric) Addr() netip.AddrPort { return netip.AddrPort{} }

// View is the newest view; never nil.
func (f *Fabric) View() *gossip.View { return &f.view }

// Changed is closed when a newer view than the one View returns now is out.
func (f *Fabric) Changed() <-chan struct{} { return nil }

// SetOwn writes a key of this node's own state.
func (f *Fabric) SetOwn(ctx context.Context, key string, value []byte) error { return nil }

// DeleteOwn deletes a key of this node's own state.
func (f *Fabric) DeleteOwn(ctx context.Context, key string) error { return nil }

// SetShared writes a key of the shared map.
func (f *Fabric) SetShared(ctx context.Context, key string, value []byte) error { return nil }

// DeleteShared deletes a key of the shared map.
func (f *Fabric) DeleteShared(ctx context.Context, key string) error { return nil }

// Wake makes the core look at its clock again.
func (f *Fabric) Wake() {}

// Metrics are the fabric's counters.
type Metrics struct{}

// Metrics returns the fabric's counters.
func (f *Fabric) Metrics() Metrics { return Metrics{} }

// Leave says goodbye to the cluster.
func (f *Fabric) Leave(ctx context.Context) error { return nil }

// Close stops at once, without a goodbye.
func (f *Fabric) Close() error { return nil }

func splitSeed(seed string) (host, port string, err error) { return net.SplitHostPort(seed) }
