package egal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
)

// Defaults of what a zero field of Config means.
const (
	DefaultFabricListen = "127.0.0.1:7946"
	DefaultSlotsListen  = "127.0.0.1:6379"
	DefaultLocation     = "dc1/rack1"
)

// Bounds of a Config.
const (
	maxRoles          = 32
	maxNameBytes      = 128
	maxHostBytes      = 255
	maxInitialMembers = 1024
	maxFanout         = 16
)

// StructureSlots names the store that clients of Redis Cluster use.
const StructureSlots = "slots"

// Config describes a node. The zero value is complete: a cluster of one, with everything in memory.
type Config struct {
	// Data is the directory of the node's files on Disk. Empty: all is kept in memory and ends with the node, or with
	// Disk if that is given.
	Data string
	// Disk is where Data lies; nil is the disk of the machine.
	Disk *Disk

	// Name is what people call the node; empty: the first eight digits of its id.
	Name string
	// Location is datacenter/rack; empty: DefaultLocation.
	Location string
	// Roles is free text that members see.
	Roles []string
	// Structures are those that run on this node; empty: all there are.
	Structures []string

	// Seeds are host:port of the fabric of nodes to join by, the same list for all nodes, or dns://host:port for all
	// nodes that a name stands for; this node may be among them. The first one founds the cluster when no other seed is
	// in one. Without seeds the node founds a cluster of its own.
	Seeds []string
	// Resolve looks up names of seeds; nil is the machine's resolver.
	Resolve fabric.Resolver
	// FirstSeed makes this node the first seed although its address does not show that.
	FirstSeed bool
	// InitialMembers is how many members the cluster is planned to begin with: slots are placed, and Ready reports,
	// once so many are up. 0 means 1, and no plan.
	InitialMembers int

	// FabricListen is host:port for other nodes, UDP and TCP; empty: DefaultFabricListen. Port 0 takes a free one.
	FabricListen string
	// ClusterKeyFile holds the cluster's keys, as transport.ParseKeyring reads them: what nodes say to each other is sealed
	// by them, and who lacks them gets no answer. RotateKey rewrites it. Empty: plain text, on loopback only unless
	// AllowPlain.
	ClusterKeyFile string
	// Certificates make streams between nodes mutual TLS, beside the key, which they need. They are read again within ten
	// seconds of a change, or by ReloadSecrets. Zero: none.
	Certificates transport.CertificateFiles
	// AllowPlain lets nodes talk in plain text beyond loopback when there is no ClusterKeyFile.
	AllowPlain bool
	// FabricFanout is how many members a node hands a rumor to; 0: the fabric's default.
	FabricFanout int
	// FabricStrategy is how rumors spread: "inr" (or empty), "literal" or "push". All nodes should have the same.
	FabricStrategy string
	// ProbeInterval is the time between two probes of a member; 0: the fabric's default.
	ProbeInterval time.Duration
	// ProbeMisses is how many rounds of probes in a row go unanswered until a monitor misses a member; 0: the fabric's default.
	ProbeMisses int
	// DownPolicy decides, in a cluster that this node founds, which side of a partition goes on without members that
	// stay unreachable: "majority" (or empty), "static-quorum" of at least DownQuorum members, or "oldest".
	DownPolicy string
	// DownQuorum belongs to the policy "static-quorum".
	DownQuorum int
	// StableAfter is how long the same members must have been unreachable before the policy is asked; 0: ten seconds.
	StableAfter time.Duration
	// Transport opens the way to other nodes, instead of UDP and TCP on FabricListen.
	Transport func(ctx context.Context) (transport.Transport, error)
	// Insecure lets the node listen beyond loopback although nothing is encrypted and nobody has to log in.
	Insecure bool

	// SlotsListen is host:port for clients of the store; empty: DefaultSlotsListen. Port 0 takes a free one.
	SlotsListen string
	// SlotsAnnounce is host:port that clients are sent to, where it differs from the address listened on.
	SlotsAnnounce string
	// SlotsEngine is how the store does its input and output: "auto" (or empty), "epoll" or "net".
	SlotsEngine string
	// MaxClients bounds the connections to the store; 0: the store's default.
	MaxClients int
	// RequireFullCoverage refuses all keys while any slot has no reachable owner. By default only those slots are.
	RequireFullCoverage bool

	// ListenConfig opens all listening sockets; nil is the zero one.
	ListenConfig *net.ListenConfig
	// Now is the clock of the node; nil is time.Now.
	Now func() time.Time
	// Seed makes the random choices of the node repeatable; 0: they are not.
	Seed uint64
	// Version is shown to clients; empty: that of the build.
	Version string
	// Logger takes the node's logs; nil drops them.
	Logger *slog.Logger
}

// Validate joins all faults of the configuration.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("egal: config: "+format, args...))
	}
	bounded := func(what string, value, limit int) {
		if value < 0 || value > limit {
			fault("%s %d: want 0 to %d", what, value, limit)
		}
	}
	address := func(what, value string) {
		if value == "" {
			return
		}
		if err := checkAddress(value); err != nil {
			fault("%s: %w", what, err)
		}
	}
	short := func(what, value string) {
		if len(value) > maxNameBytes {
			fault("%s: %d bytes, at most %d", what, len(value), maxNameBytes)
		}
	}
	short("name", c.Name)
	short("location", c.Location)
	for _, role := range c.Roles {
		short("role", role)
	}
	bounded("roles", len(c.Roles), maxRoles)
	for _, structure := range c.Structures {
		if structure != StructureSlots {
			fault("structure %q: want %q", structure, StructureSlots)
		}
	}
	bounded("seeds", len(c.Seeds), fabric.MaxSeeds)
	for _, seed := range c.Seeds {
		if seed == "" {
			fault("seeds: an empty one")
		}
		address("seeds", strings.TrimPrefix(seed, "dns://"))
	}
	bounded("initial members", c.InitialMembers, maxInitialMembers)
	address("fabric listen", c.FabricListen)
	address("slots listen", c.SlotsListen)
	address("slots announce", c.SlotsAnnounce)
	if host, _, err := net.SplitHostPort(c.SlotsAnnounce); err == nil && !isHost(host) {
		fault("slots announce: host %q: not a host name\nhint: letters, digits, '.', '-' and '_', at most %d bytes", host, maxHostBytes)
	}
	bounded("fanout", c.FabricFanout, maxFanout)
	if _, err := gossip.ParseStrategy(cmp.Or(c.FabricStrategy, gossip.StrategyINR.String())); err != nil {
		fault("fabric strategy %q: want inr, literal or push", c.FabricStrategy)
	}
	if _, err := gossip.ParseDownKind(cmp.Or(c.DownPolicy, gossip.DownMajority.String())); err != nil {
		fault("down policy %q: want majority, static-quorum or oldest", c.DownPolicy)
	}
	if quorum := c.DownPolicy == gossip.DownStaticQuorum.String(); quorum != (c.DownQuorum > 0) || c.DownQuorum < 0 {
		fault("down quorum %d with the policy %q\nhint: a quorum of at least 1 belongs to static-quorum, and to nothing else", c.DownQuorum, c.DownPolicy)
	}
	if c.StableAfter != 0 && c.StableAfter < time.Second {
		fault("stable after %v: want 1 s or more", c.StableAfter)
	}
	if c.ProbeInterval < 0 || c.ProbeMisses < 0 || c.MaxClients < 0 {
		fault("probe interval, probe misses and max clients are not negative")
	}
	if !slices.Contains([]string{"", "auto", "epoll", "net"}, c.SlotsEngine) {
		fault("slots engine %q: want auto, epoll or net", c.SlotsEngine)
	}
	if files := c.Certificates; files != (transport.CertificateFiles{}) {
		switch {
		case files.CA == "" || files.Cert == "" || files.Key == "":
			fault("tls: want the files of the authority, the certificate and its key together")
		case c.ClusterKeyFile == "":
			fault("tls: certificates protect streams only\nhint: give all nodes one cluster key, too")
		}
	}
	if !c.Insecure {
		if c.Transport == nil && !isLoopback(c.FabricListen) && c.ClusterKeyFile == "" && !c.AllowPlain {
			fault("fabric listen %s: %w\nhint: give all nodes one cluster key", c.FabricListen, ErrInsecure)
		}
		if c.runs(StructureSlots) && !isLoopback(c.SlotsListen) {
			fault("slots listen %s: %w", c.SlotsListen, ErrInsecure)
		}
	}
	return errors.Join(faults...)
}

// runs tells whether a structure is to run.
func (c Config) runs(structure string) bool {
	return len(c.Structures) == 0 || slices.Contains(c.Structures, structure)
}

// checkAddress takes host:port.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("address %q: want host:port", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("address %q: port %q: want 0 to 65535", address, port)
	}
	return nil
}

// isHost tells whether the store can announce a host: an address, or a name. Empty stands for the address listened on.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return len(host) <= maxHostBytes && !strings.ContainsFunc(host, func(c rune) bool {
		letter, digit := 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9'
		return !letter && !digit && !strings.ContainsRune(".-_:", c)
	})
}

// isLoopback tells whether an address reaches this machine alone. An empty address stands for a default, which does.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if address == "" || err != nil || host == "localhost" {
		return address == "" || host == "localhost"
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
