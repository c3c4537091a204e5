package fabric

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
)

const (
	// MaxSeeds is how many seeds a configuration may name.
	MaxSeeds = 256
	// FoundAfterSilence is how long the first seed of an empty directory waits for silent seeds before it founds.
	FoundAfterSilence = 5 * time.Second
	// SnapshotInterval is the least time between two snapshots of the view.
	SnapshotInterval = time.Second
)

// Config describes one node's fabric.
type Config struct {
	// FS and Dir are the data directory: node.yaml, LOCK and fabric/ inside of it. Both are required; FS may be
	// durable.Memory.
	FS  durable.FS
	Dir string
	// Transport reaches the other nodes. Start takes it over: it is closed by Close, and when Start fails.
	Transport transport.Transport
	// Keys are the cluster keys of Transport, which RotateKey replaces; nil: there are none.
	Keys *transport.Keyring
	// Seeds are host:port of nodes to join by, this node itself among them or not, the same list for all nodes; or
	// dns://host:port for all the nodes that a name stands for. Names are resolved again and again in the background.
	// The node that the first seed stands for founds the cluster when no other seed is in one.
	Seeds []string
	// Found makes this node the first seed although its address does not show that.
	Found bool
	// Resolve looks up names of seeds; nil is the machine's resolver.
	Resolve Resolver
	// InitialMembers is the number of members the cluster is planned to start with. Above 1 a node that is not the
	// first seed never founds, and silence of seeds founds nothing.
	InitialMembers int
	// Name and Location describe the node to people and to placement; Roles is free text.
	Name, Location string
	Roles          []string
	// Gossip presets timers and limits; identity, address and description in it are overwritten.
	Gossip gossip.Config
	// Now is the node's clock; nil is time.Now.
	Now func() time.Time
	// Rand makes ids and choices repeatable in tests; 0 takes them from crypto/rand.
	Rand uint64
	// Logger takes structured logs; nil logs nothing.
	Logger *slog.Logger
}

// Validate joins all faults of the configuration.
func (c *Config) Validate() error {
	var faults []error
	if c.FS == nil {
		faults = append(faults, errors.New("fabric: config: no file system"))
	}
	if c.Dir == "" {
		faults = append(faults, errors.New("fabric: config: no data directory"))
	}
	if c.Transport == nil {
		faults = append(faults, errors.New("fabric: config: no transport"))
	}
	if len(c.Seeds) > MaxSeeds {
		faults = append(faults, fmt.Errorf("fabric: config: %d seeds, at most %d", len(c.Seeds), MaxSeeds))
	}
	for _, seed := range c.Seeds {
		if _, err := parseSeed(seed); err != nil {
			faults = append(faults, err)
		}
	}
	if c.InitialMembers < 0 {
		faults = append(faults, fmt.Errorf("fabric: config: %d initial members", c.InitialMembers))
	}
	return errors.Join(faults...)
}
