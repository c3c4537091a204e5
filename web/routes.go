package web

import (
	"net/http"
	"slices"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/internal/settings"
)

// Route is one row of the API.
type Route struct {
	// Method and Path are a pattern of http.ServeMux.
	Method, Path string
	// Doc says what it does.
	Doc string
	// Body is an example of what it takes, Answer the name of the golden file with what it gives.
	Body, Answer string
	handle       func(api, http.ResponseWriter, *http.Request)
}

// Routes are all rows of the API, in the order of the reference page.
func Routes() []Route {
	routes := []Route{
		{Method: "GET", Path: "/api/v1/status", Doc: "The cluster as this node sees it, with a verdict: healthy, starting or degraded.", Answer: "status", handle: api.status},
		{Method: "GET", Path: "/api/v1/members", Doc: "The members, sorted by name.", Answer: "members", handle: api.members},
		{Method: "GET", Path: "/api/v1/members/{member}", Doc: "One member, by its name, an address or the beginning of its id, with what is wrong with it.", Answer: "member", handle: api.member},
		{Method: "GET", Path: "/api/v1/agreement", Doc: "Whether all members that this node reaches have the same list of members. They are asked now, which takes at most two seconds.", Answer: "agreement", handle: api.agreement},
		{Method: "GET", Path: "/api/v1/node", Doc: "This node: its id, addresses, the conditions of being ready, and counters.", Answer: "node", handle: api.node},
		{Method: "GET", Path: "/api/v1/slots", Doc: "Who serves which hash slots.", Answer: "slots", handle: api.slots},
		{Method: "GET", Path: "/api/v1/kv", Doc: "The keys of the shared map that begin with `?prefix=`, at most 1,000.", Answer: "kv", handle: api.keys},
		{Method: "GET", Path: "/api/v1/kv/{key...}", Doc: "A key of the shared map, which every node holds: the newest value that any node wrote.", Answer: "kv-key", handle: api.get},
		{Method: "PUT", Path: "/api/v1/kv/{key...}", Doc: "Writes a key of the shared map. The newest stamp wins on all nodes.", Body: `{"value": "2"}`, Answer: "kv-key", handle: api.put},
		{Method: "DELETE", Path: "/api/v1/kv/{key...}", Doc: "Deletes a key of the shared map.", Answer: "kv-deleted", handle: api.remove},
		{Method: "GET", Path: "/api/v1/settings", Doc: "The configuration of this node: every setting with its value, where that comes from, and what the next start would take.", Answer: "settings", handle: api.settings},
		{Method: "PATCH", Path: "/api/v1/settings", Doc: "Changes settings, all or none: they are written to the node's file, and taken at once where `effect` says so.", Body: `{"log_level": "debug", "fabric.fanout": 5}`, Answer: "settings-changed", handle: api.change},
		{Method: "GET", Path: "/api/v1/version", Doc: "What was built, and from what.", Answer: "version", handle: api.version},
	}
	return slices.Concat(routes, operationRoutes(), jobRoutes(), keyRoutes())
}

// Options changes how a handler protects itself. The zero value is for loopback.
type Options struct {
	// MaxBody is the largest body of a request in bytes, asked for every request; nil: DefaultMaxBody.
	MaxBody func() int64
	// Settings is the configuration of the node; nil: it has none that could be read or changed, as in a demo.
	Settings *settings.Running
	// Stop makes the process of the node end, after an operation that ends with that; nil: there is no such process.
	// It does not wait, and may be called more than once.
	Stop func()
	// Remote accepts any name as the host, for a port that is open beyond loopback.
	Remote bool
	// Socket accepts SocketHost as the host, for the socket in the data directory.
	Socket bool
}

// DefaultMaxBody is what no MaxBody stands for: the largest value of the shared map with every byte escaped.
const DefaultMaxBody = 512 << 10

// api answers for one node.
type api struct {
	n       *egal.Node
	options Options
}

// Handler serves the API and the health checks of a node.
func Handler(n *egal.Node, options Options) http.Handler {
	a := api{n: n, options: options}
	mux := http.NewServeMux()
	for _, route := range Routes() {
		mux.HandleFunc(route.Method+" "+route.Path, func(w http.ResponseWriter, r *http.Request) { route.handle(a, w, r) })
	}
	mux.HandleFunc("GET /livez", a.live)
	mux.HandleFunc("GET /readyz", a.ready)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answerFault(w, http.StatusNotFound, "no such page: "+r.URL.Path, "docs/reference/api.md lists all")
	})
	return protect(jsonFaults(mux), options)
}
