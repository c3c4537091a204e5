package web

import (
	"errors"
	"net/http"

	"github.com/egalcluster/egal/fabric"
)

// keyRoutes are the rows of the API for the cluster key.
func keyRoutes() []Route {
	return []Route{{
		Method: http.MethodPost, Path: "/api/v1/keys/rotate",
		Doc:  "Starts the job that replaces the cluster key on all members while they go on, and gives it; the one at work if there is one. The key itself is in no answer.",
		Body: "{}", Answer: "keys-rotate", handle: api.rotateKey,
	}}
}

func (a api) rotateKey(w http.ResponseWriter, r *http.Request) {
	if !takesNothing(w, r) {
		return
	}
	j, err := a.n.RotateKey(r.Context())
	switch {
	case errors.Is(err, fabric.ErrNoKeys):
		answerFault(w, http.StatusConflict, "the nodes talk in plain text: there is no cluster key", "egal cert create-ca makes one; give it to all nodes (fabric.cluster_key_file)")
	case err != nil:
		answerJobFault(w, err)
	default:
		answer(w, JobStatus{Schema: Schema, Job: jobOf(a.n, j)})
	}
}
