package fabric

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
	"github.com/egalcluster/egal/internal/wire"
)

// keyFile writes a key file with one key of id 0.
func keyFile(tb testing.TB, dir, name string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	key := transport.Key{1, 2, 3}
	must(tb, os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key[:])+"\n"), 0o600))
	return path
}

// sealedCluster is a cluster over sockets whose nodes have a key file each.
type sealedCluster struct {
	*cluster
	dir   string
	files map[*node]string
	rings map[*node]*transport.Keyring
}

func newSealedCluster(t *testing.T, nodes int) *sealedCluster {
	t.Helper()
	c := &sealedCluster{cluster: newCluster(t, false), dir: t.TempDir(), files: map[*node]string{}, rings: map[*node]*transport.Keyring{}}
	for i := range nodes {
		n := c.seal(i)
		c.startSealed(n)
	}
	c.converged(nodes, c.nodes...)
	return c
}

// seal makes a node with a key file.
func (c *sealedCluster) seal(i int) *node {
	c.t.Helper()
	n := &node{disk: durable.Memory(), found: len(c.nodes) == 0}
	c.files[n] = keyFile(c.t, c.dir, fmt.Sprintf("key-%d", i))
	c.nodes = append(c.nodes, n)
	return n
}

func (c *sealedCluster) startSealed(n *node) {
	c.t.Helper()
	ring, err := transport.LoadKeyring(c.files[n], nil)
	must(c.t, err)
	address := "127.0.0.1:0"
	if n.addr.IsValid() {
		address = n.addr.String()
	}
	tr, err := transport.Listen(context.Background(), transport.NetConfig{Addr: address, Keys: ring})
	must(c.t, err)
	n.addr = tr.Addr()
	n.seeds = []string{c.nodes[0].addr.String()}
	c.rings[n] = ring
	config := c.config(n, c.rules.Wrap(tr))
	config.Keys = ring
	n.Fabric, err = Start(context.Background(), config)
	must(c.t, err)
}

// holds waits until the members have shown, and their files hold, the key with a hash alone.
func (c *sealedCluster) holds(hash string, nodes ...*node) {
	c.t.Helper()
	until(c.t, "everybody shows the new key alone", func(v *gossip.View) bool {
		for _, m := range v.Members() {
			if !stepRemove.shown(keysOf(v, m.ID), hash) {
				return false
			}
		}
		return true
	}, nodes...)
	for _, n := range nodes {
		ring, err := transport.LoadKeyring(c.files[n], nil)
		must(c.t, err)
		if keys := ring.Keys(); !stepRemove.shown(keys, hash) {
			c.t.Errorf("the file of %s holds %v", n.addr, keys)
		}
		info, err := os.Stat(c.files[n])
		must(c.t, err)
		if info.Mode().Perm() != 0o600 {
			c.t.Errorf("the file of %s has mode %v", n.addr, info.Mode())
		}
	}
}

// progress is what a test sees of a rotation that runs in the background.
type progress struct {
	notes chan RotationProgress
	ended chan error
	stop  context.CancelFunc
}

func (c *sealedCluster) rotate(n *node, with Rotation) *progress {
	ctx, stop := context.WithCancel(context.Background())
	p := &progress{notes: make(chan RotationProgress, 1024), ended: make(chan error, 1), stop: stop}
	with.Report = func(now RotationProgress) error {
		select {
		case p.notes <- now:
		default:
		}
		return nil
	}
	go func() { p.ended <- n.RotateKey(ctx, with) }() // ends by stop, with the node, or by itself
	c.t.Cleanup(stop)
	return p
}

// until waits for a progress.
func (p *progress) until(t *testing.T, what string, ok func(RotationProgress) bool) RotationProgress {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	last := RotationProgress{}
	for {
		select {
		case last = <-p.notes:
			if ok(last) {
				return last
			}
		case err := <-p.ended:
			t.Fatalf("ended with %v before: %s; last %+v", err, what, last)
		case <-ctx.Done():
			t.Fatalf("waited in vain for: %s; last %+v", what, last)
		}
	}
}

func (p *progress) end(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case err := <-p.ended:
		return err
	case <-ctx.Done():
		t.Fatal("the rotation does not end")
		return nil
	}
}

func waitsFor(n *node) func(RotationProgress) bool {
	return func(now RotationProgress) bool {
		_, missing, _ := strings.Cut(now.Note, "waits for ")
		return missing == n.addr.String()+" (unreachable)"
	}
}

// Invariant 24: key rotation under 20 % loss and churn loses no member.
func TestARotationUnderLossAndChurnLosesNoMember(t *testing.T) {
	c := newSealedCluster(t, 4)
	before := c.rings[c.nodes[0]].Keys()[0]
	for _, a := range c.nodes {
		for _, b := range c.nodes {
			if a != b {
				c.rules.Drop(a.addr, b.addr, 0.2)
			}
		}
	}
	away := c.nodes[3]
	c.kill(away)
	until(t, "the node is missed", reaches(away.id(c), false), c.nodes[:3]...)
	p := c.rotate(c.nodes[0], Rotation{Job: 1, Epoch: 1})
	now := p.until(t, "only the one that is away is missing", waitsFor(away))
	if ring := c.rings[c.nodes[1]].Keys(); len(ring) != 2 || !ring[0].InUse || ring[0] != before {
		t.Errorf("before all have the new key: %v", ring)
	}
	c.startSealed(away) // with the old key
	if err := p.end(t); err != nil {
		t.Fatal(err)
	}
	c.holds(now.Target, c.nodes...)
	until(t, "all are members, up and reachable", allUp(4), c.nodes...)
}

// id is the node's, whether it runs or not.
func (n *node) id(c *sealedCluster) gossip.NodeID {
	for _, m := range c.nodes[0].View().Members() {
		if m.Addr == n.addr {
			return m.ID
		}
	}
	c.t.Fatalf("%s is no member", n.addr)
	return gossip.NodeID{}
}

func TestAMemberThatComesBackWithTheOldKeyWhenOthersUseTheNewOneGetsIt(t *testing.T) {
	c := newSealedCluster(t, 3)
	key := transport.Key{9, 9}
	for _, n := range c.nodes[:2] {
		must(t, errors.Join(c.rings[n].Install(1, key), c.rings[n].Use(1)))
	}
	c.kill(c.nodes[2])
	until(t, "the node is missed", reaches(c.nodes[2].id(c), false), c.nodes[:2]...)
	c.startSealed(c.nodes[2])
	p := c.rotate(c.nodes[0], Rotation{Job: 1, Epoch: 1, Target: key.Hash()})
	if err := p.end(t); err != nil {
		t.Fatal(err)
	}
	c.holds(key.Hash(), c.nodes...)
	c.converged(3, c.nodes...)
}

func TestANewMemberWithTheOldKeyIsLetInUntilItIsRemoved(t *testing.T) {
	c := newSealedCluster(t, 2)
	key := transport.Key{9, 9}
	for _, n := range c.nodes {
		must(t, errors.Join(c.rings[n].Install(1, key), c.rings[n].Use(1)))
	}
	fresh := c.seal(2)
	c.startSealed(fresh)
	until(t, "the new one is seen", func(v *gossip.View) bool { return len(v.Members()) == 3 }, c.nodes[:2]...)
	p := c.rotate(c.nodes[1], Rotation{Job: 1, Epoch: 1, Target: key.Hash()})
	if err := p.end(t); err != nil {
		t.Fatal(err)
	}
	c.holds(key.Hash(), c.nodes...)
	c.converged(3, c.nodes...)
}

func TestAnotherNodeGoesOnWithARotation(t *testing.T) {
	c := newSealedCluster(t, 4)
	away := c.nodes[3]
	c.kill(away)
	until(t, "the node is missed", reaches(away.id(c), false), c.nodes[:3]...)
	first := c.rotate(c.nodes[1], Rotation{Job: 1, Epoch: 1})
	now := first.until(t, "only the one that is away is missing", waitsFor(away))
	first.stop()
	if err := first.end(t); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	c.startSealed(away)
	until(t, "it is back, and sees who has the key", func(v *gossip.View) bool {
		return allUp(4)(v) && stepInstall.shown(keysOf(v, c.nodes[1].ID()), now.Target)
	}, c.nodes...)
	second := c.rotate(away, Rotation{Job: 1, Epoch: 2, Target: now.Target}) // has not got the key: it asks for it
	if err := second.end(t); err != nil {
		t.Fatal(err)
	}
	c.holds(now.Target, c.nodes...)
}

func TestARotationWhoseKeyNobodyHasBeginsAgain(t *testing.T) {
	c := newSealedCluster(t, 3)
	lost := c.nodes[2]
	must(t, c.rings[lost].Install(1, transport.Key{7, 7})) // it made the key, and died
	until(t, "the others see the key", func(v *gossip.View) bool { return len(keysOf(v, lost.ID())) == 2 }, c.nodes...)
	c.kill(lost)
	until(t, "the node is missed", reaches(lost.id(c), false), c.nodes[:2]...)
	p := c.rotate(c.nodes[0], Rotation{Job: 1, Epoch: 2, Target: transport.Key{7, 7}.Hash()})
	now := p.until(t, "only the lost one is missing", waitsFor(lost))
	if now.Target == (transport.Key{7, 7}).Hash() {
		t.Fatal("the same key")
	}
	c.startSealed(lost) // with the key that nobody wants any more
	if err := p.end(t); err != nil {
		t.Fatal(err)
	}
	c.holds(now.Target, c.nodes...)
	c.converged(3, c.nodes...)
}

func TestAMemberThatIsForgottenIsNotWaitedFor(t *testing.T) {
	c := newSealedCluster(t, 3)
	away := c.nodes[2]
	c.kill(away)
	id := away.id(c)
	until(t, "the node is missed", reaches(id, false), c.nodes[:2]...)
	p := c.rotate(c.nodes[0], Rotation{Job: 1, Epoch: 1})
	p.until(t, "the one that is away is missing", waitsFor(away))
	must(t, c.nodes[1].Forget(t.Context(), id))
	if err := p.end(t); err != nil {
		t.Fatal(err)
	}
}

func TestAnOrderIsRefusedUntilAllHaveDoneTheStepBefore(t *testing.T) {
	c := newSealedCluster(t, 2)
	k, key := c.nodes[0].keyed, transport.Key{9, 9}
	give := func(s step, r run) error { return k.obey(&order{step: s, run: r, id: 1, hash: key.Hash(), key: key}) }
	if err := give(stepUse, run{1, 2}); !errors.Is(err, errNotYet) {
		t.Errorf("use before install: %v", err)
	}
	must(t, give(stepInstall, run{1, 2}))
	if err := give(stepUse, run{1, 2}); !errors.Is(err, errNotYet) || !strings.Contains(err.Error(), c.nodes[1].addr.String()) {
		t.Errorf("use before the other one has it: %v", err)
	}
	if err := give(stepRemove, run{1, 2}); !errors.Is(err, errNotYet) {
		t.Errorf("remove before use: %v", err)
	}
	if err := give(stepInstall, run{1, 1}); !errors.Is(err, errStale) {
		t.Errorf("an older run: %v", err)
	}
	must(t, give(stepInstall, run{1, 2})) // twice is once
	if keys := c.nodes[0].Keys(); len(keys) != 2 || !keys[0].InUse {
		t.Errorf("%v", keys)
	}
	stranger := transport.From{Addr: netip.MustParseAddrPort("127.0.0.1:1"), Identity: transport.Identity{Node: [16]byte{5}}}
	asked := order{step: stepGive, hash: key.Hash()}
	if _, err := k.handle(t.Context(), stranger, asked.encode()); !errors.Is(err, errStranger) {
		t.Errorf("a stranger: %v", err)
	}
}

func TestLeftKeysMakeRoomForANewOne(t *testing.T) {
	c := newSealedCluster(t, 2)
	for i := range transport.MaxKeys - 1 { // as many rotations that came to no end
		must(t, c.rings[c.nodes[0]].Install(uint8(i+1), transport.Key{5, uint8(i)}))
	}
	p := c.rotate(c.nodes[1], Rotation{Job: 1, Epoch: 1})
	if err := p.end(t); err != nil {
		t.Fatal(err)
	}
	c.holds(c.nodes[1].Keys()[0].Hash, c.nodes...)
}

func TestWithoutKeysThereIsNothingToRotate(t *testing.T) {
	c := newCluster(t, true)
	c.add(1)
	if err := c.nodes[0].RotateKey(t.Context(), Rotation{}); !errors.Is(err, ErrNoKeys) || c.nodes[0].Keys() != nil {
		t.Error(err)
	}
}

func TestAMemberShowsNoMoreKeysThanAKeyringHolds(t *testing.T) {
	keys := make([]transport.KeyInfo, transport.MaxKeys+1)
	for i := range keys {
		keys[i] = transport.KeyInfo{ID: uint8(i), Hash: transport.Key{byte(i)}.Hash(), InUse: i == 0}
	}
	if got, err := decodeKeys(encodeKeys(keys[:transport.MaxKeys])); err != nil || !slices.Equal(got, keys[:transport.MaxKeys]) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := decodeKeys(encodeKeys(keys)); !errors.Is(err, wire.ErrTooLong) {
		t.Error(err)
	}
	forged := order{step: stepInstall, hash: transport.Key{1}.Hash(), key: transport.Key{2}}
	if _, err := decodeOrder(forged.encode()); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a key under another's hash: %v", err)
	}
}

func FuzzKeys(f *testing.F) {
	f.Add(encodeKeys([]transport.KeyInfo{{ID: 3, Hash: transport.Key{1}.Hash(), InUse: true}, {ID: 4, Hash: transport.Key{2}.Hash()}}))
	f.Add(encodeKeys(make([]transport.KeyInfo, transport.MaxKeys+1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := decodeKeys(b)
		if err != nil {
			return
		}
		if len(keys) > transport.MaxKeys || !bytes.Equal(encodeKeys(keys), b) {
			t.Fatalf("%x is %v", b, keys)
		}
	})
}

func FuzzOrder(f *testing.F) {
	key := transport.Key{1}
	for s := stepInstall; s <= stepGive+1; s++ {
		f.Add((&order{step: s, run: run{1, 2}, id: 3, hash: key.Hash(), key: key}).encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decodeOrder(b)
		if err == nil && !bytes.Equal(o.encode(), b) {
			t.Fatalf("%x is %+v", b, o)
		}
	})
}
