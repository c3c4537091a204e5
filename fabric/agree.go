package fabric

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/egalcluster/egal/fabric/gossip"
)

// Agreement is what the members that this node reaches say of its list of members.
type Agreement struct {
	// Members is a hash of the list: of ids and statuses.
	Members uint64
	// Reached are how many members this node reaches, itself included, Same how many of them have the same list.
	Reached, Same int
	// Others are some that have another list, or did not answer; sorted, at most as many as an answer names.
	Others []gossip.NodeID
}

// Agreed reports whether all members that this node reaches have its list of members.
func (a Agreement) Agreed() bool { return a.Reached > 0 && a.Same == a.Reached && len(a.Others) == 0 }

// gatherings are the questions of this node that have no answer yet.
type gatherings struct {
	numbers atomic.Uint64
	mu      sync.Mutex
	waiting map[uint64]chan gossip.Gathered // guarded by mu; at most one for every call of Agree
}

// Agree asks all members that this node reaches whether they have the same members, with the same statuses. Whoever is
// unreachable is not asked. When ctx ends, or the node, the error says so.
func (f *Fabric) Agree(ctx context.Context) (Agreement, error) {
	g, view := &f.gatherings, f.View()
	number, answer := g.numbers.Add(1), make(chan gossip.Gathered, 1)
	g.mu.Lock()
	if g.waiting == nil {
		g.waiting = map[uint64]chan gossip.Gathered{}
	}
	g.waiting[number] = answer
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.waiting, number)
		g.mu.Unlock()
	}()
	err := f.loop.Submit(ctx, f.Addr(), gossip.Gather{Request: number, View: view.Hash()})
	if err == nil {
		select {
		case gathered := <-answer:
			return agreementOf(view, gathered), nil
		case <-f.ended:
			err = context.Canceled
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return Agreement{}, fmt.Errorf("fabric: agree: %w", err)
}

func agreementOf(view *gossip.View, gathered gossip.Gathered) Agreement {
	a := Agreement{Members: view.Hash(), Same: gathered.Count}
	for _, m := range view.Members() {
		if !m.Reachable {
			continue
		}
		a.Reached++
		if slices.Contains(gathered.Missing, m.ID) {
			a.Others = append(a.Others, m.ID)
		}
	}
	return a
}

// gathered hands an answer to who waits for it; on the loop's goroutine.
func (f *Fabric) gathered(e gossip.Gathered) {
	f.gatherings.mu.Lock()
	defer f.gatherings.mu.Unlock()
	if answer, ok := f.gatherings.waiting[e.Request]; ok {
		delete(f.gatherings.waiting, e.Request)
		answer <- e // has room for it
	}
}
