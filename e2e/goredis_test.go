package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterClient connects a go-redis ClusterClient that knows these addresses only.
func clusterClient(t *testing.T, addrs ...string) *redis.ClusterClient {
	t.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ReadTimeout: patience, WriteTimeout: patience})
	t.Cleanup(func() { client.Close() })
	return client
}

func TestGoRedis(t *testing.T) {
	addrs := startCluster(t, 3).resp
	for protocol := 2; protocol <= 3; protocol++ {
		t.Run(fmt.Sprintf("RESP%d", protocol), func(t *testing.T) {
			client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs[:1], Protocol: protocol, ReadTimeout: patience})
			defer client.Close()
			ctx := t.Context()
			if err := client.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() }); err != nil {
				t.Fatal(err)
			}
			t.Run("many keys through a pipeline", func(t *testing.T) { goRedisPipeline(t, client) })
			t.Run("strings", func(t *testing.T) { goRedisStrings(t, client) })
			t.Run("several keys of one hash tag", func(t *testing.T) { goRedisHashTag(t, client) })
			t.Run("expiry", func(t *testing.T) { goRedisExpiry(t, client) })
			t.Run("scan of every master", func(t *testing.T) { goRedisScan(t, client) })
			t.Run("the cluster as the client sees it", func(t *testing.T) { goRedisTopology(t, client, addrs) })
		})
	}
	t.Run("a redirect for who asks the wrong node", func(t *testing.T) { goRedisRedirect(t, addrs) })
	t.Run("many goroutines", func(t *testing.T) { goRedisConcurrent(t, addrs) })
}

func goRedisPipeline(t *testing.T, client *redis.ClusterClient) {
	t.Helper()
	const keys = 10_000
	ctx := t.Context()
	for batch := 0; batch < keys; batch += 1000 {
		_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := batch; i < batch+1000; i++ {
				p.Set(ctx, fmt.Sprintf("pipeline:%d", i), i, 0)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var replies []*redis.StringCmd
	_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range keys {
			replies = append(replies, p.Get(ctx, fmt.Sprintf("pipeline:%d", i)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, reply := range replies {
		if got, err := reply.Int(); err != nil || got != i {
			t.Fatalf("key %d: got %d, %v", i, got, err)
		}
	}
	if size, err := client.DBSize(ctx).Result(); err != nil || size != keys {
		t.Errorf("size of all nodes: got %d, %v; want %d", size, err, keys)
	}
}

func goRedisStrings(t *testing.T, client *redis.ClusterClient) {
	t.Helper()
	ctx := t.Context()
	expect := func(want any, got any, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
	}
	text := func(want string, c *redis.StringCmd) { t.Helper(); got, err := c.Result(); expect(want, got, err) }
	number := func(want int64, c *redis.IntCmd) { t.Helper(); got, err := c.Result(); expect(want, got, err) }
	const key = "strings:1"
	number(5, client.Append(ctx, key, "hello"))
	number(11, client.Append(ctx, key, " world"))
	text("hello", client.GetRange(ctx, key, 0, 4))
	number(11, client.SetRange(ctx, key, 6, "Egal!"))
	number(11, client.StrLen(ctx, key))
	text("hello Egal!", client.GetDel(ctx, key))
	number(0, client.Exists(ctx, key))
	number(1, client.Incr(ctx, key))
	number(43, client.IncrBy(ctx, key, 42))
	number(42, client.Decr(ctx, key))
	sum, err := client.IncrByFloat(ctx, key, 0.5).Result()
	expect(42.5, sum, err)
	stored, err := client.SetNX(ctx, key, "x", 0).Result()
	expect(false, stored, err)
	before, err := client.SetArgs(ctx, key, "y", redis.SetArgs{Get: true, Mode: "XX"}).Result()
	expect("42.5", before, err)
	kind, err := client.Type(ctx, key).Result()
	expect("string", kind, err)
	if err := client.Get(ctx, "strings:absent").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("an absent key: got %v, want redis.Nil", err)
	}
	binary := string([]byte{0, 255, 13, 10, 1})
	if err := client.Set(ctx, binary, binary, 0).Err(); err != nil {
		t.Fatal(err)
	}
	text(binary, client.Get(ctx, binary))
	number(1, client.Unlink(ctx, key))
	number(1, client.Del(ctx, binary))
}

func goRedisHashTag(t *testing.T, client *redis.ClusterClient) {
	t.Helper()
	ctx := t.Context()
	if err := client.MSet(ctx, "{cart}:a", "1", "{cart}:b", "2").Err(); err != nil {
		t.Fatal(err)
	}
	values, err := client.MGet(ctx, "{cart}:a", "{cart}:absent", "{cart}:b").Result()
	if err != nil || fmt.Sprint(values) != "[1 <nil> 2]" {
		t.Errorf("MGET: got %v, %v", values, err)
	}
	if err := client.Rename(ctx, "{cart}:a", "{cart}:c").Err(); err != nil {
		t.Error(err)
	}
	if copied, err := client.Copy(ctx, "{cart}:c", "{cart}:d", 0, false).Result(); err != nil || copied != 1 {
		t.Errorf("COPY: got %d, %v", copied, err)
	}
	if count, err := client.Exists(ctx, "{cart}:a", "{cart}:b", "{cart}:c", "{cart}:d").Result(); err != nil || count != 3 {
		t.Errorf("EXISTS: got %d, %v; want 3", count, err)
	}
	if count, err := client.Del(ctx, "{cart}:b", "{cart}:c", "{cart}:d").Result(); err != nil || count != 3 {
		t.Errorf("DEL: got %d, %v; want 3", count, err)
	}
	err = client.Do(ctx, "MGET", "a", "b").Err()
	if err == nil || !strings.HasPrefix(err.Error(), "CROSSSLOT ") {
		t.Errorf("MGET over slots: got %v, want CROSSSLOT", err)
	}
}

func goRedisExpiry(t *testing.T, client *redis.ClusterClient) {
	t.Helper()
	ctx := t.Context()
	if err := client.Set(ctx, "expiry:1", "x", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if left, err := client.TTL(ctx, "expiry:1").Result(); err != nil || left <= 59*time.Minute || left > time.Hour {
		t.Errorf("TTL: got %v, %v", left, err)
	}
	if done, err := client.Persist(ctx, "expiry:1").Result(); err != nil || !done {
		t.Errorf("PERSIST: got %v, %v", done, err)
	}
	if left, err := client.TTL(ctx, "expiry:1").Result(); err != nil || left != -1 {
		t.Errorf("TTL of a persistent key: got %v, %v", left, err)
	}
	if done, err := client.PExpire(ctx, "expiry:1", 20*time.Millisecond).Result(); err != nil || !done {
		t.Errorf("PEXPIRE: got %v, %v", done, err)
	}
	eventually(t, "the key has expired", func() bool { return errors.Is(client.Get(ctx, "expiry:1").Err(), redis.Nil) })
}

func goRedisScan(t *testing.T, client *redis.ClusterClient) {
	t.Helper()
	const keys = 2000
	ctx := t.Context()
	_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range keys {
			p.Set(ctx, fmt.Sprintf("scan:%d", i), i, 0)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := make(map[string]int)
	masters := 0
	err = client.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		mu.Lock()
		masters++
		mu.Unlock()
		walk := c.Scan(ctx, 0, "scan:*", 100).Iterator()
		for walk.Next(ctx) {
			mu.Lock()
			seen[walk.Val()]++
			mu.Unlock()
		}
		return walk.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if masters != 3 || len(seen) != keys {
		t.Errorf("%d masters have shown %d keys, want 3 and %d", masters, len(seen), keys)
	}
}

func goRedisTopology(t *testing.T, client *redis.ClusterClient, addrs []string) {
	t.Helper()
	ctx := t.Context()
	slots, err := client.ClusterSlots(ctx).Result() //nolint:staticcheck // older clients still ask this
	if err != nil {
		t.Fatal(err)
	}
	covered, owners := 0, make(map[string]bool)
	for _, r := range slots {
		covered += r.End - r.Start + 1
		owners[r.Nodes[0].Addr] = true
	}
	if covered != 16384 || len(owners) != len(addrs) {
		t.Errorf("CLUSTER SLOTS: %d slots of %d owners", covered, len(owners))
	}
	shards, err := client.ClusterShards(ctx).Result()
	if err != nil || len(shards) != len(addrs) {
		t.Errorf("CLUSTER SHARDS: %d, %v", len(shards), err)
	}
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil || !strings.Contains(info, "cluster_state:ok") {
		t.Errorf("CLUSTER INFO: %v\n%s", err, info)
	}
	nodes, err := client.ClusterNodes(ctx).Result()
	if err != nil || strings.Count(nodes, "connected") != len(addrs) {
		t.Errorf("CLUSTER NODES: %v\n%s", err, nodes)
	}
	if slot, err := client.ClusterKeySlot(ctx, "foo").Result(); err != nil || slot != 12182 {
		t.Errorf("CLUSTER KEYSLOT foo: got %d, %v; want 12182", slot, err)
	}
	if commands, err := client.Command(ctx).Result(); err != nil || commands["get"] == nil || !commands["get"].ReadOnly {
		t.Errorf("COMMAND: %d commands, %v", len(commands), err)
	}
}

func goRedisRedirect(t *testing.T, addrs []string) {
	t.Helper()
	ctx := t.Context()
	redirects := 0
	for _, addr := range addrs {
		single := redis.NewClient(&redis.Options{Addr: addr})
		defer single.Close()
		err := single.Set(ctx, "redirect:1", "x", 0).Err()
		if err == nil {
			continue
		}
		if !strings.HasPrefix(err.Error(), "MOVED ") {
			t.Fatalf("%s: got %v, want MOVED", addr, err)
		}
		redirects++
	}
	if redirects != len(addrs)-1 {
		t.Errorf("%d of %d nodes redirect, want all but one", redirects, len(addrs))
	}
}

func goRedisConcurrent(t *testing.T, addrs []string) {
	t.Helper()
	const workers, rounds = 16, 500
	client := clusterClient(t, addrs...)
	var running sync.WaitGroup
	failed := make([]error, workers)
	for w := range workers {
		running.Go(func() {
			for i := range rounds {
				if err := client.Incr(t.Context(), fmt.Sprintf("counter:%d", i%50)).Err(); err != nil {
					failed[w] = err
					return
				}
			}
		})
	}
	running.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	total := 0
	for i := range 50 {
		n, err := client.Get(t.Context(), fmt.Sprintf("counter:%d", i)).Int()
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if total != workers*rounds {
		t.Errorf("the counters sum up to %d, want %d", total, workers*rounds)
	}
}
