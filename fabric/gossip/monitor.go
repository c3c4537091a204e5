package gossip

import (
	"slices"
	"time"
)

// Monitors. Every member is probed by its predecessors on a stable hash ring of ids. All probes of a node make a round:
//
//	0      a probe to each
//	T      again, to who has not answered
//	2T     again, and two members are asked to help (indirect.go)
//	4T     the round is judged
//
// T is the ack timeout, a quarter of Config.ProbeInterval at most. An answer, even a late one or a helper's, makes the
// round good. What a monitor finds it tells the others around it (alerts.go); together they come to a verdict
// (verdict.go).
//
// A monitor that may itself be the one in trouble accuses nobody. After a round without any answer it is muted; after
// as many as would convict another it calls itself isolated, and its view shows nobody as reachable. One that was
// away for a while forgives everybody.

const (
	// watched is K: how many monitors a member has, and how many it probes. In a cluster of one more, or less,
	// everybody probes everybody.
	watched = 8
	// maxWatched is how many a node probes at most, passing over those that it cannot reach.
	maxWatched = 64
	// ackWindow is how many of the latest probes to a member may still be answered.
	ackWindow = 16
	// streamInterval is after how long, at most, a probe goes over a stream instead of as a datagram. It keeps a stream
	// open to each member that is monitored: when its process ends, the stream breaks, and a new one is refused.
	streamInterval = 30 * time.Second
	// refusedProbes is how many probes in a row a member that has refused a connection leaves unanswered before it
	// counts as gone.
	refusedProbes = 3
	// maxHealth is by how many rounds a monitor in trouble is slower to accuse.
	maxHealth = 3
	// maxVoted is how many of its latest votes a monitor remembers.
	maxVoted = 256
)

// peer is a member that this node probes.
type peer struct {
	id       NodeID
	boot     BootID    // the process that the findings are about
	sequence uint64    // of the latest probe
	sentAt   time.Time // of the latest probe
	asked    bool      // in this round
	answered bool      // in this round
	misses   int       // bad rounds in a row
	fast     bool      // refused a connection: is probed on a short scale
	refusals int       // probes on that scale
	bad      evidence  // what we accuse it of
	proven   bool      // false: not heard since we started, or were isolated: not reachable in our view, but not accused
	doubted  uint64    // the latest probe when the process came, or a verdict on it
	vouched  uint64    // the latest probe that the process has answered; doubted, if it has answered none since
	streamAt time.Time // when to probe it over a stream
	decideAt time.Time // when to carry out what a quorum wants, unless others do; zero: there is no quorum

	arrivals arrivals
	measured bool
	rtt      time.Duration
	offset   time.Duration // of the peer's clock to ours

	root         uint64 // what the peer last said, if heard
	heard        bool
	unequalSince time.Time // zero: the roots are equal as far as we know
	lookAt       time.Time // when to compare if they still are unequal; zero: not at all
}

// good reports whether the process has answered since it was called unreachable.
func (p *peer) good() bool { return p.misses == 0 && p.vouched != p.doubted }

// doubt makes new answers necessary.
func (p *peer) doubt() { p.doubted, p.vouched, p.decideAt = p.sequence, p.sequence, time.Time{} }

// retry makes one more bad round necessary to accuse it again.
func (p *peer) retry(misses int) {
	if p.bad != evidenceNone {
		p.bad, p.misses = evidenceNone, misses-1
	}
}

// rules are the numbers that the detector goes by. They are the same in every cluster.
type rules struct {
	answers  int           // how many answers of a round it takes to blame others for those that are missing
	votes    int           // how many votes a quorum has at least, if there are so many monitors
	share    int           // of the eligible monitors, in percent: more must vote for a verdict, as many to withdraw it
	late     time.Duration // how late a deadline must be noticed for a node to suspect itself
	accusers int           // how many make a monitor ineligible
}

func defaultRules() rules {
	return rules{answers: 1, votes: 2, share: 50, accusers: 2, late: lateTick}
}

// vote names a process that we have accused.
type vote struct {
	id   NodeID
	boot BootID
}

// monitoring is what a node knows as a monitor.
type monitoring struct {
	rules    rules
	since    time.Time // when this process started
	rounds   uint64    // begun
	stage    int       // of the round
	stageAt  time.Time // when the next stage is due; zero: the round has been judged
	heard    int       // answers in this round
	muted    bool      // the latest round that was judged had none
	silent   int       // rounds in a row without any answer
	isolated bool
	health   int    // 0: well; at most maxHealth
	cursor   int    // where in the cycle of unreachable peers
	voted    []vote // at most maxVoted, oldest first

	helpersAsked, helpersHeard int // in this round
	relays                     []relay
	waiting                    bool // perhaps a relay or a decision has a deadline
	hearing                    hearing
}

func (c *Core) peer(id NodeID) *peer {
	i, ok := slices.BinarySearchFunc(c.peers, id, func(p *peer, id NodeID) int { return p.id.Compare(id) })
	if !ok {
		return nil
	}
	return c.peers[i]
}

// reaches is what our view shows of a member.
func (c *Core) reaches(m *Member) bool {
	if m.ID == c.cfg.ID {
		return true
	}
	if p := c.peer(m.ID); p != nil && !p.proven {
		return false
	}
	return !c.monitors.isolated && !c.lost(m.ID)
}

// watch chooses whom to probe: everybody in a small cluster, else the successors on the hash ring, as many as are
// needed to have enough that are there. Who stays keeps what is known about it, unless it is another process by now.
func (c *Core) watch() {
	var ids []NodeID
	all, good := len(c.view.members) <= watched+1, 0
	c.view.successors(c.cfg.ID, func(m Member) bool {
		ids = append(ids, m.ID)
		p := c.peer(m.ID)
		if p != nil && p.boot != m.Boot {
			p.boot, p.bad, p.misses, p.fast, p.refusals = m.Boot, evidenceNone, 0, false, 0
			p.doubt()
		}
		if !c.monitors.isolated && !c.lost(m.ID) && (p == nil || p.bad == evidenceNone) {
			good++
		}
		return all || good < watched && len(ids) < maxWatched
	})
	slices.SortFunc(ids, NodeID.Compare)
	if slices.EqualFunc(ids, c.peers, func(id NodeID, p *peer) bool { return id == p.id }) {
		return
	}
	peers := make([]*peer, 0, len(ids))
	for _, id := range ids {
		p := c.peer(id)
		if p == nil {
			m, _ := c.view.Member(id)
			p = &peer{id: id, boot: m.Boot, sequence: c.random.Uint64(), answered: true, proven: c.synced}
			p.doubt()
		}
		peers = append(peers, p)
	}
	c.peers = peers
}

// ackTimeout is T.
func (c *Core) ackTimeout() time.Duration {
	return min(max(c.cfg.ProbeTimeout, c.estimate.retry(0)), c.cfg.ProbeInterval/4)
}

// probeRound judges the last round, if that has not been done, and begins the next.
func (c *Core) probeRound() {
	c.judgeRound()
	m := &c.monitors
	m.stage, m.heard, m.helpersAsked, m.helpersHeard = 0, 0, 0, 0
	c.chooseAsked()
	for _, p := range c.peers {
		if p.asked {
			p.answered = false
			c.probe(p)
			m.stageAt = c.now.Add(c.ackTimeout())
		}
	}
	if c.synced {
		c.probeLost()
	}
	c.checkClock()
	if c.synced && c.alone() && len(c.joining.seeds) > 0 && c.joining.at.IsZero() {
		c.joining.at = c.now.Add(c.cfg.JoinRetry) // perhaps the others have new addresses
	} else if c.synced && !c.alone() {
		c.joining.at = time.Time{}
	}
	tenth := c.cfg.ProbeInterval / 10
	c.probeAt = c.now.Add(c.cfg.ProbeInterval - tenth + c.spread(2*tenth))
	if m.rounds++; m.rounds == 1 { // nodes that started together do not probe together
		c.probeAt = c.now.Add(c.spread(c.cfg.ProbeInterval))
	}
}

// chooseAsked chooses whom to probe in this round: everybody, but of those known to be unreachable no more than
// watched, one after the other.
func (c *Core) chooseAsked() {
	unreachable := 0
	for _, p := range c.peers {
		if p.asked = !c.lost(p.id); !p.asked {
			unreachable++
		}
	}
	for range min(unreachable, watched) {
		for range c.peers {
			c.monitors.cursor = (c.monitors.cursor + 1) % len(c.peers)
			if p := c.peers[c.monitors.cursor]; !p.asked {
				p.asked = true
				break
			}
		}
	}
}

// nextStage asks again who has not answered, with the help of others at last, and judges the round in the end.
func (c *Core) nextStage() {
	m := &c.monitors
	m.stage++
	if m.stage > 2 {
		c.judgeRound()
		return
	}
	for _, p := range c.peers {
		if !p.asked || p.answered || p.bad != evidenceNone || c.lost(p.id) {
			continue
		}
		c.estimate.asked(false)
		c.probe(p)
		if m.stage == 2 {
			c.askForHelp(p)
		}
	}
	m.stageAt = c.now.Add(time.Duration(m.stage) * c.ackTimeout())
}

// judgeRound counts the round for or against each peer, or, if nobody has answered, against ourselves.
func (c *Core) judgeRound() {
	m := &c.monitors
	if m.stageAt.IsZero() {
		return
	}
	m.stageAt = time.Time{}
	if m.muted = m.heard < m.rules.answers; m.muted {
		if m.silent++; m.silent >= c.cfg.ProbeMisses {
			c.isolate()
		}
	}
	clean := true
	for _, p := range c.peers {
		if !p.asked || p.answered {
			continue
		}
		c.metrics.ProbesMissed++
		if m.muted {
			continue
		}
		clean = false
		p.misses++
		if p.bad == evidenceNone && p.misses >= c.cfg.ProbeMisses+m.health {
			c.accuse(p, evidenceSilent)
		}
	}
	switch { // even helpers that find nobody say so
	case m.helpersAsked > 0 && m.helpersHeard == 0:
		m.health = min(m.health+1, maxHealth)
	case clean:
		m.health = max(m.health-1, 0)
	}
	c.findings(true)
}

// accuse takes a peer for unreachable.
func (c *Core) accuse(p *peer, found evidence) {
	p.bad, p.fast, p.measured = found, false, false
	c.metrics.Alerts++
	if len(c.monitors.voted) == maxVoted {
		c.monitors.voted = c.monitors.voted[1:]
	}
	c.monitors.voted = append(c.monitors.voted, vote{p.id, p.boot})
}

// findings does what follows from changed findings, or from the end of a round.
func (c *Core) findings(round bool) {
	if len(c.peers) > 0 && !slices.ContainsFunc(c.peers, func(p *peer) bool { return p.bad == evidenceNone }) {
		c.isolate()
	}
	c.watch()
	c.speak(round)
	c.deliberate()
}

// isolate makes this node take itself for the one that is cut off.
func (c *Core) isolate() {
	if c.monitors.isolated {
		return
	}
	c.monitors.isolated = true
	for _, p := range c.peers {
		p.proven = false
	}
	c.touchReach()
	c.report(Isolated{true})
}

// alone reports whether no other member is reachable.
func (c *Core) alone() bool {
	return !slices.ContainsFunc(c.view.members, func(m Member) bool { return m.Reachable && m.ID != c.cfg.ID })
}

// probe asks a peer. One that is not known to be there may have another process by now.
func (c *Core) probe(p *peer) {
	m, ok := c.view.Member(p.id)
	if !ok {
		return
	}
	boot := m.Boot
	if p.bad != evidenceNone || !p.proven || p.misses > 0 || c.lost(p.id) {
		boot = 0
	}
	p.sequence++
	p.sentAt = c.now
	question := c.question(p.sequence)
	if boot != 0 && !p.streamAt.After(c.now) {
		p.streamAt = c.now.Add(streamInterval - c.spread(streamInterval/4))
		question.stream = true
	}
	c.metrics.ProbesSent++
	c.send(m.Addr, boot, question)
}

func (c *Core) question(sequence uint64) probe {
	return probe{sequence: sequence, root: c.root(), wall: c.now.UnixMicro()}
}

// nudge probes a peer at once that we take for unreachable and that has just spoken to us, if the latest probe was
// sent so long ago.
func (c *Core) nudge(id NodeID, after time.Duration) {
	if p := c.peer(id); p != nil && (p.bad != evidenceNone || !p.proven || c.verdictOn(id) != nil && !p.good()) && c.now.Sub(p.sentAt) >= after {
		c.probe(p)
	}
}

// receiveProbe answers, and takes note of who monitors us.
func (c *Core) receiveProbe(from Peer, packet Packet, b probe) {
	c.send(from, packet.Boot, ack{sequence: b.sequence, root: c.root(), wall: c.now.UnixMicro()})
	c.monitors.hearing.probedBy(packet.Sender, c.now)
	c.nudge(packet.Sender, c.cfg.RefusedInterval)
}

// receiveAck takes the answer to a probe.
func (c *Core) receiveAck(from Peer, packet Packet, a ack) {
	if c.relayed(packet.Sender, a.sequence) {
		return
	}
	if from == c.lostProbe.to && a.sequence == c.lostProbe.sequence {
		if a.root != c.root() {
			c.compare(partner{packet.Sender, from, packet.Boot})
		}
		return
	}
	p := c.peer(packet.Sender)
	if p == nil {
		return
	}
	if p.sequence-a.sequence >= ackWindow {
		c.metrics.DroppedUnexpected++
		return
	}
	c.metrics.AcksReceived++
	if !p.answered {
		c.estimate.asked(true)
		p.arrivals.add(c.now)
	}
	if a.sequence == p.sequence {
		p.measured = true
		p.rtt = c.now.Sub(p.sentAt)
		c.estimate.sample(p.rtt)
		p.offset = time.UnixMicro(a.wall).Sub(p.sentAt.Add(p.rtt / 2))
	}
	if since := a.sequence - p.doubted; packet.Boot == p.boot && since <= p.sequence-p.doubted && since > p.vouched-p.doubted {
		p.vouched = a.sequence
	}
	back := p.bad != evidenceNone || !p.proven || c.lost(p.id)
	c.answered(p)
	c.heardRoot(p, a.root)
	if back && !p.lookAt.IsZero() {
		c.compare(partner{p.id, from, packet.Boot}) // what it has missed is in no rumor under way
	}
}

// answered takes note that a peer is there.
func (c *Core) answered(p *peer) {
	m := &c.monitors
	news := p.bad != evidenceNone || p.fast || c.verdictOn(p.id) != nil
	m.silent = 0
	m.heard++
	p.answered, p.misses, p.fast, p.refusals, p.bad = true, 0, false, 0, evidenceNone
	if !p.proven {
		p.proven, news = true, true
		c.touchReach()
	}
	if m.isolated {
		m.isolated, m.muted = false, false
		c.touchReach()
		c.report(Isolated{false})
	}
	if news {
		c.findings(false)
	}
}

// forgive forgets what peers seem to have missed while this node itself was not there: it will need fresh rounds to
// accuse anybody, and more of them for a while.
func (c *Core) forgive() {
	m := &c.monitors
	c.metrics.Forgiven++
	for _, p := range c.peers {
		p.answered, p.fast, p.misses, p.refusals, p.bad = true, false, 0, 0, evidenceNone
		p.streamAt = time.Time{}
		p.doubt()
	}
	m.health = min(m.health+2, maxHealth)
	m.stageAt, m.silent, m.muted = time.Time{}, 0, false
	m.relays, m.hearing = nil, hearing{}
	c.fastAt = time.Time{}
}
