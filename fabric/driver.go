package fabric

import (
	"context"
	"net/netip"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/quorum"
	"github.com/egalcluster/egal/fabric/transport"
)

// This file connects the gossip core's loop with the transport and with the rest of the node.

// handler takes what arrives; a type of its own, so that these are no methods of Fabric.
type handler struct{ fabric *Fabric }

func (h handler) Datagram(from netip.AddrPort, b []byte) { h.packet(from, b) }

func (h handler) Frame(from netip.AddrPort, b []byte) { h.packet(from, b) }

func (h handler) packet(from netip.AddrPort, b []byte) {
	if len(b) > 0 && b[0] == registersTag {
		h.fabric.registers.packet(b)
		return
	}
	packet, err := gossip.Decode(b)
	if err != nil {
		h.fabric.counters.undecodable.Add(1)
		return
	}
	h.fabric.loop.Post(from, packet)
}

func (h handler) Refused(peer netip.AddrPort) {
	h.fabric.founding.answered(peer, gossip.ReasonRefused, h.fabric.config.Now())
	h.fabric.loop.Post(peer, gossip.PeerRefused{})
}

// send puts one message of the core on the wire; on the loop's goroutine.
func (f *Fabric) send(to gossip.Peer, m gossip.Message) {
	packet, ok := m.(gossip.Packet)
	if !ok {
		return
	}
	f.encoded = gossip.Encode(f.encoded[:0], packet)
	if packet.Cluster != f.entered { // before what is sent as a member
		f.entered = packet.Cluster
		f.transport.Enter(transport.ClusterID(packet.Cluster))
	}
	if packet.Boot != f.boot { // before anybody can answer to it
		f.boot = packet.Boot
		f.transport.Rise(uint64(packet.Boot))
	}
	var err error
	if packet.Reliable() || len(f.encoded) > transport.MaxDatagram {
		err = f.transport.SendFrame(to, f.encoded)
	} else {
		err = f.transport.SendDatagram(to, uint64(packet.ReceiverBoot), f.encoded)
	}
	if err != nil { // the core takes it for a loss and repairs it
		f.counters.unsent.Add(1)
	}
}

// notify takes one event of the core; on the loop's goroutine.
func (f *Fabric) notify(event gossip.Event) {
	switch e := event.(type) {
	case gossip.ViewChanged:
		f.publish(e.View)
	case gossip.Joined:
		f.entered = e.Cluster
		f.transport.Enter(transport.ClusterID(e.Cluster))
		f.publish(f.core.View())
		f.founding.joined(e.Cluster)
	case gossip.JoinRefused:
		f.founding.answered(e.From, e.Reason, f.config.Now())
	case gossip.Refused:
		f.refusal = e.Err
	case gossip.Gathered:
		f.gathered(e)
	case gossip.Superseded:
		f.silent = true
		f.mustStop(ErrSuperseded)
	default:
		f.lived(event)
	}
}

// Metrics counts what the fabric did since Start.
type Metrics struct {
	// Members counts the members by their state, as this node sees them now.
	Members MemberCounts
	// Gossip, Quorum and Transport are the counters of the rooms below; Quorum's are those of the last vote or result.
	Gossip    gossip.Metrics
	Quorum    quorum.Metrics
	Transport transport.Metrics
	// InboxDropped counts packets that found a core's inbox full, Undecodable those that were no packets, Misdirected
	// those of registers that were for another node or cluster, Unsent those that the transport did not take.
	InboxDropped, Undecodable, Misdirected, Unsent uint64
	// Snapshots counts those written, SnapshotFailures those that could not be.
	Snapshots, SnapshotFailures uint64
}

// MemberCounts are members by their state.
type MemberCounts struct {
	Joining, Up, Leaving, Exiting, Down uint64
	// Unreachable ones are counted by their state, too.
	Unreachable uint64
}

func countMembers(v *gossip.View) (c MemberCounts) {
	for _, m := range v.Members() {
		switch m.Status {
		case gossip.StatusJoining:
			c.Joining++
		case gossip.StatusUp:
			c.Up++
		case gossip.StatusLeaving:
			c.Leaving++
		case gossip.StatusExiting:
			c.Exiting++
		case gossip.StatusDown:
			c.Down++
		case gossip.StatusRemoved: // no member any more
		}
		if !m.Reachable {
			c.Unreachable++
		}
	}
	return c
}

// Metrics returns the counters. After Close those of the core are the last ones.
func (f *Fabric) Metrics() Metrics {
	_ = f.loop.Inspect(context.Background(), f.remember) // an error means closed: the last ones stay
	m := Metrics{
		Members:          countMembers(f.View()),
		Quorum:           *f.registers.last.Load(),
		InboxDropped:     f.loop.Dropped() + f.registers.loop.Dropped(),
		Undecodable:      f.counters.undecodable.Load(),
		Misdirected:      f.registers.misdirected.Load(),
		Unsent:           f.counters.unsent.Load(),
		Snapshots:        f.counters.snapshots.Load(),
		SnapshotFailures: f.counters.snapshotFailures.Load(),
	}
	if last := f.last.Load(); last != nil {
		m.Gossip = *last
	}
	if measured, ok := f.transport.(transport.Measured); ok {
		m.Transport = measured.Metrics()
	}
	return m
}

// Edges are the members that this node monitors, with what it finds of each; none after Close.
func (f *Fabric) Edges() (edges []gossip.Edge) {
	_ = f.loop.Inspect(context.Background(), func() { edges = f.core.Edges(f.config.Now()) }) // an error means closed
	return edges
}

// remember keeps the core's counters; on the loop's goroutine.
func (f *Fabric) remember() {
	m := f.core.Metrics()
	f.last.Store(&m)
}
