// Package slab is off-heap memory in size classes.
package slab

// Options configures an Arena; the zero value is the default.
type Options struct {
	// HugePages asks the kernel for transparent huge pages.
	HugePages bool
}

// Arena is the memory of one store.
type Arena struct{}

// New returns an empty arena.
func New(o Options) *Arena { return &Arena{} }

// Used is the sum of the sizes of all blocks, in bytes.
func (a *Arena) Used() int64 { return 0 }

// Reserved is what the blocks and their free neighbours take, in bytes.
func (a *Arena) Reserved() int64 { return 0 }

// Close gives all memory back.
func (a *Arena) Close() {}
