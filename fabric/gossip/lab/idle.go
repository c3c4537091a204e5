package lab

import (
	"math/rand/v2"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/sim"
	"github.com/egalcluster/egal/internal/wire"
)

// Idle is what a cluster sends in which nothing happens: whole cores with the defaults of nodes, failure detection and
// anti-entropy included.
type Idle struct {
	// Packets and Bytes are per member and second.
	Packets, Bytes float64
	// Events is how many events of cores were simulated.
	Events uint64
}

// RunIdle watches n members that know each other for a while, after a second in which they come to rest. n is within
// 2…MaxWhole.
func RunIdle(n int, length time.Duration, seed uint64) (Idle, error) {
	world := sim.New[gossip.Peer, gossip.Message, gossip.Event](sim.Options{
		Seed: seed, Start: coreStart, Link: sim.Link{Latency: coreLatency, Jitter: coreLatency},
	})
	var packets, bytes uint64
	var encoded []byte
	world.Transcode(func(m gossip.Message) gossip.Message {
		p, ok := m.(gossip.Packet)
		if !ok {
			return m
		}
		encoded = gossip.Encode(encoded[:0], p)
		packets++
		bytes += uint64(len(encoded))
		if decoded, err := gossip.Decode(encoded); err == nil {
			return decoded
		}
		return m
	})
	world.Reliable(func(m gossip.Message) bool { p, ok := m.(gossip.Packet); return ok && p.Reliable() })
	contents := gossip.Contents{Cluster: gossip.ClusterID{1}, Stamp: 1}
	for i := range n {
		contents.Members = append(contents.Members, member(i))
	}
	view, orders := gossip.NewView(contents), &gossip.Orders{}
	starts := rand.New(rand.NewPCG(seed, 6))
	for i := range n {
		m := member(i)
		// Nodes start at different times.
		world.RunUntil(coreStart.Add(time.Duration(starts.Int64N(int64(time.Second))) / time.Duration(n)))
		core, err := gossip.New(gossip.Config{
			ID: m.ID, Boot: m.Boot, Generation: m.Generation, Seed: wire.Mix64(seed ^ uint64(i)<<20), Addr: m.Addr, View: view, Orders: orders,
		}, world.Now())
		if err != nil {
			return Idle{}, err
		}
		world.Add(m.Addr, core)
	}
	world.RunUntil(world.Now().Add(time.Second))
	packets, bytes = 0, 0
	world.RunUntil(world.Now().Add(length))
	seconds := length.Seconds() * float64(n)
	return Idle{Packets: float64(packets) / seconds, Bytes: float64(bytes) / seconds, Events: world.Events()}, nil
}
