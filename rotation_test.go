package egal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/internal/jobs"
)

// sealedNodes are nodes with a directory and a key file each, and how they are started again.
type sealedNodes struct {
	configs []egal.Config
	nodes   []*egal.Node
}

func startSealed(t *testing.T, count int) *sealedNodes {
	t.Helper()
	s := &sealedNodes{}
	for i := range count {
		cfg := small()
		cfg.Name, cfg.Data = fmt.Sprintf("node-%d", i+1), t.TempDir()
		cfg.ClusterKeyFile = filepath.Join(cfg.Data, "cluster.key")
		if err := os.WriteFile(cfg.ClusterKeyFile, []byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			cfg.Seeds = []string{s.nodes[0].Fabric().Addr().String()}
		}
		n := start(t, cfg)
		cfg.FabricListen = n.Fabric().Addr().String()
		s.configs, s.nodes = append(s.configs, cfg), append(s.nodes, n)
	}
	ready(t, s.nodes...)
	return s
}

func (s *sealedNodes) stop(t *testing.T, i int) {
	t.Helper()
	if err := s.nodes[i].Close(); err != nil {
		t.Fatal(err)
	}
}

// seen waits until a node's view of a rotation is as it should be.
func seen(t *testing.T, n *egal.Node, id uint64, ok func(jobs.Job) bool) jobs.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	last := jobs.Job{}
	for j, err := range n.Jobs().Watch(ctx, id) {
		if err != nil {
			t.Fatalf("%v; last %+v", err, last)
		}
		if last = j; ok(j) {
			return j
		}
	}
	t.Fatalf("the job ended before: %+v", last)
	return last
}

func TestARotationGoesOnWhenItsNodeEnds(t *testing.T) {
	s := startSealed(t, 5)
	const away, asked = 4, 0
	s.stop(t, away)
	started, err := s.nodes[asked].RotateKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waits := func(j jobs.Job) bool {
		_, missing, _ := strings.Cut(j.Note, "waits for ")
		return missing == "node-5 (unreachable)"
	}
	owned := seen(t, s.nodes[asked], started.ID, waits)
	again, err := s.nodes[1].RotateKey(t.Context())
	if err != nil || again.ID != started.ID {
		t.Errorf("a second rotation at the same time: %+v, %v", again, err)
	}
	owner := 0
	for s.nodes[owner].ID() != owned.Owner.String() {
		owner++
	}
	s.stop(t, owner)
	other := (owner + 1) % 4
	handed := seen(t, s.nodes[other], started.ID, func(j jobs.Job) bool { return j.Epoch > owned.Epoch && j.State == jobs.Running })
	if string(handed.Checkpoint) != string(owned.Checkpoint) || len(handed.Checkpoint) == 0 {
		t.Errorf("goes on with %q after %q", handed.Checkpoint, owned.Checkpoint)
	}
	for _, i := range []int{owner, away} {
		s.nodes[i] = start(t, s.configs[i])
	}
	seen(t, s.nodes[other], started.ID, func(j jobs.Job) bool { return j.State == jobs.Done })
	for _, n := range s.nodes {
		if keys := n.Fabric().Keys(); len(keys) != 1 || keys[0].Hash != string(handed.Checkpoint) {
			t.Errorf("%s has %v, want %s alone", n.Config().Name, keys, handed.Checkpoint)
		}
	}
}

func TestWithoutAKeyThereIsNoRotation(t *testing.T) {
	n := start(t, small())
	ready(t, n)
	if _, err := n.RotateKey(t.Context()); err == nil || !strings.Contains(err.Error(), fabric.ErrNoKeys.Error()) {
		t.Error(err)
	}
}
