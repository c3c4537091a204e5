package web

import (
	"context"
	"fmt"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric/gossip"
)

// What an operator does to a member that does not answer: any other node is asked.

// refuseDisposal fills in why a member is not one to be disposed of; false: it is one.
func (p *Plan) refuseDisposal(m Member) bool {
	switch {
	case m.Self:
		p.Refused, p.Hint = m.Name+" is the node that was asked: it answers", "to take it out: egal node leave "+m.Name
	case m.Reachable && m.State != gossip.StatusDown.String():
		p.Refused, p.Hint = m.Name+" can be reached", "a member that answers leaves by itself: egal node leave "+m.Name
	default:
		return false
	}
	return true
}

// cutOff is a step that warns of asking a node that is more likely to be cut off than all others to be gone.
func (p *Plan) cutOff(n *egal.Node) {
	if n.Fabric().View().Isolated() {
		p.Steps = append(p.Steps, "the asked node reaches no other member: make sure that it is not the one that is cut off")
	}
}

// down takes an unreachable member for down, as the down policy would.
type down struct{}

func (down) route() (string, Route) {
	return "down", Route{
		Doc: "Takes a member that cannot be reached for down, before the down policy does: the others decide without it. What it owns stays its own, and it " +
			"joins again by itself when it comes back. It is refused (409) where the member can be reached, or is down.",
		Body: `{"node": "node-1", "dry_run": true}`, Answer: "node-down",
	}
}

func (down) ends() bool { return false }

func (down) run(ctx context.Context, n *egal.Node, m Member) error { return n.Down(ctx, m.ID) }

func (down) plan(n *egal.Node, m Member, _ Order) Plan {
	plan := Plan{Steps: []string{}, Slots: m.Slots}
	if plan.refuseDisposal(m) {
		return plan
	}
	if m.State == gossip.StatusDown.String() {
		plan.Refused, plan.Hint = m.Name+" is down already", "to take it out for good: egal node forget "+m.Name
		return plan
	}
	plan.cutOff(n)
	plan.Steps = append(plan.Steps, "the others decide without "+m.Name+": it is down, and stays a member")
	if m.Slots > 0 {
		plan.Steps = append(plan.Steps, fmt.Sprintf("its %d slots stay its own, and are not served until it is back", m.Slots))
	}
	plan.Steps = append(plan.Steps, "when it comes back, it joins again by itself")
	return plan
}

// forget removes a member that does not answer, for good.
type forget struct{}

func (forget) route() (string, Route) {
	return "forget", Route{
		Doc: "Removes a member that is down or cannot be reached, for good: what it owned is nobody's, and its process, if there is one, stops when it hears " +
			"of it. It is refused (409) where the member can be reached, and where it owns slots, whose keys would be lost, unless `lose_keys` agrees.",
		Body: `{"node": "node-1", "dry_run": true}`, Answer: "node-forget",
	}
}

func (forget) ends() bool { return false }

func (forget) run(ctx context.Context, n *egal.Node, m Member) error { return n.Forget(ctx, m.ID) }

func (forget) plan(n *egal.Node, m Member, order Order) Plan {
	plan := Plan{Steps: []string{}, Slots: m.Slots}
	if plan.refuseDisposal(m) {
		return plan
	}
	plan.cutOff(n)
	plan.Steps = append(plan.Steps, "the others take "+m.Name+" out of the cluster for good")
	if m.Slots > 0 {
		plan.Steps = append(plan.Steps, fmt.Sprintf("its %d slots go to the others, empty; lost: the keys in them, as far as there are any", m.Slots))
		if !order.LoseKeys {
			plan.Refused = fmt.Sprintf("%s owns %d slots, whose keys no other node has", m.Name, m.Slots)
			plan.Hint = "start it again with its own --data, or agree to lose them: --lose-keys"
		}
	}
	plan.Steps = append(plan.Steps, "its process, if it still runs, stops when it hears of it; started again, it joins as a new member")
	return plan
}
