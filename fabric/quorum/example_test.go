package quorum_test

import (
	"fmt"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/quorum"
)

// Three cores and no network: the loop that a shell runs.
func ExampleCore() {
	now := time.UnixMilli(0) // of a boot-time clock
	ids := []gossip.NodeID{{1}, {2}, {3}}
	cores, logs := map[gossip.NodeID]*quorum.Core{}, map[gossip.NodeID][][]byte{}
	for _, id := range ids {
		core, err := quorum.New(quorum.Config{ID: id, Boot: 1, Fresh: true}, nil, now)
		if err != nil {
			fmt.Println(err)
			return
		}
		cores[id] = core
	}
	ask := func(id gossip.NodeID, request quorum.Message) {
		cores[id].Receive(now, id, request)
		for range 10 {
			for _, from := range ids {
				ready := cores[from].Ready()
				logs[from] = append(logs[from], quorum.Records(ready.Save)...) // and make it durable, before anything is sent
				for _, out := range ready.Send {
					m, err := quorum.Decode(quorum.Encode(nil, out.Message)) // over the network
					if err != nil {
						fmt.Println(err)
						return
					}
					cores[out.To].Receive(now, from, m)
				}
				for _, event := range ready.Notify {
					switch e := event.(type) {
					case quorum.Result:
						fmt.Printf("%v: version %d, %q\n", e.Outcome, e.State.Version, e.State.Value)
					case quorum.LeaseHeld:
						fmt.Println("the lease is ours for", e.Until.Sub(now))
					}
				}
			}
		}
	}
	ask(ids[0], quorum.Create{Group: "shard/7", Voters: ids, Lease: 400 * time.Millisecond, Value: []byte("nobody")})
	ask(ids[1], quorum.Change{Group: "shard/7", Voters: ids, Expected: 1, Value: []byte("2 is primary")})
	ask(ids[2], quorum.Change{Group: "shard/7", Voters: ids, Expected: 1, Value: []byte("3 is primary")})
	ask(ids[1], quorum.Hold{Group: "shard/7"})

	again, err := quorum.New(quorum.Config{ID: ids[0], Boot: 2}, logs[ids[0]], now)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("after a restart: version %d\n", again.Accepted("shard/7").Version)
	// Output:
	// done: version 1, "nobody"
	// done: version 2, "2 is primary"
	// conflict: version 2, "2 is primary"
	// the lease is ours for 392ms
	// after a restart: version 2
}
