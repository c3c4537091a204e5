package egal

import "github.com/egalcluster/egal/internal/durable"

// memoryDir is the data directory on a disk in memory.
const memoryDir = "/egal"

// Disk is where a node keeps its files, when that is not the disk of the machine. It outlives the nodes that use it: a
// node started on the disk of an earlier one is the same member.
type Disk struct{ fs durable.FS }

// MemoryDisk returns an empty disk in memory.
func MemoryDisk() *Disk { return &Disk{fs: durable.Memory()} }

// Crash returns the disk as a power cut at this moment would leave it: with all that was synced and nothing else. The
// original goes on unharmed, so a node that still runs on it does not disturb the copy.
func (d *Disk) Crash() *Disk { return &Disk{fs: durable.Crash(d.fs)} }
