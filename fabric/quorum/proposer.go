package quorum

import (
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// phase is what a proposer is doing.
type phase uint8

const (
	idle      phase = iota // no request
	asking                 // a query is out
	preparing              // a prepare is out
	accepting              // an accept is out
	resting                // until resume: outbid, or no request is ripe
)

// proposer works on the requests of one node for one group, one at a time.
type proposer struct {
	group  GroupID
	serial uint64
	place  int // in the timers; -1: none
	due    time.Time
	idle   time.Time // forgotten then, if there is nothing to do

	// known is the configuration at the highest ballot that was seen accepted, and seen is that ballot; without one it
	// is what the shell guesses.
	known Configuration
	seen  Ballot
	hint  []gossip.NodeID // whom the shell named last; they are consulted when the known voters are silent

	queue   []*request
	active  *request
	soonest time.Time // no deadline of a request is earlier
	phase   phase
	resend  time.Time // to those who are silent
	resume  time.Time

	counter  uint64 // the highest one heard of
	attempts int    // outbid since the last success
	ballot   Ballot
	promised []gossip.NodeID // voters who have promised ballot, or accepted at it, and so have a record
	plan     Configuration   // whose promises are asked for, besides those of the state's
	state    *State          // to build on: see request.next
	stateAt  Ballot          // where state was accepted
	floor    Ballot          // a promise says that something was accepted here
	kept     bool            // state was chosen at ballot, and nobody is known to have outbid it

	proposal *State          // what is to be accepted
	answered []gossip.NodeID // who has accepted it
	leaving  []gossip.NodeID // who votes no more once it is chosen

	inquiry inquiry

	jointEpoch uint64    // the joint configuration that was chosen
	jointSince time.Time // when this node knew

	lease *holding // nil: not asked for
}

// learn takes over a configuration from the highest ballot.
func (p *proposer) learn(at Ballot, f *Configuration) (changed bool) {
	if f == nil || at.Compare(p.seen) <= 0 {
		return false
	}
	changed = !f.equal(&p.known)
	p.counter = max(p.counter, at.Counter)
	p.seen, p.known = at, *f
	return changed
}

// learnOwn takes over what the node knows as a voter.
func (c *Core) learnOwn(p *proposer) {
	if g := c.registers[p.group]; g != nil {
		p.counter = max(p.counter, g.promised.Counter)
		p.learn(g.accepted, g.known())
	}
}

// consult asks those whom the shell has named, besides the known voters: all of these may have been replaced.
func (c *Core) consult(p *proposer) {
	c.learnOwn(p)
	for _, id := range p.hint {
		if _, known := p.known.find(id); !known && id != c.cfg.ID {
			c.to(id, query{p.group, p.inquiry.turn})
		}
	}
}

// learned goes on with the voters of a configuration that has just become known.
func (c *Core) learned(now time.Time, p *proposer) {
	switch p.phase {
	case asking:
		c.broadcast(now, p)
	case preparing:
		if !p.kept {
			c.invite(now, p, p.known)
		}
	case accepting:
		c.backOff(now, p)
	case idle, resting:
	}
}

// work goes on with the next request when there is none at hand.
func (c *Core) work(now time.Time, p *proposer) {
	for p.active == nil && len(p.queue) > 0 {
		i := slices.IndexFunc(p.queue, func(r *request) bool { return !now.Before(r.ripe) })
		if i < 0 {
			p.rest(slices.MinFunc(p.queue, func(a, b *request) int { return a.ripe.Compare(b.ripe) }).ripe)
			break
		}
		p.active = p.queue[i]
		p.queue = slices.Delete(p.queue, i, i+1)
		c.begin(now, p)
	}
	c.schedule(p)
}

func (c *Core) begin(now time.Time, p *proposer) {
	c.learnOwn(p)
	switch {
	case len(p.known.Voters) == 0:
		c.finish(p, nil, Unavailable)
	case p.active.kind == requestRead:
		c.ask(now, p)
	case p.kept:
		c.advance(now, p)
	default:
		c.prepare(now, p)
	}
}

// prepare begins a round with a ballot of its own.
func (c *Core) prepare(now time.Time, p *proposer) {
	p.counter = min(p.counter+1, maxCounter)
	p.ballot = Ballot{Counter: p.counter, Proposer: c.cfg.ID, Boot: c.cfg.Boot}
	p.kept, p.state, p.stateAt, p.floor = false, nil, Ballot{}, Ballot{}
	p.promised = p.promised[:0]
	if p.active.kind == requestCreate && p.seen.IsZero() {
		p.known = p.active.first
	}
	c.metrics.Rounds++
	c.invite(now, p, p.known)
}

// invite asks all voters of the configuration who have not promised the ballot yet.
func (c *Core) invite(now time.Time, p *proposer, f Configuration) {
	p.phase, p.plan = preparing, f
	c.broadcast(now, p)
}

// onPromise goes on when a quorum of the highest state's configuration has promised. A state that a promise brings
// may name voters that have not been asked yet.
func (c *Core) onPromise(now time.Time, from gossip.NodeID, m promise) {
	p := c.proposers[m.group]
	if p == nil || m.ballot != p.ballot || p.phase != preparing {
		return // of an invitation before: the voter may have left since
	}
	p.promised = add(p.promised, from)
	if p.kept { // the voters to come are invited
		if majority(p.plan.Next, p.promised) {
			c.advance(now, p)
		}
		c.work(now, p)
		return
	}
	if m.accepted.Compare(p.floor) > 0 {
		p.floor = m.accepted
	}
	if m.state != nil && m.accepted.Compare(p.stateAt) > 0 {
		p.state, p.stateAt = m.state, m.accepted
		p.learn(m.accepted, &m.state.Configuration)
		if !p.plan.equal(&m.state.Configuration) {
			if p.seen == m.accepted {
				p.plan = p.known
			}
			c.broadcast(now, p)
		}
	}
	if p.promisedEnough() {
		c.advance(now, p)
	}
	c.work(now, p)
}

// promisedEnough reports whether the proposer may build on the highest state: a quorum of its configuration has
// promised, and nobody says that there is a higher one. That nobody has a state only agreed voters can say, not guessed
// ones.
func (p *proposer) promisedEnough() bool {
	f := &p.plan
	if p.state != nil {
		f = &p.state.Configuration
	}
	if p.stateAt != p.floor || f.Epoch == 0 || !f.quorum(p.promised) {
		return false
	}
	p.promised = slices.DeleteFunc(p.promised, func(id gossip.NodeID) bool { _, votes := f.find(id); return !votes })
	return true
}

// advance does what the request wants next; it wants something only once a quorum has promised, or the ballot is kept.
func (c *Core) advance(now time.Time, p *proposer) {
	r := p.active
	switch do, state, outcome := r.next(now, p); do {
	case stepPropose:
		c.propose(now, p, state)
	case stepInvite:
		if len(p.promised)+len(r.target) > maxPromised { // the ballot has seen many voters come and go
			c.prepare(now, p)
			return
		}
		c.invite(now, p, state.Configuration)
	case stepWait:
		p.queue = append(p.queue, r)
		p.active, p.phase = nil, idle
	case stepFinish:
		c.finish(p, state, outcome)
	}
}

// propose begins the accept of a state, as the next step of the ballot.
func (c *Core) propose(now time.Time, p *proposer, s *State) {
	if p.ballot.Step >= maxStep {
		c.prepare(now, p)
		return
	}
	p.leaving = p.leaving[:0]
	if r := p.active; p.state == nil || p.state.Epoch == s.Epoch {
		r.proposed = r.proposed || s.Change == r.change
	} else {
		r.proposed = r.proposed || s.Joint()
		for _, id := range p.state.VoterIDs() {
			if _, stays := s.find(id); !stays {
				p.leaving = append(p.leaving, id)
			}
		}
	}
	p.ballot.Step++
	p.proposal = &State{s.Version, s.Change, s.Value, s.seen(p.promised)}
	p.phase, p.kept, p.answered = accepting, false, p.answered[:0]
	c.metrics.Rounds++
	c.broadcast(now, p)
}

func (c *Core) onAccepted(now time.Time, from gossip.NodeID, m accepted) {
	p := c.proposers[m.group]
	if p == nil || m.ballot.compareRound(&p.ballot) != 0 {
		return
	}
	p.promised = add(p.promised, from)
	if p.phase != accepting || m.ballot.Step != p.ballot.Step {
		return
	}
	p.answered = add(p.answered, from)
	if !p.proposal.quorum(p.answered) {
		return
	}
	p.state, p.stateAt, p.kept, p.attempts = p.proposal, p.ballot, true, 0
	p.active.confirmed = true
	p.learn(p.ballot, &p.state.Configuration)
	for _, id := range p.leaving {
		c.to(id, retire{p.group, p.ballot, p.state.Configuration})
	}
	c.advance(now, p)
	c.work(now, p)
}

// onRefuse rests when the ballot was outbid, and turns to the voters that a refusal names.
func (c *Core) onRefuse(now time.Time, from gossip.NodeID, m refuse) {
	p := c.proposers[m.group]
	if p == nil {
		return
	}
	if m.ballot.IsZero() {
		c.onNoReport(now, from, p, m)
		return
	}
	if m.ballot.compareRound(&p.ballot) != 0 {
		return
	}
	changed := p.learn(m.accepted, m.configuration)
	switch {
	case m.reason == reasonOutbid:
		p.counter, p.kept = max(p.counter, m.promised.Counter), false
		if p.phase == preparing || p.phase == accepting {
			c.backOff(now, p)
		}
	case changed:
		c.learned(now, p)
	}
	c.work(now, p)
}

// backOff rests for a random time: of proposers that compete, one will be alone for long enough.
func (c *Core) backOff(now time.Time, p *proposer) {
	c.metrics.Outbid++
	p.kept = false
	p.attempts++
	bound := c.cfg.BackoffInterval << min(p.attempts, 6)
	p.rest(now.Add(time.Duration(c.random.Int64N(int64(bound)) + 1)))
}

func (p *proposer) rest(until time.Time) { p.phase, p.resume = resting, until }

// finish tells what became of the request.
func (c *Core) finish(p *proposer, s *State, o Outcome) {
	c.tell(Result{Number: p.active.number, Group: p.group, Outcome: o, State: s})
	p.active, p.phase = nil, idle
	if len(p.leaving) > 0 { // who has left has promised the ballot, and yet has no record any more
		p.kept, p.leaving = false, p.leaving[:0]
	}
}

// broadcast sends what the phase is about to all who have not answered.
func (c *Core) broadcast(now time.Time, p *proposer) {
	p.resend = now.Add(c.cfg.RetryInterval)
	switch p.phase {
	case idle, resting:
	case asking:
		c.toVoters(&p.known, p.inquiry.answered, query{p.group, p.inquiry.turn})
	case preparing:
		c.toVoters(&p.plan, p.promised, prepare{p.group, p.ballot, p.plan})
		if p.state != nil && !p.kept { // voters that only the state knows; it may be newer, or come to nothing
			c.toVoters(&p.state.Configuration, append(p.plan.VoterIDs(), p.promised...), prepare{p.group, p.ballot, p.state.Configuration})
		}
	case accepting:
		c.toVoters(&p.proposal.Configuration, p.answered, accept{p.group, p.ballot, p.proposal})
	}
}

// toVoters sends to all voters but those who have answered.
func (c *Core) toVoters(f *Configuration, answered []gossip.NodeID, m Message) {
	for i, set := range [][]Voter{f.Voters, f.Next} {
		for _, v := range set {
			if i == 1 && slices.ContainsFunc(f.Voters, func(o Voter) bool { return o.ID == v.ID }) {
				continue // asked already
			}
			if !slices.Contains(answered, v.ID) {
				c.to(v.ID, m)
			}
		}
	}
}

// maxPromised bounds the list of those who have answered: more than ever vote at once.
const maxPromised = 4 * MaxVoters

func add(ids []gossip.NodeID, id gossip.NodeID) []gossip.NodeID {
	if len(ids) >= maxPromised || slices.Contains(ids, id) {
		return ids
	}
	return append(ids, id)
}

// expire does what is due for a proposer.
func (c *Core) expire(now time.Time, p *proposer) {
	c.expireLease(now, p)
	if !p.soonest.IsZero() && !now.Before(p.soonest) {
		c.expireRequests(now, p)
	}
	switch p.phase {
	case idle:
		if len(p.queue) == 0 && p.lease == nil && !now.Before(p.idle) {
			c.timers.remove(p)
			delete(c.proposers, p.group)
			return
		}
	case resting:
		if now.Before(p.resume) {
			break
		}
		p.phase = idle
		if p.active != nil {
			c.prepare(now, p)
		}
	case asking, preparing, accepting:
		if now.Before(p.resend) {
			break
		}
		c.metrics.Resent++
		c.consult(p)
		c.again(now, p)
	}
	c.work(now, p)
}

// again asks the silent ones again, or goes on without them.
func (c *Core) again(now time.Time, p *proposer) {
	switch outbid := p.seen.Compare(p.ballot) > 0; {
	case p.phase == asking && p.known.quorum(p.inquiry.answered):
		c.repair(now, p) // they do not agree
	case outbid && (p.phase == accepting || p.phase == preparing && p.kept):
		c.backOff(now, p)
	case p.phase == preparing && !p.kept && p.seen.Compare(p.stateAt) > 0:
		c.invite(now, p, p.known)
	default:
		c.broadcast(now, p)
	}
}

// expireRequests ends those whose time has passed. What was proposed may be accepted by voters whose answer is lost,
// or that the proposal has yet to reach: nobody knows what becomes of it.
func (c *Core) expireRequests(now time.Time, p *proposer) {
	p.soonest = time.Time{}
	expired := func(r *request) bool {
		if now.Before(r.deadline) {
			p.expect(r.deadline)
			return false
		}
		outcome := Unavailable
		if r.proposed {
			outcome = Unknown
		}
		c.tell(Result{Number: r.number, Group: p.group, Outcome: outcome})
		return true
	}
	if p.active != nil && expired(p.active) {
		p.active, p.phase = nil, idle
	}
	p.queue = slices.DeleteFunc(p.queue, expired)
}

// expect notes a deadline of a request.
func (p *proposer) expect(deadline time.Time) {
	if p.soonest.IsZero() || deadline.Before(p.soonest) {
		p.soonest = deadline
	}
}

// schedule sets the proposer's timer to what is due first.
func (c *Core) schedule(p *proposer) {
	due := p.soonest
	earlier := func(t time.Time) {
		if due.IsZero() || t.Before(due) {
			due = t
		}
	}
	switch p.phase {
	case idle:
		if len(p.queue) == 0 && p.lease == nil {
			earlier(p.idle)
		}
	case resting:
		earlier(p.resume)
	case asking, preparing, accepting:
		earlier(p.resend)
	}
	if p.lease != nil {
		earlier(p.lease.next)
		if p.lease.held {
			earlier(p.lease.until)
		}
	}
	if !due.Equal(p.due) || p.place < 0 {
		p.due = due
		c.timers.set(p)
	}
}
