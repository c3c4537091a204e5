package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit codes of all verbs.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitDenied      = 4
	exitDegraded    = 5
	exitTimeout     = 6
	exitInterrupted = 130
)

const exitCodesHelp = `Exit codes:
  0    all right
  1    failed
  2    wrong usage or configuration
  3    no node could be reached
  4    denied
  5    the cluster is degraded, or not complete yet
  6    timed out
  130  interrupted`

// fault is an error with an exit code and what to do about it.
type fault struct {
	code int
	err  error
	hint string
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func fail(code int, hint, format string, args ...any) error {
	return &fault{code: code, err: fmt.Errorf(format, args...), hint: hint}
}

// silently ends with a code after everything has been said.
func silently(code int) error { return &fault{code: code} }

// report prints an error and returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	f := (*fault)(nil)
	if !errors.As(err, &f) {
		f = &fault{code: exitFailed, err: err}
		if errors.Is(err, context.Canceled) {
			f.code = exitInterrupted
		}
	}
	if f.err != nil {
		fmt.Fprintln(w, "error: "+strings.TrimPrefix(f.err.Error(), "egal: "))
	}
	if f.hint != "" {
		fmt.Fprintln(w, "hint: "+f.hint)
	}
	return f.code
}
