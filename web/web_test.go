package web

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal"
)

var update = flag.Bool("update", false, "write golden files and the reference page")

const patience = 30 * time.Second

// keyFile writes a cluster key.
func keyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.key")
	if err := os.WriteFile(path, []byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// node starts a ready node.
func node(t *testing.T) *egal.Node {
	t.Helper()
	return nodeWith(t, "")
}

// nodeWith starts a ready node with a cluster key; empty: none.
func nodeWith(t *testing.T, key string) *egal.Node {
	t.Helper()
	n, err := egal.Start(t.Context(), egal.Config{
		Name: "node-1", FabricListen: "127.0.0.1:0", SlotsListen: "127.0.0.1:0", Roles: []string{"teacher"}, ClusterKeyFile: key,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return n
}

// ask makes a request as curl would. Headers are given as name, value, name, value.
func ask(t *testing.T, h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:8946"+path, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
			continue
		}
		request.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	return answer
}

// changing is what differs from run to run, with what stands for it in golden files.
var changing = []struct {
	pattern *regexp.Regexp
	stand   string
}{
	{regexp.MustCompile(`"[0-9a-f]{40}"`), `"<service id>"`},
	{regexp.MustCompile(`"[0-9a-f]{32}"`), `"<id>"`},
	{regexp.MustCompile(`"[0-9a-f]{16}"`), `"<hash>"`},
	{regexp.MustCompile(`"file": "[^"]+"`), `"file": "egal-data/egal.yaml"`},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), `127.0.0.1:<port>`},
	{regexp.MustCompile(`-p \d+`), `-p <port>`},
	{regexp.MustCompile(`"(incarnation|process)": \d+`), `"$1": 1`},
	{regexp.MustCompile(`"stamp": "[\d.]+"`), `"stamp": "<milliseconds>.<counter>"`},
	{regexp.MustCompile(`"since": "[^"]+"`), `"since": "<time>"`},
	{regexp.MustCompile(`"(written|created|started|updated|ended)": "[^"]+"`), `"$1": "<time>"`},
	{regexp.MustCompile(`"(version|go|platform|time|revision)": "[^"]*"`), `"$1": "<$1>"`},
	{regexp.MustCompile(`"modified": (true|false)`), `"modified": false`},
	{regexp.MustCompile(`("(?:fabric|jobs|slots)\.[a-z_.]+"): \d+`), `$1: 0`},
}

func settled(text string) string {
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.stand)
	}
	return text
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\nif that is meant: go test ./web -update", path, got, want)
	}
}

func TestEveryRouteAnswersAsItsGoldenFile(t *testing.T) {
	n := nodeWith(t, keyFile(t))
	stubborn(t, n)
	h := Handler(n, Options{Settings: running(t), Stop: func() { t.Error("a dry run ends the process") }})
	if answer := ask(t, h, "PUT", "/api/v1/kv/X", `{"value": "1"}`); answer.Code != http.StatusOK {
		t.Fatal(answer.Body)
	}
	for _, route := range Routes() {
		t.Run(route.Method+" "+route.Path, func(t *testing.T) {
			answer := ask(t, h, route.Method, strings.NewReplacer("{key...}", "X", "{member}", "node-1", "{id}", "1").Replace(route.Path), route.Body)
			if answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "application/json" {
				t.Errorf("status %d, %v", answer.Code, answer.Header())
			}
			text := answer.Body.String()
			if route.Method == http.MethodGet && route.Answer == "kv-key" {
				text = strings.Replace(text, `"value": "1"`, `"value": "2"`, 1)
			}
			golden(t, filepath.Join("testdata", route.Answer+".json"), settled(text))
		})
	}
}

func TestTheReferencePageIsMadeFromTheRoutes(t *testing.T) {
	page := Page(func(name string) string {
		text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	})
	golden(t, filepath.Join("..", "docs", "reference", "api.md"), page)
}

func TestAKeyIsWrittenReadListedAndDeleted(t *testing.T) {
	h := Handler(node(t), Options{})
	for _, key := range []string{"X", "a/b"} {
		if answer := ask(t, h, "PUT", "/api/v1/kv/"+key, `{"value": "1 → 2"}`); !strings.Contains(answer.Body.String(), `"1 → 2"`) {
			t.Errorf("PUT: %d %s", answer.Code, answer.Body)
		}
	}
	if answer := ask(t, h, "GET", "/api/v1/kv?prefix=a", ""); !strings.Contains(strings.Join(strings.Fields(answer.Body.String()), ""), `"keys":["a/b"],"more":false`) {
		t.Errorf("list: %s", answer.Body)
	}
	if answer := ask(t, h, "DELETE", "/api/v1/kv/a/b", ""); answer.Code != http.StatusOK {
		t.Errorf("DELETE: %d %s", answer.Code, answer.Body)
	}
	if answer := ask(t, h, "GET", "/api/v1/kv/a/b", ""); answer.Code != http.StatusNotFound {
		t.Errorf("after DELETE: %d %s", answer.Code, answer.Body)
	}
}

func TestWhatIsRefusedAndHow(t *testing.T) {
	h := Handler(node(t), Options{MaxBody: func() int64 { return 64 }})
	at, above := `{"value": "`+strings.Repeat("x", 64-len(`{"value": ""}`))+`"}`, `{"value": "`+strings.Repeat("x", 65-len(`{"value": ""}`))+`"}`
	const value = `{"value": "2"}`
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
	}{
		{"a page of another site writes", "PUT", "/api/v1/kv/X", value, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"a page of another port writes", "PUT", "/api/v1/kv/X", value, []string{"Origin", "http://127.0.0.1:3000"}, http.StatusForbidden},
		{"a page of another site deletes", "DELETE", "/api/v1/kv/X", "", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"a page of this origin writes", "PUT", "/api/v1/kv/X", value, []string{"Sec-Fetch-Site", "same-origin"}, http.StatusOK},
		{"a form is posted", "PUT", "/api/v1/kv/X", value, []string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType},
		{"JSON has a charset", "PUT", "/api/v1/kv/X", value, []string{"Content-Type", "application/json; charset=utf-8"}, http.StatusOK},
		{"a foreign name is bound to this address", "GET", "/api/v1/status", "", []string{"Host", "evil.example"}, http.StatusMisdirectedRequest},
		{"localhost is asked", "GET", "/api/v1/status", "", []string{"Host", "localhost:8946"}, http.StatusOK},
		{"an IPv6 address is asked", "GET", "/api/v1/status", "", []string{"Host", "[::1]"}, http.StatusOK},
		{"the socket's host is asked for on a port", "GET", "/api/v1/status", "", []string{"Host", SocketHost}, http.StatusMisdirectedRequest},
		{"a body at the bound", "PUT", "/api/v1/kv/X", at, nil, http.StatusOK},
		{"a body above the bound", "PUT", "/api/v1/kv/X", above, nil, http.StatusRequestEntityTooLarge},
		{"no JSON", "PUT", "/api/v1/kv/X", "2", nil, http.StatusBadRequest},
		{"no value", "PUT", "/api/v1/kv/X", `{}`, nil, http.StatusBadRequest},
		{"another field", "PUT", "/api/v1/kv/X", `{"value": "2", "ttl": 1}`, nil, http.StatusBadRequest},
		{"two documents", "PUT", "/api/v1/kv/X", value + value, nil, http.StatusBadRequest},
		{"no key", "PUT", "/api/v1/kv/", value, nil, http.StatusBadRequest},
		{"a key of 253 bytes", "PUT", "/api/v1/kv/" + strings.Repeat("k", 253), value, nil, http.StatusOK},
		{"a key of 254 bytes", "PUT", "/api/v1/kv/" + strings.Repeat("k", 254), value, nil, http.StatusBadRequest},
		{"a key that nobody wrote", "GET", "/api/v1/kv/none", "", nil, http.StatusNotFound},
		{"another path", "GET", "/api/v2/status", "", nil, http.StatusNotFound},
		{"another method", "POST", "/api/v1/status", value, nil, http.StatusMethodNotAllowed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := ask(t, h, test.method, test.path, test.body, test.headers...)
			if answer.Code != test.status {
				t.Fatalf("got %d, want %d: %s", answer.Code, test.status, answer.Body)
			}
			var fault Fault
			if err := json.Unmarshal(answer.Body.Bytes(), &fault); err != nil || answer.Code > 399 && (fault.Error == "" || fault.Schema != Schema) {
				t.Errorf("%v: %s", err, answer.Body)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	ready := Handler(node(t), Options{})
	lonely, err := egal.Start(t.Context(), egal.Config{FabricListen: "127.0.0.1:0", SlotsListen: "127.0.0.1:0", InitialMembers: 2, FirstSeed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer lonely.Close()
	waiting := Handler(lonely, Options{})
	tests := []struct {
		name    string
		handler http.Handler
		path    string
		status  int
		line    string
	}{
		{"a ready node lives", ready, "/livez", http.StatusOK, "ok\n"},
		{"a ready node is ready", ready, "/readyz", http.StatusOK, "ok\n"},
		{"and says why", ready, "/readyz?verbose", http.StatusOK, "[+] slots: 16384 of 16384 have an owner\n"},
		{"a node that waits lives", waiting, "/livez", http.StatusOK, "ok\n"},
		{"a node that waits is not ready", waiting, "/readyz", http.StatusServiceUnavailable, "not ready\n"},
		{"and says what it waits for", waiting, "/readyz?verbose", http.StatusServiceUnavailable, "2 planned\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := ask(t, test.handler, "GET", test.path, "")
			if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.line) {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
		})
	}
	status := StatusOf(lonely)
	if status.Verdict != VerdictStarting || status.Ready {
		t.Errorf("the status of a node that waits: %+v", status)
	}
}

func TestTheSocketIsForItsUserAloneAndReplacesAStaleOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	if err := os.WriteFile(path, []byte("left behind"), 0o644); err != nil {
		t.Fatal(err)
	}
	listener, err := ListenSocket(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	server := Serve(Handler(node(t), Options{Socket: true}), slog.New(slog.DiscardHandler), listener)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial}}
	response, err := client.Get("http://" + SocketHost + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if string(text) != "ok\n" || err != nil || response.Body.Close() != nil {
		t.Errorf("%q, %v", text, err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestASocketPathHasABound(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, strings.Repeat("d", maxSocketPath-len(dir)-len(SocketName)-2))
	for path, ok := range map[string]bool{long: true, long + "d": false} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		listener, err := ListenSocket(t.Context(), path)
		if (err == nil) != ok {
			t.Errorf("%d bytes: %v", len(path), err)
		}
		if err == nil {
			if err := listener.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAListenerHasABoundOfConnections(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bounded{Listener: inner, free: make(chan struct{}, 1), closed: make(chan struct{})}
	accepted := make(chan error, 2)
	first := make(chan net.Conn, 1)
	go func() { // ends when the listener is closed
		conn, err := b.Accept()
		first <- conn
		accepted <- err
		_, err = b.Accept() // the bound is reached: only closing ends it
		accepted <- err
	}()
	for range 2 {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err == nil {
		t.Error("a connection above the bound was accepted")
	}
	if conn := <-first; conn.Close() != nil || len(b.free) != 0 {
		t.Error("a closed connection still counts")
	}
}
