package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const node = "000102030405060708090a0b0c0d0e0f"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, file string) *x509.Certificate {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, file))
	must(t, err)
	block, _ := pem.Decode(content)
	certificate, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return certificate
}

func TestWhatIsMadeVerifies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	must(t, CreateCA(dir, Options{}))
	must(t, CreateNode(dir, "one", node, []string{"host.example", "192.0.2.1"}, Options{}))
	must(t, CreateClient(dir, "anna", Options{}))
	must(t, CreateClusterKey(dir))
	roots := x509.NewCertPool()
	roots.AddCert(read(t, dir, CAFile))
	for _, tc := range []struct {
		file, uri string
		usage     x509.ExtKeyUsage
		ok        bool
	}{
		{"node-one", "egal://node/" + node, x509.ExtKeyUsageServerAuth, true},
		{"node-one", "egal://node/" + node, x509.ExtKeyUsageClientAuth, true},
		{"client-anna", "egal://client/anna", x509.ExtKeyUsageClientAuth, true},
		{"client-anna", "egal://client/anna", x509.ExtKeyUsageServerAuth, false},
	} {
		certificate := read(t, dir, tc.file+".crt")
		_, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{tc.usage}})
		if (err == nil) != tc.ok || certificate.URIs[0].String() != tc.uri {
			t.Errorf("%s: %v, %v", tc.file, err, certificate.URIs)
		}
		_, err = tls.LoadX509KeyPair(filepath.Join(dir, tc.file+".crt"), filepath.Join(dir, tc.file+".key"))
		must(t, err)
	}
	if err := read(t, dir, "node-one.crt").VerifyHostname("host.example"); err != nil {
		t.Error(err)
	}
	files, err := os.ReadDir(dir)
	must(t, err)
	if len(files) != 7 {
		t.Errorf("%d files: %v", len(files), files)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestNothingIsOverwrittenSilently(t *testing.T) {
	dir := t.TempDir()
	must(t, CreateCA(dir, Options{}))
	must(t, CreateNode(dir, "one", node, nil, Options{}))
	must(t, CreateClusterKey(dir))
	for name, again := range map[string]func() error{
		"the authority":         func() error { return CreateCA(dir, Options{}) },
		"the authority, forced": func() error { return CreateCA(dir, Options{Replace: true}) },
		"a node":                func() error { return CreateNode(dir, "one", node, nil, Options{}) },
		"the cluster key":       func() error { return CreateClusterKey(dir) },
		"a node's key alone": func() error {
			must(t, os.Rename(filepath.Join(dir, "node-one.crt"), filepath.Join(dir, "old.crt")))
			defer func() { must(t, os.Rename(filepath.Join(dir, "old.crt"), filepath.Join(dir, "node-one.crt"))) }()
			return CreateNode(dir, "one", node, nil, Options{})
		},
	} {
		before := contents(t, dir)
		if err := again(); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "\nhint: ") {
			t.Errorf("%s: %v", name, err)
		}
		if contents(t, dir) != before {
			t.Errorf("%s: a file changed", name)
		}
	}
	before := read(t, dir, "node-one.crt")
	must(t, CreateNode(dir, "one", node, nil, Options{Replace: true}))
	after := read(t, dir, "node-one.crt")
	if before.Equal(after) || bytes.Equal(before.RawSubjectPublicKeyInfo, after.RawSubjectPublicKeyInfo) {
		t.Error("the rotation kept the certificate or its key")
	}
}

func TestANodeIsRenewedAsItWas(t *testing.T) {
	dir, begin := t.TempDir(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, CreateCA(dir, Options{Now: begin}))
	must(t, CreateNode(dir, "one", node, []string{"a.example", "192.0.2.1"}, Options{Now: begin}))
	file, _ := NodeFiles("one")
	before, err := Read(filepath.Join(dir, file))
	must(t, err)
	must(t, RenewNode(dir, "one", Options{Now: begin.Add(time.Hour)}))
	after, err := Read(filepath.Join(dir, file))
	must(t, err)
	if !after.Expires.Equal(before.Expires.Add(time.Hour)) || after.Node != node || strings.Join(after.Hosts, " ") != "a.example 192.0.2.1" {
		t.Errorf("%+v after %+v", after, before)
	}
	if err := RenewNode(dir, "two", Options{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "egal cert create-node makes it") {
		t.Error(err)
	}
}

func contents(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	var all strings.Builder
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		must(t, err)
		all.WriteString(f.Name() + string(content))
	}
	return all.String()
}

func TestNothingOutlivesItsAuthority(t *testing.T) {
	dir, begin := t.TempDir(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, CreateCA(dir, Options{Now: begin}))
	must(t, CreateNode(dir, "one", node, nil, Options{Now: begin.Add(CALife - time.Hour)}))
	ca, one := read(t, dir, CAFile), read(t, dir, "node-one.crt")
	if !one.NotAfter.Equal(ca.NotAfter) || !ca.NotBefore.Equal(begin.Add(-skew)) || !ca.NotAfter.Equal(begin.Add(CALife)) {
		t.Errorf("authority %v to %v, node to %v", ca.NotBefore, ca.NotAfter, one.NotAfter)
	}
}

func TestBadNamesAndLackingFilesAreSaid(t *testing.T) {
	dir := t.TempDir()
	if err := CreateNode(dir, "one", node, nil, Options{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "hint: egal cert create-ca") {
		t.Error(err)
	}
	must(t, CreateCA(dir, Options{}))
	for _, name := range []string{"", "a/b", "..", "ä", strings.Repeat("x", maxName+1)} {
		if err := CreateClient(dir, name, Options{}); name != ".." && err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
	must(t, CreateClient(dir, strings.Repeat("x", maxName), Options{}))
	for _, id := range []string{"", "00", node + "00", strings.Repeat("x", 32)} {
		if err := CreateNode(dir, "one", id, nil, Options{}); err == nil {
			t.Errorf("the id %q was taken", id)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, CAKeyFile), []byte("nonsense"), 0o600))
	if err := CreateNode(dir, "one", node, nil, Options{}); err == nil || !strings.Contains(err.Error(), "no PRIVATE KEY in PEM") {
		t.Error(err)
	}
}
