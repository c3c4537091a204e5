package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/egalcluster/egal"
)

// Plan is the document of an operation on a node: what it would do, and whether it has been done.
type Plan struct {
	Schema int    `json:"schema"`
	Verb   string `json:"verb"`
	Node   string `json:"node"` // id
	Name   string `json:"name"`
	// Steps are what happens, in order and in words.
	Steps []string `json:"steps"`
	// Slots is how many slots the node owns, Keys how many keys are lost.
	Slots int   `json:"slots"`
	Keys  int64 `json:"keys"`
	// Refused is why it is not done as it was asked for, Hint what to do about that; empty: it is done.
	Refused string `json:"refused"`
	Hint    string `json:"hint"`
	// Done tells that it has been done; false after a dry run.
	Done bool `json:"done"`
}

// Order is what an operation takes.
type Order struct {
	// Node is the member concerned: a name, the beginning of an id, or an address.
	Node string `json:"node"`
	// DryRun asks for the plan alone.
	DryRun bool `json:"dry_run"`
	// LoseKeys agrees to lose keys that no other node has.
	LoseKeys bool `json:"lose_keys"`
}

// operation is a verb on a member: POST /api/v1/node/VERB. It is planned, then carried out or not.
type operation interface {
	// route describes it; Path and handle are filled in.
	route() (verb string, r Route)
	// plan tells what it would do to a member, or why it refuses.
	plan(n *egal.Node, m Member, order Order) Plan
	// run does it.
	run(ctx context.Context, n *egal.Node, m Member) error
	// ends tells whether the process of the node ends after it.
	ends() bool
}

// operations are all verbs.
func operations() []operation { return []operation{leave{}} }

// operationRoutes are the rows of the API for operations.
func operationRoutes() []Route {
	var routes []Route
	for _, o := range operations() {
		verb, r := o.route()
		r.Method, r.Path = http.MethodPost, "/api/v1/node/"+verb
		r.handle = func(a api, w http.ResponseWriter, request *http.Request) { a.operate(o, w, request) }
		routes = append(routes, r)
	}
	return routes
}

func (a api) operate(o operation, w http.ResponseWriter, r *http.Request) {
	order, err := readOrder(r.Body)
	if err != nil {
		answerFault(w, statusOfRead(err), "the body: "+err.Error(), `want {"node": "NAME"}, and "dry_run": true for the plan alone`)
		return
	}
	m, fault := find(membersOf(a.n), order.Node)
	if fault != nil {
		answerWith(w, fault.status, fault.document)
		return
	}
	plan := o.plan(a.n, m, order)
	plan.Schema, plan.Node, plan.Name = Schema, m.ID, m.Name
	plan.Verb, _ = o.route()
	if o.ends() && a.options.Stop == nil && plan.Refused == "" {
		plan.Refused, plan.Hint = "the node is part of another program, which ends it", "end the program"
	}
	switch {
	case order.DryRun:
		answer(w, plan)
		return
	case plan.Refused != "":
		answerFault(w, http.StatusConflict, plan.Refused, plan.Hint)
		return
	}
	if err := o.run(r.Context(), a.n, m); err != nil {
		answerFault(w, http.StatusInternalServerError, err.Error(), "egal status shows what has become of it")
		return
	}
	plan.Done = true
	answer(w, plan)
	if o.ends() {
		_ = http.NewResponseController(w).Flush() // so that the end of the process does not cut off the answer
		a.options.Stop()
	}
}

// readOrder takes one Order.
func readOrder(body io.Reader) (Order, error) {
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	var order Order
	if err := decoder.Decode(&order); err != nil {
		return order, err
	}
	if order.Node == "" {
		return order, errors.New("no node")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return order, errors.New("more than one document")
	}
	return order, nil
}

// leave takes the asked node out of the cluster for good.
type leave struct{}

func (leave) route() (string, Route) {
	return "leave", Route{
		Doc: "Takes this node out of the cluster: it says goodbye, the others take it out at once, and its process ends. With `dry_run` the answer is the plan. " +
			"It is refused (409) where `node` is another one, and where keys would be lost that no other node has, unless `lose_keys` agrees.",
		Body: `{"node": "node-1", "dry_run": true}`, Answer: "node-leave",
	}
}

func (leave) ends() bool { return true }

func (leave) run(ctx context.Context, n *egal.Node, _ Member) error { return n.Fabric().Leave(ctx) }

func (leave) plan(n *egal.Node, m Member, order Order) Plan {
	plan := Plan{Steps: []string{}, Slots: m.Slots}
	if !m.Self {
		plan.Refused, plan.Hint = m.Name+" is not the node that was asked", "ask it itself: --data or --addr of "+m.Name
		return plan
	}
	for _, service := range n.Slots() {
		plan.Keys += service.Metrics().Keys
	}
	others := 0
	for _, other := range membersOf(n) {
		if other.Reachable && !other.Self {
			others++
		}
	}
	if others > 0 {
		plan.Steps = append(plan.Steps, fmt.Sprintf("%s says goodbye: the others (%d) take it out of the cluster at once", m.Name, others))
	} else {
		plan.Steps = append(plan.Steps, m.Name+" is the only member that can be reached: nobody takes over")
	}
	if others > 0 && plan.Slots > 0 {
		plan.Steps = append(plan.Steps, fmt.Sprintf("its %d slots go to the others, empty", plan.Slots))
	}
	if plan.Keys > 0 {
		plan.Steps = append(plan.Steps, fmt.Sprintf("lost, since no other node has them: %s", count(int(plan.Keys), "key")))
		if !order.LoseKeys {
			plan.Refused = fmt.Sprintf("%s holds %s that no other node has", m.Name, count(int(plan.Keys), "key"))
			plan.Hint = "copy them elsewhere first, or agree to lose them: --lose-keys"
		}
	}
	plan.Steps = append(plan.Steps, "its process ends with exit code 0; started again on its data directory, it joins again")
	return plan
}
