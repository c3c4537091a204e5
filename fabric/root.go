package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
	// maxRootVoters is how many voters it has at most.
	maxRootVoters = 5
	// MaxGroups is how many registers the root group lists.
	MaxGroups = 1024

	// rootKey is the shared key that tells nodes where to ask. It is a hint: voters know better.
	rootKey = "quorum/root"
	// leavingKey is the key of a node's own state by which it asks not to be a voter any more.
	leavingKey   = "quorum/leaving"
	rootVersion  = 1
	keepInterval = time.Second
	keepTimeout  = 10 * time.Second
	groupTimeout = time.Second // to read one register
	// stopVotingTimeout is how long a node that leaves waits until it is no voter; it looks every stopVotingAgain.
	stopVotingTimeout = 3 * time.Second
	stopVotingAgain   = 50 * time.Millisecond
	maxGroupIDBytes   = quorum.MaxGroupID
)

// ErrTooManyGroups says that the root group lists as many registers as it may.
var ErrTooManyGroups = errors.New("too many registers")

// root is the value of the root register.
type root struct {
	cluster gossip.ClusterID
	groups  []group // sorted by name
}

// group is a register that the root group lists. Whoever makes it names its founders, so that no two sets of voters that
// do not meet can each make one.
type group struct {
	name     string
	founders []gossip.NodeID
}

// find is where the group with the name is, or belongs.
func (r *root) find(name string) (int, bool) {
	return slices.BinarySearchFunc(r.groups, name, func(g group, name string) int { return strings.Compare(g.name, name) })
}

func (r *root) encode() []byte {
	b := append([]byte{rootVersion}, r.cluster[:]...)
	b = wire.AppendUvarint(b, uint64(len(r.groups)))
	for _, g := range r.groups {
		b = appendVoters(wire.AppendBytes(b, g.name), g.founders)
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
	for range in.Count(MaxGroups, 2) {
		r.groups = append(r.groups, group{in.String(maxGroupIDBytes), readVoters(in)})
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
	ids := readVoters(in)
	if in.Err() != nil {
		return nil
	}
	return ids
}

func encodeVoters(ids []gossip.NodeID) []byte { return appendVoters([]byte{1}, ids) }

func appendVoters(b []byte, ids []gossip.NodeID) []byte {
	b = wire.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

func readVoters(in *wire.Reader) (ids []gossip.NodeID) {
	for range in.Count(quorum.MaxVoters, 16) {
		var id gossip.NodeID
		copy(id[:], in.Raw(len(id)))
		ids = append(ids, id)
	}
	return ids
}

// listed is what the root group lists.
func (r *Registers) listed(ctx context.Context) (*root, error) {
	now, err := r.read(ctx, RootGroup)
	if err != nil {
		return nil, err
	}
	return decodeRoot(now.Value)
}

// Ensure makes a register that the root group lists, unless it is there. Lease is how long leases of it last; 0: it has
// none.
func (r *Registers) Ensure(ctx context.Context, name string, lease time.Duration, value []byte) error {
	var founders []gossip.NodeID
	_, err := r.Change(ctx, RootGroup, func(b []byte) ([]byte, error) {
		listed, err := decodeRoot(b)
		if err != nil {
			return nil, err
		}
		at, known := listed.find(name)
		switch {
		case known:
			founders = listed.groups[at].founders
			return b, nil
		case len(listed.groups) == MaxGroups:
			return nil, ErrTooManyGroups
		}
		founders = r.voters(RootGroup)
		listed.groups = slices.Insert(listed.groups, at, group{name, founders})
		return listed.encode(), nil
	})
	if err != nil {
		return err
	}
	_, err = r.create(ctx, name, lease, founders, value)
	return err
}

// keepRoot does what the leader does for the root group, while this node is the leader: when the electorate should be
// another one, and, for registers that were made while it changed, once per interval.
func (f *Fabric) keepRoot(ctx context.Context) {
	tended := uint64(0) // the version of the root whose registers all have its voters
	said := ""          // the error that is in the log
	for due := true; ; {
		changed, view := f.Changed(), f.View()
		if leader, ok := view.Leader(); ok && leader == f.ID() && !view.Cluster().IsZero() {
			var err error
			switch tended, err = f.tendRoot(ctx, view, due, tended); {
			case err == nil:
				said = ""
			case ctx.Err() == nil:
				if err.Error() != said {
					said = err.Error()
					f.logger.Warn("the root group was not tended", slog.String("event", "root_failed"), slog.Any("error", err))
				}
				changed = nil // not before the interval is over
			}
		}
		due = false
		timer := time.NewTimer(keepInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-changed:
			timer.Stop()
		case <-timer.C:
			due = true
		}
	}
}

// tendRoot makes the root group if this node has founded the cluster, and takes one step towards the voters it should
// have.
func (f *Fabric) tendRoot(ctx context.Context, view *gossip.View, due bool, tended uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	r := f.registers
	voters := rootVoters(view)
	if len(voters) == 0 {
		if self, ok := view.Member(f.ID()); !ok || self.UpNumber != 1 {
			return tended, nil // the founder will
		}
		first := &root{cluster: view.Cluster()}
		made, err := r.create(ctx, RootGroup, 0, []gossip.NodeID{f.ID()}, first.encode())
		if err != nil {
			return tended, err
		}
		return tended, f.SetShared(ctx, rootKey, encodeVoters(made.Voters))
	}
	if !due && slices.Equal(electorate(view, voters), voters) {
		return tended, nil
	}
	now, err := r.Read(ctx, RootGroup)
	if err != nil {
		return tended, err
	}
	target := electorate(view, now.Voters)
	if now.Version == tended && slices.Equal(now.Voters, target) && slices.Equal(voters, target) {
		return tended, nil
	}
	listed, err := decodeRoot(now.Value)
	if err != nil {
		return tended, err
	}
	if err = r.move(ctx, RootGroup, target); err == nil && !slices.Equal(voters, target) {
		f.logger.Info("voters of the root group", slog.String("event", "root_voters"), slog.Int("voters", len(target)))
		err = f.SetShared(ctx, rootKey, encodeVoters(target))
	}
	for _, g := range listed.groups { // one that its maker has left half-made does not hold up the others
		err = errors.Join(err, r.move(ctx, g.name, target))
	}
	if err != nil {
		return tended, err
	}
	return now.Version, nil
}

// move makes the target the voters of a register.
func (r *Registers) move(ctx context.Context, name string, target []gossip.NodeID) error {
	reading, cancel := context.WithTimeout(ctx, groupTimeout) // one that nobody has made gives no answer
	defer cancel()
	now, err := r.read(reading, name)
	if err == nil && (!slices.Equal(now.Voters, target) || now.Epoch%2 == 0) {
		_, err = r.reconfigure(ctx, name, now.Epoch, target)
	}
	return err
}

// electorate is who should vote in the root group, given who does: nobody stops being a voter but who has left, leaves
// or was forgotten, and new ones are full members that this node reaches. The last of all stay.
func electorate(view *gossip.View, voters []gossip.NodeID) []gossip.NodeID {
	var gone []gossip.NodeID
	for _, id := range voters {
		if m, member := view.Member(id); !member || leaves(view, &m) {
			gone = append(gone, id)
		}
	}
	var members []gossip.Member
	up := 0
	for _, m := range view.Members() {
		if m.Status == gossip.StatusUp && !m.Weak && !leaves(view, &m) {
			up++
			if m.Reachable || slices.Contains(voters, m.ID) {
				members = append(members, m)
			}
		}
	}
	if chosen := quorum.ChooseVoters(RootGroup, voters, gone, members, quorum.VoterCount(up, maxRootVoters)); len(chosen) > 0 {
		return chosen
	}
	return voters
}

// leaves reports whether a member is on its way out, or says that it soon will be.
func leaves(view *gossip.View, m *gossip.Member) bool {
	_, asks := view.Own(m.ID, leavingKey)
	return asks || m.Status == gossip.StatusLeaving || m.Status == gossip.StatusExiting
}

// stopVoting waits until no register needs this node's vote: one that leaves together with others would take their
// majority along. It is bounded, because where there is no majority nothing can be done for it.
func (f *Fabric) stopVoting(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopVotingTimeout)
	defer cancel()
	err := f.SetOwn(ctx, leavingKey, []byte{1})
	for err == nil {
		changed, view := f.Changed(), f.View()
		others := slices.DeleteFunc(slices.Clone(electorate(view, nil)), func(id gossip.NodeID) bool { return id == f.ID() })
		if len(others) == 0 { // nobody could take its place
			return
		}
		var votes []string
		if votes, err = f.registers.votesIn(ctx); err == nil && len(votes) == 0 {
			return
		}
		select {
		case <-changed:
		case <-time.After(stopVotingAgain):
		case <-f.ended:
			return
		case <-ctx.Done():
			err = fmt.Errorf("still a voter of %d registers", len(votes))
		}
	}
	f.logger.Warn("this node leaves while registers need its vote", slog.String("event", "left_voting"), slog.Any("error", err))
}

// votesIn are the registers in which this node votes.
func (r *Registers) votesIn(ctx context.Context) ([]string, error) {
	self, answer := r.fabric.ID(), make(chan []string, 1) // the answer may come after ctx has ended and nobody waits for it
	err := r.loop.Inspect(ctx, func() {
		var votes []string
		for _, group := range r.core.Groups() {
			if s := r.core.Accepted(group); s != nil && slices.Contains(s.VoterIDs(), self) {
				votes = append(votes, string(group))
			}
		}
		answer <- votes
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(<-answer, func(group string) bool { // that it votes no more it was perhaps told in vain
		now, failed := r.Read(ctx, group)
		return failed == nil && !slices.Contains(now.Voters, self)
	}), nil
}
