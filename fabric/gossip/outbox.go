package gossip

import (
	"slices"
	"time"

	"github.com/egalcluster/egal/internal/core"
)

// What a node has to say waits in the outbox until Ready, which puts all that is for one process into as few packets
// as possible. Answers that are not urgent wait for such a packet, up to lazyTime. Packets go out at the rate of a
// token bucket; the excess waits.

const (
	// maxLate is how many processes late answers wait for, and maxHeldBack how many packets wait for pacing. More
	// answers go out at once, more packets are dropped.
	maxLate     = 4096
	maxHeldBack = 8192
)

// process is where something goes: a process at an address. Boot 0 is whoever is there.
type process struct {
	addr Peer
	boot BootID
}

// outgoing is one thing to say.
type outgoing struct {
	to   process
	body body
}

// late are answers to one process that are not urgent.
type late struct {
	to     process
	due    time.Time
	bodies []body
}

type outbox struct {
	queue    []outgoing
	fillings []filling // empty, to be used again
	late     []*late   // by due
	heldBack []core.Out[Peer, Message]
	tokens   float64
	filledAt time.Time
}

// send queues something to say.
func (c *Core) send(to Peer, receiver BootID, b body) {
	c.outbox.queue = append(c.outbox.queue, outgoing{process{to, receiver}, b})
}

// lazyTime is how long answers that are not urgent wait for company.
func (c *Core) lazyTime() time.Duration { return slotTicks*c.cfg.Tick - c.cfg.Tick/2 }

// reply queues an answer.
func (c *Core) reply(lazy bool, to process, b body) {
	if !lazy {
		c.send(to.addr, to.boot, b)
		return
	}
	for _, l := range c.outbox.late {
		if l.to == to {
			if len(l.bodies) == maxBodies {
				c.send(to.addr, to.boot, b)
			} else {
				l.bodies = append(l.bodies, b)
			}
			return
		}
	}
	if len(c.outbox.late) == maxLate {
		c.send(to.addr, to.boot, b)
		return
	}
	c.outbox.late = append(c.outbox.late, &late{to, c.now.Add(c.lazyTime()), []body{b}})
}

// nextSend is when something that waits goes out; zero: nothing waits.
func (c *Core) nextSend() (at time.Time) {
	if len(c.outbox.late) > 0 {
		at = c.outbox.late[0].due
	}
	if len(c.outbox.heldBack) > 0 {
		if free := c.now.Add(max(time.Second/time.Duration(c.cfg.PacketRate), time.Millisecond)); at.IsZero() || free.Before(at) {
			at = free
		}
	}
	return at
}

// pack empties the outbox into packets.
func (c *Core) pack() []core.Out[Peer, Message] {
	box := &c.outbox
	for len(box.late) > 0 && !box.late[0].due.After(c.now) {
		l := box.late[0]
		box.late[0] = nil
		box.late = box.late[1:]
		for _, b := range l.bodies {
			c.send(l.to.addr, l.to.boot, b)
		}
	}
	if len(box.queue) == 0 && len(box.heldBack) == 0 {
		return nil
	}
	packets := make([]core.Out[Peer, Message], 0, len(box.queue))
	fillings := box.fillings[:0]
	var latest map[process]int // which filling is the latest for a process; nil: there are few
	if len(box.queue) > fewFillings {
		latest = make(map[process]int, len(box.queue))
	}
	for _, o := range box.queue {
		size := headerBytes + bodyBytes(o.body)
		if size > MaxDatagram || needsStream(o.body) {
			packets = append(packets, c.envelope(o.to, []body{o.body}, size))
			continue
		}
		i, known := latest[o.to]
		if latest == nil {
			i = latestFor(fillings, o.to)
			known = i >= 0
		}
		if known && fillings[i].add(o.body, size-headerBytes) {
			continue
		}
		fillings = append(fillings, filling{to: o.to, size: size, bodies: []body{o.body}})
		if latest != nil {
			latest[o.to] = len(fillings) - 1
		}
	}
	clear(box.queue)
	box.queue = box.queue[:0]
	for i := range fillings {
		f := &fillings[i]
		if len(box.late) > 0 {
			c.fill(f)
		}
		packets = append(packets, c.envelope(f.to, f.bodies, f.size))
	}
	clear(fillings)
	box.fillings = fillings[:0]
	return c.pace(packets)
}

// fewFillings is up to how many packets one is searched for from the latest on.
const fewFillings = 16

func latestFor(fillings []filling, to process) int {
	for i, f := range slices.Backward(fillings) {
		if f.to == to {
			return i
		}
	}
	return -1
}

// filling is a packet that has room.
type filling struct {
	to     process
	size   int
	bodies []body
}

// add puts a body of a size into the packet, if it fits.
func (f *filling) add(b body, size int) bool {
	if len(f.bodies) == maxBodies || f.size+size > MaxDatagram {
		return false
	}
	f.size += size
	f.bodies = append(f.bodies, b)
	return true
}

// fill puts late answers for the same process into what room there is.
func (c *Core) fill(f *filling) {
	for i, l := range c.outbox.late {
		if l.to != f.to {
			continue
		}
		for len(l.bodies) > 0 && f.add(l.bodies[0], bodyBytes(l.bodies[0])) {
			l.bodies = l.bodies[1:]
		}
		if len(l.bodies) == 0 {
			c.outbox.late = append(c.outbox.late[:i], c.outbox.late[i+1:]...)
		}
		return
	}
}

func (c *Core) envelope(to process, bodies []body, bytes int) core.Out[Peer, Message] {
	return core.Out[Peer, Message]{To: to.addr, Message: Packet{
		Cluster: c.cluster, Sender: c.cfg.ID, Generation: c.generation, Boot: c.cfg.Boot, ReceiverBoot: to.boot, bodies: bodies, bytes: bytes,
	}}
}

// pace lets as many packets go as there are tokens for: those held back before, then those without rumors, which the
// failure detector and delegators wait for, then the others.
func (c *Core) pace(packets []core.Out[Peer, Message]) []core.Out[Peer, Message] {
	box := &c.outbox
	burst := max(float64(c.cfg.PacketRate)*c.cfg.Tick.Seconds(), MaxFanout)
	if passed := c.now.Sub(box.filledAt); passed != 0 {
		if box.tokens += passed.Seconds() * float64(c.cfg.PacketRate); passed < 0 || box.tokens > burst {
			box.tokens = burst
		}
		box.filledAt = c.now
	}
	if len(box.heldBack) == 0 && float64(len(packets)) <= box.tokens {
		box.tokens -= float64(len(packets))
		c.count(packets)
		return packets
	}
	queue := box.heldBack
	for _, urgent := range []bool{true, false} {
		for _, p := range packets {
			if hasRumor(p.Message) != urgent {
				queue = append(queue, p)
			}
		}
	}
	now := min(int(box.tokens), len(queue))
	if over := len(queue) - now - maxHeldBack; over > 0 {
		c.metrics.PacketsDropped += uint64(over)
		queue = queue[:len(queue)-over]
	}
	c.metrics.PacketsDelayed += uint64(max(len(queue)-now-len(box.heldBack), 0))
	box.tokens -= float64(now)
	box.heldBack = append([]core.Out[Peer, Message](nil), queue[now:]...)
	c.count(queue[:now])
	return queue[:now:now]
}

func hasRumor(m Message) bool {
	p, _ := m.(Packet)
	for _, b := range p.bodies {
		if b.kind() == kindRumor {
			return true
		}
	}
	return false
}

func (c *Core) count(packets []core.Out[Peer, Message]) {
	c.metrics.PacketsSent += uint64(len(packets))
	for _, out := range packets {
		if p, ok := out.Message.(Packet); ok {
			c.metrics.BytesSent += uint64(p.size())
		}
	}
}
