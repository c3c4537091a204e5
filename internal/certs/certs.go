package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// CALife is how long an authority is valid.
	CALife = 10 * 365 * 24 * time.Hour
	// NodeLife is how long a node's certificate is valid.
	NodeLife = 365 * 24 * time.Hour
	// ClientLife is how long a client's certificate is valid.
	ClientLife = 365 * 24 * time.Hour

	skew         = 5 * time.Minute
	maxName      = 64
	maxHosts     = 32
	keyBytes     = 32
	maxFileBytes = 64 << 10
)

// Names of files that there is one of.
const (
	CAFile         = "ca.crt"
	CAKeyFile      = "ca.key"
	ClusterKeyFile = "cluster.key"
)

// Errors of this package; test with errors.Is.
var (
	// ErrExists says that a file is there already and is not replaced.
	ErrExists = errors.New("there already")
	// ErrName says that a name, an id or a list of hosts is none.
	ErrName = errors.New("cannot be used")
)

// NodeFiles are the names of the files of a node's certificate and its key, ClientFiles those of a client's.
func NodeFiles(name string) (certificate, key string) { return files("node", name) }

// ClientFiles is described with NodeFiles.
func ClientFiles(name string) (certificate, key string) { return files("client", name) }

func files(kind, name string) (certificate, key string) {
	return kind + "-" + name + ".crt", kind + "-" + name + ".key"
}

// Options are the same for all that is made.
type Options struct {
	// Now is the time of making; zero: the clock's.
	Now time.Time
	// Replace puts new files in the place of a node's or client's old ones.
	Replace bool
}

func (o Options) now() time.Time {
	if o.Now.IsZero() {
		return time.Now()
	}
	return o.Now
}

// CreateCA makes an authority in a directory, which it makes, too.
func CreateCA(dir string, o Options) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("certs: create authority: %w", err)
	}
	template, err := newTemplate("egal cluster authority", o.now(), CALife)
	if err != nil {
		return fmt.Errorf("certs: create authority: %w", err)
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("certs: create authority: %w", err)
	}
	o.Replace = false
	if err := writePair(dir, CAFile, CAKeyFile, der, key, o); err != nil {
		return fmt.Errorf("certs: create authority: %w", err)
	}
	return nil
}

// CreateClusterKey makes the key by which nodes seal what they say to each other.
func CreateClusterKey(dir string) error {
	var key [keyBytes]byte
	_, _ = rand.Read(key[:]) // never fails: crypto/rand.Read
	content := "# Key of an Egal cluster. Give it to every node and to nobody else.\n0:" + base64.StdEncoding.EncodeToString(key[:]) + "\n"
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = write(filepath.Join(dir, ClusterKeyFile), []byte(content), false)
	}
	if err != nil {
		return fmt.Errorf("certs: create cluster key: %w", err)
	}
	return nil
}

// CreateNode makes a node's certificate, signed by the authority in dir. node is its id, 32 hexadecimal digits; hosts are
// names and addresses by which clients reach it. With Replace it is what a rotation needs: a new key and a new year.
func CreateNode(dir, name, node string, hosts []string, o Options) error {
	id, err := hex.DecodeString(node)
	if err == nil && len(id) != 16 {
		err = errors.New("want 32 hexadecimal digits")
	}
	if err == nil && len(hosts) > maxHosts {
		err = fmt.Errorf("%d hosts, at most %d", len(hosts), maxHosts)
	}
	if err != nil {
		return fmt.Errorf("certs: create node %q: id %q: %w: %w", name, node, ErrName, err)
	}
	err = issue(dir, "node", name, o, NodeLife, func(template *x509.Certificate) {
		template.URIs = []*url.URL{{Scheme: "egal", Host: "node", Path: "/" + hex.EncodeToString(id)}}
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		for _, host := range hosts {
			if ip := net.ParseIP(host); ip != nil {
				template.IPAddresses = append(template.IPAddresses, ip)
			} else {
				template.DNSNames = append(template.DNSNames, host)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("certs: create node %q: %w", name, err)
	}
	return nil
}

// RenewNode makes a node's certificate anew in the place of the old one, for the same node and hosts: a new key and a new
// year.
func RenewNode(dir, name string, o Options) error {
	file, _ := NodeFiles(name)
	old, err := Read(filepath.Join(dir, file))
	if err == nil && old.Node == "" {
		err = fmt.Errorf("%s: %w: it names no node", file, ErrName)
	}
	if err != nil {
		return fmt.Errorf("certs: renew node %q: %w", name, err)
	}
	o.Replace = true
	return CreateNode(dir, name, old.Node, old.Hosts, o)
}

// Certificate is what a certificate says.
type Certificate struct {
	// Node is the id of the node that it names, 32 hexadecimal digits; empty: none.
	Node string
	// Hosts are names and addresses by which clients reach it.
	Hosts []string
	// Expires is when it ends.
	Expires time.Time
}

// Read reads the first certificate of a file.
func Read(path string) (Certificate, error) {
	der, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return Certificate{}, fmt.Errorf("certs: read: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return Certificate{}, fmt.Errorf("certs: read %s: %w", path, err)
	}
	is := Certificate{Hosts: parsed.DNSNames, Expires: parsed.NotAfter}
	for _, ip := range parsed.IPAddresses {
		is.Hosts = append(is.Hosts, ip.String())
	}
	for _, uri := range parsed.URIs {
		if uri.Scheme == "egal" && uri.Host == "node" {
			is.Node = strings.TrimPrefix(uri.Path, "/")
		}
	}
	return is, nil
}

// CreateClient makes a client's certificate, signed by the authority in dir.
func CreateClient(dir, name string, o Options) error {
	err := issue(dir, "client", name, o, ClientLife, func(template *x509.Certificate) {
		template.URIs = []*url.URL{{Scheme: "egal", Host: "client", Path: "/" + name}}
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	if err != nil {
		return fmt.Errorf("certs: create client %q: %w", name, err)
	}
	return nil
}

// issue signs a new key.
func issue(dir, kind, name string, o Options, life time.Duration, describe func(*x509.Certificate)) error {
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(c rune) bool {
		return (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && !strings.ContainsRune(".-_", c)
	}) {
		return fmt.Errorf("%w: a name has 1 to %d letters, digits, '.', '-' and '_'", ErrName, maxName)
	}
	ca, caKey, err := loadCA(dir)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := newTemplate(name, o.now(), life)
	if err != nil {
		return err
	}
	if template.NotAfter.After(ca.NotAfter) {
		template.NotAfter = ca.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	describe(template)
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	certificateFile, keyFile := files(kind, name)
	return writePair(dir, certificateFile, keyFile, der, key, o)
}

func newTemplate(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Egal"}, CommonName: name},
		NotBefore: now.Add(-skew), NotAfter: now.Add(life),
	}, nil
}

// loadCA reads the authority of a directory.
func loadCA(dir string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certificate, err := readPEM(filepath.Join(dir, CAFile), "CERTIFICATE")
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", CAFile, err)
	}
	content, err := readPEM(filepath.Join(dir, CAKeyFile), "PRIVATE KEY")
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(content)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", CAKeyFile, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(ca.PublicKey) {
		return nil, nil, fmt.Errorf("%s is not the key of %s", CAKeyFile, CAFile)
	}
	return ca, key, nil
}

// maker is the command that makes a file.
func maker(path string) string {
	switch name, _, _ := strings.Cut(filepath.Base(path), "-"); name {
	case "node", "client":
		return "create-" + name
	default:
		return "create-ca"
	}
}

func readPEM(path, kind string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w\nhint: egal cert %s makes it", err, maker(path))
		}
		return nil, err
	}
	defer file.Close()
	content := make([]byte, maxFileBytes)
	n, err := file.Read(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	block, _ := pem.Decode(content[:n])
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s: no %s in PEM", path, kind)
	}
	return block.Bytes, nil
}

// writePair writes a certificate and its key, both or none where a file is there already.
func writePair(dir, certificateFile, keyFile string, der []byte, key *ecdsa.PrivateKey, o Options) error {
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	certificatePath, keyPath := filepath.Join(dir, certificateFile), filepath.Join(dir, keyFile)
	if _, err := os.Lstat(certificatePath); err == nil && !o.Replace {
		return exists(certificatePath)
	}
	if err := write(keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), o.Replace); err != nil {
		return err
	}
	return write(certificatePath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), o.Replace)
}

func exists(path string) error {
	return fmt.Errorf("%s: %w\nhint: move it away, if nothing needs it any more", path, ErrExists)
}

// write puts a file of mode 0600 in its place at once: nobody sees a part of it.
func write(path string, content []byte, replace bool) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if replace {
		return os.Rename(temporary.Name(), path)
	}
	if err := os.Link(temporary.Name(), path); errors.Is(err, os.ErrExist) { // unlike a rename, it replaces nothing
		return exists(path)
	} else if err != nil {
		return err
	}
	return nil
}
