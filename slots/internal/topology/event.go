package topology

import "github.com/egalcluster/egal/fabric/gossip"

// Message is what a Core receives: ViewChanged or Released, both from its own shell.
type Message interface{ message() }

// ViewChanged hands over a newer view of the fabric.
type ViewChanged struct{ View *gossip.View }

// Released answers Release: these slots were empty and are not served any more.
type Released struct{ Slots []Range }

func (ViewChanged) message() {}
func (Released) message()    {}

// Event is what a Core reports: PublishOwn, PublishShared, TableChanged or Release.
type Event interface{ event() }

// PublishOwn asks to write a key of the node's own state.
type PublishOwn struct {
	Key   string
	Value []byte
}

// PublishShared asks to write a shared key.
type PublishShared struct {
	Key   string
	Value []byte
}

// TableChanged hands over a table that replaces the one before.
type TableChanged struct{ Table *Table }

// Release asks to stop serving those of the slots that hold no key, checked and done under the lock of the slot's
// shard, and to answer by Released before anything else is received. It is the last event of its batch.
type Release struct{ Slots []Range }

func (PublishOwn) event()    {}
func (PublishShared) event() {}
func (TableChanged) event()  {}
func (Release) event()       {}
