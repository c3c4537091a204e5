package topology

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
)

// leader is what a core remembers for the time its node is the fabric's leader. The zero leader has just begun.
type leader struct {
	services  uint64    // hash of the candidates that were seen last
	settled   time.Time // when those candidates have stayed the same for long enough; zero: they have
	impatient time.Time // when the first placement does not wait any longer; zero: it does not wait
	wish      []byte    // what was last asked to be written
	wishedAt  time.Time
	rewrite   time.Time // when the wish is looked at again; zero: it is fulfilled
}

// lead writes the placement if this node is the one to do so and the services ask for another one.
func (c *Core) lead(now time.Time) {
	id, ok := c.view.Leader()
	if !ok || id != c.config.Self.Node || c.config.Self.Index != 0 {
		c.leader = leader{}
		return
	}
	c.leader.rewrite = time.Time{}
	candidates := c.candidates()
	if c.placement == nil && c.unclaimed() {
		c.leader.settled = time.Time{}
		if !c.complete(now, candidates) {
			return
		}
	} else {
		c.leader.impatient = time.Time{}
		if !c.calm(now, candidates) {
			return
		}
	}
	c.leader.services = fingerprint(candidates)
	c.leader.settled, c.leader.impatient = time.Time{}, time.Time{}
	c.wish(now, Place(c.placement, candidates))
}

// candidates are the services that may have slots, of the oldest member first. A member that cannot be reached, or is
// on its way back, keeps what it was given, even while it announces no service: it may be starting.
func (c *Core) candidates() []Candidate {
	type aged struct {
		Candidate
		upNumber uint64
	}
	var all []aged
	announced := map[ServiceID]bool{}
	for _, s := range c.services() {
		announced[s.id] = true
		placed := c.placement != nil && slices.Contains(c.placement.services, s.id)
		if s.status == gossip.StatusUp || placed && returns(s.status) {
			frozen := !s.reachable || s.status != gossip.StatusUp
			all = append(all, aged{Candidate{ID: s.id, Frozen: frozen, Holds: &s.claim.Slots}, s.upNumber})
		}
	}
	if c.placement != nil {
		for _, id := range c.placement.services {
			if m, ok := c.view.Member(id.Node); ok && !announced[id] && returns(m.Status) {
				all = append(all, aged{Candidate{ID: id, Frozen: true}, m.UpNumber})
			}
		}
	}
	slices.SortFunc(all, func(a, b aged) int {
		return cmp.Or(cmp.Compare(a.upNumber, b.upNumber), a.ID.Compare(b.ID))
	})
	candidates := make([]Candidate, len(all))
	for i := range all {
		candidates[i] = all[i].Candidate
	}
	return candidates[:min(len(candidates), MaxServices)]
}

// returns reports whether a member of the status is expected to serve its slots again.
func returns(s gossip.Status) bool {
	return s == gossip.StatusUp || s == gossip.StatusJoining || s == gossip.StatusDown
}

// complete reports whether enough services are there for the first placement.
func (c *Core) complete(now time.Time, candidates []Candidate) bool {
	nodes := map[gossip.NodeID]bool{}
	for _, candidate := range candidates {
		if !candidate.Frozen {
			nodes[candidate.ID.Node] = true
		}
	}
	if len(nodes) >= max(c.config.InitialMembers, 1) {
		return true
	}
	up := 0
	for _, m := range c.view.Members() {
		if m.Status == gossip.StatusUp && m.Reachable {
			up++
		}
	}
	if up < c.config.InitialMembers || len(nodes) == 0 {
		c.leader.impatient = time.Time{}
		return false
	}
	// Enough members, but some have no service: perhaps they will never have one.
	if c.leader.impatient.IsZero() {
		c.leader.impatient = now.Add(FoundingPatience)
	}
	return !now.Before(c.leader.impatient)
}

// calm reports whether the candidates have been the same for long enough.
func (c *Core) calm(now time.Time, candidates []Candidate) bool {
	if services := fingerprint(candidates); services != c.leader.services {
		c.leader.services = services
		c.leader.settled = now.Add(Settle)
	}
	return c.leader.settled.IsZero() || !now.Before(c.leader.settled)
}

// fingerprint is a hash of who the candidates are and which of them are frozen.
func fingerprint(candidates []Candidate) uint64 {
	h := uint64(1)
	for _, candidate := range candidates {
		h = wire.Hash64(h, binaryID(candidate.ID))
		if candidate.Frozen {
			h = wire.Mix64(h)
		}
	}
	return h
}

// wish publishes a placement that differs from the one there is, and again when the fabric does not show it after a
// while.
func (c *Core) wish(now time.Time, next *Placement) {
	c.leader.rewrite = time.Time{}
	if next == nil || c.placement != nil && next.Equal(c.placement) {
		return
	}
	record := next.Encode()
	if len(record) > MaxRecord {
		return
	}
	if due := c.leader.wishedAt.Add(RetryPublish); bytes.Equal(c.leader.wish, record) && now.Before(due) {
		c.leader.rewrite = due
		return
	}
	c.publish = append(c.publish, PublishShared{Key: PlacementKey, Value: record})
	c.leader.wish, c.leader.wishedAt = record, now
	c.leader.rewrite = now.Add(RetryPublish)
}
