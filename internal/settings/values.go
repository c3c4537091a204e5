package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/egalcluster/egal/internal/invariant"
)

// Source is the kind of place a value comes from. The higher one wins.
type Source uint8

// The sources of values, lowest first.
const (
	FromDefault Source = iota
	FromFile
	FromEnvironment
	FromFlag
	FromRequest // to the running node
)

var sourceNames = [...]string{"default", "file", "environment", "flag", "request"}

func (s Source) String() string { return sourceNames[s] }

// Origin tells where a value comes from.
type Origin struct {
	Source Source
	// Where is the place: "egal.yaml:12", "EGAL_FABRIC_LISTEN", "--join", "CONFIG SET"; empty for a default.
	Where string
}

func (o Origin) String() string {
	if o.Where == "" {
		return o.Source.String()
	}
	return o.Source.String() + " " + o.Where
}

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	// Where is the place as in Origin.
	Where string
	// Key is the setting, as it was written.
	Key string
	// Problem says what is wrong.
	Problem string
	// Hint is what to do; may be empty.
	Hint string
}

func (f *Fault) Error() string {
	text := f.Problem
	if f.Key != "" {
		text = f.Key + ": " + text
	}
	if f.Where != "" {
		text = f.Where + ": " + text
	}
	if f.Hint != "" {
		text += "\nhint: " + f.Hint
	}
	return text
}

// Values are one configuration: a value for every setting.
type Values struct {
	registry *Registry
	values   map[string]value
}

type value struct {
	parsed any
	origin Origin
}

// Values returns the configuration that has defaults only.
func (r *Registry) Values() *Values {
	v := &Values{registry: r, values: make(map[string]value, len(r.settings))}
	for _, s := range r.settings {
		parsed, err := s.parse(s.Default)
		invariant.Check(err == nil, "the default of %s is valid: %v", s.Key, err)
		v.values[s.Key] = value{parsed: parsed}
	}
	return v
}

// Set gives a setting a value, unless it has one of a higher source already.
func (v *Values) Set(key, text string, origin Origin) error {
	s, err := v.registry.lookup(key, origin.Where)
	if err != nil {
		return err
	}
	parsed, err := s.parse(text)
	return v.keep(s, parsed, origin, err)
}

// SetList is Set for a List whose items are given one by one.
func (v *Values) SetList(key string, items []string, origin Origin) error {
	s, err := v.registry.lookup(key, origin.Where)
	if err != nil {
		return err
	}
	if s.Type != List {
		return &Fault{Where: origin.Where, Key: key, Problem: "want one value, not a list"}
	}
	for _, item := range items {
		if strings.Contains(item, ",") {
			return &Fault{Where: origin.Where, Key: key, Problem: fmt.Sprintf("%q: a comma parts items", item)}
		}
	}
	parsed, err := s.parse(strings.Join(items, ","))
	return v.keep(s, parsed, origin, err)
}

func (v *Values) keep(s Setting, parsed any, origin Origin, err error) error {
	if err != nil {
		return &Fault{Where: origin.Where, Key: s.Key, Problem: err.Error()}
	}
	if origin.Source >= v.values[s.Key].origin.Source {
		v.values[s.Key] = value{parsed: parsed, origin: origin}
	}
	return nil
}

// lookup finds a setting, or says which one may be meant.
func (r *Registry) lookup(key, where string) (Setting, error) {
	s, ok := r.Find(key)
	if ok {
		return s, nil
	}
	fault := &Fault{Where: where, Key: key, Problem: "no such setting"}
	if near, found := Nearest(key, r.keys()); found {
		fault.Hint = fmt.Sprintf("did you mean %s?", near)
	} else {
		fault.Hint = "`egal config show` lists all settings"
	}
	return Setting{}, fault
}

func (r *Registry) keys() []string {
	keys := make([]string, len(r.settings))
	for i, s := range r.settings {
		keys[i] = s.Key
	}
	return keys
}

// ReadEnvironment takes the settings out of an environment of the form name=value. A variable that looks like a
// misspelled one of ours is a fault. Others are left alone: a container runs with EGAL_SERVICE_HOST and the like when a
// service of Kubernetes is called egal.
func (v *Values) ReadEnvironment(environment []string) error {
	names := make([]string, len(v.registry.settings))
	keys := make(map[string]string, len(names))
	for i, s := range v.registry.settings {
		names[i] = strings.TrimPrefix(s.Environment(), environmentPrefix)
		keys[names[i]] = s.Key
	}
	var faults []error
	for _, entry := range environment {
		variable, text, _ := strings.Cut(entry, "=")
		name, ours := strings.CutPrefix(variable, environmentPrefix)
		if !ours {
			continue
		}
		if key, known := keys[name]; known {
			faults = append(faults, v.Set(key, text, Origin{Source: FromEnvironment, Where: variable}))
		} else if near, found := Nearest(name, names); found {
			hint := fmt.Sprintf("did you mean %s%s?", environmentPrefix, near)
			faults = append(faults, &Fault{Where: variable, Problem: "no setting has this variable", Hint: hint})
		}
	}
	return errors.Join(faults...)
}

// Origin tells where the value of a setting comes from.
func (v *Values) Origin(key string) Origin { return v.get(key).origin }

// Text is the value of a setting as it is written.
func (v *Values) Text(key string) string {
	s, _ := v.registry.Find(key)
	if n, ok := v.get(key).parsed.(int64); ok && s.Type == Bytes {
		return formatBytes(n)
	}
	return format(v.get(key).parsed)
}

// Bool is the value of a setting of that type.
func (v *Values) Bool(key string) bool { return of[bool](v, key) }

// Int is the value of a setting of type Int or Bytes.
func (v *Values) Int(key string) int { return int(of[int64](v, key)) }

// Duration is the value of a setting of that type.
func (v *Values) Duration(key string) time.Duration { return of[time.Duration](v, key) }

// String is the value of a setting of type String, Enum or Address.
func (v *Values) String(key string) string { return of[string](v, key) }

// List is the value of a setting of that type. The slice is the caller's.
func (v *Values) List(key string) []string { return slices.Clone(of[[]string](v, key)) }

// get returns the value of a key that our own code names.
func (v *Values) get(key string) value {
	got, ok := v.values[key]
	invariant.Check(ok, "setting %q exists", key)
	return got
}

func of[T any](v *Values, key string) T {
	typed, ok := v.get(key).parsed.(T)
	invariant.Check(ok, "setting %q is a %T", key, typed)
	return typed
}
