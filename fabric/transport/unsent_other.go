//go:build !linux

package transport

import "net"

// boundUnsent does nothing: what the system holds is its own choice.
func boundUnsent(net.Conn) {}
