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

// listing shows the document of a route, once or, to watch it, whenever it has changed.
func listing[D any](ctx context.Context, w *world, to target, route string, watch bool, show func(D) error) error {
	c, err := w.connect(to)
	if err != nil {
		return err
	}
	defer c.close()
	ask := func(ctx context.Context) (document D, err error) {
		err = c.get(ctx, route, &document)
		return document, err
	}
	if watch {
		return follow(ctx, w, ask, show)
	}
	document, err := ask(ctx)
	if err != nil {
		return err
	}
	return show(document)
}

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
