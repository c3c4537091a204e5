package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/internal/jobs"
)

// stubborn starts a job with number 1 that does half of its work, and then goes on, whatever it is told, until the test
// ends: its state is what it was asked for last.
func stubborn(t *testing.T, n *egal.Node) {
	t.Helper()
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	err := n.Jobs().Register(jobs.Kind{Name: "rebalance", Unit: "slots", Run: func(_ context.Context, run *jobs.Run) error {
		run.Note("moves slots to node-4")
		err := run.Report(2048, 4096, nil)
		<-end
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Jobs().Start(t.Context(), "rebalance", nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for j, err := range n.Jobs().Watch(ctx, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if j.Done > 0 {
			return
		}
	}
}

func TestWhatIsRefusedOfJobs(t *testing.T) {
	n := node(t)
	stubborn(t, n)
	h := Handler(n, Options{})
	tests := []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"no number", "GET", "/api/v1/jobs/x", "", http.StatusBadRequest, "is no number"},
		{"no such job", "GET", "/api/v1/jobs/99", "", http.StatusNotFound, "no such job"},
		{"no such job to pause", "POST", "/api/v1/jobs/99/pause", "{}", http.StatusNotFound, "no such job"},
		{"an unknown field", "POST", "/api/v1/jobs/1/pause", `{"force": true}`, http.StatusBadRequest, "unknown field"},
		{"cancel", "POST", "/api/v1/jobs/1/cancel", "{}", http.StatusOK, `"cancelling"`},
		{"pause what is being cancelled", "POST", "/api/v1/jobs/1/pause", "{}", http.StatusConflict, "job 1 is cancelling and cannot be paused"},
		{"another verb", "POST", "/api/v1/jobs/1/stop", "{}", http.StatusNotFound, "no such page"},
	}
	for _, test := range tests {
		answer := ask(t, h, test.method, test.path, test.body)
		if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.says) {
			t.Errorf("%s: %d %s", test.name, answer.Code, answer.Body)
		}
	}
}

func TestAnIsolatedNodeSaysThatTheVotersAreMissing(t *testing.T) {
	n, err := egal.Start(t.Context(), egal.Config{FabricListen: "127.0.0.1:0", SlotsListen: "127.0.0.1:0", InitialMembers: 2, Seeds: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // as when the client gives up
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1/api/v1/jobs", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	Handler(n, Options{}).ServeHTTP(answer, request)
	if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "too few voters answer") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}
