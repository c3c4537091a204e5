package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// BootTime is the time since the machine was started, from an arbitrary day on: it goes on while the machine is
// suspended, and nobody sets it. Leases are measured by it.
func BootTime() time.Time {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &at); err != nil {
		return time.Now() // Linux before 2.6.39
	}
	return time.Unix(at.Unix())
}
