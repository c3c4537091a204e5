package egal

import (
	"context"
	"fmt"

	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/internal/jobs"
)

// kindRotateKey is the kind of job that replaces the cluster key. Its checkpoint is the hash of the new key.
const kindRotateKey = "rotate-key"

// RotateKey starts the job that replaces the cluster key on all members while they go on. It gives the one that is at work
// already if there is one. The error is fabric.ErrNoKeys where nodes talk in plain text.
func (n *Node) RotateKey(ctx context.Context) (jobs.Job, error) {
	if n.secrets.keys == nil {
		return jobs.Job{}, fmt.Errorf("egal: rotate key: %w", fabric.ErrNoKeys)
	}
	all, err := n.jobs.List(ctx)
	if err != nil {
		return jobs.Job{}, fmt.Errorf("egal: rotate key: %w", err)
	}
	for _, j := range all {
		if j.Kind == kindRotateKey && !j.State.Final() {
			return j, nil
		}
	}
	j, err := n.jobs.Start(ctx, kindRotateKey, nil)
	if err != nil {
		return jobs.Job{}, fmt.Errorf("egal: rotate key: %w", err)
	}
	return j, nil
}

// rotateKey is a run of the job.
func (n *Node) rotateKey(ctx context.Context, run *jobs.Run) error {
	return n.fabric.RotateKey(ctx, fabric.Rotation{
		Job: run.ID(), Epoch: run.Epoch(), Target: string(run.Checkpoint()),
		Report: func(now fabric.RotationProgress) error {
			run.Note(now.Note)
			return run.Report(uint64(now.Done), uint64(now.Total), []byte(now.Target))
		},
	})
}
