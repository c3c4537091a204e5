//go:build !linux

package slots

// residentBytes is the memory the process has in use, in bytes; 0: unknown.
func residentBytes() int64 { return 0 }

// processorSeconds is the processor time the process has used; 0: unknown.
func processorSeconds() (system, user float64) { return 0, 0 }
