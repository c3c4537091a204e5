package transport

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Link describes how a memory network carries what goes from one address to another. The zero Link is perfect.
type Link struct {
	// Latency is how long everything takes; Jitter adds a random part of up to its value.
	Latency, Jitter time.Duration
	// Loss, Duplicate and Reorder are probabilities, 0 to 1, for each datagram. On a stream they are what TCP makes of
	// them: a lost segment comes later, by retransmission, and nothing is doubled or overtaken.
	Loss, Duplicate, Reorder float64
}

const (
	// leastHold is how long at least a reordered datagram is held back, and a lost segment takes to come again.
	leastHold = time.Millisecond
	// maxRetransmissions bounds how often one segment is lost.
	maxRetransmissions = 5
	firstMemoryPort    = 15000
)

// Network is a network in memory, whose faults are drawn from a seed. Times are those of package time, so that it
// lives inside a testing/synctest bubble. Its methods are safe from any goroutine.
type Network struct {
	mu        sync.Mutex // guards what follows, and the route's fields
	random    *rand.Rand
	fallback  Link
	endpoints map[netip.AddrPort]*memoryTransport
	routes    map[way]*route
	pairs     map[way]*pair
	nextPort  uint16
}

// pair is the stream that one endpoint has dialled to another, as its two sessions.
type pair struct {
	way               way
	dialler, acceptor *session
	broken            bool
}

// way is one direction between two addresses.
type way struct{ from, to netip.AddrPort }

// route is the state of one way.
type route struct {
	link       Link
	own        bool // link was set for this way
	cut        bool
	used       bool      // a stream is open
	generation uint64    // grows with each cut or reset: what left before does not arrive
	stream     uint64    // grows whenever the stream breaks: its frames are lost
	lastDue    time.Time // frames keep their order
	budget     budget
}

// parcel is something on its way to an endpoint.
type parcel struct {
	way        way
	kind       parcelKind
	payload    []byte
	generation uint64
	stream     uint64
	pair       *pair
	to         *session
}

type parcelKind uint8

const (
	parcelDatagram parcelKind = iota
	parcelFrame
	parcelRecord  // chunks of requests and byte streams, for the session to, in the direction way
	parcelRefusal // way is that of the message which was refused
)

// NewNetwork makes a network whose randomness comes from seed.
func NewNetwork(seed uint64) *Network {
	return &Network{
		random:    rand.New(rand.NewPCG(seed, 0x6e6574776f726b)),
		endpoints: map[netip.AddrPort]*memoryTransport{},
		routes:    map[way]*route{},
		pairs:     map[way]*pair{},
	}
}

// Listen opens a transport at addr; port 0 picks a free one. ErrInUse when the address is taken.
func (n *Network) Listen(addr netip.AddrPort) (Transport, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !addr.Addr().IsValid() {
		return nil, fmt.Errorf("transport: listen on %s: %w", addr, ErrAddress)
	}
	for addr.Port() == 0 {
		n.nextPort = max(n.nextPort+1, firstMemoryPort)
		if free := netip.AddrPortFrom(addr.Addr(), n.nextPort); n.endpoints[free] == nil {
			addr = free
		}
	}
	if n.endpoints[addr] != nil {
		return nil, fmt.Errorf("transport: listen on %s: %w", addr, ErrInUse)
	}
	t := &memoryTransport{network: n, addr: addr, arrivals: newLine[parcel](), stop: make(chan struct{})}
	n.endpoints[addr] = t
	return t, nil
}

// SetLink sets how everything travels that has no link of its own.
func (n *Network) SetLink(link Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fallback = link
}

// SetLinkBetween sets how things travel from one address to another, in this direction.
func (n *Network) SetLinkBetween(from, to netip.AddrPort, link Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.route(way{from, to})
	r.link, r.own = link, true
}

// Cut stops everything from one address to another, in this direction and at once: what is on its way does not
// arrive, nothing is refused, and the stream is reset.
func (n *Network) Cut(from, to netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.route(way{from, to})
	r.cut = true
	r.generation++
	r.breakStream()
	n.breakPairs(func(w way) bool { return w == way{from, to} || w == way{to, from} }, ErrBroken)
}

// Heal ends all cuts. Links keep their settings.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.routes {
		r.cut = false
	}
}

// Reset breaks the stream from one address to another: frames on their way are lost.
func (n *Network) Reset(from, to netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.route(way{from, to}).breakStream()
	n.breakPairs(func(w way) bool { return w == way{from, to} }, ErrBroken)
}

func (n *Network) route(w way) *route {
	r := n.routes[w]
	if r == nil {
		r = &route{}
		n.routes[w] = r
	}
	return r
}

func (n *Network) linkOf(r *route) Link {
	if r.own {
		return r.link
	}
	return n.fallback
}

func (r *route) breakStream() {
	r.stream++
	r.used = false
	r.lastDue = time.Time{}
	r.budget = budget{}
}

// travel draws how long something takes.
func (n *Network) travel(l Link) time.Duration {
	d := l.Latency
	if l.Jitter > 0 {
		d += time.Duration(n.random.Int64N(int64(l.Jitter) + 1))
	}
	return d
}

// retransmit draws how long a segment of a stream takes, which comes later where it is lost.
func (n *Network) retransmit(link Link) time.Duration {
	takes := n.travel(link)
	for range maxRetransmissions {
		if !n.happens(link.Loss) {
			break
		}
		takes += max(2*link.Latency, leastHold)
	}
	return takes
}

func (n *Network) happens(probability float64) bool {
	return probability > 0 && n.random.Float64() < probability
}

// memoryTransport is one endpoint of a Network.
type memoryTransport struct {
	exchange
	network  *Network
	addr     netip.AddrPort
	arrivals *line[parcel]
	stop     chan struct{} // closed by Close

	self   Identity // this and the next are guarded by the network's lock
	closed bool
}

func (t *memoryTransport) Addr() netip.AddrPort { return t.addr }

func (t *memoryTransport) Start(self Identity, h Handler) {
	t.network.mu.Lock()
	t.self = self
	t.network.mu.Unlock()
	t.arrivals.start(func(p parcel) { t.deliver(h, p) })
}

func (t *memoryTransport) Rise(boot uint64) {
	t.network.mu.Lock()
	defer t.network.mu.Unlock()
	t.self.Boot = boot
}

func (t *memoryTransport) SendDatagram(to netip.AddrPort, _ uint64, b []byte) error {
	if err := checkSend(to, len(b), MaxDatagram); err != nil {
		return err
	}
	n, w := t.network, way{t.addr, to}
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	t.counters.datagramsSent.Add(1)
	r := n.route(w)
	link := n.linkOf(r)
	if r.cut || n.happens(link.Loss) {
		return nil
	}
	copies := 1
	if n.happens(link.Duplicate) {
		copies++
	}
	p := parcel{way: w, kind: parcelDatagram, payload: bytes.Clone(b), generation: r.generation}
	for range copies {
		takes := n.travel(link)
		if n.happens(link.Reorder) {
			takes += max(link.Latency, leastHold)
		}
		n.dispatch(p, time.Now().Add(takes))
	}
	return nil
}

func (t *memoryTransport) SendFrame(to netip.AddrPort, b []byte) error {
	if err := checkSend(to, len(b), MaxFrame); err != nil {
		return err
	}
	n, w := t.network, way{t.addr, to}
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	r := n.route(w)
	if r.cut {
		return nil // the stream cannot be opened, and the peer's machine does not answer
	}
	if err := r.budget.take(len(b)); err != nil {
		return err
	}
	r.used = true
	t.counters.framesSent.Add(1)
	takes := n.retransmit(n.linkOf(r))
	n.dispatch(parcel{way: w, kind: parcelFrame, payload: bytes.Clone(b), generation: r.generation, stream: r.stream}, r.inOrder(takes))
	return nil
}

// inOrder is when something arrives that takes so long and must not overtake what is on its way.
func (r *route) inOrder(takes time.Duration) time.Time {
	due := time.Now().Add(takes)
	if due.Before(r.lastDue) {
		due = r.lastDue
	}
	r.lastDue = due
	return due
}

// dispatch puts a parcel on the line of its receiver; without one, the sender hears a refusal.
func (n *Network) dispatch(p parcel, due time.Time) {
	if receiver := n.endpoints[p.way.to]; receiver != nil {
		if receiver.arrivals.push(due, p) {
			return
		}
		switch p.kind { // the receiver is overrun
		case parcelFrame:
			n.route(p.way).breakStream()
		case parcelRecord:
			n.breakPair(p.pair, ErrBroken)
		case parcelDatagram, parcelRefusal:
		}
		return
	}
	if p.kind == parcelFrame {
		n.route(p.way).breakStream()
	}
	n.refuse(p.way, due)
}

// refuse sends word to the sender of a way that nobody listens at its end.
func (n *Network) refuse(w way, due time.Time) {
	if sender := n.endpoints[w.from]; sender != nil {
		back := n.route(way{w.to, w.from})
		sender.arrivals.push(due.Add(n.travel(n.linkOf(back))), parcel{way: w, kind: parcelRefusal, generation: back.generation})
	}
}

// deliver hands over what arrives, if it still may: cuts and resets hold for what is on its way, too.
func (t *memoryTransport) deliver(h Handler, p parcel) {
	n := t.network
	n.mu.Lock()
	r := n.route(p.way)
	passes := !r.cut && !t.closed
	switch p.kind {
	case parcelDatagram:
		passes = passes && r.generation == p.generation
	case parcelFrame:
		alive := r.stream == p.stream
		if alive {
			r.budget.give(len(p.payload))
		}
		passes = passes && alive
	case parcelRecord:
		passes = passes && !p.pair.broken
	case parcelRefusal:
		back := n.route(way{p.way.to, p.way.from})
		passes = passes && !back.cut && back.generation == p.generation && n.endpoints[p.way.to] == nil
	}
	n.mu.Unlock()
	if !passes {
		return
	}
	switch p.kind {
	case parcelDatagram:
		t.counters.datagramsReceived.Add(1)
		h.Datagram(p.way.from, p.payload)
	case parcelFrame:
		t.counters.framesReceived.Add(1)
		h.Frame(p.way.from, p.payload)
	case parcelRecord:
		if err := p.to.receive(p.payload, p.to.now()); err != nil {
			n.mu.Lock()
			n.breakPair(p.pair, err)
			n.mu.Unlock()
		}
	case parcelRefusal:
		t.counters.refused.Add(1)
		h.Refused(p.way.to)
	}
}

// Close stops the endpoint. Peers with a stream to it notice: they hear that the address refuses.
func (t *memoryTransport) Close() error {
	n := t.network
	n.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.stop)
		delete(n.endpoints, t.addr)
		n.breakPairs(func(w way) bool { return w.from == t.addr }, ErrClosed)
		n.breakPairs(func(w way) bool { return w.to == t.addr }, ErrBroken)
		for w, r := range n.routes {
			switch {
			case w.from == t.addr:
				r.breakStream()
			case w.to == t.addr:
				if r.used && !r.cut {
					n.refuse(w, time.Now().Add(n.linkOf(r).Latency))
				}
				r.generation++
				r.breakStream()
			}
		}
	}
	n.mu.Unlock()
	t.arrivals.close()
	t.serving.Wait()
	return nil
}

func (t *memoryTransport) resetPeer(to netip.AddrPort) { t.network.Reset(t.addr, to) }

func (t *memoryTransport) resetStreams(to netip.AddrPort) {
	t.network.mu.Lock()
	p := t.network.pairs[way{t.addr, to}]
	t.network.mu.Unlock()
	if p != nil {
		p.dialler.breakStreams()
	}
}

func (t *memoryTransport) resetInbound(from netip.AddrPort) { t.network.Reset(from, t.addr) }
