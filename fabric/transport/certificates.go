package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxCertificateFile is how many bytes a file of certificates, keys or revocations has at most.
	MaxCertificateFile = 1 << 20
	// MaxChain is how many certificates a peer presents at most.
	MaxChain = 4
)

// Errors of certificates; test with errors.Is.
var (
	// ErrCertificate says that a peer's certificate, or this node's, is not good enough.
	ErrCertificate = errors.New("certificate refused")
	errNoCert      = fmt.Errorf("%w: none was presented", ErrCertificate)
	errRevoked     = fmt.Errorf("%w: revoked", ErrCertificate)
	errWrongNode   = fmt.Errorf("%w: it names another node", ErrCertificate)
)

// CertificateFiles are where a node's certificates lie, in PEM.
type CertificateFiles struct {
	// CA holds the authorities that peers' certificates must come from, one or more.
	CA string
	// Cert and Key are this node's own, intermediate certificates after it. It names the node in the URI SAN
	// egal://node/<node id>.
	Cert, Key string
	// Revoked lists what is not taken any more: a line is "serial <hex>" or "key <SHA-256 of the public key (SPKI) in
	// hex>"; lines that begin with # say nothing. Empty: nothing is revoked.
	Revoked string
}

// Certificates make streams TLS 1.3 in which each side proves which node it is. They follow their files when Reload is
// called: new streams use what is new, and open ones end with their next record if their peer is not trusted any more.
// Its methods are safe from any goroutine.
type Certificates struct {
	files   CertificateFiles
	mu      sync.Mutex // one Reload at a time
	stamp   string     // of the files as they were read; guarded by mu
	current atomic.Pointer[trust]
}

// trust is an immutable state of certificates.
type trust struct {
	own     tls.Certificate
	node    [16]byte
	roots   *x509.CertPool
	serials map[string]bool
	keys    map[[sha256.Size]byte]bool
}

// LoadCertificates reads the files and checks that this node's own certificate is one that peers will take.
func LoadCertificates(files CertificateFiles, logger *slog.Logger) (*Certificates, error) {
	c := &Certificates{files: files}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(files.Key); err == nil && info.Mode().Perm()&0o077 != 0 && logger != nil {
		logger.Warn("others may read the key of this node's certificate: chmod 600", "event", "transport_key_mode", "file", files.Key, "mode", info.Mode().Perm().String())
	}
	return c, nil
}

// Reload reads the files again. After an error everything stays as it was.
func (c *Certificates) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp := c.stampNow()
	next, err := loadTrust(c.files)
	if err != nil {
		return fmt.Errorf("transport: read certificates: %w", err)
	}
	c.stamp = stamp
	c.current.Store(next)
	return nil
}

// Changed reports whether a file is newer, or of another size, than when it was read: it is time for Reload.
func (c *Certificates) Changed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stampNow() != c.stamp
}

func (c *Certificates) stampNow() string {
	var stamp strings.Builder
	for _, path := range []string{c.files.CA, c.files.Cert, c.files.Key, c.files.Revoked} {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(&stamp, "%s %d %d\n", path, info.ModTime().UnixNano(), info.Size())
		}
	}
	return stamp.String()
}

// Node is the node that the certificate names.
func (c *Certificates) Node() [16]byte { return c.current.Load().node }

// Expires is when this node's certificate ends.
func (c *Certificates) Expires() time.Time { return c.current.Load().own.Leaf.NotAfter }

func loadTrust(files CertificateFiles) (*trust, error) {
	read := func(path string) ([]byte, error) {
		content, _, err := readSmall(path, MaxCertificateFile)
		if err == nil && len(content) > MaxCertificateFile {
			err = fmt.Errorf("%s: over %d bytes", path, MaxCertificateFile)
		}
		return content, err
	}
	ca, caErr := read(files.CA)
	certificate, certificateErr := read(files.Cert)
	key, keyErr := read(files.Key)
	var revoked []byte
	var revokedErr error
	if files.Revoked != "" {
		revoked, revokedErr = read(files.Revoked)
	}
	if err := errors.Join(caErr, certificateErr, keyErr, revokedErr); err != nil {
		return nil, err
	}
	t := &trust{roots: x509.NewCertPool()}
	var err error
	if err = t.addRoots(ca); err != nil {
		return nil, fmt.Errorf("%s: %w", files.CA, err)
	}
	if t.own, err = tls.X509KeyPair(certificate, key); err != nil {
		return nil, fmt.Errorf("%s and %s: %w", files.Cert, files.Key, err)
	}
	if t.serials, t.keys, err = parseRevoked(revoked); err != nil {
		return nil, fmt.Errorf("%s: %w", files.Revoked, err)
	}
	var chain []*x509.Certificate
	for _, der := range t.own.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", files.Cert, err)
		}
		chain = append(chain, parsed)
	}
	if t.node, err = t.verify(chain); err != nil {
		return nil, fmt.Errorf("%s: %w\nhint: egal cert create-node makes one for this node", files.Cert, err)
	}
	return t, nil
}

func (t *trust) addRoots(content []byte) error {
	found := false
	for len(content) > 0 {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		t.roots.AddCert(certificate)
		found = true
	}
	if !found {
		return errors.New("no certificate in PEM")
	}
	return nil
}

// parseRevoked reads a list of revocations.
func parseRevoked(content []byte) (serials map[string]bool, keys map[[sha256.Size]byte]bool, err error) {
	serials, keys = map[string]bool{}, map[[sha256.Size]byte]bool{}
	number := 0
	for line := range bytes.Lines(content) {
		number++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 {
			return nil, nil, fmt.Errorf(`line %d: want "serial <hex>" or "key <hex>"`, number)
		}
		value := strings.ToLower(strings.ReplaceAll(fields[1], ":", ""))
		switch fields[0] {
		case "serial":
			serial, ok := new(big.Int).SetString(value, 16)
			if !ok || len(value) > 64 {
				return nil, nil, fmt.Errorf("line %d: the serial number is not hexadecimal", number)
			}
			serials[serial.Text(16)] = true
		case "key":
			sum, err := hex.DecodeString(value)
			if err != nil || len(sum) != sha256.Size {
				return nil, nil, fmt.Errorf("line %d: want the SHA-256 of a public key, 64 hexadecimal digits", number)
			}
			keys[[sha256.Size]byte(sum)] = true
		default:
			return nil, nil, fmt.Errorf(`line %d: %q: want "serial" or "key"`, number, fields[0])
		}
	}
	return serials, keys, nil
}

// verify checks a chain, leaf first, and says which node it names.
func (t *trust) verify(chain []*x509.Certificate) (node [16]byte, err error) {
	switch {
	case len(chain) == 0:
		return node, errNoCert
	case len(chain) > MaxChain:
		return node, fmt.Errorf("%w: a chain of %d", ErrCertificate, len(chain))
	}
	leaf := chain[0]
	between := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} { // nodes are both
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: t.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			return node, fmt.Errorf("%w: %w", ErrCertificate, err)
		}
	}
	for _, certificate := range chain {
		if t.serials[certificate.SerialNumber.Text(16)] || t.keys[sha256.Sum256(certificate.RawSubjectPublicKeyInfo)] {
			return node, fmt.Errorf("%w: serial %s of %q", errRevoked, certificate.SerialNumber.Text(16), certificate.Subject.CommonName)
		}
	}
	return nodeOf(leaf)
}

// nodeOf reads the node that a certificate names.
func nodeOf(leaf *x509.Certificate) (node [16]byte, err error) {
	i := slices.IndexFunc(leaf.URIs, func(uri *url.URL) bool { return uri.Scheme == "egal" && uri.Host == "node" })
	if i < 0 {
		return node, fmt.Errorf("%w: it names no node: want the URI egal://node/<node id>", ErrCertificate)
	}
	id, err := hex.DecodeString(strings.TrimPrefix(leaf.URIs[i].Path, "/"))
	if err != nil || len(id) != len(node) {
		return node, fmt.Errorf("%w: %s names no node", ErrCertificate, leaf.URIs[i])
	}
	return [16]byte(id), nil
}

// config is that of one stream. Each side verifies the other by the same rules, so that a refusal is explained on the
// side that refuses.
func (t *trust) config(peer *[]*x509.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{t.own}, SessionTicketsDisabled: true,
		ClientAuth:         tls.RequestClientCert, // a lack of one is refused below
		InsecureSkipVerify: true,                  //nolint:gosec // VerifyConnection does it, by node instead of by host
		VerifyConnection: func(state tls.ConnectionState) error {
			*peer = state.PeerCertificates
			_, err := t.verify(state.PeerCertificates)
			return err
		},
	}
}

// proof is whom a stream's peer has proven to be by certificate; nil: there are no certificates.
type proof struct {
	certificates *Certificates
	checked      atomic.Pointer[trust]
	chain        []*x509.Certificate
}

// secure makes TLS of a connection. The chain of the proof is the peer's. A nil receiver leaves everything plain.
func (c *Certificates) secure(ctx context.Context, conn net.Conn, dialler bool) (net.Conn, *proof, error) {
	if c == nil {
		return conn, nil, nil
	}
	p, now := &proof{certificates: c}, c.current.Load()
	p.checked.Store(now)
	secured := tls.Server(conn, now.config(&p.chain))
	if dialler {
		secured = tls.Client(conn, now.config(&p.chain))
	}
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	return secured, p, nil
}

// matches checks that the peer is the node that its hello names.
func (p *proof) matches(peer *hello) error {
	if p == nil {
		return nil
	}
	node, err := nodeOf(p.chain[0])
	if err == nil && node != peer.who.Node {
		err = fmt.Errorf("%w: %x, and the peer says it is %x", errWrongNode, node, peer.who.Node)
	}
	return err
}

// holds checks the peer again when the certificates have changed.
func (p *proof) holds() error {
	if p == nil {
		return nil
	}
	now := p.certificates.current.Load()
	if p.checked.Load() == now {
		return nil
	}
	if _, err := now.verify(p.chain); err != nil {
		return err
	}
	p.checked.Store(now)
	return nil
}
