package egal

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/egalcluster/egal/fabric/gossip"
)

// ErrClosed says that the node was closed meanwhile.
var ErrClosed = errors.New("the node is closed")

// Check is one of the conditions of being ready.
type Check struct {
	// Name is the condition in one word: "member", "members", "slots".
	Name string
	// OK tells whether it holds.
	OK bool
	// Detail is the state it is judged by, in words.
	Detail string
}

// Checks tells what the node is ready for now. All are OK when Ready would return at once.
func (n *Node) Checks() []Check {
	view := n.fabric.View()
	status := "not in a cluster"
	self, known := view.Member(view.Self())
	if known {
		status = self.Status.String()
	}
	up := 0
	for _, m := range view.Members() {
		if m.Status == gossip.StatusUp {
			up++
		}
	}
	planned := max(n.config.InitialMembers, 1)
	checks := []Check{
		{Name: "member", OK: known && self.Status == gossip.StatusUp, Detail: status},
		{Name: "members", OK: up >= planned, Detail: fmt.Sprintf("%d up, %d planned", up, planned)},
	}
	for _, service := range n.slots {
		table := service.Table()
		checks = append(checks, Check{
			Name: "slots", OK: service.Serving(), Detail: fmt.Sprintf("%d of 16384 have an owner", table.Assigned()),
		})
	}
	return checks
}

// Ready waits until the node is a member that is up, as many members as planned are up, and every slot of the store has
// an owner that can be reached. It returns early with the context's error or ErrClosed, and says what was missing.
func (n *Node) Ready(ctx context.Context) error {
	for {
		events := n.changed() // before the look: what happens after it is seen
		missing, ok := n.missing()
		if ok {
			return nil
		}
		if err := n.await(ctx, events); err != nil {
			return fmt.Errorf("egal: ready: %s: %w", missing, err)
		}
	}
}

func (n *Node) missing() (string, bool) {
	for _, check := range n.Checks() {
		if !check.OK {
			return check.Name + ": " + check.Detail, false
		}
	}
	return "", true
}

// changed are the events after which the checks may turn out otherwise.
func (n *Node) changed() []<-chan struct{} {
	events := []<-chan struct{}{n.fabric.Changed()}
	for _, service := range n.slots {
		events = append(events, service.Changed())
	}
	return events
}

// await returns at the first event, or with the reason to give up.
func (n *Node) await(ctx context.Context, events []<-chan struct{}) error {
	cases := []reflect.SelectCase{
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())},
		{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(n.ended)},
	}
	for _, event := range events {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(event)})
	}
	switch chosen, _, _ := reflect.Select(cases); chosen {
	case 0:
		return ctx.Err()
	case 1:
		return ErrClosed
	default:
		return nil
	}
}
