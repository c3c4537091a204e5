package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/certs"
)

// settledSecrets is a document with fixed paths and times.
func settledSecrets(dir, text string) string {
	text = strings.ReplaceAll(text, dir, "egal-certs")
	return regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`).ReplaceAllString(text, "<time>")
}

func TestSecretsAreMadeAndNeverOverwritten(t *testing.T) {
	dir, data := filepath.Join(t.TempDir(), "certs"), filepath.Join(t.TempDir(), "data")
	const id = "0123456789abcdef0123456789abcdef"
	cert := func(code int, args ...string) result {
		t.Helper()
		got := egalRun(t, append([]string{"cert"}, append(args, "--certs", dir)...)...)
		if got.code != code {
			t.Errorf("%v: %+v", args, got)
		}
		return got
	}
	if got := cert(exitFailed, "create-client", "alice"); !strings.Contains(got.err, "\nhint: egal cert create-ca makes it") {
		t.Errorf("without an authority: %s", got.err)
	}
	golden(t, goldenFile("cert-ca.json"), settledSecrets(dir, cert(exitOK, "create-ca", "-o", "json").out))
	golden(t, goldenFile("cert-node.json"), settledSecrets(dir, cert(exitOK, "create-node", "one", "--id", id, "--host", "one.example", "-o", "json").out))
	golden(t, goldenFile("cert-client.json"), settledSecrets(dir, cert(exitOK, "create-client", "alice", "-o", "json").out))
	got := cert(exitOK, "create-node", "two", "--data", data)
	if !strings.Contains(got.out, "for "+filepath.Join(data, "egal.yaml")+":\nfabric:\n  cluster_key_file: "+filepath.Join(dir, "cluster.key")+"\n") {
		t.Errorf("%s", got.out)
	}
	before := files(t, dir)
	for _, again := range [][]string{{"create-ca"}, {"create-node", "one", "--id", id}, {"create-client", "alice"}} {
		if got := cert(exitFailed, again...); !strings.Contains(got.err, "there already\nhint: move it away") {
			t.Errorf("%v again: %s", again, got.err)
		}
	}
	for _, wrong := range [][]string{
		{"create-ca", "one"},
		{"create-node"},
		{"create-node", "three"},
		{"create-node", "three", "--id", id, "--data", data},
		{"create-node", "three", "--id", "12"},
		{"create-client", "a/b"},
		{"renew"},
	} {
		cert(exitUsage, wrong...)
	}
	for path, content := range files(t, dir) {
		if before[path] != content {
			t.Errorf("%s has changed", path)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	got = cert(exitOK, "rotate", "--node", "one", "-o", "json")
	golden(t, goldenFile("cert-node.json"), settledSecrets(dir, got.out))
	if after := files(t, dir); after[filepath.Join(dir, "node-one.key")] == before[filepath.Join(dir, "node-one.key")] {
		t.Error("the key was kept")
	}
	cert(exitFailed, "rotate", "--node", "three")
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Join(dir, e.Name())] = string(content)
	}
	return all
}

func TestAClusterKeyThatIsThereIsKept(t *testing.T) {
	dir := t.TempDir()
	if err := certs.CreateClusterKey(dir); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)[filepath.Join(dir, certs.ClusterKeyFile)]
	got := egalRun(t, "cert", "create-ca", "--certs", dir)
	if got.code != exitOK || !strings.Contains(got.out, "cluster key, kept as it was") || files(t, dir)[filepath.Join(dir, certs.ClusterKeyFile)] != before {
		t.Errorf("%+v", got)
	}
}

func TestTheClusterKeyIsRotated(t *testing.T) {
	key, data := keyFile(t, "A"), t.TempDir()
	serving(t, startNode(t, data, "--cluster-key-file", key))
	if got := egalRun(t, "cert", "create-node", "one", "--data", data); got.code != exitFailed || !strings.Contains(got.err, "its node runs\nhint: give its id: --id") {
		t.Errorf("the id of a node that runs: %+v", got)
	}
	got := egalRun(t, "cert", "rotate", "--data", data, "-o", "json")
	if got.code != exitOK || !strings.Contains(got.out, `"kind": "rotate-key"`) || !strings.Contains(got.out, `"state": "done"`) {
		t.Errorf("%+v", got)
	}
	ring, err := transport.LoadKeyring(key, nil)
	if err != nil || len(ring.Keys()) != 1 || ring.Keys()[0].ID != 1 {
		t.Errorf("%v, %v", ring.Keys(), err)
	}
	plain := t.TempDir()
	serving(t, startNode(t, plain))
	if got := egalRun(t, "cert", "rotate", "--data", plain); got.code != exitFailed || !strings.Contains(got.err, "there is no cluster key\nhint: egal cert create-ca") {
		t.Errorf("without a key: %+v", got)
	}
	if got := egalRun(t, "cert", "rotate", "--data", "nowhere"); got.code != exitUnreachable {
		t.Errorf("nobody there: %+v", got)
	}
}
