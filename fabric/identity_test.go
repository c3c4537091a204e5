package fabric

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
)

func someIdentity() identity {
	return identity{node: gossip.NodeID{1, 2}, cluster: gossip.ClusterID{3}, generation: 1_700_000_000, directory: "/srv/egal: \"a\"\n"}
}

func TestTheIdentityIsReadAsWritten(t *testing.T) {
	for _, want := range []identity{someIdentity(), {node: gossip.NodeID{9}, generation: 1}} {
		got, err := decodeIdentity(want.encode())
		if err != nil || got != want {
			t.Errorf("%+v: %+v, %v", want, got, err)
		}
	}
	text := string(someIdentity().encode())
	for _, line := range []string{"node: 01020000000000000000000000000000\n", "cluster: 0300", "generation: 1700000000\n", "version: 1\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
}

func TestADamagedIdentityIsRefused(t *testing.T) {
	good := someIdentity().encode()
	for bit := range len(good) * 8 {
		damaged := append([]byte(nil), good...)
		damaged[bit/8] ^= 1 << (bit % 8)
		if got, err := decodeIdentity(damaged); err == nil && got != someIdentity() {
			t.Fatalf("bit %d: another identity", bit)
		}
	}
	disk := durable.Memory()
	must(t, durable.MakeDir(disk, "data"))
	must(t, durable.WriteFile(disk, "data/node.yaml", good[:len(good)/2]))
	_, err := openHome(disk, "data")
	if err == nil || !strings.Contains(err.Error(), "data/node.yaml") || !strings.Contains(err.Error(), "hint: ") {
		t.Fatal(err)
	}
	lock, err := durable.Lock(disk, "data/LOCK") // the failed start has released it
	must(t, err)
	must(t, lock.Close())
}

func TestTheDataDirectoryIsForItsUserAlone(t *testing.T) {
	tr, err := transport.NewNetwork(1).Listen(netip.MustParseAddrPort(here))
	must(t, err)
	dir := filepath.Join(t.TempDir(), "data")
	f, err := Start(t.Context(), Config{FS: durable.OS(), Dir: dir, Transport: tr})
	must(t, err)
	until(t, "a cluster", allUp(1), &node{Fabric: f})
	must(t, f.Close())
	for name, want := range map[string]fs.FileMode{"": 0o700, fabricDir: 0o700, identityFile: 0o600, filepath.Join(fabricDir, snapshotFile): 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v, want %v", name, info, err, want)
		}
	}
}

func FuzzDecodeIdentity(f *testing.F) {
	f.Add(someIdentity().encode())
	f.Add([]byte("node: x\nchecksum: 00000000\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		i, err := decodeIdentity(content)
		if err != nil {
			return
		}
		if again, err := decodeIdentity(i.encode()); err != nil || again != i {
			t.Fatalf("%+v became %+v, %v", i, again, err)
		}
	})
}

func TestTheGenerationNeverDecreases(t *testing.T) {
	disk := durable.Memory()
	random, err := newRandom(1, 0)
	must(t, err)
	var last uint64
	for _, unix := range []int64{1_700_000_000, 1_700_000_000, 1_000, -5, 1_800_000_000} {
		h, err := openHome(disk, "data")
		must(t, err)
		h.name(random)
		must(t, h.begin(time.Unix(unix, 0)))
		if got := h.identity.generation; got <= last || got < uint64(max(unix, 0)) {
			t.Fatalf("at %d: generation %d after %d", unix, got, last)
		}
		last = h.identity.generation
		must(t, h.lock.Close())
		disk = durable.Crash(disk)
	}
}

func TestIDsAreFreshAndRepeatableOnlyWhenSeeded(t *testing.T) {
	id := func(seed uint64) gossip.NodeID {
		network := transport.NewNetwork(1)
		tr, err := network.Listen(netip.MustParseAddrPort(here))
		must(t, err)
		f, err := Start(t.Context(), Config{FS: durable.Memory(), Dir: "data", Transport: tr, Rand: seed})
		must(t, err)
		must(t, f.Close())
		return f.ID()
	}
	one, again := id(1), id(1)
	fresh, fresher := id(0), id(0)
	if one != again || fresh == fresher || one == id(2) {
		t.Fatal("ids")
	}
}

func TestSnapshotsAreWrittenAtOnceAndThenOncePerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := transport.NewNetwork(1)
		tr, err := network.Listen(netip.MustParseAddrPort(here))
		must(t, err)
		disk := durable.Memory()
		f, err := Start(t.Context(), Config{FS: disk, Dir: "data", Transport: tr})
		must(t, err)
		synctest.Wait()
		if got := f.Metrics().Snapshots; got != 1 {
			t.Fatalf("%d snapshots after the start", got)
		}
		for i := range 30 { // three seconds of writes
			must(t, f.SetShared(t.Context(), "key", fmt.Append(nil, i)))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if got := f.Metrics().Snapshots; got < 3 || got > 4 {
			t.Fatalf("%d snapshots in three seconds", got)
		}
		must(t, f.SetShared(t.Context(), "key", []byte("last")))
		must(t, f.Close())
		for _, path := range []string{"data/node.yaml", "data/fabric/members"} {
			if _, err := durable.ReadFile(durable.Crash(disk), path, maxSnapshotBytes); errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
		tr, err = network.Listen(netip.MustParseAddrPort(here))
		must(t, err)
		f, err = Start(t.Context(), Config{FS: durable.Crash(disk), Dir: "data", Transport: tr})
		must(t, err)
		defer func() { must(t, f.Close()) }()
		if !shows("key", "last")(f.View()) {
			t.Fatal("the last write is not in the snapshot of Close")
		}
	})
}

func TestTheFilesOfANewNode(t *testing.T) {
	c := newCluster(t, true)
	c.add(1)
	c.converged(1, c.nodes...)
	content, err := durable.ReadFile(c.nodes[0].disk, "data/node.yaml", maxIdentityBytes)
	must(t, err)
	i, err := decodeIdentity(content)
	must(t, err)
	if i.node != c.nodes[0].ID() || i.cluster != c.nodes[0].View().Cluster() {
		t.Fatalf("%s", content)
	}
}

func TestAnIdentityCanBePrepared(t *testing.T) {
	disk := durable.Memory()
	id, err := PrepareIdentity(disk, "data")
	must(t, err)
	again, err := PrepareIdentity(disk, "data")
	if err != nil || again != id || id.IsZero() {
		t.Fatalf("%v, then %v, %v", id, again, err)
	}
	for _, fresh := range []bool{true, false} { // the first start and the second
		tr, err := transport.NewNetwork(1).Listen(netip.MustParseAddrPort("10.0.0.1:7946"))
		must(t, err)
		f, err := Start(t.Context(), Config{FS: disk, Dir: "data", Transport: tr})
		must(t, err)
		if f.ID() != id || f.Fresh() != fresh {
			t.Errorf("started as %v, fresh %t", f.ID(), f.Fresh())
		}
		if _, err := PrepareIdentity(disk, "data"); !errors.Is(err, durable.ErrLocked) {
			t.Errorf("while it runs: %v", err)
		}
		must(t, f.Close())
	}
}
