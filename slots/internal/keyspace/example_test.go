package keyspace_test

import (
	"fmt"
	"hash/maphash"

	"github.com/egalcluster/egal/slots/internal/keyspace"
)

func ExampleStore() {
	store := keyspace.New(keyspace.Options{Seed: maphash.MakeSeed()})
	defer store.Close()
	now := int64(1_700_000_000_000)

	key := store.Key([]byte("{user1000}.name"))
	shard := store.ShardOf(key.Slot)
	shard.Lock()
	shard.Database(0).Set(now, key, keyspace.TypeString, []byte("Ada"), now+1000)
	record, ok := shard.Database(0).Get(now+999, key)
	fmt.Printf("%s %v, in slot %d\n", record.Value, ok, key.Slot)
	_, ok = shard.Database(0).Get(now+1000, key)
	fmt.Println(ok)
	shard.Unlock()
	// Output:
	// Ada true, in slot 3443
	// false
}
