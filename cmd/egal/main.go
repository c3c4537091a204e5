package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	began := time.Now()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, system(began), os.Args[1:])
	stop()
	os.Exit(code)
}

// world is all that a command knows of its surroundings.
type world struct {
	in      io.Reader
	out     io.Writer // data
	err     io.Writer // messages
	inTTY   bool
	outTTY  bool
	errTTY  bool
	environ []string
	began   time.Time // when the process began
}

// system is the world of a process.
func system(began time.Time) *world {
	return &world{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		inTTY: isTerminal(os.Stdin), outTTY: isTerminal(os.Stdout), errTTY: isTerminal(os.Stderr),
		environ: os.Environ(), began: began,
	}
}

// isTerminal tells a terminal from files, pipes and the null device.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

func (w *world) getenv(name string) string {
	for _, entry := range w.environ {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}
