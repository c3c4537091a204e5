package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric/gossip"
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
func operations() []operation { return []operation{leave{}, down{}, forget{}} }

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
		answerFailure(w, err)
		return
	}
	plan.Done = true
	answer(w, plan)
	if o.ends() {
		_ = http.NewResponseController(w).Flush() // so that the end of the process does not cut off the answer
		a.options.Stop()
	}
}

// answerFailure says why an operation was not carried out although its plan was not refused.
func answerFailure(w http.ResponseWriter, err error) {
	text, hint, _ := strings.Cut(err.Error(), "\nhint: ")
	status := http.StatusInternalServerError
	if errors.Is(err, gossip.ErrReachable) || errors.Is(err, gossip.ErrUnknownMember) { // since the plan was made
		status = http.StatusConflict
	}
	answerFault(w, status, text, cmp.Or(hint, "egal status shows what has become of it"))
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
