package slots

import (
	"context"

	"github.com/egalcluster/egal/slots/internal/command"
	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// cluster is the service's part in a cluster. A service by itself has none (nil).
type cluster struct{ service *Service }

// startCluster joins the service, which already listens (s.address) and has its store (s.store), to config.Fabric. No
// client is served before it returns.
func startCluster(ctx context.Context, s *Service) (*cluster, error) {
	return &cluster{service: s}, nil
}

// close stops taking part and waits for every goroutine.
func (c *cluster) close() {}

// route decides who serves a call whose keys are all in one slot, and returns the text of the error reply (MOVED,
// CLUSTERDOWN, …), or "" when it is served here. It is called for every keyed call with the slot's shard locked, so
// that a slot given away under that lock takes no write any more. It must not lock shards or block.
func (c *cluster) route(session *command.Session, row *command.Command, slot keyspace.Slot) string {
	return ""
}

// id is the service's name in the cluster, 40 hexadecimal digits.
func (c *cluster) id() string { return "" }

// serving reports whether every slot is served by somebody.
func (c *cluster) serving() bool { return false }

// changed returns a channel that is closed when the slot table changes.
func (c *cluster) changed() <-chan struct{} { return nil }

// commands returns the rows that only make sense in a cluster: CLUSTER, READONLY, READWRITE, ASKING. They are in the
// table of every service; c is nil in a service by itself, and the rows answer accordingly.
func (c *cluster) commands() []command.Command { return nil }
