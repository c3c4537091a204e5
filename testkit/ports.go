package testkit

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// portAttempts bounds how many candidates are tried for one port.
const portAttempts = 64

// port is a TCP and UDP port of 127.0.0.1 that belongs to one node for the life of its cluster.
type port struct {
	number  int
	release func() // lets go of the reservation
}

func (p port) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.number)) }

// reserve finds a port that is free for TCP and UDP and holds its TCP half. The UDP half is looked at only: a second
// UDP socket would take datagrams away from the node's own, and ports are handed out by their TCP half everywhere.
func reserve() (port, error) {
	var refused error
	for range portAttempts {
		p, err := reserveTCP()
		if err != nil {
			return port{}, fmt.Errorf("testkit: reserve a port: %w", err)
		}
		probe, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p.number})
		if err == nil {
			return p, probe.Close()
		}
		p.release()
		refused = errors.Join(refused, err)
	}
	return port{}, fmt.Errorf("testkit: reserve a port: %w", refused)
}
