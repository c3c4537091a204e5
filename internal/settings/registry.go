package settings

import (
	"cmp"
	"math"
	"strings"
	"time"
)

// Type is the type of a setting.
type Type uint8

// The types of settings, with the Go type of their values.
const (
	Bool     Type = iota // bool
	Int                  // int64
	Duration             // time.Duration
	Bytes                // int64
	String               // string
	Enum                 // string, one of Choices
	List                 // []string
	Address              // string, host:port
)

var typeNames = [...]string{"bool", "int", "duration", "bytes", "string", "enum", "list", "address"}

func (t Type) String() string { return typeNames[t] }

// Setting is one row of the registry.
type Setting struct {
	// Key is section.name, or the name alone for what concerns the whole node.
	Key string
	// Type is the type of the value.
	Type Type
	// Default is the value's text when nobody gives one.
	Default string
	// Min and Max bound an Int, a Duration (in nanoseconds) and Bytes, both included.
	Min, Max int64
	// Choices are the values of an Enum.
	Choices []string
	// Optional allows an Address to be empty.
	Optional bool
	// Hot tells that a running node takes a new value; else it has to be restarted.
	Hot bool
	// ClusterWide tells that all nodes have the same value, which no node's file can change.
	ClusterWide bool
	// Flag is the name of the flag of `egal start`, without dashes; empty: there is none.
	Flag string
	// Doc says what it is, in a sentence or two.
	Doc string
}

// Section is the part of the key before the point, empty for what concerns the whole node.
func (s Setting) Section() string {
	section, _, found := strings.Cut(s.Key, ".")
	if !found {
		return ""
	}
	return section
}

// Name is the part of the key after the point.
func (s Setting) Name() string { return s.Key[strings.IndexByte(s.Key, '.')+1:] }

// Environment is the name of the variable: EGAL_FABRIC_LISTEN for fabric.listen.
func (s Setting) Environment() string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
}

const environmentPrefix = "EGAL_"

// rows are all settings, in the order of the reference page.
func rows() []Setting {
	return []Setting{
		{
			Key: "data", Type: String, Default: "egal-data", Flag: "data",
			Doc: "Directory of the node's files. It holds the node's identity, so it belongs to one node alone.",
		},
		{Key: "name", Type: String, Flag: "name", Doc: "What people call the node. Empty: the first digits of its id."},
		{Key: "location", Type: String, Default: "dc1/rack1", Flag: "location", Doc: "Datacenter and rack of the node."},
		{Key: "roles", Type: List, Flag: "roles", Doc: "Free text that the members see."},
		{Key: "structures", Type: List, Default: "slots", Flag: "structures", Doc: "What runs on this node: slots."},
		{
			Key: "insecure", Type: Bool, Default: "false", Flag: "insecure",
			Doc: "Listens beyond loopback although not everything is encrypted and nobody has to log in.",
		},
		{Key: "log_level", Type: Enum, Default: "info", Choices: []string{"debug", "info", "warn", "error"}, Hot: true, Flag: "log-level", Doc: "The least important records that are logged."},
		{Key: "log_format", Type: Enum, Default: "auto", Choices: []string{"auto", "text", "json"}, Flag: "log-format", Doc: "Form of the log on stderr. auto: text on a terminal, else JSON."},

		{Key: "fabric.listen", Type: Address, Default: "127.0.0.1:7946", Flag: "fabric-listen", Doc: "Where other nodes reach this one, UDP and TCP. Port 0 takes a free one."},
		{
			Key: "fabric.cluster_key_file", Type: String, Flag: "cluster-key-file",
			Doc: "File with the cluster's key, the same on all nodes: what nodes say to each other is sealed by it, and who lacks it gets no answer. One key a line, id:base64 or base64, the first one in use. Required beyond loopback. The node writes it when the key is rotated, and reads it again at SIGHUP.",
		},
		{
			Key: "fabric.tls_ca_file", Type: String,
			Doc: "Certificates, in PEM, of the authorities that nodes' certificates come from. With tls_cert_file and tls_key_file, streams between nodes are TLS 1.3 in which both sides prove which node they are. Needs cluster_key_file.",
		},
		{Key: "fabric.tls_cert_file", Type: String, Doc: "Certificate of this node, in PEM: it names the node in the URI egal://node/<node id>. It is read again within ten seconds of a change, or at SIGHUP, as are the other tls files."},
		{Key: "fabric.tls_key_file", Type: String, Doc: "Key of the certificate of this node, in PEM."},
		{Key: "fabric.tls_revoked_file", Type: String, Doc: "Certificates that are not taken any more: a line is serial <hex>, or key <SHA-256 of the public key in hex>."},
		{
			Key: "fabric.allow_plain", Type: Bool, Default: "false", Flag: "allow-plain",
			Doc: "Lets nodes talk in plain text beyond loopback when there is no cluster key.",
		},
		{Key: "fabric.seeds", Type: List, Flag: "join", Doc: "host:port of nodes to join by, the same list for all nodes: its first one founds the cluster. dns://host:port stands for all addresses of a name; there the lowest one founds, once as many as fabric.initial_members are known. Empty: the node founds a cluster of its own."},
		{
			Key: "fabric.initial_members", Type: Int, Default: "0", Max: 1024, Flag: "initial-members",
			Doc: "How many members the cluster is planned to begin with. Slots are placed once so many are up, and only the first seed founds. 0: no plan.",
		},
		{
			Key: "fabric.down_policy", Type: Enum, Default: "majority", Choices: []string{"majority", "static-quorum", "oldest"}, Flag: "down-policy",
			Doc: "Which side of a partition goes on without members that stay unreachable: that of the majority, one with at least fabric.down_quorum members, or that of the oldest member. The founder's holds for the whole cluster.",
		},
		{Key: "fabric.down_quorum", Type: Int, Default: "0", Max: 1024, Flag: "down-quorum", Doc: "Members that a side needs by the policy static-quorum. 0: the policy is another."},
		{
			Key: "fabric.stable_after", Type: Duration, Default: "10s", Min: int64(time.Second), Max: int64(time.Hour), Flag: "stable-after",
			Doc: "How long the same members must have been unreachable before the down policy is asked. The founder's holds for the whole cluster.",
		},
		{Key: "fabric.fanout", Type: Int, Default: "4", Min: 1, Max: 16, Doc: "To how many members a node hands a rumor."},
		{Key: "fabric.probe_interval", Type: Duration, Default: "1s", Min: int64(10 * time.Millisecond), Max: int64(time.Minute), Doc: "Time between two probes of a member. Members that crash are noticed at once, silent ones after fabric.probe_misses of them."},
		{Key: "fabric.probe_misses", Type: Int, Default: "3", Min: 1, Max: 100, Doc: "How many rounds of probes in a row go unanswered until a monitor finds a member unreachable; a quorum of monitors decides."},

		{Key: "slots.listen", Type: Address, Default: "127.0.0.1:6379", Flag: "slots-listen", Doc: "Where clients of Redis Cluster connect. Port 0 takes a free one."},
		{Key: "slots.announce", Type: Address, Optional: true, Flag: "slots-announce", Doc: "Where clients are sent to, if that is not slots.listen: for example behind a translation of addresses."},
		{Key: "slots.engine", Type: Enum, Default: "auto", Choices: []string{"auto", "epoll", "net"}, Doc: "Input and output of the store: epoll (Linux), net (any system), or the better one of the system."},
		{Key: "slots.max_clients", Type: Int, Default: "10000", Min: 1, Max: 1 << 20, Hot: true, Doc: "Connections to the store; more are refused."},
		{Key: "slots.require_full_coverage", Type: Bool, Default: "false", Hot: true, Doc: "Refuses all keys while any slot has no reachable owner, instead of those of such slots alone."},

		{Key: "web.listen", Type: Address, Default: "127.0.0.1:8946", Optional: true, Flag: "web-listen", Doc: "Where the API and the health checks are served. Empty: on the socket in the data directory alone."},
		{Key: "web.max_body", Type: Bytes, Default: "512KiB", Min: 1 << 10, Max: 16 << 20, Hot: true, Doc: "Largest body of a request to the API."},
	}
}

// Registry is the set of all settings.
type Registry struct {
	settings []Setting
	byKey    map[string]Setting
}

// New returns the registry.
func New() *Registry { return newRegistry(rows()) }

func newRegistry(settings []Setting) *Registry {
	r := &Registry{settings: settings, byKey: make(map[string]Setting, len(settings))}
	for i := range settings {
		s := &settings[i]
		s.Max = cmp.Or(s.Max, math.MaxInt64)
		r.byKey[s.Key] = *s
	}
	return r
}

// Settings are all rows, in the order of the reference page. The slice is the registry's.
func (r *Registry) Settings() []Setting { return r.settings }

// Find returns the setting of a key.
func (r *Registry) Find(key string) (Setting, bool) {
	s, ok := r.byKey[key]
	return s, ok
}
