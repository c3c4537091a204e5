package egal

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/egalcluster/egal/fabric/transport"
)

// ErrInsecure says that an address reaches beyond this machine, where everybody could read and write, and
// Config.Insecure is not set.
var ErrInsecure = errors.New("open beyond this machine, which Insecure would have to allow")

// ListenError is a port that cannot be listened on.
type ListenError struct {
	// Field is the field of Config that asks for it.
	Field string
	// Address is its value.
	Address string
	// Err is the cause.
	Err error
}

func (e *ListenError) Error() string {
	if e.InUse() {
		return fmt.Sprintf("%s %s: the port is in use", e.Field, e.Address)
	}
	return fmt.Sprintf("%s %s: %v", e.Field, e.Address, e.Err)
}

// Unwrap is the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// InUse tells that another process, or another node in this one, has the port.
func (e *ListenError) InUse() bool {
	return errors.Is(e.Err, syscall.EADDRINUSE) || errors.Is(e.Err, transport.ErrInUse)
}
