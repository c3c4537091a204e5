package transport_test

import (
	"fmt"
	"net/netip"

	"github.com/egalcluster/egal/fabric/transport"
)

type printer struct{ frames chan string }

func (p printer) Datagram(from netip.AddrPort, b []byte) {}
func (p printer) Refused(peer netip.AddrPort)            {}
func (p printer) Frame(from netip.AddrPort, b []byte)    { p.frames <- fmt.Sprintf("%s says %s", from, b) }

func ExampleNetwork() {
	network := transport.NewNetwork(1)
	a, _ := network.Listen(netip.MustParseAddrPort("10.0.0.1:7946"))
	b, _ := network.Listen(netip.MustParseAddrPort("10.0.0.2:7946"))
	p := printer{make(chan string, 1)}
	b.Start(transport.Identity{Boot: 1}, p)
	_ = a.SendFrame(b.Addr(), []byte("hello"))
	fmt.Println(<-p.frames)
	_ = a.Close()
	_ = b.Close()
	// Output: 10.0.0.1:7946 says hello
}
