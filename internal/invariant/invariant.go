// Package invariant states what must hold for our own code. A violated invariant is our bug and stops the node:
// nothing that a peer or a client sends may reach a check. Checks are always on.
package invariant

import "fmt"

// Violation is the value a failed check panics with.
type Violation struct {
	// Rule is the broken rule in words.
	Rule string
}

func (v *Violation) Error() string { return "invariant violated: " + v.Rule }

// Check panics with a *Violation unless ok. The rule and its arguments are formatted only on failure.
func Check(ok bool, rule string, args ...any) {
	if !ok {
		panic(&Violation{Rule: fmt.Sprintf(rule, args...)})
	}
}
