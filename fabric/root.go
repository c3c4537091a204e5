package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/quorum"
	"github.com/egalcluster/egal/internal/wire"
)

// The root group: the register that lists the cluster's other registers, which all have its voters. The founder makes it,
// alone at first; from then on the leader sees to it that there are as many voters as the members are enough for, and that
// one who has left for ever is replaced. A member that is merely down stays a voter: a view is never an electorate.

const (
	// RootGroup is the register that lists the others.
	RootGroup = "root"
	// MaxGroups is how many registers the root group lists.
	MaxGroups = 1024

	// rootKey is the shared key that tells nodes where to ask. It is a hint: voters know better.
	rootKey         = "quorum/root"
	rootVersion     = 1
	keepInterval    = time.Second
	keepTimeout     = 10 * time.Second
	maxGroupIDBytes = quorum.MaxGroupID
)

// ErrTooManyGroups says that the root group lists as many registers as it may.
var ErrTooManyGroups = errors.New("too many registers")

// root is the value of the root register.
type root struct {
	cluster gossip.ClusterID
	groups  []string // sorted
}

func (r *root) encode() []byte {
	b := append([]byte{rootVersion}, r.cluster[:]...)
	b = wire.AppendUvarint(b, uint64(len(r.groups)))
	for _, group := range r.groups {
		b = wire.AppendBytes(b, group)
	}
	return b
}

func decodeRoot(b []byte) (*root, error) {
	in := wire.NewReader(b)
	if version := in.Uint8(); in.Err() == nil && version != rootVersion {
		return nil, fmt.Errorf("fabric: decode root: %w: %d", wire.ErrVersion, version)
	}
	r := &root{}
	copy(r.cluster[:], in.Raw(len(r.cluster)))
	for range in.Count(MaxGroups, 1) {
		r.groups = append(r.groups, in.String(maxGroupIDBytes))
	}
	if err := in.Done(); err != nil {
		return nil, fmt.Errorf("fabric: decode root: %w", err)
	}
	return r, nil
}

// rootVoters are the voters of the root group by hearsay; none: it is not known.
func rootVoters(v *gossip.View) []gossip.NodeID {
	value, _, ok := v.Shared(rootKey)
	if !ok {
		return nil
	}
	in := wire.NewReader(value)
	in.Uint8() // versions above 1 append fields
	var ids []gossip.NodeID
	for range in.Count(quorum.MaxVoters, 16) {
		ids = append(ids, gossip.NodeID(append(in.Raw(16), make([]byte, 16)...)[:16]))
	}
	if in.Err() != nil {
		return nil
	}
	return ids
}

func encodeVoters(ids []gossip.NodeID) []byte {
	b := wire.AppendUvarint([]byte{1}, uint64(len(ids)))
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

// Ensure makes a register that the root group lists, unless it is there. Lease is how long leases of it last; 0: it has
// none.
func (r *Registers) Ensure(ctx context.Context, group string, lease time.Duration, value []byte) error {
	now, err := r.Change(ctx, RootGroup, func(b []byte) ([]byte, error) {
		listed, err := decodeRoot(b)
		if err != nil {
			return nil, err
		}
		at, known := slices.BinarySearch(listed.groups, group)
		switch {
		case known:
			return b, nil
		case len(listed.groups) == MaxGroups:
			return nil, ErrTooManyGroups
		}
		listed.groups = slices.Insert(listed.groups, at, group)
		return listed.encode(), nil
	})
	if err != nil {
		return err
	}
	_, err = r.create(ctx, group, lease, now.Voters, value)
	return err
}

// keepRoot does what the leader does for the root group, while this node is the leader.
func (f *Fabric) keepRoot(ctx context.Context) {
	for {
		changed, view := f.Changed(), f.View()
		if leader, ok := view.Leader(); ok && leader == f.ID() && !view.Cluster().IsZero() {
			if err := f.tendRoot(ctx, view); err != nil && ctx.Err() == nil {
				f.logger.Warn("the root group was not tended", slog.String("event", "root_failed"), slog.Any("error", err))
				changed = nil // not before the interval is over
			}
		}
		timer := time.NewTimer(keepInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// tendRoot makes the root group if this node has founded the cluster, and takes one step towards the voters it should
// have.
func (f *Fabric) tendRoot(ctx context.Context, view *gossip.View) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	r := f.registers
	voters := rootVoters(view)
	if len(voters) == 0 {
		if self, ok := view.Member(f.ID()); !ok || self.UpNumber != 1 {
			return nil // the founder will
		}
		first := &root{cluster: view.Cluster()}
		made, err := r.create(ctx, RootGroup, 0, []gossip.NodeID{f.ID()}, first.encode())
		if err != nil {
			return err
		}
		return f.SetShared(ctx, rootKey, encodeVoters(made.Voters))
	}
	target := quorum.Electorate(voters, candidates(view))
	if slices.Equal(target, voters) {
		return nil
	}
	now, err := r.Read(ctx, RootGroup)
	if err != nil {
		return err
	}
	listed, err := decodeRoot(now.Value)
	if err != nil {
		return err
	}
	target = quorum.Electorate(now.Voters, candidates(view))
	for _, group := range append([]string{RootGroup}, listed.groups...) {
		if now, err = r.Read(ctx, group); err != nil {
			return err
		}
		if slices.Equal(now.Voters, target) && now.Epoch%2 == 1 {
			continue
		}
		if now, err = r.reconfigure(ctx, group, now.Epoch, target); err != nil {
			return err
		}
	}
	f.logger.Info("voters of the root group", slog.String("event", "root_voters"), slog.Int("voters", len(target)))
	return f.SetShared(ctx, rootKey, encodeVoters(target))
}

// candidates are the members that may become voters.
func candidates(view *gossip.View) (ids []gossip.NodeID) {
	for _, m := range view.Members() {
		if m.Status == gossip.StatusUp && m.Reachable {
			ids = append(ids, m.ID)
		}
	}
	return ids
}
