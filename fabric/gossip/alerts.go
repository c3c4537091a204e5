package gossip

import (
	"slices"
	"time"
)

// Alerts. A monitor tells those around it on the ring what it finds that everybody does not know: whom it cannot
// reach, and who answers although a verdict says otherwise. The neighbours are those it probes and those that probe
// it; the other monitors of a member are among them. The news of a whole cluster is only what a quorum of monitors
// makes of it: a majority of those that are not themselves accused by others, and two at least, if there are two.

const (
	// maxTestimonies is how many monitors' latest alerts a node keeps, and maxProbers of how many it knows that they
	// probe it. The oldest make room.
	maxTestimonies = 2 * maxWatched
	maxProbers     = 2 * maxWatched
	// refusedRepeats is how often news of a refusal is repeated at once, in case it got lost.
	refusedRepeats = 3
	// freshRounds is for how many rounds an alert holds: it is repeated in every one, and dies with who gave it.
	freshRounds = 3
)

// testimony is what a monitor has said last.
type testimony struct {
	from NodeID
	at   time.Time
	list []alert
}

// prober is a member that monitors us.
type prober struct {
	id NodeID
	at time.Time
}

// hearing is what monitors have told each other.
type hearing struct {
	testimonies []testimony // at most maxTestimonies, in the order in which they came
	probers     []prober    // at most maxProbers, in the order in which they came
	sent        []alert     // what we have said last
	sentAt      time.Time   // when that was
	speakAt     time.Time   // when to say what has changed, or to repeat it; zero: not before the round ends
	repeats     int         // of what cannot wait that long
}

// probedBy takes note of who monitors us.
func (h *hearing) probedBy(id NodeID, now time.Time) {
	h.probers = slices.DeleteFunc(h.probers, func(p prober) bool { return p.id == id })
	if len(h.probers) == maxProbers {
		h.probers = h.probers[1:]
	}
	h.probers = append(h.probers, prober{id, now})
}

// keep takes the place of what the monitor said before.
func (h *hearing) keep(t testimony) {
	h.testimonies = slices.DeleteFunc(h.testimonies, func(old testimony) bool { return old.from == t.from })
	if len(t.list) == 0 {
		return
	}
	if len(h.testimonies) == maxTestimonies {
		h.testimonies = h.testimonies[1:]
	}
	h.testimonies = append(h.testimonies, t)
}

func (t testimony) about(point uint64, boot BootID) evidence {
	i, ok := slices.BinarySearchFunc(t.list, point, func(a alert, point uint64) int {
		switch {
		case a.point < point:
			return -1
		case a.point > point:
			return 1
		}
		return 0
	})
	if !ok || t.list[i].boot != boot {
		return evidenceNone
	}
	return t.list[i].found
}

// finding is what we have to say of a peer.
func (c *Core) finding(p *peer) evidence {
	v := c.verdictOn(p.id)
	named := v != nil && v.boot == p.boot
	switch {
	case !c.synced:
		return evidenceNone
	case named && p.good():
		return evidenceAnswers
	case c.lost(p.id), p.bad == evidenceSilent && c.monitors.muted:
		return evidenceNone
	case p.fast:
		return evidenceLook
	default:
		return p.bad
	}
}

// speak tells our neighbours what we find: when it has changed, and again at the end of every round.
func (c *Core) speak(again bool) {
	var list []alert
	for _, p := range c.peers {
		if found := c.finding(p); found != evidenceNone {
			list = append(list, alert{p.id.point(), p.boot, found})
		}
	}
	slices.SortFunc(list, func(a, b alert) int {
		if a.point < b.point {
			return -1
		}
		return 1
	})
	h := &c.monitors.hearing
	if len(list) == 0 && len(h.sent) == 0 || !again && slices.Equal(list, h.sent) {
		return
	}
	if wait := h.sentAt.Add(c.cfg.RefusedInterval); !again && wait.After(c.now) { // there may be more to say by then
		h.speakAt, c.monitors.waiting = wait, true
		return
	}
	if refused := func(a alert) bool { return a.found == evidenceRefused }; slices.ContainsFunc(list, refused) && !slices.Equal(list, h.sent) {
		h.repeats = refusedRepeats
	}
	h.sent, h.sentAt, h.speakAt = list, c.now, time.Time{}
	if h.repeats > 0 {
		h.speakAt, c.monitors.waiting = c.now.Add(c.cfg.RefusedInterval), true
	}
	for _, id := range c.neighbours() {
		if m, ok := c.view.Member(id); ok {
			c.metrics.AlertsSent++
			c.send(m.Addr, m.Boot, alerts{list})
		}
	}
}

// neighbours are those whom we probe and those who probe us, except whom we do not reach.
func (c *Core) neighbours() []NodeID {
	var ids []NodeID
	for _, p := range c.peers {
		if p.bad == evidenceNone && !p.fast && p.misses == 0 {
			ids = append(ids, p.id)
		}
	}
	for _, p := range c.monitors.hearing.probers {
		if c.fresh(p.at) && c.peer(p.id) == nil {
			ids = append(ids, p.id)
		}
	}
	return ids
}

func (c *Core) fresh(at time.Time) bool {
	return c.now.Sub(at) <= freshRounds*c.cfg.ProbeInterval+c.cfg.ProbeInterval/2
}

// receiveAlerts takes what a monitor finds.
func (c *Core) receiveAlerts(packet Packet, a alerts) {
	if _, member := c.view.Member(packet.Sender); !member || !c.synced {
		c.metrics.DroppedUnexpected++
		return
	}
	c.monitors.hearing.keep(testimony{packet.Sender, c.now, a.list})
	for _, p := range c.peers {
		said := testimony{list: a.list}.about(p.id.point(), p.boot)
		doubt := (said == evidenceLook || said == evidenceRefused) && p.bad == evidenceNone && !p.fast ||
			said == evidenceAnswers && !p.good()
		if doubt && c.now.Sub(p.sentAt) >= c.cfg.RefusedInterval {
			c.probe(p) // if its process is gone, its host refuses us, too; if it is back, it answers us
		}
	}
	c.deliberate()
}

// says is what a monitor says of a process; nothing if that was too long ago.
func (c *Core) says(monitor NodeID, subject *Member) evidence {
	if monitor == c.cfg.ID {
		if p := c.peer(subject.ID); p != nil && p.boot == subject.Boot {
			return c.finding(p)
		}
		return evidenceNone
	}
	for _, t := range c.monitors.hearing.testimonies {
		if t.from == monitor && c.fresh(t.at) {
			return t.about(subject.ID.point(), subject.Boot)
		}
	}
	return evidenceNone
}

// accusers counts who accuses a member. Those that are unreachable themselves, or no members any more, do not count.
func (c *Core) accusers(m *Member) (count int) {
	if c.says(c.cfg.ID, m).accuses() {
		count++
	}
	point := m.ID.point()
	for _, t := range c.monitors.hearing.testimonies {
		if t.from == m.ID || !c.fresh(t.at) || !t.about(point, m.Boot).accuses() {
			continue
		}
		if _, member := c.view.Member(t.from); member && !c.lost(t.from) {
			count++
		}
	}
	return count
}

// jury counts the monitors of a member that may vote, and names those that do. They are its nearest predecessors on
// the ring; those further away, which have passed over others that they cannot reach, count when they vote.
func (c *Core) jury(subject *Member, votes func(evidence) bool) (eligible int, voters []NodeID) {
	near := make([]NodeID, 0, watched)
	c.view.predecessors(subject.ID, func(m *Member) bool {
		if c.lost(m.ID) {
			return true
		}
		near = append(near, m.ID)
		if voted := votes(c.says(m.ID, subject)); c.mayVote(m) {
			eligible++
			if voted {
				voters = append(voters, m.ID)
			}
		}
		return len(near) < watched
	})
	further := func(id NodeID, says evidence) {
		if m, ok := c.view.Member(id); ok && votes(says) && id != subject.ID && !slices.Contains(near, id) && !c.lost(id) && c.mayVote(&m) {
			eligible++
			voters = append(voters, id)
		}
	}
	for _, t := range c.monitors.hearing.testimonies {
		if c.fresh(t.at) {
			further(t.from, t.about(subject.ID.point(), subject.Boot))
		}
	}
	further(c.cfg.ID, c.says(c.cfg.ID, subject))
	return eligible, voters
}

// mayVote reports whether so few accuse a monitor that it counts.
func (c *Core) mayVote(m *Member) bool { return c.accusers(m) < c.monitors.rules.accusers }

// deliberate carries out what quorums of monitors want. All of them see a quorum at about the same time: the one
// nearest to the subject acts at once, the others only if nothing comes of that.
func (c *Core) deliberate() {
	if !c.synced || c.left {
		return
	}
	for _, p := range c.peers {
		m, ok := c.view.Member(p.id)
		if !ok || m.Boot != p.boot {
			p.decideAt = time.Time{}
			continue
		}
		v, found := c.verdictOn(p.id), c.finding(p)
		switch {
		case v != nil && v.boot != m.Boot:
			_, voters := c.jury(&m, func(evidence) bool { return true })
			c.inTurn(p, len(voters) > 0, voters, func() { c.withdraw(v) })
		case found == evidenceAnswers:
			eligible, voters := c.jury(&m, func(e evidence) bool { return e == evidenceAnswers })
			c.inTurn(p, c.quorum(eligible, len(voters), false), voters, func() { c.withdraw(v) })
		case found.accuses() && c.verdictOn(c.cfg.ID) == nil:
			eligible, voters := c.jury(&m, evidence.accuses)
			c.inTurn(p, c.quorum(eligible, len(voters), true), voters, func() { c.convict(&m, voters) })
		default:
			p.decideAt = time.Time{}
			if v != nil && !p.good() && p.bad == evidenceNone && p.sequence == p.doubted {
				c.probe(p) // see for ourselves
			}
		}
	}
}

// quorum reports whether so many votes are enough: a majority for a verdict, half of the monitors to withdraw it, so
// that what one quorum does no other can undo at the same time.
func (c *Core) quorum(eligible, votes int, verdict bool) bool {
	rules, needed := c.monitors.rules, c.monitors.rules.share*eligible
	return votes >= min(rules.votes, eligible) && (100*votes > needed || !verdict && 100*votes == needed)
}

// inTurn acts when there is a quorum and it is our turn among the voters.
func (c *Core) inTurn(p *peer, quorum bool, voters []NodeID, act func()) {
	turn := slices.Index(voters, c.cfg.ID)
	if !quorum || turn < 0 {
		p.decideAt = time.Time{}
		return
	}
	if p.decideAt.IsZero() {
		c.monitors.waiting = true
		p.decideAt = c.now.Add(time.Duration(turn) * 2 * c.cfg.RetryFloor)
	}
	if !p.decideAt.After(c.now) {
		p.decideAt = c.now.Add(c.cfg.ProbeInterval) // should the write be refused
		act()
	}
}

// nextDecision is when it is our turn next, or an answer for another monitor is due; zero: nothing is.
func (c *Core) nextDecision() (at time.Time) {
	if !c.monitors.waiting {
		return at
	}
	at = c.monitors.hearing.speakAt
	for _, p := range c.peers {
		if !p.decideAt.IsZero() && (at.IsZero() || p.decideAt.Before(at)) {
			at = p.decideAt
		}
	}
	for _, r := range c.monitors.relays {
		if at.IsZero() || r.due.Before(at) {
			at = r.due
		}
	}
	return at
}

// decide acts where it is our turn now.
func (c *Core) decide() {
	at := c.nextDecision()
	c.monitors.waiting = !at.IsZero()
	if c.monitors.waiting && !at.After(c.now) {
		c.expireRelays()
		if speakAt := c.monitors.hearing.speakAt; !speakAt.IsZero() && !speakAt.After(c.now) {
			h := &c.monitors.hearing
			again := h.repeats > 0
			h.speakAt, h.repeats = time.Time{}, max(h.repeats-1, 0)
			c.speak(again)
		}
		c.deliberate()
	}
}
