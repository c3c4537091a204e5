package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/egalcluster/egal/fabric"
	"github.com/egalcluster/egal/internal/certs"
	"github.com/egalcluster/egal/internal/durable"
)

// keyFile writes a cluster key, the same for equal first letters.
func keyFile(t *testing.T, first string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.key")
	key := first + "AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	if err := os.WriteFile(path, []byte("# for a test\n"+key[:43]+"=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNodesWithOneKeyFormACluster(t *testing.T) {
	key := keyFile(t, "A")
	one, two := t.TempDir(), t.TempDir()
	first := startNode(t, one, "--name", "one", "--cluster-key-file", key)
	serving(t, first)
	seed := first.err.expect(t, `"fabric":"([^"]+)"`)[1]
	serving(t, startNode(t, two, "--name", "two", "--join", seed, "--cluster-key-file", key))
	got := egalRun(t, "status", "--data", two, "--wait", "--no-headers")
	if got.code != exitOK || !strings.HasPrefix(got.out, "one") || !strings.Contains(got.out, "\ntwo") {
		t.Errorf("%+v", got)
	}
	for name, args := range map[string][]string{
		"another key": {"--cluster-key-file", keyFile(t, "B")},
		"no key":      nil,
	} {
		stranger := startNode(t, t.TempDir(), append([]string{"--name", "stranger", "--join", seed}, args...)...)
		if args != nil {
			stranger.err.expect(t, `"event":"transport_not_taken","peer":"`+seed+`","error":"the peer took the connection and ended it without an answer","key":0,"key_hash":"[0-9a-f]{16}"`)
		} else {
			stranger.err.expect(t, `"event":"transport_not_taken","peer":"`+seed+`"`)
		}
		if got := egalRun(t, "status", "--data", one, "--no-headers"); strings.Contains(got.out, "stranger") {
			t.Errorf("%s: %s", name, got.out)
		}
	}
}

func TestPlainTextBeyondThisMachineIsRefused(t *testing.T) {
	got := egalRun(t, "start", "--data", t.TempDir(), "--fabric-listen", "192.0.2.1:7946")
	if got.code != exitUsage || !strings.Contains(got.err, "--fabric-listen: fabric.listen: 192.0.2.1:7946: open beyond this machine") ||
		!strings.Contains(got.err, "hint: give all nodes one cluster key, --cluster-key-file") {
		t.Errorf("%+v", got)
	}
}

func TestABadKeyFileIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.key")
	if err := os.WriteFile(path, []byte("# one\nhello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := egalRun(t, "start", "--data", t.TempDir(), "--fabric-listen", "127.0.0.1:0", "--slots-listen", "127.0.0.1:0", "--web-listen", "127.0.0.1:0", "--cluster-key-file", path)
	if got.code != exitFailed || !strings.Contains(got.err, "read cluster key "+path+": malformed key file: line 2: the key is no base64") {
		t.Errorf("%+v", got)
	}
}

func TestNodesWithCertificatesFormACluster(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{certs.CreateCA(dir, certs.Options{}), certs.CreateClusterKey(dir)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	tls := func(name, id string) []string {
		if err := certs.CreateNode(dir, name, id, nil, certs.Options{}); err != nil {
			t.Fatal(err)
		}
		in := func(file string) string { return filepath.Join(dir, file) }
		content := "fabric:\n  cluster_key_file: " + in(certs.ClusterKeyFile) + "\n  tls_ca_file: " + in(certs.CAFile) +
			"\n  tls_cert_file: " + in("node-"+name+".crt") + "\n  tls_key_file: " + in("node-"+name+".key") + "\n"
		return []string{"--name", name, "--config", write(t, content)}
	}
	data := map[string]string{"one": t.TempDir(), "two": t.TempDir(), "three": t.TempDir()}
	ids := map[string]string{}
	for name, dir := range data {
		id, err := fabric.PrepareIdentity(durable.OS(), dir)
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = id.String()
	}
	one := startNode(t, data["one"], tls("one", ids["one"])...)
	serving(t, one)
	seed := one.err.expect(t, `"fabric":"([^"]+)"`)[1]
	serving(t, startNode(t, data["two"], append(tls("two", ids["two"]), "--join", seed)...))
	wrong := startNode(t, data["three"], append(tls("three", ids["two"]), "--join", seed)...)
	wrong.err.expect(t, `"event":"transport_wrong_certificate","certificate":"`+ids["two"]+`","node":"`+ids["three"]+`"`)
	one.err.expect(t, `"event":"transport_refused".*certificate refused: it names another node: `+ids["two"]+`, and the peer says it is `+ids["three"])
	if got := egalRun(t, "status", "--data", data["one"], "--wait", "--no-headers"); got.code != exitOK || !strings.Contains(got.out, "two") || strings.Contains(got.out, "three") {
		t.Errorf("%+v", got)
	}
}
