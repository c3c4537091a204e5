package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// agreeTimeout bounds the question behind an Agreement.
const agreeTimeout = 2 * time.Second

// Agreement is the document of /api/v1/agreement.
type Agreement struct {
	Schema int `json:"schema"`
	// Agreed tells that all members that the asked node reaches have the same list of members, with the same states.
	Agreed bool `json:"agreed"`
	// Members is a hash of the asked node's list.
	Members string `json:"members"`
	// Reached are how many members the asked node reaches, itself included, Same how many of them have its list.
	Reached int `json:"reached"`
	Same    int `json:"same"`
	// Others are the ids of some that have another list, or did not answer.
	Others []string `json:"others"`
}

func (a api) agreement(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), agreeTimeout)
	defer cancel()
	found, err := a.n.Fabric().Agree(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded): // somebody has just gone: nobody knows yet
		found.Members = a.n.Fabric().View().Hash()
	case err != nil:
		answerFault(w, http.StatusServiceUnavailable, err.Error(), "ask again")
		return
	}
	document := Agreement{
		Schema: Schema, Agreed: err == nil && found.Agreed(), Members: fmt.Sprintf("%016x", found.Members),
		Reached: found.Reached, Same: found.Same, Others: []string{},
	}
	for _, id := range found.Others {
		document.Others = append(document.Others, id.String())
	}
	answer(w, document)
}
