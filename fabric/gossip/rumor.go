package gossip

// Limits of rumors.
const (
	// maxRumors is how many rumors a node remembers in order to recognise their duplicates; the oldest is forgotten.
	maxRumors = 4096
	// maxSpans is how many intervals of one rumor it remembers; more are not passed on.
	maxSpans = 16
	// maxGaps is how many deltas that came before their predecessors are kept; the oldest is dropped.
	maxGaps = 256
)

// payload is what a rumor carries: immutable, shared by all the packets that carry it.
type payload struct {
	own    *delta // the origin's own writes; nil: none
	shared []*shared
	size   int // an upper bound of the encoded size
}

func (p *payload) measure() {
	p.size = sharedListSize(p.shared)
	if p.own != nil {
		p.size += deltaSize(*p.own)
	}
}

// rumorLog remembers which intervals of which rumors this node has held.
type rumorLog struct {
	spans map[rumorID][]span
	queue []rumorID // a ring once it has maxRumors elements
	next  int
}

// hold notes the interval. Fresh means that the rumor is new, spread that the interval is to be worked on.
func (l *rumorLog) hold(id rumorID, s span) (fresh, spread bool) {
	held, known := l.spans[id]
	for _, h := range held {
		if h.encloses(s) {
			return false, false
		}
	}
	if len(held) == maxSpans {
		return false, false
	}
	if l.spans == nil {
		l.spans = map[rumorID][]span{}
	}
	if !known {
		l.remember(id)
	}
	l.spans[id] = append(held, s)
	return !known, true
}

func (l *rumorLog) remember(id rumorID) {
	if len(l.queue) < maxRumors {
		l.queue = append(l.queue, id)
		return
	}
	delete(l.spans, l.queue[l.next])
	l.queue[l.next] = id
	l.next = (l.next + 1) % maxRumors
}

// start sends a batch of our own writes to everybody.
func (c *Core) start(batch *payload) {
	if len(c.view.members) < 2 && !c.left {
		return
	}
	c.writes.count++
	c.metrics.RumorsStarted++
	id := rumorID{origin: c.cfg.ID, generation: c.generation, sequence: c.writes.count}
	c.pass(rumor{id: id, span: wholeSpan, payload: batch})
}

// receiveRumor takes a batch over and goes on spreading it in the interval it came with.
func (c *Core) receiveRumor(m rumor) {
	origin, known := c.owners.find(m.id.origin)
	if m.id.origin == c.cfg.ID || known && origin.generation > m.id.generation {
		c.metrics.DroppedStale++
		return
	}
	fresh, spread := c.rumors.hold(m.id, m.span)
	if fresh {
		c.metrics.RumorsReceived++
		c.mergePayload(m.payload)
	} else {
		c.metrics.RumorsDuplicate++
	}
	if spread {
		c.pass(m)
	}
}

func (c *Core) mergePayload(p *payload) {
	if p.own != nil {
		c.mergeDelta(*p.own)
	}
	for _, s := range p.shared {
		c.mergeShared(s)
	}
}

// pass hands the parts of the rumor's interval to their first members.
func (c *Core) pass(m rumor) {
	list, self := c.view.order(m.id.seed(), m.span, c.cfg.ID)
	cut(list, self, m.span, c.cfg.Fanout, func(first slotted, part span) {
		to := &c.view.members[first.member]
		c.metrics.PayloadsSent++
		c.send(to.Addr, to.Boot, rumor{id: m.id, span: part, payload: m.payload})
	})
}
