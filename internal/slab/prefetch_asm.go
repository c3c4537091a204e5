//go:build (amd64 || arm64) && !race

package slab

import "unsafe"

// Prefetching tells whether Prefetch does anything: on amd64 and arm64, without the race detector.
const Prefetching = true

// prefetch is one or two instructions of assembly. They never fault, whatever the address.
//
//go:noescape
func prefetch(p unsafe.Pointer)

func pointer[T any](p *T) unsafe.Pointer { return unsafe.Pointer(p) }
