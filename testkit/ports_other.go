//go:build !linux || mips || mipsle || mips64 || mips64le

package testkit

import "net"

// reserveTCP finds a free port and lets go of it again: where a bound socket and a listening one cannot share a port,
// the node binds it anew each time it starts.
func reserveTCP() (port, error) {
	probe, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return port{}, err
	}
	number := probe.Addr().(*net.TCPAddr).Port
	return port{number: number, release: func() {}}, probe.Close()
}

func listenConfig() *net.ListenConfig { return &net.ListenConfig{} }
