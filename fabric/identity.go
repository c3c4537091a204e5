package fabric

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/durable"
)

const (
	identityFile     = "node.yaml"
	lockFile         = "LOCK"
	fabricDir        = "fabric"
	snapshotFile     = "members"
	identityVersion  = 1
	maxIdentityBytes = 16 << 10
	maxSnapshotBytes = 1 << 30

	identityHeader = "# The identity of this Egal node. A copy of this directory must not run beside the original.\n"
)

// ErrCopied says that the data directory is a copy of one whose node is running.
var ErrCopied = errors.New("the data directory is a copy")

// identity is what makes a node the same node after a restart. It lives in node.yaml, a flat YAML mapping that ends
// with a CRC-32C of the lines before, since an id with a flipped bit would be another node.
type identity struct {
	node       gossip.NodeID
	cluster    gossip.ClusterID // zero: never in one
	generation uint64           // of the newest start; never decreases
	directory  string           // where the directory was at that start
	founding   bool             // this node founds the cluster, or has, and has not saved its members yet
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode writes the file.
func (i identity) encode() []byte {
	cluster := "none"
	if !i.cluster.IsZero() {
		cluster = i.cluster.String()
	}
	body := fmt.Sprintf("%sversion: %d\nnode: %s\ncluster: %s\ngeneration: %d\ndirectory: %q\n",
		identityHeader, identityVersion, i.node, cluster, i.generation, i.directory)
	if i.founding {
		body += "founding: true\n"
	}
	return fmt.Appendf(nil, "%schecksum: %08x\n", body, crc32.Checksum([]byte(body), castagnoli))
}

// decodeIdentity reads the file. The checksum is looked at first.
func decodeIdentity(content []byte) (identity, error) {
	text := string(content)
	at := strings.LastIndex(text, "checksum: ")
	if at < 0 {
		return identity{}, errors.New("no checksum: the file is cut off or not Egal's")
	}
	sum, err := strconv.ParseUint(strings.TrimSpace(text[at+len("checksum: "):]), 16, 32)
	if err != nil || uint32(sum) != crc32.Checksum(content[:at], castagnoli) {
		return identity{}, errors.New("wrong checksum: the file was changed or damaged")
	}
	fields := map[string]string{}
	for line := range strings.Lines(text[:at]) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, ": ")
		if !ok {
			return identity{}, fmt.Errorf("line %q is no \"key: value\"", line)
		}
		fields[key] = value
	}
	if version := fields["version"]; version != strconv.Itoa(identityVersion) {
		return identity{}, fmt.Errorf("unknown version %q", version)
	}
	var i identity
	var nodeErr, clusterErr, generationErr, directoryErr error
	i.node, nodeErr = gossip.ParseNodeID(fields["node"])
	if fields["cluster"] != "none" {
		i.cluster, clusterErr = gossip.ParseClusterID(fields["cluster"])
	}
	i.generation, generationErr = strconv.ParseUint(fields["generation"], 10, 64)
	i.directory, directoryErr = strconv.Unquote(fields["directory"])
	i.founding = fields["founding"] == "true"
	return i, errors.Join(nodeErr, clusterErr, generationErr, directoryErr)
}

// home is a locked data directory.
type home struct {
	fs       durable.FS
	dir      string
	lock     io.Closer
	mu       sync.Mutex // guards identity once the node runs; held over its file, which nothing else waits for
	identity identity
	fresh    bool             // no process has run with this identity before
	snapshot *gossip.Snapshot // nil: none
	wasIn    bool             // the node belongs to a cluster by what was read
}

// openHome locks the directory and reads what is there. It writes nothing but the directory and its lock.
func openHome(fsys durable.FS, dir string) (*home, error) {
	if err := durable.MakeDir(fsys, fsys.PathJoin(dir, fabricDir)); err != nil {
		return nil, err
	}
	lock, err := durable.Lock(fsys, fsys.PathJoin(dir, lockFile))
	if err != nil {
		return nil, err
	}
	h := &home{fs: fsys, dir: dir, lock: lock}
	if err := h.read(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return h, nil
}

func (h *home) read() error {
	path := h.fs.PathJoin(h.dir, identityFile)
	content, err := durable.ReadFile(h.fs, path, maxIdentityBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.fresh = true
		return nil
	case err != nil:
		return err
	}
	if h.identity, err = decodeIdentity(content); err != nil {
		return fmt.Errorf("read %s: %w\nhint: restore the file, or start this node with an empty directory as a new one", path, err)
	}
	h.fresh = h.identity.generation == 0
	if err := h.refuseCopy(); err != nil {
		return err
	}
	err = h.readSnapshot()
	h.wasIn = !h.identity.cluster.IsZero()
	return err
}

// refuseCopy looks whether the directory where this node lived before is another one, with the same node running.
func (h *home) refuseCopy() error {
	here, err := h.place()
	if err != nil {
		return err
	}
	before := h.identity.directory
	if before == "" || before == here {
		return nil
	}
	content, err := durable.ReadFile(h.fs, h.fs.PathJoin(before, identityFile), maxIdentityBytes)
	if err != nil {
		return nil //nolint:nilerr // the directory was moved: nothing of this node is left where it was
	}
	if other, err := decodeIdentity(content); err != nil || other.node != h.identity.node {
		return nil //nolint:nilerr // another node lives there now
	}
	lock, err := durable.Lock(h.fs, h.fs.PathJoin(before, lockFile))
	if errors.Is(err, durable.ErrLocked) {
		return fmt.Errorf("%w of %s, where node %s is running\nhint: start the new node with an empty directory; it gets its data from the cluster",
			ErrCopied, before, h.identity.node)
	}
	if err == nil {
		return lock.Close()
	}
	return nil
}

// place is the directory's one name.
func (h *home) place() (string, error) {
	path, err := durable.Canonical(h.fs, h.fs.PathJoin(h.dir, identityFile))
	return h.fs.PathDir(path), err
}

func (h *home) snapshotPath() string { return h.fs.PathJoin(h.dir, fabricDir, snapshotFile) }

func (h *home) readSnapshot() error {
	record, err := durable.ReadFile(h.fs, h.snapshotPath(), maxSnapshotBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if h.snapshot, err = gossip.DecodeSnapshot(record); err != nil {
		return fmt.Errorf("read %s: %w\nhint: delete this file; the node then learns the members from its seeds", h.snapshotPath(), err)
	}
	if h.identity.cluster.IsZero() { // the snapshot is written first
		h.identity.cluster = h.snapshot.Cluster()
	}
	return nil
}

// name makes the node's id if it has none. It is durable from begin on.
func (h *home) name(random *mathrand.Rand) {
	if h.identity.node.IsZero() {
		h.identity.node = newNodeID(random)
	}
}

// begin raises the generation, and makes the identity durable.
func (h *home) begin(now time.Time) error {
	h.identity.generation = max(uint64(max(now.Unix(), 1)), h.identity.generation+1)
	var err error
	if h.identity.directory, err = h.place(); err != nil {
		return err
	}
	return h.save()
}

// setFounding notes, before the node founds a cluster, that it does.
func (h *home) setFounding(cluster gossip.ClusterID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.identity.cluster, h.identity.founding = cluster, true
	return h.save()
}

// belongs notes what a saved view says of this node: its cluster, and the generation that it has there.
func (h *home) belongs(view *gossip.View) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	generation := h.identity.generation
	if self, ok := view.Member(view.Self()); ok {
		generation = max(generation, self.Generation)
	}
	if h.identity.cluster == view.Cluster() && h.identity.generation == generation && !h.identity.founding {
		return nil
	}
	h.identity.cluster, h.identity.generation, h.identity.founding = view.Cluster(), generation, false
	return h.save()
}

// save writes the identity.
func (h *home) save() error {
	return durable.WriteFile(h.fs, h.fs.PathJoin(h.dir, identityFile), h.identity.encode())
}

// newRandom is the source of ids and choices: seeded by the system unless seed is set.
func newRandom(seed, generation uint64) (*mathrand.Rand, error) {
	if seed != 0 {
		return mathrand.New(mathrand.NewPCG(seed, generation)), nil
	}
	var bytes [32]byte
	if _, err := rand.Read(bytes[:]); err != nil {
		return nil, fmt.Errorf("random ids: %w", err)
	}
	return mathrand.New(mathrand.NewChaCha8(bytes)), nil
}

// PrepareIdentity gives the id of the node of a data directory. Where there is none it makes it, so that a certificate
// can name the node before it has ever run.
func PrepareIdentity(fsys durable.FS, dir string) (gossip.NodeID, error) {
	h, err := openHome(fsys, dir)
	if err != nil {
		return gossip.NodeID{}, fmt.Errorf("fabric: prepare identity: %w", err)
	}
	if h.identity.node.IsZero() {
		var random *mathrand.Rand
		if random, err = newRandom(0, 0); err == nil {
			h.identity.node = newNodeID(random)
			err = h.save()
		}
	}
	if err = errors.Join(err, h.lock.Close()); err != nil {
		return gossip.NodeID{}, fmt.Errorf("fabric: prepare identity: %w", err)
	}
	return h.identity.node, nil
}

func newNodeID(random *mathrand.Rand) (id gossip.NodeID) {
	binary.LittleEndian.PutUint64(id[:8], random.Uint64())
	binary.LittleEndian.PutUint64(id[8:], random.Uint64())
	return id
}

func newClusterID(random *mathrand.Rand) (id gossip.ClusterID) {
	binary.LittleEndian.PutUint64(id[:8], random.Uint64())
	binary.LittleEndian.PutUint64(id[8:], random.Uint64())
	return id
}
