package main

import (
	"log/slog"
	"strconv"
	"sync/atomic"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/internal/settings"
)

// knobs are what changes while a node runs.
type knobs struct {
	level   slog.LevelVar
	maxBody atomic.Int64
}

func newKnobs(v *settings.Values) *knobs {
	k := &knobs{}
	k.setLevel(v)
	k.setMaxBody(v)
	return k
}

func (k *knobs) setLevel(v *settings.Values)   { k.level.Set(levels[v.String("log_level")]) }
func (k *knobs) setMaxBody(v *settings.Values) { k.maxBody.Store(int64(v.Int("web.max_body"))) }

// of are the knobs of a node by the keys of their settings. Those of the store may be turned by its clients, too.
func (k *knobs) of(node *egal.Node) map[string]settings.Knob {
	all := map[string]settings.Knob{"log_level": {Set: k.setLevel}, "web.max_body": {Set: k.setMaxBody}}
	clients := settings.Knob{Set: func(v *settings.Values) {
		for _, service := range node.Slots() {
			service.SetMaxClients(v.Int("slots.max_clients"))
		}
	}}
	coverage := settings.Knob{Set: func(v *settings.Values) {
		for _, service := range node.Slots() {
			service.SetRequireFullCoverage(v.Bool("slots.require_full_coverage"))
		}
	}}
	if services := node.Slots(); len(services) > 0 {
		clients.Text = func() string { return strconv.Itoa(services[0].MaxClients()) }
		coverage.Text = func() string { return strconv.FormatBool(services[0].RequireFullCoverage()) }
	}
	all["slots.max_clients"], all["slots.require_full_coverage"] = clients, coverage
	return all
}

// reload takes what has changed in the configuration file, and says what of it has to wait.
func reload(logger *slog.Logger, running *settings.Running) {
	done, err := running.Reload()
	if err != nil {
		logger.Error("the configuration is left as it is", "event", "config_refused", "file", running.File(), "error", err)
		return
	}
	for _, c := range done {
		logger.Info("configuration changed", "event", "config_changed", "key", c.Setting.Key, "before", c.Before, "value", c.Value, "next_start", c.Next)
	}
	logger.Info("configuration read", "event", "config_read", "file", running.File(), "changes", len(done))
}
