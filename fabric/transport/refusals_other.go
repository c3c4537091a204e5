//go:build !linux

package transport

import (
	"net"
	"net/netip"
)

// askForRefusals does nothing: refusals are learnt from streams only.
func askForRefusals(*net.UDPConn) {}

func readRefusals(*net.UDPConn, func(netip.AddrPort)) {}
