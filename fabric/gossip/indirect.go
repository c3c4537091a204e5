package gossip

import (
	"slices"
	"time"
)

// Indirect probes. A link that is cut, or loses a lot, is not a member that is gone: a monitor without an answer asks
// others to probe for it. A helper answers in any case, so that a monitor that hears of neither of its helpers knows
// that it has itself a problem.

const (
	// helpers is how many are asked.
	helpers = 2
	// maxRelays is how many probes for others are under way; who asks for more is told that nobody answers.
	maxRelays = 256
)

// relay is a probe for another monitor.
type relay struct {
	asker    process
	asked    help
	sequence uint64 // of our probe
	due      time.Time
}

// askForHelp asks two peers that have answered in this round to probe another one.
func (c *Core) askForHelp(p *peer) {
	from := c.random.IntN(len(c.peers))
	for i, left := 0, helpers; i < len(c.peers) && left > 0; i++ {
		helper := c.peers[(from+i)%len(c.peers)]
		m, ok := c.view.Member(helper.id)
		if helper == p || !ok || !helper.asked || !helper.answered || helper.bad != evidenceNone {
			continue
		}
		left--
		c.monitors.helpersAsked++
		c.metrics.HelpAsked++
		c.send(m.Addr, m.Boot, help{p.sequence, p.id})
	}
}

// receiveHelp probes a member for another monitor.
func (c *Core) receiveHelp(from Peer, packet Packet, asked help) {
	asker := process{from, packet.Boot}
	m, known := c.view.Member(asked.subject)
	if !known || len(c.monitors.relays) == maxRelays {
		c.send(asker.addr, asker.boot, helped{asked.sequence, asked.subject, false})
		return
	}
	r := relay{asker: asker, asked: asked, sequence: c.random.Uint64(), due: c.now.Add(c.ackTimeout())}
	c.monitors.relays, c.monitors.waiting = append(c.monitors.relays, r), true
	c.metrics.ProbesSent++
	c.send(m.Addr, 0, c.question(r.sequence))
}

// relayed passes on the answer to a probe for another monitor, if it is one.
func (c *Core) relayed(subject NodeID, sequence uint64) bool {
	i := slices.IndexFunc(c.monitors.relays, func(r relay) bool { return r.asked.subject == subject && r.sequence == sequence })
	if i < 0 {
		return false
	}
	c.answerHelp(c.monitors.relays[i], true)
	c.monitors.relays = slices.Delete(c.monitors.relays, i, i+1)
	return true
}

// expireRelays tells those that nobody has answered.
func (c *Core) expireRelays() {
	m := &c.monitors
	m.relays = slices.DeleteFunc(m.relays, func(r relay) bool {
		if r.due.After(c.now) {
			return false
		}
		c.answerHelp(r, false)
		return true
	})
}

func (c *Core) answerHelp(r relay, answered bool) {
	c.send(r.asker.addr, r.asker.boot, helped{r.asked.sequence, r.asked.subject, answered})
}

// receiveHelped takes a helper's answer.
func (c *Core) receiveHelped(h helped) {
	p := c.peer(h.subject)
	if p == nil || p.sequence-h.sequence >= ackWindow {
		c.metrics.DroppedUnexpected++
		return
	}
	c.monitors.helpersHeard++
	if h.answered {
		c.answered(p)
	}
}
