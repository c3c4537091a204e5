//go:build !linux

package loop

import "time"

// BootTime is time.Now: nobody sets its monotonic part. Whether that goes on while the machine is suspended depends on
// the system.
func BootTime() time.Time { return time.Now() }
