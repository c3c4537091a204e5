// Package slab is off-heap memory in size classes for the records of the stores: a slab allocator in the sense of
// Bonwick (1994) with the owner-local pages of mimalloc (Leijen, Zorn, de Moura 2019).
//
// Millions of records as Go objects cost the garbage collector seconds of marking. A slab block is named by a [Ref],
// a number that the collector does not see, so an index of refs is pointer-free and the collector's work does not
// grow with the data.
//
// # Model
//
//	Arena   all memory of one store, taken from the system in chunks (64 MiB of address space)
//	chunk   pages (64 KiB); memory that was never touched costs nothing
//	span    pages that hold blocks of one size class for one owner, with a bitmap of the blocks in use
//	Owner   allocates and frees; has the lock that guards it and the records of its user
//
// Blocks up to one page come in classes: multiples of 8 bytes up to 64, then eight classes per doubling, so a block
// is at most 12.5 % (small ones: 7 bytes) larger than what was asked for. Larger blocks get pages of their own in
// 4 KiB steps, blocks beyond a chunk a chunk of their own.
//
// A span whose last block is freed goes back to the arena, and its pages go back to the system. The pages of a large
// block do so at once.
//
// # Concurrency
//
// An [Owner] belongs to whoever holds its lock; owners share nothing but the arena's page table, which they touch
// once per span. A ref is used and freed by the owner that made it. [Arena.Used] and [Arena.Reserved] may be called
// at any time. Close waits for nobody: the caller has stopped all owners before.
//
// # Invariants
//
// Freeing a block twice, freeing another owner's block or a ref that was never handed out, and any use after Close
// violate an invariant and panic (internal/invariant) instead of damaging memory. Reading through a stale ref panics
// where the memory is gone, and always in checked builds. Slices obtained before Close must not be touched after it.
//
// # Builds
//
// On Linux chunks are anonymous mappings (MAP_NORESERVE). On other systems, with the race detector (which does not
// see mapped memory) and with the build tag slabheap chunks are byte slices on the Go heap, chunks and pages are
// smaller, and every access is checked against the bitmap. If the kernel refuses a mapping, the Go heap serves too.
// Package unsafe serves [Prefetch] alone, which on amd64 and arm64, without the race detector, is two instructions of
// assembly and elsewhere nothing: no memory is read or written through it.
//
// # Limits
//
// 8 TiB per arena; a block holds at most [MaxSize] bytes.
package slab
