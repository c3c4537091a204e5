package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/egalcluster/egal/internal/durable"
	"github.com/egalcluster/egal/internal/settings"
	"github.com/egalcluster/egal/web"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func configCommand(w *world) *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "config", Short: "Look at the configuration, and change it",
		Example: "  egal config show --origin\n  egal config set log_level debug\n  egal config check egal.yaml",
	})
	cmd.AddCommand(configCheckCommand(w), configSetCommand(w), configShowCommand(w))
	return cmd
}

func configCheckCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Look for faults in a configuration file",
		Long: "Look for faults in a configuration file: every one is named with its line, an unknown key with the nearest one.\n" +
			"The environment does not count. Exits with 2 when there are faults.",
		Example: "  egal config check egal.yaml",
		Args:    exactly(1, "one file"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := (sources{file: args[0], flags: &pflag.FlagSet{}}).configuration(); err != nil {
				return err
			}
			fmt.Fprintln(w.out, args[0]+": ok")
			return nil
		},
	}
}

func configShowCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var file, addr string
	var origin, running bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print every setting, as `egal start` would have it or as a running node has it",
		Long: "Print every setting, as `egal start` with the same flags would have it in this place, or with --running as the node\n" +
			"on the data directory has it. A node that runs shows in NEXT what its next start would take, where that differs.",
		Example: `  egal config show --origin
  egal config show --config egal.yaml -o json
  egal config show --running --data /var/lib/egal --origin`,
		Args: noArguments,
	}
	o.flags(cmd, "table", "name")
	settingFlags(cmd.Flags())
	cmd.Flags().StringVar(&file, "config", "", configFlagDoc)
	cmd.Flags().BoolVar(&origin, "origin", false, "tell where each value comes from: default, line of the file, variable, flag or request")
	cmd.Flags().BoolVar(&running, "running", false, "ask the node that runs on --data, or on --addr")
	cmd.Flags().StringVar(&addr, "addr", "", "host:port of a node's API, for --running")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var document web.Settings
		if running {
			to := target{addr: addr}
			if cmd.Flags().Changed("data") {
				to.data = cmd.Flags().Lookup("data").Value.String()
			}
			if err := w.read(cmd.Context(), to, "/api/v1/settings", &document); err != nil {
				return err
			}
		} else {
			s := w.sources(file, cmd.Flags())
			values, err := s.configuration()
			if err != nil {
				return err
			}
			document = web.SettingsOf(values.Rows(), s.file, nil)
		}
		return o.settings(document, origin)
	}
	return cmd
}

const configFlagDoc = "configuration file; default egal.yaml in the data directory, if it is there"

// settings prints a configuration.
func (o *output) settings(document web.Settings, origin bool) error {
	head := []string{"KEY", "VALUE"}
	if origin {
		head = append(head, "ORIGIN")
	}
	pending := func(s web.Setting) bool { return s.Next != s.Value }
	waits := false
	var names []string
	for _, s := range document.Settings {
		names, waits = append(names, s.Key), waits || pending(s)
	}
	if waits {
		head = append(head, "NEXT")
	}
	rows := [][]string{head}
	for _, s := range document.Settings {
		row := []string{s.Key, s.Value}
		if origin {
			row = append(row, strings.TrimSpace(s.Source+" "+s.Where))
		}
		switch {
		case pending(s):
			row = append(row, dash(s.Next))
		case waits:
			row = append(row, "") // a cell, so that the column before it has its width
		}
		rows = append(rows, row)
	}
	if done, err := o.document(document, names); done {
		return err
	}
	fmt.Fprint(o.w.out, o.table(rows))
	if document.Fault != "" {
		fmt.Fprintln(o.w.err, "warning: "+document.Fault)
	}
	return nil
}

func configSetCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var to target
	var file string
	cmd := &cobra.Command{
		Use:   "set KEY VALUE",
		Short: "Change a setting of a node",
		Long: "Change a setting of a node: its file is rewritten, with comments and order as they are. A node that runs takes the\n" +
			"value at once if the setting allows that, else at its next start; the answer says which. Where no node runs, the file\n" +
			"in the data directory is changed, or the one that --config names. A list is parted by commas.",
		Example: `  egal config set log_level debug
  egal config set slots.max_clients 20000 --data /var/lib/egal
  egal config set fabric.seeds host-1:7946,host-2:7946 --config egal.yaml`,
		Args:              exactly(2, "a key and a value"),
		ValidArgsFunction: completeSetting,
	}
	o.flags(cmd, "text", "name")
	to.flags(cmd)
	cmd.Flags().StringVar(&file, "config", "", "change this file, and ask no node")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		changed, err := w.set(cmd.Context(), args[0], args[1], to, file)
		if err != nil {
			return err
		}
		if done, err := o.document(changed, []string{args[0]}); done {
			return err
		}
		for _, c := range changed.Changes {
			fmt.Fprintln(w.out, inWords(c, changed.File))
		}
		return nil
	}
	return cmd
}

// inWords says what has become of a setting.
func inWords(c web.Change, file string) string {
	text := fmt.Sprintf("%s: %s → %s, ", c.Key, dash(c.Before), dash(c.Next))
	switch {
	case c.Hidden != "" && c.Effect == web.EffectAtOnce:
		return fmt.Sprintf("%s: %s → %s, at once; written to %s, but %s wins again at the next start", c.Key, dash(c.Before), dash(c.Value), file, c.Hidden)
	case c.Hidden != "":
		return fmt.Sprintf("%s: stays %s; written to %s, but %s wins", c.Key, dash(c.Value), file, c.Hidden)
	case c.Effect == web.EffectAtOnce:
		return text + "at once; written to " + file
	default:
		return text + "at the next start of the node; written to " + file
	}
}

// set asks the node to change a setting. Where none runs, the file is changed.
func (w *world) set(ctx context.Context, key, value string, to target, file string) (web.Changed, error) {
	if file != "" {
		return setInFile(sources{file: file, flags: &pflag.FlagSet{}}, key, value)
	}
	c, err := w.connect(to)
	if err != nil {
		return web.Changed{}, err
	}
	defer c.close()
	var changed web.Changed
	err = c.send(ctx, "PATCH", "/api/v1/settings", map[string]string{key: value}, &changed)
	if f := (*fault)(nil); !errors.As(err, &f) || f.code != exitUnreachable || to.addr != "" {
		return changed, err
	}
	data := to.data
	if data == "" {
		data = w.getenv("EGAL_DATA")
	}
	if data == "" {
		data = "egal-data"
	}
	if _, missing := os.Stat(data); missing != nil {
		return changed, fail(exitUnreachable, "--data names the directory of a node, --config a file", "%s, and there is no directory %s", strings.TrimPrefix(err.Error(), "egal: "), data)
	}
	lock, err := lockData(data)
	if err != nil {
		return changed, err
	}
	changed, err = setInFile(sources{file: filepath.Join(data, configFile), own: true, flags: &pflag.FlagSet{}}, key, value)
	return changed, errors.Join(err, lock())
}

// lockData keeps a node from starting on a data directory, and another egal from changing its file, until the function
// that it returns is called. A directory on which no node has ever run is left alone: its lock belongs to whoever runs
// the node.
func lockData(data string) (release func() error, err error) {
	path := filepath.Join(data, "LOCK")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, nil
	}
	lock, err := durable.Lock(durable.OS(), path)
	switch {
	case errors.Is(err, durable.ErrLocked):
		return nil, fail(exitUnreachable, "ask it by --addr, or stop it first", "a node runs on %s, but has no socket there", data)
	case errors.Is(err, fs.ErrPermission):
		return nil, fail(exitDenied, "ask as the user who runs the node", "%w", err)
	case err != nil:
		return nil, err
	}
	return lock.Close, nil
}

// setInFile changes a setting in a file that no running node looks at.
func setInFile(s sources, key, value string) (web.Changed, error) {
	content, err := settings.ReadContent(s.file)
	if err != nil {
		return web.Changed{}, explain(err)
	}
	before, err := s.gather(content)
	if err != nil {
		return web.Changed{}, &fault{code: exitUsage, err: err}
	}
	edited, err := settings.New().Edit(s.file, content, key, value)
	if err != nil {
		return web.Changed{}, &fault{code: exitUsage, err: err}
	}
	after, err := s.gather(edited)
	if err != nil {
		return web.Changed{}, &fault{code: exitUsage, err: err}
	}
	if err := settings.WriteContent(s.file, edited); err != nil {
		return web.Changed{}, explain(err)
	}
	return web.Changed{Schema: web.Schema, File: s.file, Changes: []web.Change{{
		Key: key, Before: before.Text(key), Value: before.Text(key), Next: after.Text(key), Effect: web.EffectRestart,
	}}}, nil
}

// completeSetting offers the keys, then the values of a key that has few.
func completeSetting(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var offers []string
	switch len(args) {
	case 0:
		for _, s := range settings.New().Settings() {
			offers = append(offers, cobra.CompletionWithDesc(s.Key, s.Doc))
		}
	case 1:
		if s, ok := settings.New().Find(args[0]); ok && s.Type == settings.Bool {
			offers = []string{"true", "false"}
		} else if ok {
			offers = s.Choices
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}
