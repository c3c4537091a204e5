package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/internal/certs"
	"github.com/egalcluster/egal/internal/durable"
	"github.com/egalcluster/egal/web"
	"github.com/spf13/cobra"
)

// defaultCerts is the directory of what egal cert makes.
const defaultCerts = "egal-certs"

// Secrets is the document of the verbs that make files.
type Secrets struct {
	Schema int `json:"schema"`
	// Node is the id of the node that the certificate names; empty: it names none.
	Node  string       `json:"node"`
	Files []SecretFile `json:"files"`
}

// SecretFile is one file.
type SecretFile struct {
	Path string `json:"path"`
	// Holds is certificate, key or cluster key, and of what.
	Holds string `json:"holds"`
	// Expires is when a certificate ends; empty: it is none.
	Expires string `json:"expires"`
	// Kept tells that the file was there before, and is as it was.
	Kept bool `json:"kept"`
}

func certCommand(w *world) *cobra.Command {
	cmd := group(&cobra.Command{
		Use: "cert", Short: "Make the cluster key and certificates, and replace them",
		Example: "  egal cert create-ca\n  egal cert create-node node-1 --data egal-data\n  egal cert rotate",
	})
	cmd.AddCommand(certCACommand(w), certNodeCommand(w), certClientCommand(w), certRotateCommand(w))
	return cmd
}

func certsFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "certs", defaultCerts, "directory of the files")
}

func certCACommand(w *world) *cobra.Command {
	o := &output{w: w}
	var dir string
	cmd := &cobra.Command{
		Use:   "create-ca",
		Short: "Make the authority of a cluster, and its cluster key",
		Long: "Make the certificate authority of a cluster, valid for ten years, and the cluster key. ca.crt and cluster.key go to\n" +
			"every node; ca.key stays here. Files are for their user alone, and never overwritten; a cluster key that is there is kept.",
		Example: "  egal cert create-ca\n  egal cert create-ca --certs /etc/egal/certs -o json",
		Args:    noArguments,
	}
	o.flags(cmd, "table", "name")
	certsFlag(cmd, &dir)
	cmd.RunE = func(*cobra.Command, []string) error {
		if err := certs.CreateCA(dir, certs.Options{}); err != nil {
			return cannotMake(err)
		}
		err := certs.CreateClusterKey(dir)
		kept := errors.Is(err, certs.ErrExists)
		if err != nil && !kept {
			return cannotMake(err)
		}
		made, err := certificateFiles("authority", filepath.Join(dir, certs.CAFile), filepath.Join(dir, certs.CAKeyFile))
		if err != nil {
			return err
		}
		made.Files = append(made.Files, SecretFile{Path: filepath.Join(dir, certs.ClusterKeyFile), Holds: "cluster key", Kept: kept})
		return o.secrets(made, "")
	}
	return cmd
}

func certNodeCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var dir, data, id string
	var hosts []string
	cmd := &cobra.Command{
		Use:   "create-node NAME",
		Short: "Make the certificate of a node",
		Long: "Make the certificate of a node, valid for a year, signed by the authority of create-ca. It names the node by its id, so\n" +
			"that no other can pass for it: --data names its data directory, where the id is made if there is none; --id gives the\n" +
			"id of one that lives elsewhere, or that runs. What the node's configuration needs is printed.",
		Example: `  egal cert create-node node-1 --data egal-data
  egal cert create-node node-2 --id 0123456789abcdef0123456789abcdef --host node-2.example --host 192.0.2.2`,
		Args: exactly(1, "the name of a node"),
	}
	o.flags(cmd, "table", "name")
	certsFlag(cmd, &dir)
	cmd.Flags().StringVar(&data, "data", "", "data directory of the node on this machine")
	cmd.Flags().StringVar(&id, "id", "", "id of the node, 32 hexadecimal digits")
	cmd.Flags().StringArrayVar(&hosts, "host", nil, "name or address by which clients reach the node; may be given more than once")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		switch {
		case (id == "") == (data == ""):
			return fail(exitUsage, "one of them names the node", "--data or --id")
		case data != "":
			made, err := fabric.PrepareIdentity(durable.OS(), data)
			if errors.Is(err, durable.ErrLocked) {
				return fail(exitFailed, "give its id: --id; `egal node status` shows it", "data directory %s: its node runs", data)
			}
			if err != nil {
				return err
			}
			id = made.String()
		}
		if err := certs.CreateNode(dir, args[0], id, hosts, certs.Options{}); err != nil {
			return cannotMake(err)
		}
		return o.nodeSecrets(dir, args[0], data)
	}
	return cmd
}

func certClientCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var dir string
	cmd := &cobra.Command{
		Use:     "create-client NAME",
		Short:   "Make the certificate of a client",
		Long:    "Make the certificate of a client, valid for a year, signed by the authority of create-ca.",
		Example: "  egal cert create-client alice\n  egal cert create-client alice --certs /etc/egal/certs -o name",
		Args:    exactly(1, "the name of a client"),
	}
	o.flags(cmd, "table", "name")
	certsFlag(cmd, &dir)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := certs.CreateClient(dir, args[0], certs.Options{}); err != nil {
			return cannotMake(err)
		}
		certificate, key := certs.ClientFiles(args[0])
		made, err := certificateFiles("client "+args[0], filepath.Join(dir, certificate), filepath.Join(dir, key))
		if err != nil {
			return err
		}
		return o.secrets(made, "")
	}
	return cmd
}

func certRotateCommand(w *world) *cobra.Command {
	o := &output{w: w}
	var to target
	var dir, node string
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the cluster key on all nodes, or the certificate of one",
		Long: "Replace the cluster key on all nodes while they go on, as a job: every member installs the new key, then all use it, then\n" +
			"all remove the old one. A member that cannot be reached is waited for: start it, or forget it if it never comes back.\n" +
			"Progress is on stderr; interrupting it leaves the job alone, with exit code 130.\n\n" +
			"With --node NAME a certificate of create-node is made anew in its place, with a new key and for the same node and hosts.\n" +
			"The node takes it within ten seconds, or at SIGHUP.",
		Example: `  egal cert rotate
  egal cert rotate --addr 127.0.0.1:8947 -o json
  egal cert rotate --node node-1 --certs /etc/egal/certs`,
		Args: noArguments,
	}
	o.flags(cmd, "table", "wide", "name")
	to.flags(cmd)
	certsFlag(cmd, &dir)
	cmd.Flags().StringVar(&node, "node", "", "name that create-node was given: renew this certificate, not the cluster key")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if node == "" {
			return w.rotateKey(cmd, o, to)
		}
		if err := certs.RenewNode(dir, node, certs.Options{}); err != nil {
			return cannotMake(err)
		}
		return o.nodeSecrets(dir, node, "")
	}
	return cmd
}

// rotateKey has the cluster key replaced, and watches that.
func (w *world) rotateKey(cmd *cobra.Command, o *output, to target) error {
	paint, err := w.paints(cmd)
	if err != nil {
		return err
	}
	c, err := w.connect(to)
	if err != nil {
		return err
	}
	defer c.close()
	ctx := cmd.Context()
	id, err := c.startRotation(ctx)
	if err != nil {
		return err
	}
	return o.watched(ctx, c, id, paint)
}

func (c *client) startRotation(ctx context.Context) (id uint64, err error) {
	var started web.JobStatus
	err = c.send(ctx, "POST", "/api/v1/keys/rotate", struct{}{}, &started)
	return started.Job.ID, err
}

// cannotMake gives an error of internal/certs its exit code.
func cannotMake(err error) error {
	text, hint, _ := strings.Cut(err.Error(), "\nhint: ")
	if errors.Is(err, certs.ErrName) {
		return fail(exitUsage, hint, "%s", text)
	}
	return fail(exitFailed, hint, "%s", text)
}

// certificateFiles describes a certificate and its key.
func certificateFiles(whose, certificate, key string) (Secrets, error) {
	is, err := certs.Read(certificate)
	if err != nil {
		return Secrets{}, err
	}
	return Secrets{Schema: web.Schema, Node: is.Node, Files: []SecretFile{
		{Path: certificate, Holds: "certificate of " + whose, Expires: is.Expires.UTC().Format(time.RFC3339)},
		{Path: key, Holds: "key of " + whose},
	}}, nil
}

// nodeSecrets prints a node's files, and after them what its configuration needs if data names its directory.
func (o *output) nodeSecrets(dir, name, data string) error {
	certificate, key := certs.NodeFiles(name)
	made, err := certificateFiles("node "+name, filepath.Join(dir, certificate), filepath.Join(dir, key))
	if err != nil {
		return err
	}
	after := ""
	if data != "" {
		if dir, err = filepath.Abs(dir); err != nil {
			return err
		}
		after = fmt.Sprintf("\nfor %s:\nfabric:\n  cluster_key_file: %s\n  tls_ca_file: %s\n  tls_cert_file: %s\n  tls_key_file: %s\n",
			filepath.Join(data, configFile), filepath.Join(dir, certs.ClusterKeyFile), filepath.Join(dir, certs.CAFile),
			filepath.Join(dir, certificate), filepath.Join(dir, key))
	}
	return o.secrets(made, after)
}

// secrets prints the files, and in words what comes after them.
func (o *output) secrets(made Secrets, after string) error {
	var paths []string
	rows := [][]string{{"FILE", "HOLDS", "EXPIRES"}}
	for _, f := range made.Files {
		paths = append(paths, f.Path)
		if f.Kept {
			f.Holds += ", kept as it was"
		}
		rows = append(rows, []string{f.Path, f.Holds, dash(f.Expires)})
	}
	done, err := o.document(made, paths)
	if !done {
		fmt.Fprint(o.w.out, o.table(rows)+after)
	}
	return err
}
