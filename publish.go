package egal

import (
	"context"
	"log/slog"

	"github.com/egalcluster/egal/fabric/gossip"
)

const (
	// versionKey is the key of a node's own state with the version of the program that it runs.
	versionKey = "version"
	// maxVersion is the longest version in bytes that is published or shown.
	maxVersion = 64
)

// publishVersion tells the other nodes what this one runs. Without it they show none.
func (n *Node) publishVersion(ctx context.Context) {
	version := n.config.Version
	if err := n.fabric.SetOwn(ctx, versionKey, []byte(version[:min(len(version), maxVersion)])); err != nil {
		n.config.Logger.Warn("the version was not published", slog.String("event", "version_unpublished"), slog.Any("error", err))
	}
}

// VersionOf is the version of the program that a member runs; empty: it does not say, or nothing that could be one.
func (n *Node) VersionOf(id gossip.NodeID) string {
	value, _ := n.fabric.View().Own(id, versionKey)
	if len(value) > maxVersion {
		return ""
	}
	for _, b := range value {
		if b <= ' ' || b > '~' { // it ends up on terminals
			return ""
		}
	}
	return string(value)
}
