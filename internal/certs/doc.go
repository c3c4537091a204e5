// Package certs makes the secrets of a cluster: its certificate authority, the certificates of nodes and of clients
// (X.509, RFC 5280, ECDSA P-256), and the cluster key.
//
// Everything is written as files of mode 0600 into one directory:
//
//	| file                     | content                                                                            |
//	|--------------------------|------------------------------------------------------------------------------------|
//	| ca.crt, ca.key           | the authority; ca.key stays where certificates are made                            |
//	| cluster.key              | the cluster key, as fabric/transport reads it                                      |
//	| node-NAME.crt, .key      | a node: URI SAN egal://node/<node id>, DNS and IP SANs of its hosts, server and client |
//	| client-NAME.crt, .key    | a client: URI SAN egal://client/<name>, client only                                |
//
// A file that is there is never overwritten, except by [Options].Replace, which puts the new one in its place at once;
// ca.key and cluster.key are never replaced. Functions here have no state and may be called from any goroutine.
//
// # Limits
//
// Names have up to 64 bytes of letters, digits, '.', '-' and '_'. An authority lives for ten years, what it signs for a
// year and not longer than the authority. Everything is valid from five minutes ago, since clocks differ.
package certs
