package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// secure gives a node a key file and a certificate of its own, by the command that people use, and the configuration
// that it prints.
func secure(t *testing.T, certs, name, data string) {
	t.Helper()
	printed := output(t, nil, binary, "cert", "create-node", name, "--data", data, "--certs", certs)
	_, config, found := strings.Cut(printed, "\nfabric:\n")
	if !found {
		t.Fatalf("no configuration in\n%s", printed)
	}
	shared, own := filepath.Join(certs, "cluster.key"), filepath.Join(data, "cluster.key")
	write(t, own, contentOf(t, shared))
	write(t, filepath.Join(data, "egal.yaml"), "fabric:\n"+strings.Replace(config, shared, own, 1))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func contentOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// traffic is what clients of the store and of the API do all the time. Nothing is tried twice.
type traffic struct {
	done    atomic.Int64 // requests that were answered
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	faults []string
}

func startTraffic(t *testing.T, c *nodes) *traffic {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &traffic{stop: stop}
	t.Cleanup(w.end)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.resp, ReadTimeout: patience, WriteTimeout: patience, MaxRedirects: -1})
	t.Cleanup(func() { client.Close() })
	keep := func(what string, do func(n int) error) {
		w.running.Go(func() { // ends by stop
			for n := 0; ctx.Err() == nil; n++ {
				if err := do(n); err != nil {
					w.mu.Lock()
					w.faults = append(w.faults, what+": "+err.Error())
					w.mu.Unlock()
					return
				}
				w.done.Add(1)
			}
		})
	}
	background := context.Background() // a request that has begun is to be answered
	client.ReloadState(background)
	keep("the store", func(n int) error {
		key := fmt.Sprintf("rotation:%d", n%5000)
		if err := client.Set(background, key, n, 0).Err(); err != nil {
			return err
		}
		if got, err := client.Get(background, key).Int(); err != nil || got != n {
			return fmt.Errorf("%s: %d, %w", key, got, err)
		}
		return nil
	})
	api := &http.Client{Timeout: patience}
	keep("the API", func(n int) error {
		response, err := api.Get("http://" + c.web[n%len(c.web)] + "/api/v1/jobs")
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", response.Status)
		}
		return response.Body.Close()
	})
	return w
}

// more waits for so many answers more.
func (w *traffic) more(t *testing.T, count int64) {
	t.Helper()
	until := w.done.Load() + count
	eventually(t, fmt.Sprintf("%d more requests answered", count), func() bool { return w.done.Load() >= until })
}

func (w *traffic) end() {
	w.stop()
	w.running.Wait()
}

func TestKeysAndCertificatesAreRotatedUnderTraffic(t *testing.T) {
	c, late := planCluster(t, 3), planCluster(t, 1)
	certs := filepath.Join(t.TempDir(), "certs")
	output(t, nil, binary, "cert", "create-ca", "--certs", certs)
	for i, data := range c.data {
		secure(t, certs, fmt.Sprintf("node-%d", i+1), data)
	}
	secure(t, certs, "node-4", late.data[0]) // starts when the key is another one
	c.start(t)
	w := startTraffic(t, c)
	w.more(t, 500)
	if out := output(t, nil, binary, "cert", "rotate", "--data", c.data[1]); !strings.Contains(out, "● done") || !strings.Contains(out, "9 of 9 steps") {
		t.Errorf("egal cert rotate: %s", out)
	}
	w.more(t, 500)
	output(t, nil, binary, "cert", "rotate", "--node", "node-2", "--certs", certs)
	if err := c.process[1].cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	c.process[1].expect(t, 0, `"event":"cluster_key_reloaded","key":1`)
	c.process[1].expect(t, 0, `"event":"certificates_reloaded"`)
	w.more(t, 500)
	w.end()
	for _, fault := range w.faults {
		t.Errorf("a request was lost: %s", fault)
	}
	t.Logf("%d requests", w.done.Load())
	for i, p := range c.process {
		if text := p.text(); strings.Contains(text, "member_unreachable") || strings.Contains(text, "member_down") {
			t.Errorf("node-%d has missed a member", i+1)
		}
		if key := contentOf(t, filepath.Join(c.data[i], "cluster.key")); strings.Contains(key, "\n0:") || !strings.Contains(key, "\n1:") || key != contentOf(t, filepath.Join(c.data[0], "cluster.key")) {
			t.Errorf("node-%d does not have the new key alone", i+1)
		}
	}
	stranger := start(t, nil, append(late.args[0], "--name", "node-4", "--join", strings.Join(c.fabric, ","))...)
	stranger.expect(t, 0, `there is no stream to a peer: another cluster key`)
	if names := output(t, nil, binary, "node", "ls", "--data", c.data[0], "-o", "name"); names != "node-1\nnode-2\nnode-3\n" {
		t.Errorf("members: %s", names)
	}
}
