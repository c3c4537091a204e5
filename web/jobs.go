package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/internal/jobs"
)

// Jobs is the document of /api/v1/jobs.
type Jobs struct {
	Schema int   `json:"schema"`
	Jobs   []Job `json:"jobs"`
}

// JobStatus is the document of /api/v1/jobs/{id}.
type JobStatus struct {
	Schema int `json:"schema"`
	Job    Job `json:"job"`
}

// Job is a piece of long work.
type Job struct {
	ID    uint64 `json:"id"`
	Kind  string `json:"kind"`
	State string `json:"state"`
	// Final tells that the state stays.
	Final bool `json:"final"`
	// Owner is the id of the node that runs it, or was the last to; Node its name. Empty while nobody does.
	Owner string `json:"owner"`
	Node  string `json:"node"`
	Epoch uint64 `json:"epoch"` // counts the runs
	Done  uint64 `json:"done"`
	Total uint64 `json:"total"` // 0: not known
	Unit  string `json:"unit"`
	Note  string `json:"note"`
	Error string `json:"error"`
	// These are empty until they happen.
	Created string `json:"created"`
	Started string `json:"started"`
	Updated string `json:"updated"`
	Ended   string `json:"ended"`
}

// jobRequest is what can be asked of a job: POST /api/v1/jobs/{id}/VERB.
type jobRequest struct {
	verb, doc string
	ask       func(*jobs.Service, context.Context, uint64) (jobs.Job, error)
}

func jobRequests() []jobRequest {
	return []jobRequest{
		{"pause", "Stops a job so that it can go on later. One that runs is `pausing` until it has stopped.", (*jobs.Service).Pause},
		{"resume", "Lets a paused job go on where it has stopped.", (*jobs.Service).Resume},
		{"cancel", "Stops a job for good. One that runs is `cancelling` until it has stopped.", (*jobs.Service).Cancel},
	}
}

// jobRoutes are the rows of the API for jobs.
func jobRoutes() []Route {
	routes := []Route{
		{Method: "GET", Path: "/api/v1/jobs", Doc: "The jobs of the cluster, the oldest first: all that are not finished, and the last that are.", Answer: "jobs", handle: api.jobs},
		{Method: "GET", Path: "/api/v1/jobs/{id}", Doc: "One job. Its state is pending, running, pausing, paused, cancelling, cancelled, done or failed.", Answer: "job", handle: api.job},
	}
	for _, request := range jobRequests() {
		routes = append(routes, Route{
			Method: http.MethodPost, Path: "/api/v1/jobs/{id}/" + request.verb, Doc: request.doc, Body: "{}", Answer: "job-" + request.verb,
			handle: func(a api, w http.ResponseWriter, r *http.Request) { a.askJob(request, w, r) },
		})
	}
	return routes
}

func (a api) jobs(w http.ResponseWriter, r *http.Request) {
	all, err := a.n.Jobs().List(r.Context())
	if err != nil {
		answerJobFault(w, err)
		return
	}
	document := Jobs{Schema: Schema, Jobs: []Job{}}
	for _, j := range all {
		document.Jobs = append(document.Jobs, jobOf(a.n, j))
	}
	answer(w, document)
}

func (a api) job(w http.ResponseWriter, r *http.Request) {
	a.withJob(w, r, a.n.Jobs().Get)
}

func (a api) askJob(request jobRequest, w http.ResponseWriter, r *http.Request) {
	if takesNothing(w, r) {
		a.withJob(w, r, func(ctx context.Context, id uint64) (jobs.Job, error) { return request.ask(a.n.Jobs(), ctx, id) })
	}
}

// takesNothing reads a body without fields; false: it has answered that there are some.
func takesNothing(w http.ResponseWriter, r *http.Request) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&struct{}{}); err != nil {
		answerFault(w, statusOfRead(err), "the body: "+err.Error(), "want {}")
		return false
	}
	return true
}

// withJob answers with what ask gives for the job of the path.
func (a api) withJob(w http.ResponseWriter, r *http.Request, ask func(context.Context, uint64) (jobs.Job, error)) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		answerFault(w, http.StatusBadRequest, fmt.Sprintf("%q is no number of a job", r.PathValue("id")), jobsHint)
		return
	}
	j, err := ask(r.Context(), id)
	if err != nil {
		answerJobFault(w, err)
		return
	}
	answer(w, JobStatus{Schema: Schema, Job: jobOf(a.n, j)})
}

const jobsHint = "egal job ls lists them; GET /api/v1/jobs"

func answerJobFault(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		answerFault(w, http.StatusNotFound, err.Error(), jobsHint)
	case errors.Is(err, jobs.ErrState):
		answerFault(w, http.StatusConflict, err.Error(), jobsHint)
	case errors.Is(err, fabric.ErrUnknown):
		answerFault(w, http.StatusGatewayTimeout, err.Error(), "egal job ls shows whether it was done; doing it again does no harm")
	default:
		answerFault(w, http.StatusServiceUnavailable, err.Error(), "egal status shows who is missing")
	}
}

func jobOf(n *egal.Node, j jobs.Job) Job {
	document := Job{
		ID: j.ID, Kind: j.Kind, State: j.State.String(), Final: j.State.Final(), Epoch: j.Epoch, Done: j.Done, Total: j.Total, Unit: j.Unit,
		Note: j.Note, Error: j.Error, Created: instant(j.Created), Started: instant(j.Started), Updated: instant(j.Updated), Ended: instant(j.Ended),
	}
	if !j.Owner.IsZero() {
		document.Owner, document.Node = j.Owner.String(), j.Owner.String()[:8]
		if m, known := n.Fabric().View().Member(j.Owner); known && m.Name != "" {
			document.Node = m.Name
		}
	}
	return document
}

// instant is a moment as text; empty for none.
func instant(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}
