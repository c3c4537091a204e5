// Package e2e tests the built binary from outside: as processes, over the wire, with the clients people use. It imports
// nothing of ours.
//
//	go test ./...                      # in this folder; builds ../cmd/egal first
//	EGAL_E2E_REQUIRE=1 go test ./...   # a missing client is a failure, not a skipped test
//
// The tests of failures need root, ip and iptables (Debian: iproute2, iptables): they make machines of their own in network
// namespaces, with packet filters between them. EGAL_E2E_LONG=1 plays them as long as what they promise, and every start
// order.
//
// The tests with redis-cli and redis-benchmark need Debian's redis-tools, the one that loads the word list needs
// wamerican or wbritish. Scripts for testscript are in testdata.
package e2e
