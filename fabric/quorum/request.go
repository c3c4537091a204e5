package quorum

import (
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// requestKind is what the shell asks for.
type requestKind uint8

const (
	requestCreate requestKind = iota + 1
	requestChange
	requestRead
	requestReconfigure
)

// request is one that has no Result yet.
type request struct {
	kind     requestKind
	number   uint64 // the shell's
	change   ChangeID
	expected uint64 // version, or epoch of requestReconfigure; 0 of requestCreate
	value    []byte
	target   []gossip.NodeID // sorted; of requestReconfigure
	first    Configuration   // of requestCreate
	deadline time.Time

	proposed  bool      // an accept with this change is under way, or may be
	confirmed bool      // a state was chosen since the request began
	ripe      time.Time // not to be worked on before
}

func (c *Core) create(now time.Time, from gossip.NodeID, m Create) {
	r := &request{kind: requestCreate, number: m.Number, value: m.Value}
	ids, ok := electorate(m.Voters)
	r.first = Configuration{Epoch: 1, Lease: m.Lease, Voters: voters(ids, nil)}
	ok = ok && m.Lease >= 0 && m.Lease <= MaxLease && m.Lease%time.Microsecond == 0
	c.enqueue(now, from, m.Group, nil, r, m.Timeout, ok)
}

func (c *Core) change(now time.Time, from gossip.NodeID, m Change) {
	r := &request{kind: requestChange, number: m.Number, expected: m.Expected, value: m.Value}
	c.enqueue(now, from, m.Group, m.Voters, r, m.Timeout, m.Expected > 0 && m.Expected < maxCounter)
}

func (c *Core) read(now time.Time, from gossip.NodeID, m Read) {
	c.enqueue(now, from, m.Group, m.Voters, &request{kind: requestRead, number: m.Number}, m.Timeout, true)
}

func (c *Core) reconfigure(now time.Time, from gossip.NodeID, m Reconfigure) {
	target, ok := electorate(m.Target)
	r := &request{kind: requestReconfigure, number: m.Number, expected: m.Expected, target: target}
	c.enqueue(now, from, m.Group, m.Voters, r, m.Timeout, ok && m.Expected < maxCounter)
}

// electorate sorts the ids and drops repetitions; ok: it is a set that may vote.
func electorate(ids []gossip.NodeID) (sorted []gossip.NodeID, ok bool) {
	sorted = slices.Clone(ids)
	slices.SortFunc(sorted, gossip.NodeID.Compare)
	sorted = slices.Compact(sorted)
	return sorted, len(sorted) > 0 && len(sorted) <= MaxVoters && !sorted[0].IsZero()
}

// enqueue begins with a request, or lets it wait for those before it.
func (c *Core) enqueue(now time.Time, from gossip.NodeID, group GroupID, hint []gossip.NodeID, r *request, timeout time.Duration, valid bool) {
	if from != c.cfg.ID {
		c.metrics.Invalid++
		return
	}
	if timeout == 0 {
		timeout = defaultTimeout
		if r.kind == requestReconfigure {
			timeout += MaxLease
		}
	}
	valid = valid && len(r.value) <= MaxValue && timeout > 0 && timeout <= MaxTimeout
	p := c.proposer(now, group, hint, valid)
	if p == nil || p.pending() >= MaxQueue {
		c.tell(Result{Number: r.number, Group: group, Outcome: Refused})
		return
	}
	if r.kind == requestCreate && p.seen.IsZero() {
		p.known = r.first
	}
	r.change = ChangeID{c.cfg.ID, c.cfg.Boot, c.number()}
	r.deadline = now.Add(timeout)
	p.expect(r.deadline)
	p.queue = append(p.queue, r)
	c.work(now, p)
}

// pending is how many requests have no result yet.
func (p *proposer) pending() int {
	if p.active != nil {
		return len(p.queue) + 1
	}
	return len(p.queue)
}

// proposer is the one of the group; nil when there may be none.
func (c *Core) proposer(now time.Time, group GroupID, hint []gossip.NodeID, valid bool) *proposer {
	ids, named := electorate(hint)
	if !valid || group == "" || len(group) > MaxGroupID || len(ids) > MaxVoters {
		return nil
	}
	p := c.proposers[group]
	if p == nil {
		if len(c.proposers) >= MaxProposers {
			return nil
		}
		p = &proposer{group: group, serial: c.number(), place: -1}
		c.proposers[group] = p
	}
	c.learnOwn(p)
	if named {
		p.hint = ids
		if p.seen.IsZero() { // a guess may be replaced by a better one
			p.known = Configuration{Voters: guessed(ids)}
		}
	}
	p.idle = now.Add(IdleAfter)
	return p
}

// guessed are voters by hearsay: nobody takes them for joining.
func guessed(ids []gossip.NodeID) []Voter {
	set := make([]Voter, len(ids))
	for i, id := range ids {
		set[i].ID = id
	}
	return set
}

// step is what a request does next.
type step uint8

const (
	stepPropose step = iota + 1 // the state
	stepInvite                  // the target's voters to promise
	stepWait                    // until ripe
	stepFinish                  // with the outcome
)

// next says how the request goes on from the proposer's state: the highest one that a quorum has promised to build
// on, or, when p.kept, the one that was chosen at the proposer's ballot.
func (r *request) next(now time.Time, p *proposer) (step, *State, Outcome) {
	current := p.state
	version, epoch := uint64(0), uint64(0)
	if current != nil {
		version, epoch = current.Version, current.Epoch
	}
	switch {
	case r.kind == requestCreate && version == 0:
		return stepPropose, &State{Version: 1, Change: r.change, Value: r.value, Configuration: r.first}, 0
	case version == 0 && r.proposed: // on top of a state that came to nothing; but this may yet be completed
		return stepFinish, nil, Unknown
	case version == 0:
		return stepFinish, nil, Unavailable // nobody has created it
	case r.kind == requestReconfigure:
		return r.nextConfiguration(now, p, epoch)
	case r.kind == requestChange && version == r.expected:
		return stepPropose, &State{Version: version + 1, Change: r.change, Value: r.value, Configuration: current.Configuration}, 0
	case !r.confirmed:
		return stepPropose, current, 0
	case r.kind == requestRead, current.Change == r.change:
		return stepFinish, current, Done
	case r.proposed && version > r.expected+1: // our version may have come and gone
		return stepFinish, nil, Unknown
	}
	return stepFinish, current, Conflict
}

// nextConfiguration leaves a configuration only once a state with it was chosen: then every later quorum of it hears
// of the next one. Between the joint and the final configuration passes a lease, so that every lease that was
// counted without the new voters has run out before they decide alone.
func (r *request) nextConfiguration(now time.Time, p *proposer, epoch uint64) (step, *State, Outcome) {
	current := p.state
	next := *current
	switch {
	case !p.kept:
		return stepPropose, current, 0
	case current.Joint():
		if p.jointEpoch != epoch {
			p.jointEpoch, p.jointSince = epoch, now
		}
		if r.ripe = p.jointSince.Add(current.Lease); now.Before(r.ripe) {
			return stepWait, nil, 0
		}
		next.Configuration = current.final()
		return stepPropose, &next, 0
	case current.sameVoters(r.target):
		if !r.confirmed {
			return stepPropose, current, 0
		}
		return stepFinish, current, Done
	case epoch == r.expected:
		next.Configuration = current.joint(r.target)
		if !majority(next.Next, p.promised) {
			return stepInvite, &next, 0
		}
		return stepPropose, &next, 0
	case !r.confirmed:
		return stepPropose, current, 0
	case r.proposed && epoch > r.expected+1:
		return stepFinish, nil, Unknown
	}
	return stepFinish, current, Conflict
}
