//go:build linux && !race && !slabheap

package slab

import "golang.org/x/sys/unix"

const (
	chunkSize = 64 << 20
	pageShift = 16
	// checked makes every access look at the bitmap.
	checked = false
)

// mapMemory takes n bytes of zeroed memory from the system; mapped tells whether unmapMemory must return it.
func mapMemory(n int, hugePages bool) (memory []byte, mapped bool) {
	memory, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil { // a limit on address space or on mappings: the Go heap has its own way
		return make([]byte, n), false
	}
	if hugePages {
		_ = unix.Madvise(memory, unix.MADV_HUGEPAGE) // a wish; kernels without huge pages refuse it
	}
	return memory, true
}

func unmapMemory(memory []byte) { _ = unix.Munmap(memory) }

// releaseMemory tells the system that the content is not needed any more. It may be zero afterwards, or not.
func releaseMemory(memory []byte) { _ = unix.Madvise(memory, unix.MADV_DONTNEED) }
