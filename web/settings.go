package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"syscall"

	"github.com/egalcluster/egal/internal/settings"
)

// Settings is the document of /api/v1/settings.
type Settings struct {
	Schema   int       `json:"schema"`
	File     string    `json:"file"`  // the node's own; it may not exist
	Fault    string    `json:"fault"` // what is wrong with the file now; empty: nothing
	Settings []Setting `json:"settings"`
}

// Setting is one setting of a node.
type Setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Source  string `json:"source"` // default, file, environment, flag or request
	Where   string `json:"where"`  // line of the file, variable, flag or kind of request
	Next    string `json:"next"`   // what the next start would take
	Type    string `json:"type"`
	Default string `json:"default"`
	Effect  string `json:"effect"` // EffectAtOnce or EffectRestart
}

// When a changed setting has an effect.
const (
	EffectAtOnce  = "at once"
	EffectRestart = "restart"
)

// Changed is the document of a change of settings.
type Changed struct {
	Schema  int      `json:"schema"`
	File    string   `json:"file"` // that has been written
	Changes []Change `json:"changes"`
}

// Change is what has become of one setting.
type Change struct {
	Key    string `json:"key"`
	Before string `json:"before"`
	Value  string `json:"value"`  // what the node runs with now
	Next   string `json:"next"`   // what the next start would take
	Effect string `json:"effect"` // EffectAtOnce or EffectRestart
	Hidden string `json:"hidden"` // what the next start takes instead of the file; empty: the file
}

// SettingsOf makes the document of rows. fault is what is wrong with the file.
func SettingsOf(rows []settings.Row, file string, fault error) Settings {
	document := Settings{Schema: Schema, File: file, Settings: []Setting{}}
	if fault != nil {
		document.Fault = fault.Error()
	}
	for _, row := range rows {
		document.Settings = append(document.Settings, Setting{
			Key: row.Setting.Key, Value: row.Value, Source: row.Origin.Source.String(), Where: row.Origin.Where, Next: row.Next,
			Type: row.Setting.Type.String(), Default: row.Setting.Default, Effect: effect(row.Setting),
		})
	}
	return document
}

// ChangedOf makes the document of a change.
func ChangedOf(file string, done []settings.Change) Changed {
	document := Changed{Schema: Schema, File: file, Changes: []Change{}}
	for _, c := range done {
		change := Change{Key: c.Setting.Key, Before: c.Before, Value: c.Value, Next: c.Next, Effect: effect(c.Setting)}
		if c.Hidden != nil {
			change.Hidden = c.Hidden.String()
		}
		document.Changes = append(document.Changes, change)
	}
	return document
}

func effect(s settings.Setting) string {
	if s.Hot {
		return EffectAtOnce
	}
	return EffectRestart
}

func (a api) settings(w http.ResponseWriter, _ *http.Request) {
	if a.options.Settings == nil {
		answerNoSettings(w)
		return
	}
	rows, fault := a.options.Settings.Rows()
	answer(w, SettingsOf(rows, a.options.Settings.File(), fault))
}

func answerNoSettings(w http.ResponseWriter) {
	answerFault(w, http.StatusNotFound, "this node has no settings", "it was started by `egal demo` or by a program, which configures it")
}

func (a api) change(w http.ResponseWriter, r *http.Request) {
	running := a.options.Settings
	if running == nil {
		answerNoSettings(w)
		return
	}
	wanted, err := readChanges(r.Body)
	if err != nil {
		answerFault(w, statusOfRead(err), "the body: "+err.Error(), `want {"key": "value"}, for example {"log_level": "debug"}`)
		return
	}
	done, err := running.Change(wanted, "PATCH /api/v1/settings")
	fault := (*settings.Fault)(nil)
	switch {
	case err == nil:
		answer(w, ChangedOf(running.File(), done))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		answerFault(w, http.StatusForbidden, err.Error(), "let the user of the node write the file and its directory")
	case errors.As(err, &fault):
		text, hint, _ := strings.Cut(err.Error(), "\nhint: ")
		answerFault(w, http.StatusBadRequest, text, hint)
	default:
		answerFault(w, http.StatusInternalServerError, err.Error(), "nothing has changed unless the file says so")
	}
}

// readChanges takes one flat object of keys and values.
func readChanges(body io.Reader) (map[string]string, error) {
	decoder := json.NewDecoder(body)
	decoder.UseNumber()
	var document map[string]any
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	if len(document) == 0 {
		return nil, errors.New("no setting")
	}
	wanted := make(map[string]string, len(document))
	for key, value := range document {
		switch v := value.(type) {
		case string:
			wanted[key] = v
		case bool, json.Number:
			wanted[key] = fmt.Sprint(v)
		default:
			return nil, fmt.Errorf("%s: want a string, a number, true or false", key)
		}
	}
	return wanted, nil
}
