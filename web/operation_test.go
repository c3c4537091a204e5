package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric/gossip"
)

// pair starts two members of one cluster.
func pair(t *testing.T) (first, second *egal.Node) {
	t.Helper()
	first = node(t)
	second, err := egal.Start(t.Context(), egal.Config{
		Name: "node-2", FabricListen: "127.0.0.1:0", SlotsListen: "127.0.0.1:0", Seeds: []string{first.Fabric().Addr().String()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	})
	await(t, first, func(v *gossip.View) bool { return up(v) == 2 })
	await(t, second, func(v *gossip.View) bool { return up(v) == 2 })
	return first, second
}

func up(v *gossip.View) int {
	n := 0
	for _, m := range v.Members() {
		if m.Status == gossip.StatusUp && m.Reachable {
			n++
		}
	}
	return n
}

// await waits until a node's view is as it should be.
func await(t *testing.T, n *egal.Node, holds func(*gossip.View) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		changed := n.Fabric().Changed()
		if holds(n.Fabric().View()) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("the view does not become what it should")
		}
	}
}

func TestANodeLeaves(t *testing.T) {
	first, second := pair(t)
	stopped := 0
	h := Handler(second, Options{Stop: func() { stopped++ }})
	order := func(body string) (int, Plan, Fault) {
		t.Helper()
		answer := ask(t, h, "POST", "/api/v1/node/leave", body)
		var plan Plan
		var fault Fault
		if json.Unmarshal(answer.Body.Bytes(), &plan) != nil || json.Unmarshal(answer.Body.Bytes(), &fault) != nil {
			t.Fatal(answer.Body)
		}
		return answer.Code, plan, fault
	}
	refusals := []struct {
		name, body string
		status     int
		error      string
	}{
		{"another node", `{"node": "node-1"}`, http.StatusConflict, "node-1 is not the node that was asked"},
		{"an unknown node", `{"node": "node-3"}`, http.StatusNotFound, `no member "node-3"`},
		{"no node", `{}`, http.StatusBadRequest, "no node"},
		{"another field", `{"node": "node-2", "force": true}`, http.StatusBadRequest, "unknown field"},
		{"two documents", `{"node": "node-2"}{}`, http.StatusBadRequest, "more than one document"},
	}
	for _, test := range refusals {
		if status, _, fault := order(test.body); status != test.status || !strings.Contains(fault.Error, test.error) || fault.Hint == "" {
			t.Errorf("%s: %d %+v", test.name, status, fault)
		}
	}
	if status, plan, _ := order(`{"node": "node-2", "dry_run": true}`); status != http.StatusOK || plan.Done || plan.Refused != "" || !strings.Contains(plan.Steps[0], "the others (1) take it out") {
		t.Errorf("the plan: %d %+v", status, plan)
	}
	if up(first.Fabric().View()) != 2 || stopped != 0 {
		t.Fatal("a plan or a refusal has done something")
	}
	if status, plan, _ := order(`{"node": "` + second.ID()[:8] + `"}`); status != http.StatusOK || !plan.Done || stopped != 1 {
		t.Errorf("%d %+v, stopped %d times", status, plan, stopped)
	}
	await(t, first, func(v *gossip.View) bool { return len(v.Members()) == 1 })
}

func TestANodeWithKeysLeavesOnlyWhereTheyMayBeLost(t *testing.T) {
	n := node(t)
	conn, err := net.Dial("tcp", n.Slots()[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reply := make([]byte, 5)
	if _, err := fmt.Fprint(conn, "SET k v\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(reply); err != nil || string(reply) != "+OK\r\n" {
		t.Fatalf("%q, %v", reply, err)
	}
	stopped := false
	h := Handler(n, Options{Stop: func() { stopped = true }})
	tests := []struct {
		name, body string
		status     int
		contains   string
	}{
		{"the plan says so", `{"node": "node-1", "dry_run": true}`, http.StatusOK, `"refused": "node-1 holds 1 key that no other node has"`},
		{"it is refused", `{"node": "node-1"}`, http.StatusConflict, "--lose-keys"},
		{"it is agreed to", `{"node": "node-1", "lose_keys": true}`, http.StatusOK, `"lost, since no other node has them: 1 key"`},
	}
	for _, test := range tests {
		if answer := ask(t, h, "POST", "/api/v1/node/leave", test.body); answer.Code != test.status || !strings.Contains(answer.Body.String(), test.contains) {
			t.Errorf("%s: %d %s", test.name, answer.Code, answer.Body)
		}
	}
	if !stopped {
		t.Error("the process goes on")
	}
}

func TestANodeOfAnotherProgramDoesNotLeave(t *testing.T) {
	h := Handler(node(t), Options{})
	if answer := ask(t, h, "POST", "/api/v1/node/leave", `{"node": "node-1"}`); answer.Code != http.StatusConflict || !strings.Contains(answer.Body.String(), "part of another program") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestAMemberIsFoundByNameAddressOrId(t *testing.T) {
	members := []Member{
		{ID: "aaaa1", Name: "one", Address: "127.0.0.1:7001", Fabric: "127.0.0.1:7946"}, {ID: "aaaa2", Name: "two"}, {ID: "bbbb3", Name: "two"}, {ID: "cccc4", Name: "aaaa1"},
	}
	for word, want := range map[string]string{
		"one": "aaaa1", "127.0.0.1:7001": "aaaa1", "127.0.0.1:7946": "aaaa1", "aaaa2": "aaaa2", "bbbb": "bbbb3", "aaaa1": "cccc4", // a name comes before an id
		"bbb": `404 no member "bbb"`, "two": `400 2 members are "two"`, "aaaa": `400 2 members are "aaaa"`, "on": `404 no member "on"`, "": `404 no member ""`,
	} {
		m, fault := find(members, word)
		got := m.ID
		if fault != nil {
			got = fmt.Sprint(fault.status, " ", fault.document.Error)
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
	if _, fault := find(members, "onee"); !strings.HasPrefix(fault.document.Hint, "did you mean one?") {
		t.Errorf("%+v", fault)
	}
}
