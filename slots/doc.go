// Package slots is a Redis-Cluster-compatible store: a server of RESP clients over 16384 hash slots.
package slots
