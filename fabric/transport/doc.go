// Package transport carries datagrams and frames between the nodes of a cluster.
package transport
