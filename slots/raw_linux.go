package slots

import (
	"reflect"
	"runtime"

	"golang.org/x/sys/unix"
)

// The system calls of the event loop's fast path, made without telling Go's scheduler: none of them waits longer than
// its caller says, and the scheduler's bookkeeping around a call costs as much as a short call itself.

// address is where a slice's bytes are. They are on the heap, which Go never moves: what reflect looks at escapes. The
// caller keeps the slice alive while the address is in use.
func address(b []byte) uintptr { return reflect.ValueOf(&b[0]).Pointer() }

func rawRead(descriptor int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(descriptor), address(b), uintptr(len(b)))
	runtime.KeepAlive(b)
	return int(n), errno
}

func rawWrite(descriptor int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(descriptor), address(b), uintptr(len(b)))
	runtime.KeepAlive(b)
	return int(n), errno
}

// rawPoll is epoll_wait for at most so many milliseconds. The processor is kept while waiting.
func rawPoll(epoll int, events []unix.EpollEvent, milliseconds int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll),
		reflect.ValueOf(&events[0]).Pointer(), uintptr(len(events)), uintptr(milliseconds), 0, 0)
	runtime.KeepAlive(events)
	return int(n), errno
}
