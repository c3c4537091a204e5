package invariant

import (
	"errors"
	"testing"
)

func TestCheckPanicsWithTheRule(t *testing.T) {
	Check(true, "never formatted")
	defer func() {
		var violation *Violation
		err, _ := recover().(error)
		if !errors.As(err, &violation) || violation.Rule != "3 ≤ 2" || err.Error() != "invariant violated: 3 ≤ 2" {
			t.Fatalf("%v", err)
		}
	}()
	Check(false, "%d ≤ %d", 3, 2)
}
