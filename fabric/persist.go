package fabric

import (
	"context"
	"log/slog"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/durable"
)

// persist writes the view to the disk: at once when the node gets into a cluster, then at most once per
// SnapshotInterval when it changed. The gossip loop never waits for a disk.
func (f *Fabric) persist(ctx context.Context) {
	var last *gossip.View
	for {
		changed, view := f.Changed(), f.View()
		if !view.Cluster().IsZero() && (last == nil || differs(last, view)) {
			if err := f.saveView(view); err != nil {
				f.logger.Error("the view could not be saved", slog.String("event", "fabric_snapshot_failed"), slog.Any("error", err))
			} else {
				last = view
			}
			if !pause(ctx, SnapshotInterval) {
				return
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func differs(a, b *gossip.View) bool { return a.Root() != b.Root() || a.Cluster() != b.Cluster() }

// saveView writes the snapshot and, when it has changed, what the node belongs to after it: a node that knows its
// cluster also knows its members. Only persist calls it, and Close after persist has ended.
func (f *Fabric) saveView(view *gossip.View) error {
	if view.Cluster().IsZero() {
		return nil
	}
	err := durable.WriteFile(f.home.fs, f.home.snapshotPath(), gossip.EncodeSnapshot(view))
	if err == nil {
		err = f.home.belongs(view)
	}
	if err != nil {
		f.counters.snapshotFailures.Add(1)
		return err
	}
	f.counters.snapshots.Add(1)
	return nil
}

// pause waits; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
