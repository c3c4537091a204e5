package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hosts are machines of a cluster: network namespaces on a bridge of their own, each with a process of `egal start`, and
// packet filters between them. They need root, ip and iptables.
type hosts struct {
	names   []string // of namespaces
	process []*process
	args    [][]string
	data    []string
	clients []*http.Client // of the nodes' sockets
}

var hostsMade atomic.Int32

// newHosts makes machines 10.77.0.1 and so on.
func newHosts(t *testing.T, count int) *hosts {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("EGAL_E2E_REQUIRE") == "1" {
			t.Fatal("not root, and EGAL_E2E_REQUIRE=1")
		}
		fmt.Fprintf(os.Stderr, "SKIP %s: network namespaces need root\n", t.Name())
		t.SkipNow()
	}
	tool(t, "ip")
	tool(t, "iptables")
	prefix := fmt.Sprintf("egal%d-%d-", os.Getpid(), hostsMade.Add(1))
	bridge := prefix + "sw"
	h := &hosts{}
	t.Cleanup(func() {
		for _, name := range append(h.names, bridge) {
			_ = exec.Command("ip", "netns", "del", name).Run() // it may never have been made
		}
	})
	run := func(args ...string) { output(t, nil, "ip", args...) }
	run("netns", "add", bridge)
	run("-n", bridge, "link", "add", "br0", "type", "bridge")
	run("-n", bridge, "link", "set", "br0", "up")
	var seeds []string
	for i := range count {
		seeds = append(seeds, h.addr(i)+":7946")
	}
	for i := range count {
		name, port := fmt.Sprint(prefix, i+1), fmt.Sprint("p", i+1)
		h.names = append(h.names, name)
		run("netns", "add", name)
		run("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", bridge)
		run("-n", name, "addr", "add", h.addr(i)+"/24", "dev", "eth0")
		run("-n", name, "link", "set", "eth0", "up")
		run("-n", name, "link", "set", "lo", "up")
		run("-n", bridge, "link", "set", port, "master", "br0")
		run("-n", bridge, "link", "set", port, "up")
		h.data = append(h.data, t.TempDir())
		h.args = append(h.args, []string{
			"start", "--data", h.data[i], "--name", h.name(i), "--join", strings.Join(seeds, ","), "--initial-members", fmt.Sprint(count),
			"--fabric-listen", h.addr(i) + ":7946", "--slots-listen", h.addr(i) + ":6379", "--web-listen", "127.0.0.1:8946", "--insecure",
		})
		socket := filepath.Join(h.data[i], "egal.sock")
		h.clients = append(h.clients, &http.Client{Timeout: patience, Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", socket)
			},
		}})
		h.process = append(h.process, nil)
	}
	return h
}

// startHosts makes machines and waits until all nodes see each other.
func startHosts(t *testing.T, count int) *hosts {
	t.Helper()
	h := newHosts(t, count)
	for i := range count {
		h.start(t, i)
	}
	h.whole(t)
	return h
}

func (*hosts) addr(i int) string { return fmt.Sprintf("10.77.0.%d", i+1) }
func (*hosts) name(i int) string { return fmt.Sprintf("node-%d", i+1) }

// start begins the process of a machine.
func (h *hosts) start(t *testing.T, i int) {
	t.Helper()
	h.process[i] = startIn(t, h.names[i], h.args[i]...)
}

// seen is a member as another one sees it.
type seen struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	Reachable bool   `json:"reachable"`
}

// view is what a node says of the members, by name.
func (h *hosts) view(i int) (map[string]seen, error) {
	response, err := h.clients[i].Get("http://egal/api/v1/members")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var document struct {
		Members []seen `json:"members"`
	}
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
		return nil, err
	}
	members := map[string]seen{}
	for _, m := range document.Members {
		members[m.Name] = m
	}
	return members, nil
}

// lost are the members that a node takes for unreachable; nil and false: it does not answer.
func (h *hosts) lost(i int) (names []string, ok bool) {
	members, err := h.view(i)
	if err != nil {
		return nil, false
	}
	for n := range h.names {
		if m, known := members[h.name(n)]; known && !m.Reachable {
			names = append(names, m.Name)
		}
	}
	return names, true
}

// whole waits until every node sees all as up and reachable.
func (h *hosts) whole(t *testing.T) {
	t.Helper()
	eventually(t, "all members are up and reachable", func() bool {
		for i := range h.names {
			members, err := h.view(i)
			if err != nil || len(members) != len(h.names) {
				return false
			}
			for _, m := range members {
				if m.State != "up" || !m.Reachable {
					return false
				}
			}
		}
		return true
	})
}

// until waits until every node of those named says that exactly the others of want are unreachable, and returns how
// long that took.
func (h *hosts) until(t *testing.T, observers []int, want ...int) time.Duration {
	t.Helper()
	var names []string
	for _, i := range want {
		names = append(names, h.name(i))
	}
	begin := time.Now()
	end := begin.Add(patience)
	for _, i := range observers {
		for {
			lost, ok := h.lost(i)
			if ok && fmt.Sprint(lost) == fmt.Sprint(names) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("after %v %s takes %v for unreachable, want %v", patience, h.name(i), lost, names)
			}
		}
	}
	return time.Since(begin)
}

// filter adds a rule to a machine's packet filter.
func (h *hosts) filter(t *testing.T, i int, rule ...string) {
	t.Helper()
	args := append([]string{"netns", "exec", h.names[i], "iptables", "-w"}, rule...)
	output(t, nil, "ip", args...)
}

// cut drops what one machine sends to another.
func (h *hosts) cut(t *testing.T, from, to int) {
	t.Helper()
	h.filter(t, to, "-A", "INPUT", "-s", h.addr(from), "-j", "DROP")
}

// part cuts all links between groups of machines.
func (h *hosts) part(t *testing.T, groups ...[]int) {
	t.Helper()
	for a := range groups {
		for b := range groups {
			for _, from := range groups[a] {
				for _, to := range groups[b] {
					if a != b {
						h.cut(t, from, to)
					}
				}
			}
		}
	}
}

func (h *hosts) heal(t *testing.T) {
	t.Helper()
	for i := range h.names {
		h.filter(t, i, "-F")
	}
}

// others are all machines but one.
func (h *hosts) others(but int) (list []int) {
	for i := range h.names {
		if i != but {
			list = append(list, i)
		}
	}
	return list
}

// signal sends a signal to the process of a machine.
func (h *hosts) signal(t *testing.T, i int, s syscall.Signal) {
	t.Helper()
	if err := h.process[i].cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// nobodyIsLost watches, for a time, that no node takes anybody for unreachable.
func (h *hosts) nobodyIsLost(t *testing.T, d time.Duration, observers []int, but ...string) {
	t.Helper()
	looks := 0
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, i := range observers {
			lost, ok := h.lost(i)
			if !ok {
				t.Fatalf("%s does not answer", h.name(i))
			}
			looks++
			for _, name := range lost {
				if len(but) == 0 || name != but[0] {
					t.Fatalf("%s takes %s for unreachable", h.name(i), name)
				}
			}
		}
		time.Sleep(20 * time.Millisecond) // a sample, not a wait: what is looked for must not happen at any time
	}
	t.Logf("%d looks", looks)
}
