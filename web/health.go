package web

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/egalcluster/egal"
)

// live tells that the process answers. It depends on nothing else, so that a node is not killed for its peers.
func (a api) live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// ready answers 200 when the node can serve, 503 when not; with ?verbose a line for every condition.
func (a api) ready(w http.ResponseWriter, r *http.Request) {
	ok := true
	var lines strings.Builder
	for _, check := range a.n.Checks() {
		mark := "+"
		if !check.OK {
			ok, mark = false, "-"
		}
		fmt.Fprintf(&lines, "[%s] %s: %s\n", mark, check.Name, check.Detail)
	}
	verdict, status := "ok", http.StatusOK
	if !ok {
		verdict, status = "not ready", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if r.URL.Query().Has("verbose") {
		fmt.Fprint(w, lines.String())
	}
	fmt.Fprintln(w, verdict)
}

// counters names the numbers in the metrics of a node: fabric.gossip.probes_sent, slots.commands.
func counters(m egal.Metrics) map[string]uint64 {
	all := make(map[string]uint64)
	collect(all, "fabric", reflect.ValueOf(m.Fabric))
	collect(all, "jobs", reflect.ValueOf(m.Jobs))
	for _, service := range m.Slots {
		collect(all, "slots", reflect.ValueOf(service))
	}
	return all
}

func collect(all map[string]uint64, name string, value reflect.Value) {
	switch {
	case value.Kind() == reflect.Struct:
		for i := range value.NumField() {
			if field := value.Type().Field(i); field.IsExported() {
				collect(all, name+"."+snake(field.Name), value.Field(i))
			}
		}
	case value.CanUint():
		all[name] += value.Uint()
	case value.CanInt():
		all[name] += uint64(max(value.Int(), 0))
	}
}

// snake writes ProbesSent as probes_sent.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
