package web

import (
	"context"
	"fmt"

	"github.com/egalcluster/egal"
)

// leave takes the asked node out of the cluster for good.
type leave struct{}

func (leave) route() (string, Route) {
	return "leave", Route{
		Doc: "Takes this node out of the cluster: it says goodbye, the others take it out at once, and its process ends. With `dry_run` the answer is the plan. " +
			"It is refused (409) where `node` is another one, and where keys would be lost that no other node has, unless `lose_keys` agrees.",
		Body: `{"node": "node-1", "dry_run": true}`, Answer: "node-leave",
	}
}

func (leave) ends() bool { return true }

func (leave) run(ctx context.Context, n *egal.Node, _ Member) error { return n.Fabric().Leave(ctx) }

func (leave) plan(n *egal.Node, m Member, order Order) Plan {
	plan := Plan{Steps: []string{}, Slots: m.Slots}
	if !m.Self {
		plan.Refused, plan.Hint = m.Name+" is not the node that was asked", "ask it itself: --data or --addr of "+m.Name
		return plan
	}
	for _, service := range n.Slots() {
		plan.Keys += service.Metrics().Keys
	}
	others := 0
	for _, other := range membersOf(n) {
		if other.Reachable && !other.Self {
			others++
		}
	}
	if others > 0 {
		plan.Steps = append(plan.Steps, fmt.Sprintf("%s says goodbye: the others (%d) take it out of the cluster at once", m.Name, others))
	} else {
		plan.Steps = append(plan.Steps, m.Name+" is the only member that can be reached: nobody takes over")
	}
	if others > 0 && plan.Slots > 0 {
		plan.Steps = append(plan.Steps, fmt.Sprintf("its %d slots go to the others, empty", plan.Slots))
	}
	if plan.Keys > 0 {
		plan.Steps = append(plan.Steps, fmt.Sprintf("lost, since no other node has them: %s", count(int(plan.Keys), "key")))
		if !order.LoseKeys {
			plan.Refused = fmt.Sprintf("%s holds %s that no other node has", m.Name, count(int(plan.Keys), "key"))
			plan.Hint = "copy them elsewhere first, or agree to lose them: --lose-keys"
		}
	}
	plan.Steps = append(plan.Steps, "its process ends with exit code 0; started again on its data directory, it joins again")
	return plan
}
