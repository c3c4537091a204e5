package slots

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/egalcluster/egal/fabric"
)

// The network engines of Config.Engine.
const (
	// EngineAuto is EngineEpoll where the system has it, else EngineNet.
	EngineAuto = "auto"
	// EngineEpoll runs event loops of our own on Linux.
	EngineEpoll = "epoll"
	// EngineNet runs a goroutine per connection on any system.
	EngineNet = "net"
)

// Defaults and bounds of Config.
const (
	// DefaultMaxClients is how many clients are served at once.
	DefaultMaxClients = 10_000
	// DefaultDatabases is the number of databases of a service without a cluster; with one there is a single one.
	DefaultDatabases = 16
	// DefaultOutputLimit is how many bytes of replies a client may leave unread, in bytes, before it is closed.
	DefaultOutputLimit = 1 << 30
	// DefaultInputLimit is how many bytes of one unfinished command are kept.
	DefaultInputLimit = 1 << 30
	// maxMaxClients bounds Config.MaxClients.
	maxMaxClients = 1 << 24
	// keepAliveSeconds is the silence after which the system probes whether a client is still there.
	keepAliveSeconds = 300
	// MaxLoops bounds Config.Loops.
	MaxLoops = 256
)

// Announce is what clients are told to connect to, when it is not the listener's own address.
type Announce struct {
	// Host is a name or an address; empty: the listener's address.
	Host string
	// Port is the port; 0: the listener's port.
	Port int
}

// Config says how a service runs. The zero value is a service without a cluster on a free port of 127.0.0.1.
type Config struct {
	// Index tells the services of one node apart; it is part of the service's id.
	Index int
	// Fabric is the cluster to be part of; nil: a server by itself, with cluster support disabled.
	Fabric *fabric.Fabric
	// Listen is the address to serve clients on, "host:port". Empty: "127.0.0.1:0".
	Listen string
	// AllowRemote lets the service listen beyond loopback. There is no authentication: whoever reaches the port owns
	// the data. Without it such an address is refused.
	AllowRemote bool
	// ListenConfig makes the listener; nil: the system's defaults.
	ListenConfig *net.ListenConfig
	// Announce is the address that redirections and CLUSTER replies name.
	Announce Announce
	// Databases is the number of databases; 0: DefaultDatabases, or 1 in a cluster.
	Databases int
	// InitialMembers is the number of members that wait for each other before slots are assigned.
	InitialMembers int
	// RequireFullCoverage refuses every command while a single slot is not served.
	RequireFullCoverage bool
	// Engine is EngineAuto (also when empty), EngineEpoll or EngineNet.
	Engine string
	// Loops is the number of event loops; 0: one for every two processors.
	Loops int
	// MaxClients bounds the clients served at once; 0: DefaultMaxClients.
	MaxClients int
	// IdleTimeout closes clients that have sent nothing for so long; 0: never.
	IdleTimeout time.Duration
	// OutputLimit bounds the replies a client leaves unread, in bytes; 0: DefaultOutputLimit.
	OutputLimit int
	// InputLimit bounds the bytes of one unfinished command; 0: DefaultInputLimit.
	InputLimit int
	// Seed feeds everything that draws lots; 0: a random one.
	Seed uint64
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
	// Logger takes the log; nil: nothing is logged.
	Logger *slog.Logger
	// Version is the version INFO shows as egal_version.
	Version string
}

// Validate reports every fault of the configuration.
func (c *Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("slots: config: "+format, args...))
	}
	switch c.Engine {
	case "", EngineAuto, EngineEpoll, EngineNet:
	default:
		fault("engine %q is none of auto, epoll, net", c.Engine)
	}
	if host, _, err := net.SplitHostPort(c.Listen); c.Listen != "" && err != nil {
		fault("listen: %w", err)
	} else if c.Listen != "" && !c.AllowRemote && !loopback(host) {
		fault("listen %s: reachable beyond this machine without authentication; hint: listen on 127.0.0.1, or allow it explicitly", c.Listen)
	}
	for _, bound := range []struct {
		name           string
		value, maximum int
	}{
		{"index", c.Index, 1 << 20},
		{"databases", c.Databases, 1 << 14},
		{"loops", c.Loops, MaxLoops},
		{"max clients", c.MaxClients, maxMaxClients},
		{"output limit", c.OutputLimit, math.MaxInt},
		{"input limit", c.InputLimit, math.MaxInt},
		{"announced port", c.Announce.Port, 1<<16 - 1},
		{"initial members", c.InitialMembers, 1 << 16},
	} {
		if bound.value < 0 || bound.value > bound.maximum {
			fault("%s %d is not between 0 and %d", bound.name, bound.value, bound.maximum)
		}
	}
	if c.Fabric != nil && c.Databases > 1 {
		fault("a cluster has one database, not %d", c.Databases)
	}
	return errors.Join(faults...)
}

// loopback reports whether a host can be reached from this machine only. Names other than localhost cannot be judged
// before they are resolved, so they are not.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// withDefaults fills in what was left zero.
func (c Config) withDefaults() Config {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&c.MaxClients, DefaultMaxClients)
	set(&c.OutputLimit, DefaultOutputLimit)
	set(&c.InputLimit, DefaultInputLimit)
	set(&c.Loops, max(1, min(runtime.NumCPU()/2, MaxLoops)))
	if c.Fabric != nil {
		set(&c.Databases, 1)
	}
	set(&c.Databases, DefaultDatabases)
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.ListenConfig == nil {
		c.ListenConfig = &net.ListenConfig{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	return c
}
