package gossip_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// Two cores and no network: the loop that a driver runs.
func ExampleCore() {
	now := time.UnixMilli(1_700_000_000_000)
	addrs := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:7946"), netip.MustParseAddrPort("10.0.0.2:7946")}
	cores := map[netip.AddrPort]*gossip.Core{}
	for i, addr := range addrs {
		core, err := gossip.New(gossip.Config{ID: gossip.NodeID{byte(i + 1)}, Boot: 1, Generation: 1, Addr: addr}, now)
		if err != nil {
			fmt.Println(err)
			return
		}
		cores[addr] = core
	}
	cores[addrs[0]].Receive(now, addrs[0], gossip.Found{Cluster: gossip.ClusterID{7}})
	cores[addrs[1]].Receive(now, addrs[1], gossip.Join{Seeds: addrs[:1]})
	for range 10 {
		for _, from := range addrs {
			for _, out := range cores[from].Ready().Send {
				cores[out.To].Receive(now, from, out.Message)
			}
		}
	}
	cores[addrs[1]].Receive(now, addrs[1], gossip.SetShared{Key: "X", Value: []byte("2")})
	for _, out := range cores[addrs[1]].Ready().Send {
		cores[out.To].Receive(now, addrs[1], out.Message)
	}
	for _, m := range cores[addrs[0]].View().Members() {
		fmt.Println(m.Addr, m.Status, m.UpNumber)
	}
	value, _, _ := cores[addrs[0]].View().Shared("X")
	fmt.Printf("X = %s\n", value)
	// Output:
	// 10.0.0.1:7946 up 1
	// 10.0.0.2:7946 up 2
	// X = 2
}
