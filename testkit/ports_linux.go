//go:build linux && !mips && !mipsle && !mips64 && !mips64le

package testkit

import (
	"net"
	"os"
	"syscall"
)

// soReusePort is SO_REUSEPORT, which package syscall does not define for every architecture.
const soReusePort = 0xf

// reserveTCP binds a socket to a free port and keeps it without listening. The kernel chooses a port that nobody has
// bound, gives it to nobody else who asks for any port, and lets only sockets that set SO_REUSEPORT too, and belong to
// the same user, bind it by number. Connections are refused as long as none of those listens.
func reserveTCP() (port, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return port{}, os.NewSyscallError("socket", err)
	}
	fail := func(call string, err error) (port, error) {
		syscall.Close(fd)
		return port{}, os.NewSyscallError(call, err)
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soReusePort, 1); err != nil {
		return fail("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fail("bind", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return fail("getsockname", err)
	}
	return port{number: name.(*syscall.SockaddrInet4).Port, release: func() { syscall.Close(fd) }}, nil
}

// listenConfig makes the listeners that may share a reserved port.
func listenConfig() *net.ListenConfig {
	return &net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var failed error
		err := conn.Control(func(fd uintptr) {
			failed = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReusePort, 1))
		})
		if err != nil {
			return err
		}
		return failed
	}}
}
