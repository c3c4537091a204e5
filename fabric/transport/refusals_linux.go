package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
)

// askForRefusals makes the system queue the ICMP errors that answer our datagrams (ip(7), IP_RECVERR). Without it an
// unconnected socket hears nothing of them.
func askForRefusals(udp *net.UDPConn) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return
	}
	// Best effort: without it refusals are learnt from streams and silence.
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_RECVERR, 1)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_RECVERR, 1)
	})
}

// maxRefusals is how many queued errors are read at once.
const maxRefusals = 1024

// readRefusals empties the error queue and names the peers that refused.
func readRefusals(udp *net.UDPConn, refused func(peer netip.AddrPort)) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return
	}
	var peers []netip.AddrPort
	_ = raw.Control(func(fd uintptr) { // an error means that the socket is closed
		var payload, control [512]byte
		for len(peers) < maxRefusals {
			_, n, _, to, err := syscall.Recvmsg(int(fd), payload[:], control[:], syscall.MSG_ERRQUEUE|syscall.MSG_DONTWAIT)
			if err != nil {
				return
			}
			if isRefusal(control[:n]) {
				peers = append(peers, addrPortOf(to))
			}
		}
	})
	for _, peer := range peers {
		if peer.IsValid() {
			refused(peer)
		}
	}
}

// isRefusal looks for ECONNREFUSED in the sock_extended_err of a control message, whose first field is the errno.
func isRefusal(control []byte) bool {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return false
	}
	for _, m := range messages {
		v4 := m.Header.Level == syscall.IPPROTO_IP && m.Header.Type == syscall.IP_RECVERR
		v6 := m.Header.Level == syscall.IPPROTO_IPV6 && m.Header.Type == syscall.IPV6_RECVERR
		if (v4 || v6) && len(m.Data) >= 4 && syscall.Errno(binary.NativeEndian.Uint32(m.Data)) == syscall.ECONNREFUSED {
			return true
		}
	}
	return false
}

func addrPortOf(sockaddr syscall.Sockaddr) netip.AddrPort {
	switch a := sockaddr.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
