//go:build !linux || race || slabheap

package slab

const (
	chunkSize = 4 << 20
	pageShift = 14
	// checked makes every access look at the bitmap.
	checked = true
)

// mapMemory takes n bytes of zeroed memory from the Go heap.
func mapMemory(n int, _ bool) (memory []byte, mapped bool) { return make([]byte, n), false }

func unmapMemory([]byte) {}

func releaseMemory([]byte) {}
