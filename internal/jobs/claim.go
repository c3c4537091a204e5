package jobs

import (
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
)

// claimant is a node that looks which jobs are its to claim, by its view of the others.
type claimant struct {
	view  *gossip.View
	self  gossip.Member // Status 0: in no cluster
	kinds map[string]Kind
	busy  map[uint64]bool // jobs that have a run here
	free  int             // how many more may run here
}

// wants reports whether claim would claim anything.
func (c *claimant) wants(t *table) bool {
	return slices.ContainsFunc(t.jobs, func(j Job) bool { return c.claimable(&j) })
}

// claim claims what it may, and returns what is to be run.
func (c *claimant) claim(t *table, now time.Time) (claimed []Job) {
	for _, seen := range slices.Clone(t.jobs) { // a claim may end a job, which may forget another one
		j, err := t.find(seen.ID)
		if err != nil || !c.claimable(j) {
			continue
		}
		if t.claim(j, c.kinds[j.Kind].Unit, c.self.ID, c.self.Boot, now) {
			claimed = append(claimed, *j)
			c.free--
		}
	}
	return claimed
}

// claimable reports whether nobody runs the job, and this node is the one to.
func (c *claimant) claimable(j *Job) bool {
	if c.self.Status != gossip.StatusUp || c.busy[j.ID] || j.State != Pending && !j.State.owned() {
		return false
	}
	stopped := j.State == Pausing || j.State == Cancelling // to write that down takes neither kind nor room
	if _, known := c.kinds[j.Kind]; !stopped && (!known || c.free <= 0) {
		return false
	}
	if j.State != Pending && j.Owner == c.self.ID && j.Boot == c.self.Boot {
		return true // a claim of which this process heard too late: to the others it looks as if the job ran
	}
	return (j.State == Pending || c.gone(j)) && c.chosen(j, func(m gossip.Member) bool { return stopped || runs(c.view, m.ID, j.Kind) })
}

// gone reports whether the process that owns a job is no more, for all that this node can see. One that runs it
// nevertheless has an older epoch after the claim.
func (c *claimant) gone(j *Job) bool {
	m, known := c.view.Member(j.Owner)
	return !known || !m.Reachable || m.Boot != j.Boot
}

// chosen reports whether this node has the highest hash among the members that could claim the job (rendezvous hashing:
// Thaler and Ravishankar 1998). The epoch is part of it, so that a node that cannot run it does not get it again.
func (c *claimant) chosen(j *Job, able func(gossip.Member) bool) bool {
	seed := wire.Mix64(j.ID) + j.Epoch
	own := wire.Hash64(seed, c.self.ID[:])
	for _, m := range c.view.Members() {
		if m.ID != c.self.ID && m.Status == gossip.StatusUp && m.Reachable && wire.Hash64(seed, m.ID[:]) > own && able(m) {
			return false
		}
	}
	return true
}

// runs reports whether a member says that it can run a kind of job.
func runs(view *gossip.View, id gossip.NodeID, kind string) bool {
	value, ok := view.Own(id, kindsKey)
	return ok && slices.Contains(decodeKinds(value), kind)
}
