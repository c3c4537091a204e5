// Command egal runs a cluster of equal nodes: a whole one in this process to play with (demo), or one node of it
// (start), and asks running nodes how they are (status).
//
// It turns flags, environment and file into an egal.Config and talks to running nodes through their API alone. Every
// verb has a file; root.go has what they share. Exit codes are in exit.go.
package main
