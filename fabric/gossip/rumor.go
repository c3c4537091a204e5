package gossip

// Limits of rumors.
const (
	// maxRumors is how many rumors a node remembers in order to recognise their duplicates; the oldest is forgotten.
	maxRumors = 4096
	// maxSpans is how many intervals of one rumor it remembers.
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
