package testkit_test

import (
	"testing"

	"github.com/egalcluster/egal/testkit"
)

// A test of a real cluster is three lines: start it, connect any Redis client to it, take a node away.
func Example() {
	_ = func(t *testing.T) { // func TestCart(t *testing.T) {
		c := testkit.New(t, testkit.Nodes(3))
		answer(t, c.PrimaryFor("cart:42"), "OK", "SET", "cart:42", "tea")
		c.PrimaryFor("cart:42").Kill(t)
	}
}
