package slab_test

import (
	"fmt"

	"github.com/egalcluster/egal/internal/slab"
)

func ExampleArena() {
	arena := slab.New(slab.Options{})
	defer arena.Close()
	owner := arena.NewOwner()

	owner.Lock()
	ref, block := owner.Alloc(70)
	copy(block, "hello")
	fmt.Println(len(block), string(owner.Bytes(ref)[:5]), arena.Used())
	owner.Free(ref)
	owner.Unlock()
	fmt.Println(arena.Used())
	// Output:
	// 72 hello 72
	// 0
}
