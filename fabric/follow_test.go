package fabric

import (
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
)

// follow begins to follow a register on all nodes.
func (c *cluster) follow(group string, interval time.Duration) []*Followed {
	c.t.Helper()
	var all []*Followed
	for _, n := range c.nodes {
		f := n.Registers().Follow(group, []byte("0"), interval)
		c.t.Cleanup(f.Close)
		all = append(all, f)
	}
	return all
}

// sees waits until a follower holds the value.
func sees(tb testing.TB, f *Followed, value string) {
	tb.Helper()
	end := time.After(patience)
	for {
		changed := f.Changed()
		if string(f.Latest().Value) == value {
			return
		}
		select {
		case <-changed:
		case <-end:
			tb.Fatalf("%s holds %q, want %q", f.group, f.Latest().Value, value)
		}
	}
}

func TestFollowersHearOfAChange(t *testing.T) {
	c := newCluster(t, true)
	c.add(3)
	all := c.follow("counter", time.Hour) // the hint alone can tell them
	for i, f := range all {
		now, err := f.Change(t.Context(), increment)
		must(t, err)
		if string(f.Latest().Value) != string(now.Value) {
			t.Errorf("node %d does not see its own change: %q", i, f.Latest().Value)
		}
		for _, other := range all {
			sees(t, other, string(now.Value))
		}
	}
}

func TestFollowersReadAtAnIntervalWithoutAHint(t *testing.T) {
	c := newCluster(t, true)
	c.add(3)
	all := c.follow("counter", 20*time.Millisecond)
	for _, f := range all {
		sees(t, f, "0")
	}
	_, err := c.nodes[1].Registers().Change(t.Context(), "counter", increment) // tells nobody
	must(t, err)
	for _, f := range all {
		sees(t, f, "1")
	}
}

func TestAWrongHintIsFollowedOnce(t *testing.T) {
	c := newCluster(t, true)
	c.add(1)
	f := c.follow("counter", time.Hour)[0]
	sees(t, f, "0")
	confirmed := f.Confirmed()
	must(t, c.nodes[0].SetShared(t.Context(), followPrefix+"counter", wire.AppendUvarint(nil, 99)))
	must(t, c.nodes[0].SetShared(t.Context(), "other", []byte("1")))
	for end := time.After(patience); f.Confirmed() == confirmed; {
		select {
		case <-c.nodes[0].Changed():
		case <-end:
			t.Fatal("the hint was not followed")
		default:
		}
	}
	_, err := f.Change(t.Context(), increment) // version 2: the hint still names another one
	must(t, err)
	must(t, c.nodes[0].SetShared(t.Context(), "other", []byte("2")))
	until(t, "the write", shows("other", "2"), c.nodes...)
	if extra := f.Confirmed() - confirmed; extra > 2 {
		t.Errorf("%d reads for one hint", extra)
	}
	for _, garbage := range [][]byte{nil, {0xff}, make([]byte, gossip.MaxKey)} {
		must(t, c.nodes[0].SetShared(t.Context(), followPrefix+"counter", garbage))
	}
	_, err = f.Read(t.Context())
	must(t, err)
}
