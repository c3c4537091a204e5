package gossip

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/egalcluster/egal/internal/wire"
)

// Who is taken for down. A member that cannot be reached stays a member. When the same ones have been unreachable for
// DownPolicy.StableAfter, every node asks the cluster's policy whether its side of what may be a partition goes on.
// The leader of the side that does makes a proof that all its members miss the same ones, and records them as Down;
// a link that is cut between two members alone is no such case. The nodes of the other side do nothing but tell their
// shells, by Outvoted, to stop what may run in one place only.
//
// Down means that others route around the member and decide without it. Nothing it owns is taken away: it keeps its
// id, and when it hears of the decision it becomes a new process for the others, and joins again (rise).

// DownKind is the rule by which the sides of a partition decide which one goes on.
type DownKind uint8

// The rules. By each of them at most one side goes on.
const (
	// DownMajority keeps the side with more than half of the members that count; of two halves the one with the
	// smallest id.
	DownMajority DownKind = iota
	// DownStaticQuorum keeps a side with at least Quorum members, as long as the cluster has at most 2·Quorum - 1.
	DownStaticQuorum
	// DownOldest keeps the side of the oldest member, unless that is alone against at least two.
	DownOldest
)

var downKinds = [...]string{"majority", "static-quorum", "oldest"}

// String is the rule's name in configurations.
func (k DownKind) String() string {
	if int(k) < len(downKinds) {
		return downKinds[k]
	}
	return fmt.Sprintf("policy(%d)", uint8(k))
}

// ParseDownKind reads what String prints.
func ParseDownKind(s string) (DownKind, error) {
	if i := slices.Index(downKinds[:], s); i >= 0 {
		return DownKind(i), nil
	}
	return 0, fmt.Errorf("gossip: down policy %q: want majority, static-quorum or oldest", s)
}

// DownPolicy is how a cluster deals with members that stay unreachable. A cluster has one: that of its founder.
type DownPolicy struct {
	Kind DownKind
	// Quorum belongs to DownStaticQuorum.
	Quorum int
	// StableAfter is how long nothing must have changed about who is unreachable. Default 10 s.
	StableAfter time.Duration
}

const (
	defaultStableAfter = 10 * time.Second
	minStableAfter     = time.Second
	policyKey          = clusterPrefix + "down"
)

// validate joins the faults of a policy.
func (p DownPolicy) validate() error {
	var faults []error
	if int(p.Kind) >= len(downKinds) {
		faults = append(faults, fmt.Errorf("gossip: configure: unknown down policy %d", p.Kind))
	}
	if (p.Kind == DownStaticQuorum) != (p.Quorum > 0) || p.Quorum > MaxMembers {
		faults = append(faults, fmt.Errorf("gossip: configure: down policy %v with a quorum of %d", p.Kind, p.Quorum))
	}
	if p.StableAfter != 0 && p.StableAfter < minStableAfter {
		faults = append(faults, fmt.Errorf("gossip: configure: stable after %v, at least %v", p.StableAfter, minStableAfter))
	}
	return errors.Join(faults...)
}

func (p DownPolicy) encode() []byte {
	b := wire.AppendUvarint([]byte{1, byte(p.Kind)}, uint64(p.Quorum))
	return wire.AppendUvarint(b, uint64(p.StableAfter))
}

func decodeDownPolicy(value []byte) (p DownPolicy, ok bool) {
	r := wire.NewReader(value)
	r.Uint8()
	p.Kind, p.Quorum = DownKind(r.Uint8()), int(min(r.Uvarint(), MaxMembers+1))
	p.StableAfter = time.Duration(min(r.Uvarint(), uint64(24*time.Hour)))
	return p, r.Err() == nil && p.validate() == nil && p.StableAfter > 0
}

// DownPolicy is the cluster's policy; false: it is in none, or its founder knew of no policies.
func (v *View) DownPolicy() (DownPolicy, bool) {
	s, ok := v.shared.find(policyKey)
	if !ok || s.deleted {
		return DownPolicy{}, false
	}
	return decodeDownPolicy(s.value)
}

// policy is the cluster's policy, or this node's own where the cluster has none.
func (c *Core) policy() DownPolicy {
	if p, ok := c.view.DownPolicy(); ok {
		return p
	}
	return c.cfg.DownPolicy
}

// checkPolicy tells the shell when this node was configured with another policy than the cluster has.
func (c *Core) checkPolicy() {
	if s, ok := c.shared.find(policyKey); ok {
		if p, ok := decodeDownPolicy(s.value); ok && p != c.cfg.DownPolicy {
			c.report(PolicyIgnored{Cluster: p, Own: c.cfg.DownPolicy})
		}
	}
}

// survives reports whether the side of the reachable members goes on. Members that do not count have no vote, and
// those of them that are unreachable one against this side: over there they may count.
func (p DownPolicy) survives(members []Member) bool {
	here, all := 0, 0
	var lowest, oldest *Member
	for i := range members {
		m := &members[i]
		switch {
		case m.counts():
		case m.Reachable || m.Status == StatusDown || m.Status == StatusExiting:
			continue
		}
		all++
		if m.Reachable {
			here++
		}
		if lowest == nil || m.ID.Compare(lowest.ID) < 0 {
			lowest = m
		}
		if oldest == nil || m.olderThan(oldest) {
			oldest = m
		}
	}
	switch {
	case here == 0:
		return false
	case p.Kind == DownStaticQuorum:
		return here >= p.Quorum && all <= 2*p.Quorum-1
	case p.Kind == DownOldest:
		alone := here
		if !oldest.Reachable {
			alone = all - here
		}
		return oldest.Reachable == (alone > 1 || all <= 2)
	default:
		return 2*here > all || 2*here == all && lowest.Reachable
	}
}

// losses are the members that this node cannot reach and that are not Down.
type losses struct {
	inquiry inquiry
	hash    uint64    // of what must not change; 0: there are none
	since   time.Time // since when it has not changed
	at      time.Time // when the policy is asked; zero: it is not to be
	told    bool      // Outvoted has been reported
}

// lostOf are the members that are unreachable and not Down, Exiting ones excepted: they go anyhow.
func lostOf(members []Member) (ids []NodeID) {
	for i := range members {
		if m := &members[i]; !m.Reachable && m.Status != StatusDown && m.Status != StatusExiting {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// watchLosses begins to wait anew when something has changed.
func (c *Core) watchLosses() {
	lost := setOf(lostOf(c.view.members))
	if lost == 0 || !c.synced {
		c.losses.hash, c.losses.at, c.losses.told = 0, time.Time{}, false
		return
	}
	hash := lost
	for i := range c.view.members {
		if m := &c.view.members[i]; m.counts() {
			hash ^= m.ID.point()
		}
	}
	if hash != c.losses.hash {
		c.losses.hash, c.losses.told = hash, false
		c.waitForStability()
	}
}

// waitForStability sets the timer anew; also after this node itself was away, since it knows nothing of meanwhile.
func (c *Core) waitForStability() {
	if c.losses.hash != 0 {
		c.losses.since = c.now
		c.losses.at = c.now.Add(c.policy().StableAfter)
	}
}

// judgeLosses asks the policy.
func (c *Core) judgeLosses() {
	lost := lostOf(c.view.members)
	if c.losses.hash == 0 || len(lost) == 0 || c.now.Sub(c.losses.since) < c.policy().StableAfter {
		return
	}
	if !c.policy().survives(c.view.members) {
		if self, ok := c.view.Member(c.cfg.ID); !c.losses.told && ok && self.Status != StatusJoining {
			c.losses.told = true
			c.report(Outvoted{Lost: lost})
		}
		return
	}
	if !c.acts() {
		return
	}
	required, _ := c.required()
	if !c.proves(&c.losses.inquiry, proof{agreed: c.view.agreed, lost: setOf(lost), set: setOf(required)}) {
		return
	}
	based := c.view.agreed
	for _, id := range lost {
		m, _ := c.view.Member(id)
		down := admission{status: StatusDown, upNumber: m.UpNumber, generation: m.Generation, weak: m.Weak, based: based}
		if err := c.record(id, down); err != nil {
			c.refuse(id, err)
			c.losses.at = c.now.Add(lastRepeat)
			return
		}
	}
}

// Errors of Down and Forget; they arrive in a Refused event.
var (
	ErrUnknownMember = errors.New("gossip: no such member")
	ErrReachable     = errors.New("gossip: the member can be reached")
)

// putDown carries out Down and Forget: an operator knows that a member will not come back, or not as it was.
func (c *Core) putDown(id NodeID, status Status) {
	m, ok := c.view.Member(id)
	err := ErrUnknownMember
	switch {
	case ok && m.Reachable && m.Status != StatusDown:
		err = ErrReachable
	case ok:
		err = c.record(id, admission{status: status, upNumber: m.UpNumber, generation: m.Generation, weak: m.Weak})
	}
	if err != nil {
		c.report(Refused{Key: id.String(), Err: err})
	}
}
