package fabric

import (
	"context"

	"github.com/egalcluster/egal/fabric/gossip"
)

// observe logs what becomes of the members since the view before.
func (f *Fabric) observe(ctx context.Context, before *gossip.View) {
	for {
		changed, view := f.Changed(), f.View()
		if view != before {
			f.logChanges(before, view)
			before = view
		}
		select {
		case <-ctx.Done():
			return
		case <-f.failed:
			f.logger.Error("this node must stop", "event", "fabric_failed", "error", f.failure)
			<-ctx.Done()
			return
		case <-changed:
		}
	}
}

func (f *Fabric) logChanges(before, after *gossip.View) {
	for _, m := range after.Members() {
		old, known := before.Member(m.ID)
		attributes := []any{"member", m.ID.String(), "name", m.Name, "addr", m.Addr.String()}
		switch {
		case m.Status == gossip.StatusUp && (!known || old.Status != gossip.StatusUp):
			f.logger.Info("member up", append(attributes, "event", "member_up")...)
		case known && old.Generation != m.Generation:
			f.logger.Info("member restarted", append(attributes, "event", "member_restarted")...)
		}
		switch {
		case known && old.Reachable && !m.Reachable:
			f.logger.Warn("member unreachable", append(attributes, "event", "member_unreachable")...)
		case known && !old.Reachable && m.Reachable:
			f.logger.Info("member reachable", append(attributes, "event", "member_reachable")...)
		}
	}
	for _, m := range before.Members() {
		if _, known := after.Member(m.ID); !known {
			f.logger.Info("member left", "event", "member_left", "member", m.ID.String(), "name", m.Name, "addr", m.Addr.String())
		}
	}
}
