//go:build !(amd64 || arm64) || race

package slab

// Prefetching tells whether Prefetch does anything: on amd64 and arm64, without the race detector.
const Prefetching = false

func prefetch(struct{}) {}

func pointer[T any](*T) struct{} { return struct{}{} }
