package transport

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Each side begins a stream with a hello:
//
//	| bytes | hello                                                                 |
//	|-------|-----------------------------------------------------------------------|
//	| 4     | "EGAL"                                                                |
//	| 1     | version, 2                                                            |
//	| 1     | 0: plain, 1: sealed by AES-256-GCM, 2: by ChaCha20-Poly1305           |
//	| 1     | id of the cluster key; 0 when plain                                   |
//	| 16, 8 | node and boot                                                         |
//	| 16    | cluster; zero: in none                                                |
//	| 1     | length of the address, 6 or 18                                        |
//	| n     | the sender's advertised address: IP (4 or 16), port (2 little-endian) |
//	| 32    | random, when sealed                                                   |
//	| 16    | tag, when sealed                                                      |
//
// The dialler's tag proves that it holds the key; without a valid one nothing is answered. The acceptor's tag covers
// both hellos. What follows is sealed under a key per direction that both hellos went into, with the dialler's suite
// and key id: it can be replayed nowhere, and its receiver is who answered. A plain dialler does not wait for the
// answer; a sealed one does.
const (
	helloMagic   = "EGAL"
	helloVersion = 2
	helloFixed   = len(helloMagic) + 3 + 16 + 8 + 16 + 1
	helloRandom  = 32
	// MaxHello is the largest hello.
	MaxHello = helloFixed + addressBytes + helloRandom + tagBytes
)

// Reasons why a stream is not taken.
var (
	errHello        = errors.New("not an egal fabric stream")
	errHelloVersion = errors.New("unknown version of the fabric stream")
	errPlain        = errors.New("a plain stream, and this node has a cluster key")
	errSealed       = errors.New("a sealed stream, and this node has no cluster key")
	errUnknownKey   = errors.New("sealed with a key that this node does not have")
	// ErrNoAnswer says that a peer closed the stream instead of answering a sealed hello.
	ErrNoAnswer = errors.New("the peer took the connection and ended it without an answer")
)

// hello is one side's beginning of a stream.
type hello struct {
	who     Identity
	addr    netip.AddrPort
	cluster ClusterID
	sealed  bool
	suite   suite
	key     uint8
	random  [helloRandom]byte
	body    []byte // as it travels, without the tag
}

// encode encodes a hello without its tag.
func (h *hello) encode() []byte {
	form := byte(0)
	if h.sealed {
		form = 1 + byte(h.suite)
	}
	b := append([]byte(helloMagic), helloVersion, form, h.key)
	b = append(h.who.append(b), h.cluster[:]...)
	ip := h.addr.Addr().Unmap().WithZone("").AsSlice()
	b = append(append(b, byte(len(ip)+2)), ip...)
	b = binary.LittleEndian.AppendUint16(b, h.addr.Port())
	if h.sealed {
		b = append(b, h.random[:]...)
	}
	return b
}

// readHello reads a hello and nothing beyond it. The tag is still to be verified.
func readHello(r io.Reader) (h hello, tag []byte, err error) {
	b := make([]byte, helloFixed, MaxHello)
	if _, err := io.ReadFull(r, b); err != nil {
		return h, nil, err
	}
	version, form, size := b[4], b[5], int(b[helloFixed-1])
	switch {
	case string(b[:len(helloMagic)]) != helloMagic:
		return h, nil, errHello
	case version != helloVersion:
		return h, nil, fmt.Errorf("%w: %d", errHelloVersion, version)
	case form > 2:
		return h, nil, fmt.Errorf("%w: form %d", errHello, form)
	case size != 4+2 && size != 16+2:
		return h, nil, fmt.Errorf("%w: address of %d bytes", errHello, size)
	}
	h.sealed, h.key = form > 0, b[6]
	h.suite = suite(max(form, 1) - 1)
	copy(h.who.Node[:], b[7:])
	h.who.Boot = binary.LittleEndian.Uint64(b[23:])
	copy(h.cluster[:], b[31:])
	rest := size
	if h.sealed {
		rest += helloRandom + tagBytes
	}
	b = b[:helloFixed+rest]
	if _, err := io.ReadFull(r, b[helloFixed:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return h, nil, err
	}
	address := b[helloFixed : helloFixed+size]
	ip, _ := netip.AddrFromSlice(address[:size-2])
	h.addr = netip.AddrPortFrom(ip.Unmap(), binary.LittleEndian.Uint16(address[size-2:]))
	if h.addr.Port() == 0 || h.addr.Addr().IsUnspecified() {
		return h, nil, fmt.Errorf("%w: advertised address %s", errHello, h.addr)
	}
	h.body = b
	if h.sealed {
		copy(h.random[:], b[helloFixed+size:])
		h.body, tag = b[:len(b)-tagBytes], b[len(b)-tagBytes:]
	}
	return h, tag, nil
}

// tag is the proof of a hello: its key is used for this one message. before is what the other side said.
func (h *hello) tag(key *clusterKey, lane string, before []byte) []byte {
	transcript := sha256.Sum256(append(append([]byte(nil), before...), h.body...))
	return subkey(key, transcript[:], lane, h.suite).Seal(nil, make([]byte, nonceBytes), nil, h.body)
}

// proves checks a tag.
func (h *hello) proves(key *clusterKey, lane string, before, tag []byte) bool {
	transcript := sha256.Sum256(append(append([]byte(nil), before...), h.body...))
	_, err := subkey(key, transcript[:], lane, h.suite).Open(nil, make([]byte, nonceBytes), tag, h.body)
	return err == nil
}

// handshake is what one side brings to the beginning of a stream.
type handshake struct {
	ring    *Keyring // nil: plain
	self    Identity
	addr    netip.AddrPort
	cluster ClusterID
	suite   suite
	attempt int // of dialling: see keys.attempt
}

// secrets are what a sealed stream goes on with; the zero secrets are those of a plain one.
type secrets struct {
	ring       *Keyring
	key        *clusterKey // nil: plain
	use        *clusterKey // that was in use when the stream was opened
	send, open cipher.AEAD
}

// outdated reports whether another key is in use than when the stream was opened.
func (s *secrets) outdated() bool { return s.key != nil && s.ring.current.Load().use != s.use }

func (h handshake) hello() (*hello, *clusterKey) {
	own := &hello{who: h.self, addr: h.addr, cluster: h.cluster, sealed: h.ring != nil, suite: h.suite}
	var key *clusterKey
	if own.sealed {
		key = h.ring.current.Load().attempt(h.attempt)
		own.key = key.id
		_, _ = rand.Read(own.random[:]) // never fails: crypto/rand.Read
	}
	own.body = own.encode()
	return own, key
}

// dial says the first hello and, when sealed, waits for the answer. When plain, hello is still to be written, and the
// answer to be read, by the caller.
func (h handshake) dial(conn io.ReadWriter) (plain []byte, peer hello, s secrets, err error) {
	if h.ring == nil {
		own, _ := h.hello()
		return own.body, hello{}, secrets{}, nil
	}
	use := h.ring.current.Load().use
	own, key := h.hello()
	if _, err = conn.Write(append(append([]byte(nil), own.body...), own.tag(key, keyHello, nil)...)); err != nil {
		return nil, peer, s, err
	}
	peer, tag, err := readHello(conn)
	switch {
	case errors.Is(err, io.EOF) || isReset(err):
		return nil, peer, s, ErrNoAnswer
	case err != nil:
		return nil, peer, s, err
	case !peer.sealed:
		return nil, peer, s, errPlain
	case peer.key != own.key || peer.suite != own.suite || !peer.proves(key, keyAnswer, own.body, tag):
		return nil, peer, s, errForged
	}
	send, open := streamKeys(key, own, &peer)
	return nil, peer, secrets{h.ring, key, use, send, open}, nil
}

// answer checks the first hello, which is read already, and gives the second one.
func (h handshake) answer(peer *hello, tag []byte) (reply []byte, s secrets, err error) {
	switch {
	case peer.sealed && h.ring == nil:
		return nil, s, errSealed
	case !peer.sealed && h.ring != nil:
		return nil, s, errPlain
	}
	own, _ := h.hello()
	if h.ring == nil {
		return own.body, s, nil
	}
	now := h.ring.current.Load()
	key := now.find(peer.key)
	if key == nil {
		return nil, s, fmt.Errorf("%w: id %d", errUnknownKey, peer.key)
	}
	if !peer.proves(key, keyHello, nil, tag) {
		return nil, s, errForged
	}
	own.key, own.suite = peer.key, peer.suite
	own.body = own.encode()
	open, send := streamKeys(key, peer, own)
	return append(append([]byte(nil), own.body...), own.tag(key, keyAnswer, peer.body)...), secrets{h.ring, key, now.use, send, open}, nil
}

// streamKeys derives the keys of both directions.
func streamKeys(key *clusterKey, dialler, acceptor *hello) (forth, back cipher.AEAD) {
	transcript := sha256.Sum256(append(append([]byte(nil), dialler.body...), acceptor.body...))
	return subkey(key, transcript[:], keyForth, dialler.suite), subkey(key, transcript[:], keyBack, dialler.suite)
}
