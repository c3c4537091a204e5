package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/egalcluster/egal"
)

// SharedPrefix begins the keys of the shared map that belong to users. The others are the cluster's own.
const SharedPrefix = "kv/"

// maxKeys bounds a list of keys.
const maxKeys = 1000

// Fault is the document of every answer above 399.
type Fault struct {
	Schema int    `json:"schema"`
	Error  string `json:"error"`
	Hint   string `json:"hint"`
}

// Members is the document of /api/v1/members.
type Members struct {
	Schema  int      `json:"schema"`
	Members []Member `json:"members"`
}

// Node is the document of /api/v1/node.
type Node struct {
	Schema   int               `json:"schema"`
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Process  int               `json:"process"` // id of the operating system
	Location string            `json:"location"`
	Roles    []string          `json:"roles"`
	Fabric   string            `json:"fabric"`
	Slots    []Service         `json:"slots"`
	Checks   []Check           `json:"checks"`
	Counters map[string]uint64 `json:"counters"`
}

// Service is a service of the store on this node.
type Service struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Serving bool   `json:"serving"`
	Keys    int64  `json:"keys"`
	Clients int    `json:"clients"`
}

// Check is a condition of being ready.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// Owners is the document of /api/v1/slots.
type Owners struct {
	Schema int     `json:"schema"`
	Slots  Slots   `json:"slots"`
	Owners []Owner `json:"owners"`
}

// Owner is a service that owns slots.
type Owner struct {
	Service   string   `json:"service"`
	Node      string   `json:"node"`
	Address   string   `json:"address"`
	Epoch     uint64   `json:"epoch"`
	Reachable bool     `json:"reachable"`
	Slots     int      `json:"slots"`
	Ranges    []string `json:"ranges"`
}

// Keys is the document of /api/v1/kv.
type Keys struct {
	Schema int      `json:"schema"`
	Keys   []string `json:"keys"`
	More   bool     `json:"more"` // there are others
}

// Value is the document of a key of the shared map.
type Value struct {
	Schema  int       `json:"schema"`
	Key     string    `json:"key"`
	Value   string    `json:"value"`
	Stamp   string    `json:"stamp"` // milliseconds since 1970 and a counter: the greater one wins
	Written time.Time `json:"written"`
}

// Deleted is the document of a deletion.
type Deleted struct {
	Schema int    `json:"schema"`
	Key    string `json:"key"`
}

// Version is the document of /api/v1/version.
type Version struct {
	Schema int `json:"schema"`
	egal.Build
}

func (a api) status(w http.ResponseWriter, _ *http.Request) { answer(w, StatusOf(a.n)) }

func (a api) members(w http.ResponseWriter, _ *http.Request) {
	answer(w, Members{Schema: Schema, Members: membersOf(a.n)})
}

func (a api) version(w http.ResponseWriter, _ *http.Request) {
	answer(w, Version{Schema: Schema, Build: egal.Version()})
}

func (a api) node(w http.ResponseWriter, _ *http.Request) {
	config := a.n.Config()
	metrics := a.n.Metrics() //nolint:contextcheck // the counters are in this process: reading them waits for nobody
	node := Node{
		Schema: Schema, ID: a.n.ID(), Name: cmp.Or(config.Name, a.n.ID()[:8]), Process: os.Getpid(), Location: config.Location, Roles: append([]string{}, config.Roles...),
		Fabric: a.n.Fabric().Addr().String(), Slots: []Service{}, Checks: checksOf(a.n), Counters: counters(metrics),
	}
	for _, service := range a.n.Slots() {
		metrics := service.Metrics()
		node.Slots = append(node.Slots, Service{
			ID: service.ID(), Address: service.Addr().String(), Serving: service.Serving(), Keys: metrics.Keys, Clients: metrics.Clients,
		})
	}
	answer(w, node)
}

func checksOf(n *egal.Node) []Check {
	var checks []Check
	for _, c := range n.Checks() {
		checks = append(checks, Check(c))
	}
	return checks
}

func (a api) slots(w http.ResponseWriter, _ *http.Request) {
	status := StatusOf(a.n)
	owners := Owners{Schema: Schema, Slots: status.Slots, Owners: []Owner{}}
	for _, service := range a.n.Slots() {
		for _, n := range service.Table().Nodes() {
			owner := Owner{
				Service: n.ID.String(), Node: n.ID.Node.String(), Address: fmt.Sprintf("%s:%d", n.Endpoint(), n.Port),
				Epoch: n.Epoch, Reachable: n.Reachable, Slots: n.Slots(), Ranges: []string{},
			}
			for _, r := range n.Ranges {
				owner.Ranges = append(owner.Ranges, r.String())
			}
			owners.Owners = append(owners.Owners, owner)
		}
	}
	answer(w, owners)
}

func (a api) keys(w http.ResponseWriter, r *http.Request) {
	keys := Keys{Schema: Schema, Keys: []string{}}
	for _, key := range a.n.Fabric().View().SharedKeys(SharedPrefix + r.URL.Query().Get("prefix")) {
		if len(keys.Keys) == maxKeys {
			keys.More = true
			break
		}
		keys.Keys = append(keys.Keys, strings.TrimPrefix(key, SharedPrefix))
	}
	answer(w, keys)
}

func (a api) get(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	value, stamp, ok := a.n.Fabric().View().Shared(SharedPrefix + key)
	if !ok {
		answerFault(w, http.StatusNotFound, fmt.Sprintf("no key %q in the shared map", key), "GET /api/v1/kv lists them")
		return
	}
	answer(w, Value{Schema: Schema, Key: key, Value: string(value), Stamp: stamp.String(), Written: stamp.Wall().UTC()})
}

func (a api) put(w http.ResponseWriter, r *http.Request) {
	value, err := readValue(r.Body)
	if err != nil {
		answerFault(w, statusOfRead(err), "the body: "+err.Error(), `want {"value": "text"}`)
		return
	}
	key := r.PathValue("key")
	if key == "" {
		answerFault(w, http.StatusBadRequest, "no key", "PUT /api/v1/kv/KEY")
		return
	}
	if err := a.n.Fabric().SetShared(r.Context(), SharedPrefix+key, []byte(value)); err != nil {
		answerFault(w, http.StatusBadRequest, err.Error(), "keys have at most 253 bytes, values 64 KiB")
		return
	}
	a.get(w, r)
}

// readValue takes {"value": "text"}, nothing else.
func readValue(body io.Reader) (string, error) {
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	var document struct{ Value *string }
	if err := decoder.Decode(&document); err != nil {
		return "", err
	}
	if document.Value == nil {
		return "", errors.New("no value")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("more than one document")
	}
	return *document.Value, nil
}

func statusOfRead(err error) int {
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

func (a api) remove(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	if err := a.n.Fabric().DeleteShared(r.Context(), SharedPrefix+key); err != nil {
		answerFault(w, http.StatusBadRequest, err.Error(), "")
		return
	}
	answer(w, Deleted{Schema: Schema, Key: key})
}

// answer writes a document. An error of writing means that nobody listens any more.
func answer(w http.ResponseWriter, document any) { answerWith(w, http.StatusOK, document) }

func answerFault(w http.ResponseWriter, status int, text, hint string) {
	answerWith(w, status, Fault{Schema: Schema, Error: text, Hint: hint})
}

func answerWith(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(document)
}
