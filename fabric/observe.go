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
		case notice := <-f.notices:
			f.logNotice(notice)
		case <-f.failed:
			f.logFailure()
			<-ctx.Done()
			return
		case <-changed:
		}
	}
}

func (f *Fabric) logChanges(before, after *gossip.View) {
	switch {
	case after.Isolated() && !before.Isolated():
		f.logger.Error("this node hears no other member", "event", "fabric_isolated", "hint", "is its network connection cut? If all others are down, start them")
	case before.Isolated() && !after.Isolated():
		f.logger.Info("this node hears other members again", "event", "fabric_connected")
	}
	for _, m := range after.Members() {
		old, known := before.Member(m.ID)
		attributes := []any{"member", m.ID.String(), "name", m.Name, "addr", m.Addr.String()}
		switch {
		case m.Status == gossip.StatusUp && (!known || old.Status != gossip.StatusUp):
			f.logger.Info("member up", append(attributes, "event", "member_up", "weak", m.Weak)...)
		case known && m.Status == old.Status:
		case m.Status == gossip.StatusDown:
			f.logger.Warn("member down", append(attributes, "event", "member_down")...)
		case m.Status == gossip.StatusLeaving:
			f.logger.Info("member leaving", append(attributes, "event", "member_leaving")...)
		}
		switch {
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
