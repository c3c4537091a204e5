package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/internal/durable"
	"github.com/egalcluster/egal/internal/settings"
)

// fieldKeys are the settings behind fields of egal.Config that errors name.
var fieldKeys = map[string]string{"FabricListen": "fabric.listen", "SlotsListen": "slots.listen"}

func asError[T error](err error, target *T) bool { return errors.As(err, target) }

// explain turns an error of starting into what a person can act on.
func explain(err error) error {
	listen := (*egal.ListenError)(nil)
	switch {
	case asError(err, &listen):
		return cannotListen(fieldKeys[listen.Field], listen.Address, listen.Err, listen.InUse())
	case errors.Is(err, durable.ErrLocked):
		text, hint, _ := strings.Cut(err.Error(), "\nhint: ")
		return fail(exitFailed, hint, "%s", text)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EROFS):
		return fail(exitDenied, "choose a directory that this user may write to: --data (EGAL_DATA)", "%w", err)
	default:
		return &fault{code: exitFailed, err: err}
	}
}

// portInUse says that a setting names a port that somebody else has.
type portInUse struct{ key, address string }

func (e *portInUse) Error() string { return fmt.Sprintf("%s %s: the port is in use", e.key, e.address) }

// cannotListen is the fault of a port, with the flag and the variable that choose another.
func cannotListen(key, address string, cause error, inUse bool) error {
	s, _ := settings.New().Find(key)
	choose := fmt.Sprintf("choose another address: --%s (%s in the file, %s)", s.Flag, s.Key, s.Environment())
	switch {
	case inUse:
		return &fault{code: exitFailed, err: &portInUse{key: key, address: address}, hint: choose}
	case errors.Is(cause, syscall.EACCES):
		return fail(exitDenied, choose, "%s %s: this user may not listen there", key, address)
	default:
		return fail(exitFailed, choose, "%s %s: %w", key, address, cause)
	}
}
