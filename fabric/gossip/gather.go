package gossip

import "time"

// maxGathers is how many questions of a node may be under way.
const maxGathers = 64

// gather carries out Gather.
func (c *Core) gather(g Gather) {
	if c.cluster.IsZero() || c.gathers == maxGathers {
		c.report(Gathered{Request: g.Request})
		return
	}
	c.gathers++
	about := &question{view: g.View, owner: g.Owner, generation: g.Generation, version: g.Version}
	if g.Owner.IsZero() {
		about.generation, about.version = aboutHash, 0
	}
	w := c.begin(rumor{id: c.nextRumor(), slot: c.slot(), about: about})
	w.request = g.Request
	c.cover(w, wholeSpan)
	c.step(w)
}

// giveUp ends a question of this node that is dropped before its answer has come.
func (c *Core) giveUp(w *walk) {
	if w.about == nil || w.id.Origin != c.cfg.ID {
		return
	}
	c.gathers--
	if w.inquiry != nil {
		if w.id == w.inquiry.walk {
			w.inquiry.asked, w.inquiry.at = time.Time{}, c.now
		}
		return
	}
	c.report(Gathered{Request: w.request})
}

// answerTo is this node's answer, with the version that it holds of the owner in question.
func (c *Core) answerTo(q *question) (version uint64, yes bool) {
	if q.owner.IsZero() {
		return 1, c.agreesOn(q)
	}
	o, ok := c.owners.find(q.owner)
	switch {
	case !ok || o.generation < q.generation:
		return 0, false
	case o.generation > q.generation:
		return max(o.version, q.version), true
	default:
		return o.version, o.version >= q.version
	}
}
