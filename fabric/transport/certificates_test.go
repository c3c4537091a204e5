package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal/internal/certs"
)

// authority is a directory with an authority, and what it has signed.
type authority struct {
	t   *testing.T
	dir string
}

func newAuthority(t *testing.T, o certs.Options) authority {
	t.Helper()
	a := authority{t, t.TempDir()}
	must(t, certs.CreateCA(a.dir, o))
	return a
}

func idText(id Identity) string { return hex.EncodeToString(id.Node[:]) }

// files are those of a node, made now if need be.
func (a authority) files(name string, id Identity, o certs.Options) CertificateFiles {
	a.t.Helper()
	must(a.t, certs.CreateNode(a.dir, name, idText(id), nil, o))
	return CertificateFiles{
		CA: filepath.Join(a.dir, certs.CAFile), Cert: filepath.Join(a.dir, "node-"+name+".crt"),
		Key: filepath.Join(a.dir, "node-"+name+".key"), Revoked: filepath.Join(a.dir, "revoked"),
	}
}

func (a authority) revoke(line string) {
	must(a.t, os.WriteFile(filepath.Join(a.dir, "revoked"), []byte("# test\n"+line+"\n"), 0o600))
}

// unchecked takes a node's certificate as it is, with the authorities of another: how a bad node behaves.
func unchecked(t *testing.T, files CertificateFiles, trusts authority) *Certificates {
	t.Helper()
	own, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	must(t, err)
	bad := &trust{own: own, roots: x509.NewCertPool()}
	ca, err := os.ReadFile(filepath.Join(trusts.dir, certs.CAFile))
	must(t, err)
	must(t, bad.addRoots(ca))
	c := &Certificates{}
	c.current.Store(bad)
	return c
}

func (a authority) load(name string, id Identity) *Certificates {
	a.t.Helper()
	a.revoke("")
	c, err := LoadCertificates(a.files(name, id, certs.Options{}), nil)
	must(a.t, err)
	return c
}

// openTLS opens a started transport with certificates; nil is without.
func openTLS(t *testing.T, id Identity, c *Certificates, log *lockedBuffer) (Transport, *recorder) {
	t.Helper()
	tr, err := Listen(t.Context(), NetConfig{
		Addr: "127.0.0.1:0", Keys: NewKeyring(testKey(1)), Certificates: c, Logger: slog.New(slog.NewJSONHandler(log, nil)),
	})
	must(t, err)
	t.Cleanup(func() { must(t, tr.Close()) })
	r := newRecorder()
	tr.Start(id, r)
	tr.Handle(kindEcho, echo)
	return tr, r
}

func TestNodesProveWhoTheyAre(t *testing.T) {
	noLeaks(t)
	a := newAuthority(t, certs.Options{})
	log := &lockedBuffer{}
	who := []Identity{someone(), someone()}
	one, _ := openTLS(t, who[0], a.load("one", who[0]), log)
	two, r := openTLS(t, who[1], a.load("two", who[1]), log)
	for range 2 {
		must(t, one.SendFrame(two.Addr(), []byte("frame")))
		r.untilFrame(t, "frame")
		got, err := two.Request(soon(t), one.Addr(), kindEcho, []byte("hello"))
		if err != nil || string(got) != "hello" {
			t.Fatalf("%s, %v", got, err)
		}
	}
	two.HandleStream(kindBulk, func(_ context.Context, from From, s Stream) {
		if from.Identity == who[0] {
			_, _ = io.Copy(s, s)
			_ = s.CloseWrite()
		}
	})
	s, err := one.OpenStream(soon(t), two.Addr(), kindBulk)
	must(t, err)
	sent := bytes.Repeat([]byte("bulk"), MaxFrame)
	go func() {
		_, _ = s.Write(sent)
		_ = s.CloseWrite()
	}()
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if log.String() != "" {
		t.Errorf("logged: %s", log.String())
	}
}

// The six ways in which a certificate is bad are refused in both directions, and the side that refuses says why.
func TestBadCertificatesAreRefused(t *testing.T) {
	now := time.Now()
	good, bad := someone(), someone()
	for _, tc := range []struct {
		name string
		make func(t *testing.T, a authority) *Certificates
		why  []string // said by whoever refuses, dialled or dialling
	}{
		{
			"none", func(*testing.T, authority) *Certificates { return nil },
			[]string{"tls: first record does not look like a TLS handshake", "EOF"},
		},
		{
			"of another authority", func(t *testing.T, a authority) *Certificates {
				t.Helper()
				return unchecked(t, newAuthority(t, certs.Options{}).files("bad", bad, certs.Options{}), a)
			},
			[]string{"certificate signed by unknown authority"},
		},
		{
			"of another node", func(t *testing.T, a authority) *Certificates {
				t.Helper()
				return unchecked(t, a.files("bad", someone(), certs.Options{}), a)
			},
			[]string{"it names another node"},
		},
		{
			"expired", func(t *testing.T, a authority) *Certificates {
				t.Helper()
				return unchecked(t, a.files("bad", bad, certs.Options{Now: now.Add(-certs.NodeLife - time.Minute)}), a)
			},
			[]string{"certificate has expired or is not yet valid: current time"},
		},
		{
			"not yet valid", func(t *testing.T, a authority) *Certificates {
				t.Helper()
				return unchecked(t, a.files("bad", bad, certs.Options{Now: now.Add(time.Hour)}), a)
			},
			[]string{"certificate has expired or is not yet valid: current time"},
		},
		{
			"with a revoked key", func(t *testing.T, a authority) *Certificates {
				t.Helper()
				files := a.files("bad", bad, certs.Options{})
				c := unchecked(t, files, a)
				key := sha256.Sum256(c.current.Load().own.Leaf.RawSubjectPublicKeyInfo)
				a.revoke("key " + hex.EncodeToString(key[:]))
				return c
			},
			[]string{"revoked: serial "},
		},
		{
			"with a revoked serial number", func(t *testing.T, a authority) *Certificates {
				t.Helper()
				c := unchecked(t, a.files("bad", bad, certs.Options{}), a)
				a.revoke(fmt.Sprintf("serial %X", c.current.Load().own.Leaf.SerialNumber))
				return c
			},
			[]string{"revoked: serial "},
		},
		{
			"of a client", func(t *testing.T, a authority) *Certificates {
				t.Helper()
				must(t, certs.CreateClient(a.dir, "anna", certs.Options{}))
				return unchecked(t, CertificateFiles{Cert: filepath.Join(a.dir, "client-anna.crt"), Key: filepath.Join(a.dir, "client-anna.key")}, a)
			},
			[]string{"certificate specifies an incompatible key usage"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			noLeaks(t)
			a := newAuthority(t, certs.Options{Now: now.Add(-2 * certs.NodeLife)})
			trusting := a.load("good", good)
			of := tc.make(t, a)
			must(t, trusting.Reload()) // the revocations
			said := &lockedBuffer{}
			here, r := openTLS(t, good, trusting, said)
			there, _ := openTLS(t, bad, of, &lockedBuffer{})
			says := func(text string) bool {
				for _, why := range tc.why {
					if strings.Contains(text, why) {
						return true
					}
				}
				return false
			}
			if _, err := there.Request(soon(t), here.Addr(), kindEcho, nil); !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrBroken) {
				t.Errorf("it was answered: %v", err)
			}
			r.until(t, "the reason in the log", func() bool { return says(said.String()) })
			_, err := here.Request(soon(t), there.Addr(), kindEcho, nil)
			if !errors.Is(err, ErrUnreachable) || !says(err.Error()) {
				t.Errorf("it was asked: %v, want %q", err, tc.why)
			}
			if metrics(here).Accepted > 0 || metrics(here).Served > 0 || metrics(there).Served > 0 {
				t.Error("it was taken")
			}
		})
	}
}

// A peer that speaks TLS and shows no certificate: the lack is refused, not overlooked.
func TestACertificateIsAskedFor(t *testing.T) {
	noLeaks(t)
	a, log := newAuthority(t, certs.Options{}), &lockedBuffer{}
	id := someone()
	tr, r := openTLS(t, id, a.load("one", id), log)
	for name, config := range map[string]*tls.Config{
		"errNoCert": {InsecureSkipVerify: true},
		"version":   {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12},
	} {
		raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", tr.Addr().String())
		must(t, err)
		conn := tls.Client(raw, config)
		if err = conn.HandshakeContext(t.Context()); err == nil { // of TLS 1.3: the refusal comes after it
			_, err = conn.Read(make([]byte, 1))
		}
		if err == nil {
			t.Errorf("%s: it was taken", name)
		}
		must(t, raw.Close())
	}
	r.until(t, "both refusals", func() bool { return metrics(tr).Rejected == 2 })
	if c := a.load("two", id); !strings.Contains(fmt.Sprint(c.current.Load().config(new([]*x509.Certificate)).VerifyConnection(tls.ConnectionState{})), "none was presented") {
		t.Error("the lack of a certificate is not said")
	}
}

func TestCertificatesChangeWithoutARestart(t *testing.T) {
	noLeaks(t)
	a, log := newAuthority(t, certs.Options{}), &lockedBuffer{}
	who := []Identity{someone(), someone()}
	certificates := []*Certificates{a.load("one", who[0]), a.load("two", who[1])}
	one, r := openTLS(t, who[0], certificates[0], log)
	two, _ := openTLS(t, who[1], certificates[1], log)
	ask := func() error {
		_, err := two.Request(soon(t), one.Addr(), kindEcho, nil)
		return err
	}
	must(t, ask())
	if certificates[1].Changed() {
		t.Fatal("changed, and nothing was")
	}
	before := certificates[1].current.Load().own.Leaf
	a.files("two", who[1], certs.Options{Replace: true})
	if !certificates[1].Changed() {
		t.Fatal("the new certificate is not noticed")
	}
	must(t, certificates[1].Reload())
	must(t, ask()) // over the stream that is open
	key := sha256.Sum256(before.RawSubjectPublicKeyInfo)
	a.revoke("key " + hex.EncodeToString(key[:]))
	must(t, certificates[0].Reload())
	r.until(t, "a stream with the new certificate", func() bool { // the old one ends with its next record
		err := ask()
		if err != nil && !errors.Is(err, ErrBroken) {
			t.Fatal(err)
		}
		return err == nil
	})
	now := certificates[1].current.Load()
	must(t, os.WriteFile(certificates[1].files.Cert, []byte("nonsense"), 0o600))
	if err := certificates[1].Reload(); err == nil || certificates[1].current.Load() != now {
		t.Errorf("nonsense was taken: %v", err)
	}
}

func TestBadCertificateFilesAreExplained(t *testing.T) {
	a := newAuthority(t, certs.Options{})
	id := someone()
	good := a.files("good", id, certs.Options{})
	a.revoke("")
	expired := a.files("expired", id, certs.Options{Now: time.Now().Add(-2 * certs.NodeLife)})
	other := newAuthority(t, certs.Options{}).files("other", id, certs.Options{})
	nonsense := filepath.Join(t.TempDir(), "nonsense")
	must(t, os.WriteFile(nonsense, []byte("# one\nserial xyz\n"), 0o600))
	with := func(change func(*CertificateFiles)) CertificateFiles {
		files := good
		change(&files)
		return files
	}
	for _, tc := range []struct {
		name  string
		files CertificateFiles
		want  string
	}{
		{"good", good, ""},
		{"no files", CertificateFiles{CA: "none", Cert: "none", Key: "none"}, "open none: no such file"},
		{"another key", with(func(f *CertificateFiles) { f.Key = expired.Key }), "private key does not match public key"},
		{"no authority", with(func(f *CertificateFiles) { f.CA = nonsense }), "no certificate in PEM"},
		{"another authority", with(func(f *CertificateFiles) { f.CA = other.CA }), "signed by unknown authority"},
		{"expired", expired, "expired"},
		{"a bad revocation", with(func(f *CertificateFiles) { f.Revoked = nonsense }), "line 2: the serial number is not hexadecimal"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := LoadCertificates(tc.files, nil)
			if tc.want == "" {
				must(t, err)
				if c.Node() != id.Node || time.Until(c.Expires()) < certs.NodeLife-time.Hour {
					t.Errorf("%x until %v", c.Node(), c.Expires())
				}
			} else if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	if _, err := Listen(t.Context(), NetConfig{Addr: "127.0.0.1:0", Certificates: a.load("again", id)}); !errors.Is(err, ErrNoKey) {
		t.Errorf("certificates without a key: %v", err)
	}
}

func FuzzRevoked(f *testing.F) {
	f.Add([]byte("# x\nserial 00:ff\nkey " + strings.Repeat("ab", 32)))
	f.Add([]byte("serial"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if serials, keys, err := parseRevoked(content); err == nil && len(serials)+len(keys) > len(content) {
			t.Fatal("more than there is")
		}
	})
}
