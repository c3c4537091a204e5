package main

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/settings"
	"github.com/spf13/pflag"
)

// configFile is the configuration file in a data directory.
const configFile = "egal.yaml"

// sources are what the settings of a node are gathered from.
type sources struct {
	file    string // the node's configuration file
	own     bool   // it is the one in the data directory, which may not exist
	environ []string
	flags   *pflag.FlagSet
}

// sources are those of a node that is started here with these flags. Without a file it is the one in the data
// directory.
func (w *world) sources(file string, flags *pflag.FlagSet) sources {
	s := sources{file: file, environ: w.environ, flags: flags}
	if file == "" {
		values := settings.New().Values()
		_ = values.ReadEnvironment(w.environ) // faults are told by gather
		_ = s.readFlags(values)
		s.file, s.own = filepath.Join(values.String("data"), configFile), true
	}
	return s
}

// configuration reads the file and gathers all settings.
func (s sources) configuration() (*settings.Values, error) {
	content, err := settings.ReadContent(s.file)
	if err == nil && content == nil && !s.own {
		if _, err := os.Stat(s.file); errors.Is(err, fs.ErrNotExist) {
			return nil, fail(exitUsage, "--config names the file; without it the one in the data directory is read, if there is one", "no configuration file %s", s.file)
		}
	}
	if asError(err, new(*settings.Fault)) {
		return nil, &fault{code: exitUsage, err: err}
	} else if err != nil {
		return nil, fail(exitFailed, "", "read the configuration: %w", err)
	}
	values, err := s.gather(content)
	if err != nil {
		return nil, &fault{code: exitUsage, err: err}
	}
	return values, nil
}

// gather joins the content of the file with the other sources, and checks the whole.
func (s sources) gather(content []byte) (*settings.Values, error) {
	values := settings.New().Values()
	faults := []error{values.ReadFile(s.file, content), values.ReadEnvironment(s.environ), s.readFlags(values)}
	if origin := values.Origin("data"); s.own && origin.Source == settings.FromFile {
		faults = append(faults, &settings.Fault{
			Where: origin.Where, Key: "data", Problem: "this file is found by it", Hint: "--data (EGAL_DATA) names the directory; or name the file by --config",
		})
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
	return values, err
}

// readFlags takes the flags that are set.
func (s sources) readFlags(values *settings.Values) error {
	var faults []error
	for _, row := range settings.New().Settings() {
		if given := s.flags.Lookup(row.Flag); row.Flag != "" && given != nil && given.Changed {
			origin := settings.Origin{Source: settings.FromFlag, Where: "--" + row.Flag}
			faults = append(faults, values.Set(row.Key, given.Value.String(), origin))
		}
	}
	return errors.Join(faults...)
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
	return egal.Config{
		Data: v.String("data"), Name: v.String("name"), Location: v.String("location"), Roles: v.List("roles"),
		Structures: v.List("structures"), Insecure: v.Bool("insecure"),
		Seeds: v.List("fabric.seeds"), InitialMembers: v.Int("fabric.initial_members"), DownPolicy: v.String("fabric.down_policy"),
		DownQuorum: v.Int("fabric.down_quorum"), StableAfter: v.Duration("fabric.stable_after"),
		FabricListen: v.String("fabric.listen"), ClusterKeyFile: v.String("fabric.cluster_key_file"), AllowPlain: v.Bool("fabric.allow_plain"),
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
