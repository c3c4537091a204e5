// Package fabric is the running cluster as one handle: who is alive, what each node says of itself, how to reach it.
package fabric
