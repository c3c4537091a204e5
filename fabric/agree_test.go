package fabric

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

func TestAgreeAsksAllThatAreReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rules, nodes, _ := members(t, 3, nil)
		agree := func(f *Fabric) Agreement {
			t.Helper()
			a, err := f.Agree(t.Context())
			must(t, err)
			return a
		}
		if a := agree(nodes[1]); !a.Agreed() || a.Reached != 3 || a.Members != nodes[0].View().Hash() {
			t.Errorf("%+v", a)
		}
		cutOff(rules, 2, 3)
		if a := agree(nodes[0]); a.Agreed() || a.Same != 2 || !slices.Equal(a.Others, []gossip.NodeID{nodes[2].ID()}) {
			t.Errorf("before the silence is noticed: %+v", a)
		}
		time.Sleep(5 * time.Second)
		if a := agree(nodes[0]); !a.Agreed() || a.Reached != 2 {
			t.Errorf("after it was noticed: %+v", a)
		}
		must(t, nodes[0].Forget(t.Context(), nodes[2].ID()))
		for !agree(nodes[0]).Agreed() { // a round trip at most
			time.Sleep(time.Millisecond)
		}
		if _, known := nodes[1].View().Member(nodes[2].ID()); known {
			t.Error("they agree on a list that one of them has not")
		}
		for _, f := range nodes {
			must(t, f.Close())
			if _, err := f.Agree(t.Context()); err == nil {
				t.Error("a node that has ended answers")
			}
		}
	})
}

func TestAgreeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rules, nodes, _ := members(t, 2, nil)
		cutOff(rules, 1, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := nodes[0].Agree(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if left := len(nodes[0].gatherings.waiting); left != 0 {
			t.Errorf("%d questions are left", left)
		}
		for _, f := range nodes {
			must(t, f.Close())
		}
	})
}
