package fabric

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// A register that is listed by a node which believes in voters of before has those first, whoever makes it; then it gets
// the voters of the root group.
func TestARegisterThatIsMadeWhileTheVotersChange(t *testing.T) {
	c := newCluster(t, true)
	c.add(3)
	c.voting(3)
	ctx := t.Context()
	first := c.nodes[0].Registers()
	_, err := first.Change(ctx, RootGroup, func(b []byte) ([]byte, error) {
		listed, err := decodeRoot(b)
		if err != nil {
			return nil, err
		}
		listed.groups = append(listed.groups, group{"late", []gossip.NodeID{c.nodes[0].ID()}})
		return listed.encode(), nil
	})
	must(t, err)
	must(t, c.nodes[2].Registers().Ensure(ctx, "late", 0, []byte("2")))
	must(t, c.nodes[1].Registers().Ensure(ctx, "late", 0, []byte("1")))
	for end := time.After(patience); ; {
		now, err := c.nodes[1].Registers().Read(ctx, "late")
		must(t, err)
		if string(now.Value) != "2" {
			t.Fatalf("%q: it was made twice", now.Value)
		}
		if len(now.Voters) == 3 && now.Epoch%2 == 1 {
			return
		}
		select {
		case <-c.nodes[0].Changed():
		case <-time.After(20 * time.Millisecond):
		case <-end:
			t.Fatalf("voters stay %v", now.Voters)
		}
	}
}

// A register that was listed and never made does not keep from the nodes who votes.
func TestAHalfMadeRegisterHoldsNobodyUp(t *testing.T) {
	c := newCluster(t, true)
	c.add(1)
	c.voting(1)
	_, err := c.nodes[0].Registers().Change(t.Context(), RootGroup, func(b []byte) ([]byte, error) {
		listed, err := decodeRoot(b)
		if err != nil {
			return nil, err
		}
		listed.groups = append(listed.groups, group{"half", []gossip.NodeID{c.nodes[0].ID()}})
		return listed.encode(), nil
	})
	must(t, err)
	c.add(2)
	c.voting(3)
}

func TestTheRootListsSoManyRegisters(t *testing.T) {
	c := newCluster(t, true)
	c.add(1)
	c.voting(1)
	r := c.nodes[0].Registers()
	_, err := r.Change(t.Context(), RootGroup, func(b []byte) ([]byte, error) {
		listed, err := decodeRoot(b)
		if err != nil {
			return nil, err
		}
		for i := range MaxGroups - 1 {
			listed.groups = append(listed.groups, group{name: string([]byte{'a' + byte(i>>8), byte(i)}), founders: []gossip.NodeID{c.nodes[0].ID()}})
		}
		return listed.encode(), nil
	})
	must(t, err)
	must(t, r.Ensure(t.Context(), "z", 0, nil))
	if err := r.Ensure(t.Context(), "zz", 0, nil); !errors.Is(err, ErrTooManyGroups) {
		t.Error(err)
	}
}

// Voters that leave at the same time do not take the majority along.
func TestRegistersOutliveThoseWhoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, nodes, _ := members(t, 3, nil)
		time.Sleep(keepInterval)
		synctest.Wait()
		must(t, nodes[1].Registers().Ensure(t.Context(), "counter", 0, []byte("7")))
		if now, err := nodes[1].Registers().Read(t.Context(), "counter"); err != nil || len(now.Voters) != 3 {
			t.Fatal(now, err)
		}
		var leaving sync.WaitGroup
		for _, f := range nodes[1:] {
			leaving.Go(func() {
				if err := errors.Join(f.Leave(t.Context()), f.Close()); err != nil {
					t.Error(err)
				}
			})
		}
		leaving.Wait()
		now, err := nodes[0].Registers().Change(t.Context(), "counter", increment)
		if err != nil || string(now.Value) != "8" || len(now.Voters) != 1 {
			t.Errorf("%q by %v: %v", now.Value, now.Voters, err)
		}
		must(t, nodes[0].Close())
	})
}

func FuzzDecodeRoot(f *testing.F) {
	f.Add([]byte{})
	f.Add((&root{groups: []group{{"jobs", []gossip.NodeID{{1}}}}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRoot(b)
		if err == nil && !bytes.Equal(r.encode(), b) {
			t.Errorf("one root, two encodings: %x and %x", b, r.encode())
		}
	})
}
