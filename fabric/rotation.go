package fabric

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
)

// This file is the part of the node that rotates the cluster key. It asks every member for one step after the other:
// install the new key, use it, remove all others. It goes on to the next step when every member in its view shows in its
// own state that it has done this one, however long that takes. The key itself travels by sealed requests alone.
//
// All that it knows of a rotation is the hash of the new key; the rest is read off the members. So another node can go on
// with it: one that lacks the key asks a member that has it. When nobody that can be reached does, no member uses it
// either, and it makes another one; the last step removes what is left of the first.

const (
	// orderTimeout bounds one order to one member.
	orderTimeout = 3 * time.Second
	// orderAgain is the time between two orders to a member that has not done the step.
	orderAgain = 250 * time.Millisecond
	// maxOrders is how many members are asked at once.
	maxOrders = 16
	// saidMissing is how many of the missing members are named.
	saidMissing = 4
)

// Rotation is one run of a rotation of the cluster key.
type Rotation struct {
	// Job and Epoch order the runs: members obey the latest one that they have heard of.
	Job, Epoch uint64
	// Target is the hash of the new key that an earlier run has reported; empty: there is none yet.
	Target string
	// Report is told of every progress. An error ends the run with it.
	Report func(RotationProgress) error
}

// RotationProgress is how far a rotation has come.
type RotationProgress struct {
	// Target is the hash of the new key.
	Target string
	// Done of Total steps, three for every member.
	Done, Total int
	// Note says in words what is being done, and who is missing.
	Note string
}

// rotation is a run at work.
type rotation struct {
	Rotation
	*keyed
	told     map[gossip.NodeID]told
	reported RotationProgress
}

// told is the last order to a member: when, and why it was not carried out.
type told struct {
	at      time.Time
	step    step
	problem string
}

// RotateKey replaces the cluster key on all members. It returns when every one has the new key alone, or ctx ends: what is
// done then stays done, and members understand each other. A member that cannot be reached is waited for; Forget is for
// one that never comes back. ErrNoKeys without a cluster key.
func (f *Fabric) RotateKey(ctx context.Context, with Rotation) error {
	if f.keyed == nil {
		return fmt.Errorf("fabric: rotate key: %w", ErrNoKeys)
	}
	r := &rotation{Rotation: with, keyed: f.keyed, told: map[gossip.NodeID]told{}}
	err := r.target(ctx)
	for s := stepInstall; err == nil && s <= stepRemove; s++ {
		err = r.gather(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("fabric: rotate key: %w", err)
	}
	return nil
}

// target makes sure that this node has the new key.
func (r *rotation) target(ctx context.Context) error {
	have, err := r.inherit(ctx)
	if have || err != nil {
		return err
	}
	var key transport.Key
	_, _ = rand.Read(key[:]) // never fails: crypto/rand.Read
	id, err := r.freeID()
	if err != nil {
		return err
	}
	r.Target = key.Hash()
	return r.obey(&order{step: stepInstall, run: run{r.Job, r.Epoch}, id: id, hash: r.Target, key: key})
}

// inherit gets the key of an earlier run, as long as a member that can be reached has it.
func (r *rotation) inherit(ctx context.Context) (have bool, err error) {
	again := time.NewTicker(orderAgain)
	defer again.Stop()
	for {
		if _, _, have = r.ring.Find(r.Target); have {
			return true, nil
		}
		view := r.fabric.View()
		some := false
		for _, m := range view.Members() {
			if m.ID == view.Self() || !m.Reachable || !stepInstall.shown(keysOf(view, m.ID), r.Target) {
				continue
			}
			if some = true; r.fetch(ctx, m) == nil {
				return true, nil
			}
		}
		if !some {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-again.C:
		}
	}
}

// fetch gets the new key from a member that has it.
func (r *rotation) fetch(ctx context.Context, m gossip.Member) error {
	answer, err := r.send(ctx, m, &order{step: stepGive, run: run{r.Job, r.Epoch}, hash: r.Target})
	if err != nil {
		return err
	}
	o, err := decodeOrder(answer)
	if err != nil {
		return err
	}
	if o.step != stepInstall || o.hash != r.Target {
		return errNotHere
	}
	return r.obey(o)
}

// freeID is the id after this node's newest that no member is known to have a key under.
func (r *rotation) freeID() (uint8, error) {
	var taken [256]bool
	view := r.fabric.View()
	for _, m := range view.Members() {
		for _, key := range keysOf(view, m.ID) {
			taken[key.ID] = true
		}
	}
	keys := r.ring.Keys()
	for _, key := range keys {
		taken[key.ID] = true
	}
	id := keys[len(keys)-1].ID
	for range len(taken) {
		if id++; !taken[id] {
			return id, nil
		}
	}
	return 0, errors.New("every id of a key is taken")
}

// gather has every member do a step, and returns when all show that they have. This node does the last step last: it can
// bring the key to a latecomer as long as it has the old one.
func (r *rotation) gather(ctx context.Context, s step) error {
	again := time.NewTicker(orderAgain)
	defer again.Stop()
	for {
		changed := r.fabric.Changed()
		view := r.fabric.View()
		id, _, have := r.ring.Find(r.Target)
		if !have {
			return errors.New("another rotation, or a person, has taken the new key away")
		}
		missing := r.lacking(view, s, r.Target)
		if err := r.report(view, s, missing); err != nil {
			return err
		}
		if len(missing) == 0 {
			return nil
		}
		if s == stepRemove && len(missing) > 1 {
			missing = slices.DeleteFunc(missing, func(m gossip.Member) bool { return m.ID == view.Self() })
		}
		r.ask(ctx, s, id, missing)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		case <-again.C:
		}
	}
}

// ask gives the order to members, unless they have just been asked. Who has not got the key yet, since it has come
// back or joined after all others had it, gets it first.
func (r *rotation) ask(ctx context.Context, s step, id uint8, members []gossip.Member) {
	var asking sync.WaitGroup
	room := make(chan struct{}, maxOrders)
	results := make([]told, len(members))
	view := r.fabric.View()
	for i, m := range members {
		o := order{step: s, run: run{r.Job, r.Epoch}, id: id, hash: r.Target}
		if m.ID != view.Self() && !stepInstall.shown(keysOf(view, m.ID), r.Target) {
			o.step = stepInstall
		}
		results[i] = r.told[m.ID]
		if results[i].step == o.step && r.fabric.config.Now().Sub(results[i].at) < orderAgain {
			continue
		}
		room <- struct{}{}
		asking.Go(func() { // ends with the order, which has a timeout; waited for below
			problem := ""
			if err := r.order(ctx, m, o); err != nil {
				problem = reasonOf(err)
			}
			results[i] = told{r.fabric.config.Now(), o.step, problem}
			<-room
		})
	}
	asking.Wait()
	for i, m := range members {
		r.told[m.ID] = results[i]
	}
}

// order gives one order.
func (r *rotation) order(ctx context.Context, m gossip.Member, o order) error {
	if m.ID == r.fabric.ID() {
		return r.obey(&o)
	}
	if o.step == stepInstall {
		var have bool
		if o.id, o.key, have = r.ring.Find(r.Target); !have {
			return errNotHere
		}
	}
	_, err := r.send(ctx, m, &o)
	return err
}

func (r *rotation) send(ctx context.Context, m gossip.Member, o *order) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	return r.fabric.transport.Request(ctx, m.Addr, orderKind(), o.encode())
}

// reasonOf is an error in the words of who has made it, in a line.
func reasonOf(err error) string {
	text := err.Error()
	if remote, ok := errors.AsType[*transport.RemoteError](err); ok {
		text = remote.Text
	}
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// report tells how far it has come, if that is news.
func (r *rotation) report(view *gossip.View, s step, missing []gossip.Member) error {
	members := len(view.Members())
	now := RotationProgress{
		Target: r.Target, Done: int(s)*members - len(missing), Total: int(stepRemove) * members,
		Note: fmt.Sprintf("%s key %s", s, r.Target),
	}
	for i, m := range missing {
		switch {
		case i == 0:
			now.Note += ": waits for "
		case i == saidMissing:
			now.Note += fmt.Sprintf(" and %d more", len(missing)-i)
		case i < saidMissing:
			now.Note += ", "
		}
		if i >= saidMissing {
			break
		}
		now.Note += nameOf(m)
		if why := r.problem(m); why != "" {
			now.Note += " (" + why + ")"
		}
	}
	if now == r.reported {
		return nil
	}
	if err := r.Report(now); err != nil {
		return err
	}
	r.reported = now
	return nil
}

// problem is why a member has not done its step, as far as this node knows.
func (r *rotation) problem(m gossip.Member) string {
	switch {
	case m.Status == gossip.StatusDown:
		return "down"
	case !m.Reachable:
		return "unreachable"
	default:
		return r.told[m.ID].problem
	}
}
