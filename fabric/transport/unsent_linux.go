package transport

import (
	"net"
	"syscall"
)

const (
	tcpNotSentLowat = 25 // TCP_NOTSENT_LOWAT of linux/tcp.h
	// maxUnsent is how many bytes the system holds of a stream beyond what is on the wire: what is given to it cannot
	// be overtaken by control any more.
	maxUnsent = 64 << 10
)

// boundUnsent is best effort: without it, control waits longer behind bulk.
func boundUnsent(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, maxUnsent)
		})
	}
}
