// Package bench holds the programs that measure us, side by side with the originals where there is one:
//
//	go run ./slots      the store against redis-server: requests, processor time, memory
//	go run ./testkit    the start of clusters in tests and of the demo
//	go run ./gossip     rumors in simulation: payloads and rounds for 10 to 10,000 members
//
// Each prints one JSON line a row and a Markdown table, and with -doc writes its table into docs/benchmarks.md. Peers
// are looked for in the directory that PEERS names, then in PATH; rows of missing ones are left out with a notice.
//
// Rules of measuring: the programs compared run at the same time on the same machine and are asked in turn, so what else
// the machine does hits both; the figure is the median over the rounds of the ratio within one round. Where client and
// server share the processors, processor seconds of the server per million requests are the fairer figure.
package bench
