package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/egalcluster/egal/internal/durable"
)

// Knob makes a running node take a new value of one setting.
type Knob struct {
	// Set takes the value. It must not fail: the value is valid.
	Set func(v *Values)
	// Text is the value as it is now, where something else can change it, too; nil: nothing can.
	Text func() string
}

// Running is the configuration of a running node, and the way to change it: what is changed is written to the node's
// file, and taken at once where the setting is hot. It is safe for concurrent use.
type Running struct {
	registry *Registry
	file     string
	gather   func(content []byte) (*Values, error)
	knobs    map[string]Knob

	mu     sync.Mutex
	values *Values // guarded by mu: what the node runs with
}

// NewRunning takes the values that a node has started with. file is the node's own, which may not exist yet; gather is
// the configuration that the next start would have with this content of the file, checked as a whole. Every hot
// setting has a knob.
func NewRunning(values *Values, file string, gather func(content []byte) (*Values, error), knobs map[string]Knob) (*Running, error) {
	for _, s := range values.registry.settings {
		if _, turns := knobs[s.Key]; turns != s.Hot {
			return nil, fmt.Errorf("settings: %s: hot is %v, has a knob is %v", s.Key, s.Hot, turns)
		}
	}
	return &Running{registry: values.registry, file: file, gather: gather, knobs: knobs, values: values}, nil
}

// File is the path of the node's file.
func (r *Running) File() string { return r.file }

// Row is one setting of a running node.
type Row struct {
	Setting Setting
	// Value is what the node runs with, Origin where that comes from.
	Value  string
	Origin Origin
	// Next is what the next start would take.
	Next string
}

// Rows are all settings, in the order of the reference page. An error says what is wrong with the node's file now; Next
// is then the same as Value.
func (r *Running) Rows() ([]Row, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := r.next()
	if err != nil {
		next = r.values
	}
	rows := r.values.Rows()
	for i := range rows {
		row := &rows[i]
		row.Next = next.Text(row.Setting.Key)
		if now := r.now(row.Setting.Key); now != row.Value {
			row.Value, row.Origin = now, Origin{Source: FromRequest, Where: "CONFIG SET"}
		}
	}
	return rows, err
}

// now is the value that a node runs with; r.mu is held.
func (r *Running) now(key string) string {
	if text := r.knobs[key].Text; text != nil {
		return text()
	}
	return r.values.Text(key)
}

// Rows are the settings of a node that has not started, in the order of the reference page: Next is Value.
func (v *Values) Rows() []Row {
	var rows []Row
	for _, s := range v.registry.settings {
		rows = append(rows, Row{Setting: s, Value: v.Text(s.Key), Origin: v.Origin(s.Key), Next: v.Text(s.Key)})
	}
	return rows
}

// next is what the next start would take.
func (r *Running) next() (*Values, error) {
	content, err := ReadContent(r.file)
	if err != nil {
		return nil, err
	}
	return r.gather(content)
}

// Change is what has become of a setting.
type Change struct {
	Row
	// Before is the value until now.
	Before string
	// Hidden is what the next start takes its value from instead of the file, if it is another one.
	Hidden *Origin
}

// Change gives settings new values, all or none: they are written to the node's file, and the hot ones are taken at
// once. where is who asks. A flag or a variable does not keep a hot setting from changing, but it wins again at the next
// start: Change.Hidden tells. Errors are Faults, or of the disk.
func (r *Running) Change(changes map[string]string, where string) ([]Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	content, err := ReadContent(r.file)
	if err != nil {
		return nil, err
	}
	keys := slices.Sorted(maps.Keys(changes))
	edited, err := r.registry.EditAll(r.file, content, changes)
	if err != nil {
		return nil, err
	}
	next, err := r.gather(edited)
	if err != nil {
		return nil, err
	}
	if err := WriteContent(r.file, edited); err != nil {
		return nil, err
	}
	r.values.agree(next)
	var done []Change
	for _, key := range keys {
		s, _ := r.registry.Find(key)
		c := Change{Before: r.now(key)}
		wanted := r.registry.Values()
		if err := wanted.Set(key, changes[key], Origin{Source: FromRequest, Where: where}); err != nil {
			return nil, err
		}
		origin := next.Origin(key)
		if next.Text(key) != wanted.Text(key) {
			c.Hidden = &origin
		} else {
			wanted = next
		}
		if s.Hot {
			r.take(key, wanted)
		}
		c.Row = Row{Setting: s, Value: r.values.Text(key), Origin: r.values.Origin(key), Next: next.Text(key)}
		done = append(done, c)
	}
	return done, nil
}

// take turns a knob; r.mu is held.
func (r *Running) take(key string, from *Values) {
	r.values.values[key] = from.values[key]
	r.knobs[key].Set(r.values)
}

// Reload reads the node's file again and takes what has changed of the hot settings. Others wait for the next start.
func (r *Running) Reload() ([]Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := r.next()
	if err != nil {
		return nil, err
	}
	var done []Change
	for _, s := range r.registry.settings {
		before, after := r.now(s.Key), next.Text(s.Key)
		if before == after {
			continue
		}
		if s.Hot {
			r.take(s.Key, next)
		}
		done = append(done, Change{Before: before, Row: Row{Setting: s, Value: r.values.Text(s.Key), Origin: next.Origin(s.Key), Next: after}})
	}
	r.values.agree(next)
	return done, nil
}

// agree takes the origins of all values that are the same in both, since lines of a file move.
func (v *Values) agree(next *Values) {
	for key := range v.values {
		if v.Text(key) == next.Text(key) {
			v.values[key] = next.values[key]
		}
	}
}

// EditAll is Edit for several settings.
func (r *Registry) EditAll(name string, content []byte, changes map[string]string) ([]byte, error) {
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		edited, err := r.Edit(name, content, key, changes[key])
		if err != nil {
			faults = append(faults, err)
			continue
		}
		content = edited
	}
	return content, errors.Join(faults...)
}

// ReadContent reads a configuration file; one that does not exist is empty.
func ReadContent(file string) ([]byte, error) {
	content, err := durable.ReadFile(durable.OS(), file, MaxFileBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, durable.ErrTooLarge):
		return nil, &Fault{Where: file, Problem: fmt.Sprintf("the file has more than %d bytes", MaxFileBytes)}
	case err != nil:
		return nil, fmt.Errorf("settings: %w", err)
	}
	return content, nil
}

// WriteContent replaces a configuration file: a crash leaves the old content or the new one. A link stays one, and the
// file keeps its mode; a new one may be read by everybody who may enter its directory.
func WriteContent(file string, content []byte) error {
	target, mode := file, fs.FileMode(0o644)
	if linked, err := filepath.EvalSymlinks(file); err == nil {
		target = linked
	}
	if info, err := os.Stat(target); err == nil {
		mode = info.Mode().Perm()
	}
	err := durable.WriteFile(durable.OS(), target, content)
	if err == nil {
		err = os.Chmod(target, mode)
	}
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}
