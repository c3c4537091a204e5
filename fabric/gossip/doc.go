// Package gossip is a decentralised membership and state dissemination protocol.
package gossip
