package web

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/egalcluster/egal/internal/settings"
)

// running is a configuration with a file and a variable, and without anybody who takes what is hot.
func running(t *testing.T) *settings.Running {
	t.Helper()
	file := filepath.Join(t.TempDir(), "egal.yaml")
	if err := os.WriteFile(file, []byte("# mine\nname: node-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gather := func(content []byte) (*settings.Values, error) {
		v := settings.New().Values()
		err := v.ReadFile("egal-data/egal.yaml", content)
		if err == nil {
			err = v.ReadEnvironment([]string{"EGAL_ROLES=teacher"})
		}
		return v, err
	}
	values, err := gather([]byte("# mine\nname: node-1\n"))
	if err != nil {
		t.Fatal(err)
	}
	knobs := map[string]settings.Knob{}
	for _, s := range settings.New().Settings() {
		if s.Hot {
			knobs[s.Key] = settings.Knob{Set: func(*settings.Values) {}}
		}
	}
	r, err := settings.NewRunning(values, file, gather, knobs)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestChangingSettings(t *testing.T) {
	r := running(t)
	h := Handler(node(t), Options{Settings: r})
	tests := []struct {
		name, body string
		status     int
		contains   string
	}{
		{"a hot one", `{"log_level": "debug"}`, http.StatusOK, `"value": "debug"`},
		{"a number", `{"slots.max_clients": 500}`, http.StatusOK, `"value": "500"`},
		{"true", `{"slots.require_full_coverage": true}`, http.StatusOK, `"value": "true"`},
		{"one that waits", `{"fabric.fanout": "5"}`, http.StatusOK, `"effect": "restart"`},
		{"one that a variable hides", `{"roles": "a,b"}`, http.StatusOK, `"hidden": "environment EGAL_ROLES"`},
		{"an unknown key", `{"fabric.fanuot": 5}`, http.StatusBadRequest, `"hint": "did you mean fabric.fanout?"`},
		{"a value out of range", `{"fabric.fanout": 17}`, http.StatusBadRequest, `want 1 to 16`},
		{"nothing", `{}`, http.StatusBadRequest, `no setting`},
		{"null", `null`, http.StatusBadRequest, `no setting`},
		{"a list", `{"roles": ["a"]}`, http.StatusBadRequest, `roles: want a string`},
		{"two documents", `{"name": "a"}{"name": "b"}`, http.StatusBadRequest, `more than one document`},
		{"no object", `7`, http.StatusBadRequest, `the body: `},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := ask(t, h, "PATCH", "/api/v1/settings", test.body)
			if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.contains) {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
		})
	}
	want := "# mine\nname: node-1\nlog_level: debug\nslots:\n  max_clients: 500\n  require_full_coverage: true\nfabric:\n  fanout: 5\nroles: [a, b]\n"
	if content, err := os.ReadFile(r.File()); string(content) != want || err != nil {
		t.Errorf("%v\n%s", err, content)
	}
	var document Settings
	if err := json.Unmarshal(ask(t, h, "GET", "/api/v1/settings", "").Body.Bytes(), &document); err != nil || document.Fault != "" {
		t.Fatalf("%v, %s", err, document.Fault)
	}
	for _, s := range document.Settings {
		if s.Key == "fabric.fanout" && (s.Value != "4" || s.Next != "5" || s.Source != "default") || s.Key == "log_level" && s.Where != "egal-data/egal.yaml:3" {
			t.Errorf("%+v", s)
		}
	}
}

func TestAFileThatCannotBeWrittenIsTold(t *testing.T) {
	r := running(t)
	if err := os.RemoveAll(filepath.Dir(r.File())); err != nil {
		t.Fatal(err)
	}
	if answer := ask(t, Handler(node(t), Options{Settings: r}), "PATCH", "/api/v1/settings", `{"name": "b"}`); answer.Code != http.StatusInternalServerError {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestANodeOfADemoHasNoSettings(t *testing.T) {
	h := Handler(node(t), Options{})
	for method, body := range map[string]string{"GET": "", "PATCH": `{"name": "b"}`} {
		if answer := ask(t, h, method, "/api/v1/settings", body); answer.Code != http.StatusNotFound || !strings.Contains(answer.Body.String(), "egal demo") {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	}
}
