package transport

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Rules is a table of faults over any transport, shared by the nodes of one process. A rule names the Addr of the
// sender and of the receiver and holds in that direction, for all that travels; it is looked at on both sides, so
// that it is exact as soon as it is set: what is queued or on its way stays away, too, and a delivery that has begun
// is the last one. Its methods are safe from any goroutine; the zero Rules is not usable, see NewRules.
type Rules struct {
	mu      sync.RWMutex // guards what follows
	rules   map[way]rule
	cuts    map[way]uint64 // how often a way was cut: what left before does not arrive
	wrapped map[netip.AddrPort]*ruled
	random  *rand.Rand
}

type rule struct {
	cut   bool
	delay time.Duration
	drop  float64
}

// NewRules makes an empty table: everything passes.
func NewRules() *Rules {
	return &Rules{
		rules:   map[way]rule{},
		cuts:    map[way]uint64{},
		wrapped: map[netip.AddrPort]*ruled{},
		random:  rand.New(rand.NewPCG(1, 0x72756c6573)),
	}
}

// Wrap puts t under the rules.
func (r *Rules) Wrap(t Transport) Transport {
	w := &ruled{Transport: t, rules: r, delayed: newLine[delayed](), stop: make(chan struct{})}
	r.mu.Lock()
	r.wrapped[t.Addr()] = w
	r.mu.Unlock()
	return w
}

// Cut stops everything from one address to another, in this direction, and resets the stream. While a way is cut in
// either direction, nothing is reported as refused.
func (r *Rules) Cut(from, to netip.AddrPort) { r.cut([]way{{from, to}}) }

// Partition cuts the groups from each other, both ways.
func (r *Rules) Partition(groups ...[]netip.AddrPort) {
	var ways []way
	for i, group := range groups {
		for j, other := range groups {
			if i == j {
				continue
			}
			for _, from := range group {
				for _, to := range other {
					ways = append(ways, way{from, to})
				}
			}
		}
	}
	r.cut(ways)
}

// resetter is a transport whose streams can be broken.
type resetter interface {
	resetPeer(to netip.AddrPort)
	resetStreams(to netip.AddrPort)
	resetInbound(from netip.AddrPort)
}

func (r *Rules) cut(ways []way) {
	type reset struct {
		way      way
		from, to *ruled
	}
	resets := make([]reset, 0, len(ways))
	r.mu.Lock()
	for _, w := range ways {
		now := r.rules[w]
		now.cut = true
		r.rules[w] = now
		r.cuts[w]++
		resets = append(resets, reset{w, r.wrapped[w.from], r.wrapped[w.to]})
	}
	r.mu.Unlock()
	for _, reset := range resets {
		if reset.from != nil {
			if t, ok := reset.from.Transport.(resetter); ok {
				t.resetPeer(reset.way.to)
			}
		}
		if reset.to != nil {
			if t, ok := reset.to.Transport.(resetter); ok {
				t.resetInbound(reset.way.from)
				t.resetStreams(reset.way.from)
			}
		}
	}
}

// Delay adds d to the way from one address to another, in this direction. Frames keep their order.
func (r *Rules) Delay(from, to netip.AddrPort, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.rules[way{from, to}]
	now.delay = d
	r.rules[way{from, to}] = now
}

// Drop loses datagrams from one address to another with this probability, 0 to 1. Frames pass: a stream repeats what
// is lost.
func (r *Rules) Drop(from, to netip.AddrPort, probability float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.rules[way{from, to}]
	now.drop = probability
	r.rules[way{from, to}] = now
}

// Heal forgets all rules.
func (r *Rules) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.rules)
}

func (r *Rules) isCut(w way) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.rules[w].cut
}

// look returns the rule of a way and its count of cuts.
func (r *Rules) look(w way) (rule, uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.rules[w], r.cuts[w]
}

func (r *Rules) happens(probability float64) bool {
	if probability <= 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.random.Float64() < probability
}

// ruled is a transport under rules.
type ruled struct {
	Transport
	rules   *Rules
	delayed *line[delayed]
	waiting atomic.Int64 // entries of delayed: while there are any, nothing may overtake them
	stop    chan struct{}
	closing sync.Once

	mu      sync.Mutex // guards what follows
	lastDue map[netip.AddrPort]time.Time
}

// delayed is a message that waits on the sender's side.
type delayed struct {
	to       netip.AddrPort
	receiver uint64
	payload  []byte
	frame    bool
	cuts     uint64
}

func (t *ruled) Start(self Identity, h Handler) {
	t.Transport.Start(self, ruledHandler{rules: t.rules, self: t.Addr(), next: h})
}

func (t *ruled) SendDatagram(to netip.AddrPort, receiver uint64, b []byte) error {
	return t.send(delayed{to: to, receiver: receiver, payload: b}, MaxDatagram)
}

func (t *ruled) SendFrame(to netip.AddrPort, b []byte) error {
	return t.send(delayed{to: to, payload: b, frame: true}, MaxFrame)
}

func (t *ruled) send(d delayed, maximum int) error {
	if err := checkSend(d.to, len(d.payload), maximum); err != nil {
		return err
	}
	rule, cuts := t.rules.look(way{t.Addr(), d.to})
	switch {
	case rule.cut, !d.frame && t.rules.happens(rule.drop):
		return nil
	case rule.delay > 0, d.frame && t.waiting.Load() > 0:
		d.payload, d.cuts = bytes.Clone(d.payload), cuts
		return t.hold(d, rule.delay)
	}
	return t.pass(d)
}

func (t *ruled) pass(d delayed) error {
	if d.frame {
		return t.Transport.SendFrame(d.to, d.payload)
	}
	return t.Transport.SendDatagram(d.to, d.receiver, d.payload)
}

// hold sends a message later.
func (t *ruled) hold(d delayed, by time.Duration) error {
	t.delayed.start(t.release)
	due := time.Now().Add(by)
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.frame {
		if last := t.lastDue[d.to]; due.Before(last) {
			due = last
		}
		if t.lastDue == nil {
			t.lastDue = map[netip.AddrPort]time.Time{}
		}
		t.lastDue[d.to] = due
	}
	t.waiting.Add(1)
	if !t.delayed.push(due, d) {
		t.waiting.Add(-1)
		return ErrQueueFull
	}
	return nil
}

func (t *ruled) release(d delayed) {
	defer t.waiting.Add(-1)
	rule, cuts := t.rules.look(way{t.Addr(), d.to})
	if rule.cut || cuts != d.cuts {
		return
	}
	_ = t.pass(d) // what finds no room now is lost on the way
}

func (t *ruled) Close() error {
	t.closing.Do(func() { close(t.stop) })
	t.delayed.close()
	err := t.Transport.Close()
	t.rules.mu.Lock()
	defer t.rules.mu.Unlock()
	if t.rules.wrapped[t.Addr()] == t {
		delete(t.rules.wrapped, t.Addr())
	}
	return err
}

// Metrics counts what the transport beneath the rules did.
func (t *ruled) Metrics() Metrics {
	if measured, ok := t.Transport.(Measured); ok {
		return measured.Metrics()
	}
	return Metrics{}
}

// ruledHandler keeps away what must not arrive.
type ruledHandler struct {
	rules *Rules
	self  netip.AddrPort
	next  Handler
}

func (h ruledHandler) Datagram(from netip.AddrPort, b []byte) {
	if !h.rules.isCut(way{from, h.self}) {
		h.next.Datagram(from, b)
	}
}

func (h ruledHandler) Frame(from netip.AddrPort, b []byte) {
	if !h.rules.isCut(way{from, h.self}) {
		h.next.Frame(from, b)
	}
}

func (h ruledHandler) Refused(peer netip.AddrPort) {
	if !h.rules.isCut(way{h.self, peer}) && !h.rules.isCut(way{peer, h.self}) {
		h.next.Refused(peer)
	}
}
