package fabric

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/wire"
)

// This file is a member's part in the rotation of cluster keys: it publishes which keys it holds and which one it uses, by
// hash, as its own state, and takes the orders of the node that rotates (rotation.go). Docs/decisions/0040 says why so.

// keysState is the key of a node's own state with its cluster keys.
const keysState = "keys"

// keysVersion is the first byte of that state, and of an order.
const keysVersion = 1

// hashBytes is the length of transport.Key.Hash.
const hashBytes = 16

// orderKind is the kind of the requests by which keys are rotated.
func orderKind() transport.Kind { return transport.LaneControl.Kind(1) }

// ErrNoKeys says that this node has no cluster key that could be rotated.
var ErrNoKeys = errors.New("the nodes talk in plain text: there is no cluster key\nhint: egal cert create-ca makes one; give it to all nodes (fabric.cluster_key_file)")

// Errors of orders. The node that rotates sees them as text.
var (
	errStale    = errors.New("a later rotation is at work")
	errStranger = errors.New("who asks is no member")
	errNotYet   = errors.New("not yet")
	errNotHere  = errors.New("no such key here")
)

// step is what a member does, in this order, until it has the new key alone.
type step uint8

const (
	stepInstall step = iota + 1
	stepUse
	stepRemove
	stepGive // an order alone: hand the key to who asks
)

func (s step) String() string {
	return [...]string{"none", "install", "use", "remove", "give"}[min(s, stepGive)]
}

// shown reports whether keys are those of a member that has done a step towards the key with a hash.
func (s step) shown(keys []transport.KeyInfo, hash string) bool {
	at := slices.IndexFunc(keys, func(k transport.KeyInfo) bool { return k.Hash == hash })
	switch {
	case at < 0:
		return false
	case s == stepInstall:
		return true
	case s == stepUse:
		return keys[at].InUse
	default:
		return keys[at].InUse && len(keys) == 1
	}
}

// encodeKeys is a node's own state: the version, and for each key its id, its hash and whether it is in use.
func encodeKeys(keys []transport.KeyInfo) []byte {
	b := wire.AppendUvarint([]byte{keysVersion}, uint64(len(keys)))
	for _, k := range keys {
		b = wire.AppendBool(append(append(b, k.ID), k.Hash...), k.InUse)
	}
	return b
}

// decodeKeys takes what encodeKeys has made, and nothing else.
func decodeKeys(b []byte) ([]transport.KeyInfo, error) {
	r := wire.NewReader(b)
	readVersion(r)
	var keys []transport.KeyInfo
	for range r.Count(transport.MaxKeys, 1+hashBytes+1) {
		keys = append(keys, transport.KeyInfo{ID: r.Uint8(), Hash: string(r.Raw(hashBytes)), InUse: r.Bool()})
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("fabric: decode keys: %w", err)
	}
	return keys, nil
}

func readVersion(r *wire.Reader) {
	if version := r.Uint8(); r.Err() == nil && version != keysVersion {
		r.Fail(fmt.Errorf("%w: %d", wire.ErrVersion, version))
	}
}

// run names one run of a rotation: of two the later one counts.
type run struct{ job, epoch uint64 }

func (a run) before(b run) bool { return a.job < b.job || a.job == b.job && a.epoch < b.epoch }

// order is what a member is asked to do. Key is that of stepInstall.
type order struct {
	step step
	run  run
	id   uint8
	hash string
	key  transport.Key
}

func (o *order) encode() []byte {
	b := wire.AppendUint64([]byte{keysVersion, byte(o.step)}, o.run.job)
	b = append(append(wire.AppendUint64(b, o.run.epoch), o.id), o.hash...)
	if o.step == stepInstall {
		b = append(b, o.key[:]...)
	}
	return b
}

// decodeOrder takes what encode has made, and nothing else.
func decodeOrder(b []byte) (*order, error) {
	r := wire.NewReader(b)
	readVersion(r)
	o := &order{step: step(r.Uint8()), run: run{r.Uint64(), r.Uint64()}, id: r.Uint8(), hash: string(r.Raw(hashBytes))}
	if r.Err() == nil && (o.step < stepInstall || o.step > stepGive) {
		r.Fail(fmt.Errorf("%w: step %d", wire.ErrMalformed, o.step))
	}
	if o.step == stepInstall {
		copy(o.key[:], r.Raw(transport.KeyBytes))
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("fabric: decode order: %w", err)
	}
	if o.step == stepInstall && o.key.Hash() != o.hash {
		return nil, fmt.Errorf("fabric: decode order: %w: the hash is of another key", wire.ErrMalformed)
	}
	return o, nil
}

// keyed is a node's part in rotations.
type keyed struct {
	fabric *Fabric
	ring   *transport.Keyring

	mu     sync.Mutex // one order at a time; held over the key file, which nothing else waits for
	newest run
}

// Keys are this node's cluster keys, without the keys; nil: nodes talk in plain text.
func (f *Fabric) Keys() []transport.KeyInfo {
	if f.config.Keys == nil {
		return nil
	}
	return f.config.Keys.Keys()
}

// keepKeys publishes what keys this node has.
func (f *Fabric) keepKeys(ctx context.Context) {
	ring := f.config.Keys
	for {
		changed, viewChanged := ring.Changed(), f.Changed()
		now := encodeKeys(ring.Keys())
		if shown, _ := f.View().Own(f.ID(), keysState); string(shown) != string(now) {
			if err := f.SetOwn(ctx, keysState, now); err != nil && ctx.Err() == nil {
				f.logger.Error("the others do not hear which cluster keys this node has", "event", "keys_not_published", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-viewChanged:
		}
	}
}

// keysOf are the keys of a member as it has published them; nil: it has not.
func keysOf(view *gossip.View, id gossip.NodeID) []transport.KeyInfo {
	value, ok := view.Own(id, keysState)
	if !ok {
		return nil
	}
	keys, err := decodeKeys(value)
	if err != nil {
		return nil // of a version that this node does not know: it is waited for
	}
	return keys
}

// lacking are the members that do not show a step. This node is judged by what it has, not by what it has published.
func (k *keyed) lacking(view *gossip.View, s step, hash string) (members []gossip.Member) {
	for _, m := range view.Members() {
		keys := keysOf(view, m.ID)
		if m.ID == view.Self() {
			keys = k.ring.Keys()
		}
		if !s.shown(keys, hash) {
			members = append(members, m)
		}
	}
	return members
}

// handle answers an order of another member.
func (k *keyed) handle(_ context.Context, from transport.From, body []byte) ([]byte, error) {
	o, err := decodeOrder(body)
	if err != nil {
		return nil, err
	}
	if _, known := k.fabric.View().Member(from.Node); !known {
		return nil, errStranger
	}
	if o.step == stepGive {
		id, key, ok := k.ring.Find(o.hash)
		if !ok {
			return nil, errNotHere
		}
		given := order{step: stepInstall, run: o.run, id: id, hash: o.hash, key: key}
		return given.encode(), nil
	}
	return nil, k.obey(o)
}

// obey does a step. It has been written to the key file when it returns. A step is refused as long as this node sees a
// member that has not done the one before.
func (k *keyed) obey(o *order) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if o.run.before(k.newest) {
		return errStale
	}
	k.newest = o.run
	if o.step.shown(k.ring.Keys(), o.hash) {
		return nil
	}
	view := k.fabric.View()
	if o.step > stepInstall {
		if missing := k.lacking(view, o.step-1, o.hash); len(missing) > 0 {
			return fmt.Errorf("%w: %s is missing at the step before", errNotYet, nameOf(missing[0]))
		}
	}
	err := k.take(view, o)
	if err == nil {
		k.fabric.logger.Info("cluster key", "event", "cluster_key_"+o.step.String(), "key", o.id, "key_hash", o.hash)
	}
	return err
}

func (k *keyed) take(view *gossip.View, o *order) error {
	if o.step == stepInstall {
		if err := k.makeRoom(view, o); err != nil {
			return err
		}
		return k.ring.Install(o.id, o.key)
	}
	id, _, ok := k.ring.Find(o.hash)
	switch {
	case !ok:
		return errNotHere
	case o.step == stepUse:
		return k.ring.Use(id)
	}
	for _, key := range k.ring.Keys() {
		if key.ID == id {
			continue
		}
		if err := k.ring.Remove(key.ID); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom forgets keys that rotations have left behind which did not come to their end, where they are in the way.
func (k *keyed) makeRoom(view *gossip.View, o *order) error {
	used := func(hash string) bool {
		return slices.ContainsFunc(view.Members(), func(m gossip.Member) bool {
			keys := keysOf(view, m.ID)
			return keys == nil || stepUse.shown(keys, hash)
		})
	}
	keys := k.ring.Keys()
	full := len(keys) == transport.MaxKeys
	for _, key := range keys {
		if key.InUse || !full && key.ID != o.id || used(key.Hash) {
			continue
		}
		if err := k.ring.Remove(key.ID); err != nil {
			return err
		}
		full = false
	}
	return nil
}

func nameOf(m gossip.Member) string {
	if m.Name != "" {
		return m.Name
	}
	return m.ID.String()[:8]
}
