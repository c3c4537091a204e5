// Command gossip measures rumors in the simulator: the real gossip cores, one per member, over links that lose nothing
// and all take the same time. It prints how many payloads one write causes and after how many rounds the last member
// has it, next to the theoretical figures: n−1 payloads and ceil(log_{k+1} n) rounds.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/egalcluster/egal/bench/report"
	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/sim"
)

// fanout is k.
const fanout = 4

// hop is what every packet takes; the rounds are counted in it.
const hop = time.Millisecond

func main() {
	table := report.New("gossip", fmt.Sprintf("Rumors: one write to n members, fanout %d, simulated without loss", fanout),
		"members", "payloads", "n − 1", "rounds", "ceil(log₅ n)", "members that have it")
	largest := flag.Int("largest", 10_000, "largest number of members")
	seed := flag.Uint64("seed", 1, "seed of the simulation")
	flag.Parse()
	if err := run(table, *largest, *seed); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(table *report.Table, largest int, seed uint64) error {
	for n := 10; n <= largest; n *= 10 {
		spread, err := simulate(n, seed)
		if err != nil {
			return err
		}
		table.Add(fmt.Sprint(n), spread.payloads, n-1, spread.rounds, rounds(n), spread.reached)
	}
	table.Note("A round is one hop over the network; seed %d.", seed)
	return table.Close()
}

// rounds is ceil(log_{k+1} n).
func rounds(n int) int {
	count := 0
	for reached := 1; reached < n; reached *= fanout + 1 {
		count++
	}
	return count
}

type spread struct{ payloads, rounds, reached int }

// simulate writes one shared key on the first of n members that all know each other.
func simulate(n int, seed uint64) (spread, error) {
	begin := time.Unix(1_700_000_000, 0)
	members := make([]gossip.Member, n)
	for i := range members {
		members[i] = gossip.Member{
			ID: identity(i), Boot: gossip.BootID(i + 1), Generation: 1, UpNumber: uint64(i + 1), Status: gossip.StatusUp, Reachable: true, Addr: address(i),
		}
	}
	view := gossip.NewView(gossip.Contents{Cluster: gossip.ClusterID{1}, Self: members[0].ID, Members: members})
	world := sim.New[gossip.Peer, gossip.Message, gossip.Event](sim.Options{Seed: seed, Start: begin, Link: sim.Link{Latency: hop}})
	for _, m := range members {
		core, err := gossip.New(gossip.Config{
			ID: m.ID, Boot: m.Boot, Generation: m.Generation, Seed: seed + m.UpNumber, Addr: m.Addr, Fanout: fanout, View: view,
		}, begin)
		if err != nil {
			return spread{}, err
		}
		world.Add(m.Addr, core)
	}
	var result spread
	started := begin.Add(time.Millisecond)
	world.RunUntil(started)
	reached := make(map[gossip.Peer]bool)
	world.OnSend(func(_ time.Time, _, _ gossip.Peer, m gossip.Message) {
		if packet, ok := m.(gossip.Packet); ok && strings.HasPrefix(packet.String(), "rumor ") {
			result.payloads++
		}
	})
	world.OnNotify(func(now time.Time, p gossip.Peer, e gossip.Event) {
		changed, ok := e.(gossip.ViewChanged)
		if !ok || reached[p] {
			return
		}
		if _, _, ok := changed.View.Shared("x"); ok {
			reached[p] = true
			result.rounds = max(result.rounds, int(now.Sub(started)/hop))
		}
	})
	world.Inject(members[0].Addr, gossip.SetShared{Key: "x", Value: []byte("2")})
	world.RunUntil(started.Add(50 * hop))
	result.reached = len(reached)
	return result, nil
}

// identity makes ids that are spread over their range like random ones.
func identity(i int) gossip.NodeID {
	var id gossip.NodeID
	binary.BigEndian.PutUint64(id[:], uint64(i+1)*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(id[8:], uint64(i+1))
	return id
}

func address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 7946)
}
