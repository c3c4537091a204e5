package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/settings"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// readBounded reads a configuration file, one byte more than it may have at most.
func readBounded(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, settings.MaxFileBytes+1))
}

// configuration gathers settings from a file, the environment and the flags that are set. file may be empty.
func (w *world) configuration(file string, flags *pflag.FlagSet) (*settings.Values, error) {
	registry := settings.New()
	values := registry.Values()
	var faults []error
	if file != "" {
		content, err := w.readFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fail(exitUsage, "--config names the file; without it the defaults hold", "no configuration file %s", file)
		case err != nil:
			return nil, fail(exitFailed, "", "read the configuration: %w", err)
		}
		faults = append(faults, values.ReadFile(file, content))
	}
	faults = append(faults, values.ReadEnvironment(w.environ))
	for _, s := range registry.Settings() {
		if given := flags.Lookup(s.Flag); s.Flag != "" && given != nil && given.Changed {
			origin := settings.Origin{Source: settings.FromFlag, Where: "--" + s.Flag}
			faults = append(faults, values.Set(s.Key, given.Value.String(), origin))
		}
	}
	for _, key := range []string{"fabric.listen", "slots.listen", "web.listen"} {
		if key == "fabric.listen" && (values.String("fabric.cluster_key_file") != "" || values.Bool("fabric.allow_plain")) {
			continue
		}
		faults = append(faults, checkReach(key, values.String(key), values.Origin(key).Where, values.Bool("insecure")))
	}
	err := errors.Join(faults...)
	if err == nil {
		err = nodeConfig(values).Validate()
	}
	if err != nil {
		return nil, &fault{code: exitUsage, err: err}
	}
	return values, nil
}

// checkReach refuses the address of a setting that reaches beyond this machine unless that is asked for. where is what
// has set it.
func checkReach(key, address, where string, insecure bool) error {
	host, _, _ := net.SplitHostPort(address) // what is no host:port cannot be listened on
	if ip, err := netip.ParseAddr(host); address == "" || host == "localhost" || err == nil && ip.IsLoopback() || insecure {
		return nil
	}
	hint := "listen on 127.0.0.1, or add --insecure if whoever reaches the port may read and write"
	if key == "fabric.listen" {
		hint = "give all nodes one cluster key, --cluster-key-file; or listen on 127.0.0.1; or add --allow-plain if whoever reaches the port may read and write"
	}
	return &settings.Fault{
		Where: where, Key: key, Problem: address + ": open beyond this machine, where nothing is encrypted and nobody logs in", Hint: hint,
	}
}

// settingFlags gives a command the flags of the registry.
func settingFlags(flags *pflag.FlagSet) {
	for _, s := range settings.New().Settings() {
		switch {
		case s.Flag == "":
		case s.Type == settings.Bool:
			flags.Bool(s.Flag, false, s.Doc)
		default:
			flags.String(s.Flag, s.Default, s.Doc)
		}
	}
}

// nodeConfig turns settings into what egal.Start takes.
func nodeConfig(v *settings.Values) egal.Config {
	seeds, listen := v.List("fabric.seeds"), v.String("fabric.listen")
	return egal.Config{
		Data: v.String("data"), Name: v.String("name"), Location: v.String("location"), Roles: v.List("roles"),
		Structures: v.List("structures"), Insecure: v.Bool("insecure"),
		Seeds: seeds, FirstSeed: len(seeds) > 0 && seeds[0] == listen, InitialMembers: v.Int("fabric.initial_members"),
		FabricListen: listen, ClusterKeyFile: v.String("fabric.cluster_key_file"), AllowPlain: v.Bool("fabric.allow_plain"),
		Certificates: transport.CertificateFiles{
			CA: v.String("fabric.tls_ca_file"), Cert: v.String("fabric.tls_cert_file"),
			Key: v.String("fabric.tls_key_file"), Revoked: v.String("fabric.tls_revoked_file"),
		},
		FabricFanout: v.Int("fabric.fanout"), ProbeInterval: v.Duration("fabric.probe_interval"),
		ProbeMisses: v.Int("fabric.probe_misses"), SlotsListen: v.String("slots.listen"), SlotsAnnounce: v.String("slots.announce"),
		SlotsEngine: v.String("slots.engine"), MaxClients: v.Int("slots.max_clients"),
		RequireFullCoverage: v.Bool("slots.require_full_coverage"),
	}
}

func configCommand(w *world) *cobra.Command {
	cmd := group(&cobra.Command{Use: "config", Short: "Look at the configuration", Example: "  egal config check egal.yaml\n  egal config show --origin"})
	cmd.AddCommand(configCheckCommand(w), configShowCommand(w))
	return cmd
}

func configCheckCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE",
		Short:   "Look for faults in a configuration file",
		Example: "  egal config check egal.yaml",
		Args:    exactly(1, "one file"),
		RunE: func(_ *cobra.Command, args []string) error {
			alone := *w
			alone.environ = nil // the file is checked, not this shell
			if _, err := alone.configuration(args[0], &pflag.FlagSet{}); err != nil {
				return err
			}
			fmt.Fprintln(w.out, args[0]+": ok")
			return nil
		},
	}
}

// shownSetting is a setting in the document of config show.
type shownSetting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
	Where  string `json:"where"`
}

func configShowCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var file string
	var origin bool
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Print every setting, as `egal start` would have it",
		Example: "  egal config show --config egal.yaml --origin",
		Args:    noArguments,
	}
	o.flags(cmd, "table")
	cmd.Flags().StringVar(&file, "config", "", "configuration file")
	cmd.Flags().BoolVar(&origin, "origin", false, "tell where each value comes from")
	cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "no line with the names of the columns")
	cmd.RunE = func(*cobra.Command, []string) error {
		values, err := w.configuration(file, &pflag.FlagSet{})
		if err != nil {
			return err
		}
		document := struct {
			Schema   int            `json:"schema"`
			Settings []shownSetting `json:"settings"`
		}{Schema: 1}
		rows := [][]string{{"KEY", "VALUE"}}
		if origin {
			rows[0] = append(rows[0], "ORIGIN")
		}
		for _, s := range settings.New().Settings() {
			from := values.Origin(s.Key)
			document.Settings = append(document.Settings, shownSetting{Key: s.Key, Value: values.Text(s.Key), Source: from.Source.String(), Where: from.Where})
			row := []string{s.Key, values.Text(s.Key)}
			if origin {
				row = append(row, from.String())
			}
			rows = append(rows, row)
		}
		if done, err := o.document(document); done {
			return err
		}
		fmt.Fprint(w.out, o.table(rows))
		return nil
	}
	return cmd
}
