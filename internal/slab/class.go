package slab

import "math/bits"

// Size classes: 16, 24, …, 64 bytes, then eight classes per doubling up to one page.
const (
	pageSize    = 1 << pageShift
	linearMax   = 64
	linearCount = linearMax/8 - 1 // 16 … 64
	classCount  = linearCount + 8*(pageShift-6)
	largeClass  = 127          // the class number in a ref of a block that has pages of its own
	largeStep   = 4096         // sizes of large blocks are multiples of it
	wideSpan    = 8            // pages in a span of the classes above pageSize/8
	narrowMax   = pageSize / 8 // the largest class whose span is one page
	chunkPages  = chunkSize / pageSize
)

// MaxSize is the largest block in bytes.
const MaxSize = 1<<31 - 1

// classOf gives the smallest class that holds n bytes, 0 ≤ n ≤ pageSize.
func classOf(n int) int {
	if n <= linearMax {
		return max((n+7)/8-2, 0)
	}
	// n-1 = 1xxx… in binary: the three bits after the leading one choose the class within the doubling.
	width := bits.Len(uint(n - 1))
	return linearCount + 8*(width-7) + ((n-1)>>(width-4))&7
}

// classSize is the block size of a class in bytes.
func classSize(class int) int {
	if class < linearCount {
		return 16 + 8*class
	}
	doubling, step := (class-linearCount)/8, (class-linearCount)%8
	return (9 + step) << (3 + doubling)
}

// spanPages is the number of pages in a span of a class.
func spanPages(class int) int {
	if classSize(class) <= narrowMax {
		return 1
	}
	return wideSpan
}

// SizeOf is the number of bytes that a block for n bytes really has.
func SizeOf(n int) int {
	if n <= pageSize {
		return classSize(classOf(n))
	}
	return (n + largeStep - 1) &^ (largeStep - 1)
}
