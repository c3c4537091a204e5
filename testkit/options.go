package testkit

import "fmt"

// maxNodes bounds the nodes of one cluster, those of Add included.
const maxNodes = 64

// An Option changes what New starts.
type Option func(*options)

type options struct {
	nodes  int
	seed   uint64
	onDisk bool
}

// Nodes sets how many nodes the cluster begins with: 1 to 64, by default 3.
func Nodes(n int) Option { return func(o *options) { o.nodes = n } }

// Seed sets the seed of the nodes' own random choices; node i uses seed + i. By default it is drawn anew for each
// cluster and printed when the test fails.
func Seed(seed uint64) Option { return func(o *options) { o.seed = seed } }

// OnDisk keeps the nodes' data in tb.TempDir with real fsyncs, instead of in memory. A Kill then loses nothing that was
// written, since the operating system lives on.
func OnDisk() Option { return func(o *options) { o.onDisk = true } }

func (o options) validate() error {
	if o.nodes < 1 || o.nodes > maxNodes {
		return fmt.Errorf("testkit: %d nodes: want 1 to %d", o.nodes, maxNodes)
	}
	return nil
}
