package fabric

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/egalcluster/egal/fabric/gossip"
)

// This file is about the node's own membership: how it goes, what an operator does to others, and how it stands.

// Reasons to stop, see Failed.
var (
	// ErrForgotten says that the node was removed from its cluster while it could not be reached.
	ErrForgotten = errors.New("fabric: this node was removed from its cluster")
	// ErrIncompatible says that the cluster speaks a protocol version that this node does not.
	ErrIncompatible = errors.New("fabric: the cluster speaks a protocol version that this node does not")
)

// maxNotices is how many events of the core wait to be logged.
const maxNotices = 64

// Leave takes the node out of the cluster: it waits until registers do without its vote, for seconds at most, asks the
// leader to be let go and waits until it is, and all that count know it. When that takes longer than the core's
// LeaveTimeout, or ctx ends, the node just says that it ends, by which the others stop to see it, too. Close comes after
// it.
func (f *Fabric) Leave(ctx context.Context) error {
	select {
	case <-f.left:
		return nil
	default:
	}
	f.stopVoting(ctx)
	for _, now := range []bool{false, true} {
		err := f.loop.Request(context.WithoutCancel(ctx), f.Addr(), gossip.Leave{Now: now}, func() { f.publish(f.core.View()) })
		if err != nil {
			return fmt.Errorf("fabric: leave: %w", err)
		}
		if !now && f.gone(ctx) {
			break
		}
	}
	return nil
}

// gone waits until the node is no member any more, or is closed; false: ctx has ended before.
func (f *Fabric) gone(ctx context.Context) bool {
	failed := f.failed
	for {
		select {
		case <-f.left:
			return true
		case <-f.ended:
			return true
		case <-failed:
			if errors.Is(f.failure, ErrForgotten) || errors.Is(f.failure, ErrSuperseded) {
				return true
			}
			failed = nil // its disk has failed, say: it still is one
		case <-ctx.Done():
			return false
		}
	}
}

// Down takes a member that cannot be reached for down, as the policy would after a while: the others decide without
// it, and it joins again by itself when it comes back. The error is gossip.ErrUnknownMember or gossip.ErrReachable
// where the member is none, or answers.
func (f *Fabric) Down(ctx context.Context, id gossip.NodeID) error {
	return f.write(ctx, "take for down", id.String(), gossip.Down{ID: id})
}

// Forget removes a member that is down or cannot be reached, for good: what it owned is nobody's, and its process, if
// there is one, stops when it hears of it. The error is that of Down.
func (f *Fabric) Forget(ctx context.Context, id gossip.NodeID) error {
	return f.write(ctx, "forget", id.String(), gossip.Forget{ID: id})
}

// Condition is how the node stands in its cluster, beside what the view shows.
type Condition struct {
	// Outvoted are members that this node cannot reach, while by the cluster's policy its side does not go on.
	Outvoted []gossip.NodeID
	// Blockage is what keeps the leader from admitting and removing members; nil: nothing, or nobody waits.
	Blockage *gossip.Blockage
	// Refusal is why no seed has let this node in; empty: one has, or none has answered.
	Refusal string
}

// condition is what the core has told of it.
type condition struct {
	mu       sync.Mutex // guards what follows
	outvoted []gossip.NodeID
}

// Condition tells how the node stands.
func (f *Fabric) Condition() Condition {
	view := f.View()
	f.condition.mu.Lock()
	outvoted := slices.DeleteFunc(slices.Clone(f.condition.outvoted), func(id gossip.NodeID) bool {
		m, known := view.Member(id)
		return !known || m.Reachable || m.Status == gossip.StatusDown
	})
	f.condition.mu.Unlock()
	c := Condition{Outvoted: outvoted}
	if b, ok := view.Blockage(); ok {
		c.Blockage = &b
	}
	if view.Cluster().IsZero() {
		c.Refusal = f.founding.refusal()
	}
	return c
}

// Cause is the condition in a sentence without its end; empty: nothing is wrong.
func (c Condition) Cause(view *gossip.View) string {
	var causes []string
	if c.Refusal != "" {
		causes = append(causes, "no seed lets this node in: "+c.Refusal)
	}
	if len(c.Outvoted) > 0 {
		causes = append(causes, "this side of a partition does not decide, "+namesOf(view, c.Outvoted)+" cannot be reached")
	}
	if c.Blockage != nil {
		cause := "members wait for the leader, since " + c.Blockage.Cause.String()
		if len(c.Blockage.Members) > 0 {
			cause += ": " + namesOf(view, c.Blockage.Members)
		}
		causes = append(causes, cause)
	}
	return strings.Join(causes, "; ")
}

// namesOf are the names of members, or their ids where they have none.
func namesOf(view *gossip.View, ids []gossip.NodeID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id.String()[:8]
		if m, ok := view.Member(id); ok && m.Name != "" {
			names[i] = m.Name
		}
	}
	return strings.Join(names, ", ")
}

// lived takes an event about the node's own membership; on the loop's goroutine.
func (f *Fabric) lived(event gossip.Event) {
	switch e := event.(type) {
	case gossip.Left:
		f.silent = true
		f.leaving.Do(func() { close(f.left) })
	case gossip.Forgotten:
		f.silent = true
		f.mustStop(ErrForgotten)
	case gossip.Incompatible:
		f.mustStop(ErrIncompatible)
	case gossip.Outvoted:
		f.condition.mu.Lock()
		f.condition.outvoted = e.Lost
		f.condition.mu.Unlock()
	case gossip.Downed, gossip.LeaderRefused, gossip.PolicyIgnored:
	default:
		return
	}
	select {
	case f.notices <- event:
	default: // the log is behind: the view shows all the same
	}
}

// mustStop closes Failed.
func (f *Fabric) mustStop(reason error) {
	f.fail.Do(func() {
		f.failure = reason
		close(f.failed)
	})
}

// logNotice logs an event of lived.
func (f *Fabric) logNotice(event gossip.Event) {
	switch e := event.(type) {
	case gossip.Left:
		f.logger.Info("cluster left", "event", "fabric_left", "confirmed", e.Confirmed)
	case gossip.Downed:
		f.logger.Warn("this node was taken for down while it could not be reached, and joins again",
			"event", "fabric_downed", "generation", e.Generation)
	case gossip.Outvoted:
		f.logger.Warn("this side of a partition does not decide", "event", "fabric_outvoted", "unreachable", namesOf(f.View(), e.Lost))
	case gossip.LeaderRefused:
		f.logger.Error("as the leader this node could not write a decision",
			"event", "fabric_leader_refused", "member", namesOf(f.View(), []gossip.NodeID{e.Member}), "error", e.Err)
	case gossip.PolicyIgnored:
		f.logger.Warn("the cluster's down policy holds, not this node's", "event", "fabric_policy_ignored",
			"policy", e.Cluster.Kind.String(), "stable_after", e.Cluster.StableAfter,
			"ignored", e.Own.Kind.String(), "ignored_stable_after", e.Own.StableAfter)
	}
}

// logFailure says why the node must stop.
func (f *Fabric) logFailure() {
	switch {
	case errors.Is(f.failure, ErrSuperseded):
		f.logger.Error("another process runs with this node's identity, this one must stop",
			"event", "fabric_superseded", "hint", "a copied data directory: start the copy with an empty one")
	case errors.Is(f.failure, ErrForgotten):
		f.logger.Error("this node was removed from its cluster, and must stop",
			"event", "fabric_forgotten", "hint", "start it again to join as a new member; what it owned belongs to others by now")
	case errors.Is(f.failure, ErrIncompatible):
		f.logger.Error("the cluster speaks a protocol version that this node does not",
			"event", "fabric_incompatible", "hint", "run the version of egal that the other members have")
	case errors.Is(f.failure, ErrVotesLost):
		f.logger.Error("the record of this node's votes is lost, it must stop",
			"event", "fabric_votes_lost", "error", f.failure, "hint", "start it with an empty directory: it joins as a new node")
	default:
		f.logger.Error("this node's votes could not be saved, it must stop", "event", "fabric_votes_failed", "error", f.failure, "hint", "look at its disk")
	}
}
