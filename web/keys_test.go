package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

func TestTheClusterKeyIsRotatedOverTheAPI(t *testing.T) {
	n := nodeWith(t, keyFile(t))
	before := n.Fabric().Keys()[0].Hash
	h := Handler(n, Options{})
	if answer := ask(t, h, "POST", "/api/v1/keys/rotate", `{"key": "mine"}`); answer.Code != http.StatusBadRequest {
		t.Errorf("a field: %d %s", answer.Code, answer.Body)
	}
	if answer := ask(t, h, "POST", "/api/v1/keys/rotate", "{}"); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), `"kind": "rotate-key"`) {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for j, err := range n.Jobs().Watch(ctx, 1) {
		if err != nil || j.State.Final() && j.Error != "" {
			t.Fatalf("%+v, %v", j, err)
		}
	}
	if keys := n.Fabric().Keys(); len(keys) != 1 || keys[0].Hash == before {
		t.Errorf("%v after %s", keys, before)
	}
}

func TestWithoutAClusterKeyThereIsNothingToRotate(t *testing.T) {
	n := node(t)
	answer := ask(t, Handler(n, Options{}), "POST", "/api/v1/keys/rotate", "{}")
	if answer.Code != http.StatusConflict || !strings.Contains(answer.Body.String(), "there is no cluster key") || !strings.Contains(answer.Body.String(), "egal cert create-ca") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}
