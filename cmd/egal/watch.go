package main

import (
	"context"
	"fmt"
	"reflect"
	"time"
)

// lookAgain is the time between two looks of --watch.
const lookAgain = 500 * time.Millisecond

// clearScreen puts the cursor of a terminal into the corner and empties what is below.
const clearScreen = "\x1b[H\x1b[J"

// follow shows a document, and again whenever it has changed, until the context ends. A terminal has one picture, which
// is painted at every look, since ages grow.
func follow[D any](ctx context.Context, w *world, ask func(context.Context) (D, error), show func(D) error) error {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	var before D
	for first := true; ; first = false {
		document, err := ask(ctx)
		if err != nil {
			return err
		}
		if w.outTTY {
			fmt.Fprint(w.out, clearScreen)
		}
		if first || w.outTTY || !reflect.DeepEqual(document, before) {
			if err := show(document); err != nil {
				return err
			}
		}
		before = document
		select {
		case <-again.C:
		case <-ctx.Done():
			return silently(exitInterrupted)
		}
	}
}
