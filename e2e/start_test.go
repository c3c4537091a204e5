package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// nodes are separate processes of one cluster.
type nodes struct {
	process []*process
	args    [][]string // what each was started with
	data    []string   // directories
	resp    []string   // host:port for clients
	fabric  []string
	web     []string
}

// startCluster starts processes of `egal start` and waits until each says that all slots are served.
func startCluster(t *testing.T, count int) *nodes {
	t.Helper()
	c := planCluster(t, count)
	c.start(t)
	return c
}

// planCluster is startCluster without the start, so that directories can be prepared.
func planCluster(t *testing.T, count int) *nodes {
	t.Helper()
	c := &nodes{}
	ports := freePorts(t, 3*count)
	for i := range count {
		c.resp = append(c.resp, "127.0.0.1:"+ports[3*i])
		c.fabric = append(c.fabric, "127.0.0.1:"+ports[3*i+1])
		c.web = append(c.web, "127.0.0.1:"+ports[3*i+2])
		c.data = append(c.data, t.TempDir())
	}
	for i := range count {
		c.args = append(c.args, []string{
			"start", "--data", c.data[i], "--name", fmt.Sprintf("node-%d", i+1), "--join", strings.Join(c.fabric, ","),
			"--initial-members", fmt.Sprint(count), "--fabric-listen", c.fabric[i], "--slots-listen", c.resp[i], "--web-listen", c.web[i],
		})
	}
	return c
}

// start starts the nodes, and waits until they serve.
func (c *nodes) start(t *testing.T) {
	t.Helper()
	for _, args := range c.args {
		c.process = append(c.process, start(t, nil, args...))
	}
	c.serving(t)
}

// serving waits until every node knows a reachable owner of every slot.
func (c *nodes) serving(t *testing.T) {
	t.Helper()
	for i, addr := range c.resp {
		eventually(t, addr+" serves all slots", func() bool {
			select {
			case <-c.process[i].ended:
				t.Fatalf("%v has ended:\n%s", c.args[i], c.process[i].text())
			default:
			}
			info, err := bulk(addr, "CLUSTER INFO")
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384") &&
				strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", len(c.resp)))
		})
	}
}

// id is the node id that a node of the store tells.
func id(t *testing.T, addr string) string {
	t.Helper()
	id, err := bulk(addr, "CLUSTER MYID")
	if err != nil || len(id) != 40 {
		t.Fatalf("%s: CLUSTER MYID: %q, %v", addr, id, err)
	}
	return id
}

func TestAKilledProcessComesBackAsTheSameNode(t *testing.T) {
	c := startCluster(t, 3)
	before := id(t, c.resp[1])
	c.process[1].kill()
	eventually(t, "the others have noticed", func() bool {
		info, err := bulk(c.resp[0], "CLUSTER INFO")
		return err == nil && !strings.Contains(info, "cluster_slots_ok:16384")
	})
	c.process[1] = start(t, nil, c.args[1]...)
	c.serving(t)
	if after := id(t, c.resp[1]); after != before {
		t.Errorf("id: got %s, before the kill it was %s", after, before)
	}
}

func TestAllProcessesKilledComeBack(t *testing.T) {
	c := startCluster(t, 3)
	var before []string
	for i, addr := range c.resp {
		before = append(before, id(t, addr))
		c.process[i].kill()
	}
	for i := range c.process {
		c.process[i] = start(t, nil, c.args[i]...)
	}
	c.serving(t)
	for i, addr := range c.resp {
		if after := id(t, addr); after != before[i] {
			t.Errorf("node %d: id %s, before the kill it was %s", i+1, after, before[i])
		}
	}
}

func TestStatusAsJSON(t *testing.T) {
	c := startCluster(t, 3)
	for i := range c.data {
		var status map[string]any
		text := output(t, nil, binary, "status", "--data", c.data[i], "-o", "json")
		if err := json.Unmarshal([]byte(text), &status); err != nil {
			t.Fatalf("egal status -o json: %v\n%s", err, text)
		}
		for n := range 3 {
			if name := fmt.Sprintf(`"node-%d"`, n+1); !strings.Contains(text, name) {
				t.Errorf("egal status -o json lacks %s:\n%s", name, text)
			}
		}
	}
	table := output(t, nil, binary, "status", "--data", c.data[0])
	if strings.Contains(table, "\x1b[") {
		t.Errorf("egal status prints colours into a pipe: %q", table)
	}
	if strings.Count(table, "node-") < 3 {
		t.Errorf("egal status:\n%s", table)
	}
}
