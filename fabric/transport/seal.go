package transport

import (
	"container/list"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/egalcluster/egal/internal/invariant"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/cpu"
)

// A sealed datagram is
//
//	| bytes | meaning                                                                                       |
//	|-------|-----------------------------------------------------------------------------------------------|
//	| 1     | 0xE0, + 1: ChaCha20-Poly1305 instead of AES-256-GCM, + 2: bound to an address instead of a boot |
//	| 1     | id of the cluster key                                                                         |
//	| 16    | sender                                                                                        |
//	| 8     | sender's boot                                                                                 |
//	| 6     | packet number, from 1                                                                         |
//	| n     | payload, sealed                                                                               |
//	| 16    | tag                                                                                           |
//
// Its key is HKDF-SHA-256(cluster key, info: lane, suite, sender and boot), its nonce the packet number. Also
// under the tag, but not sent, are the receiver's boot, or the address sent to where the boot is not known, and the
// cluster: a packet opens at one process of one cluster. Everything is little-endian.
const (
	sealedHeader = 1 + 1 + 16 + 8 + numberBytes
	sealOverhead = sealedHeader + tagBytes
	numberBytes  = 6
	nonceBytes   = 12
	tagBytes     = 16
	maxNumber    = 1<<(8*numberBytes) - 1

	sealedMagic    = 0xE0
	bitChaCha      = 1
	bitToAddress   = 2
	addressBytes   = 16 + 2
	bindingBytes   = sealedHeader + 8 + 16 + addressBytes
	sealedMaxBytes = MaxPacket

	// MaxSenders is how many processes a receiver keeps keys and replay windows of; the one not heard for the longest
	// time is forgotten.
	MaxSenders = 16384
)

var (
	errExhausted = errors.New("transport: packet numbers are used up\nhint: restart this node") // after 2^48 packets
	errForged    = errors.New("no valid tag")
	errReplayed  = errors.New("replayed or too old")
)

// suite is an algorithm that seals. The sender chooses, and says which.
type suite uint8

const (
	suiteAES    suite = 0
	suiteChaCha suite = bitChaCha
)

// bestSuite is AES-256-GCM where the processor has instructions for it, else ChaCha20-Poly1305.
func bestSuite() suite {
	if cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL || runtime.GOARCH == "s390x" {
		return suiteAES
	}
	return suiteChaCha
}

func (s suite) String() string {
	if s == suiteChaCha {
		return "ChaCha20-Poly1305"
	}
	return "AES-256-GCM"
}

// aead makes the cipher of a 32-byte key.
func (s suite) aead(key []byte) cipher.AEAD {
	var sealing cipher.AEAD
	var err error
	if s == suiteChaCha {
		sealing, err = chacha20poly1305.New(key)
	} else {
		var block cipher.Block
		if block, err = aes.NewCipher(key); err == nil {
			sealing, err = cipher.NewGCM(block)
		}
	}
	invariant.Check(err == nil, "transport: cipher: %v", err)
	return sealing
}

// lanes of subkeys: what is sealed by one is never opened as another.
const (
	keyDatagram = "egal fabric 2 datagram "
	keyHello    = "egal fabric 2 hello "
	keyAnswer   = "egal fabric 2 answer "
	keyForth    = "egal fabric 2 stream to the acceptor "
	keyBack     = "egal fabric 2 stream to the dialler "
)

// subkey derives a cipher from a cluster key. whose ends the text that no other subkey has.
func subkey(key *clusterKey, whose []byte, lane string, s suite) cipher.AEAD {
	derived, err := hkdf.Expand(sha256.New, key.prk, lane+s.String()+" "+string(whose), 32)
	invariant.Check(err == nil, "transport: hkdf: %v", err)
	return s.aead(derived)
}

func (i Identity) append(b []byte) []byte {
	return binary.LittleEndian.AppendUint64(append(b, i.Node[:]...), i.Boot)
}

func appendAddress(b []byte, addr netip.AddrPort) []byte {
	ip := addr.Addr().Unmap().As16()
	return binary.LittleEndian.AppendUint16(append(b, ip[:]...), addr.Port())
}

// binding is whom a datagram is for.
type binding struct {
	boot    uint64         // 0: not known
	address netip.AddrPort // used when boot is 0
	cluster ClusterID
}

// append adds the binding to a header: together they are the additional data under the tag.
func (d binding) append(header []byte) []byte {
	b := binary.LittleEndian.AppendUint64(header, d.boot)
	b = append(b, d.cluster[:]...)
	if d.boot == 0 {
		b = appendAddress(b, d.address)
	}
	return b
}

// sealer seals the datagrams of one process.
type sealer struct {
	ring    *Keyring
	self    Identity
	suite   suite
	number  atomic.Uint64 // of the newest packet, over all keys
	sealing atomic.Pointer[sealing]
	pool    sync.Pool // of *scratch
	planted planted
}

type sealing struct {
	key  *clusterKey
	aead cipher.AEAD
}

// scratch is memory that ciphers see; it would escape from a stack.
type scratch struct {
	packet [sealedMaxBytes]byte
	bound  [bindingBytes]byte
	nonce  [nonceBytes]byte
}

func newSealer(ring *Keyring, self Identity, s suite) *sealer {
	return &sealer{ring: ring, self: self, suite: s, pool: sync.Pool{New: func() any { return new(scratch) }}}
}

// seal hands the sealed datagram to send, which must not keep it.
func (s *sealer) seal(to binding, payload []byte, send func([]byte) error) error {
	number := s.number.Add(1)
	if s.planted.oneNumber {
		number = 1
	}
	if s.planted.unbound {
		to = binding{boot: 1}
	}
	if number > maxNumber {
		return errExhausted
	}
	using := s.sealing.Load()
	if key := s.ring.current.Load().use; using == nil || using.key != key {
		using = &sealing{key: key, aead: subkey(key, s.self.append(nil), keyDatagram, s.suite)}
		s.sealing.Store(using)
	}
	m := s.pool.Get().(*scratch)
	defer s.pool.Put(m)
	first := sealedMagic | byte(s.suite)
	if to.boot == 0 {
		first |= bitToAddress
	}
	packet := s.self.append(append(m.packet[:0], first, using.key.id))
	packet = appendNumber(packet, number)
	bound := to.append(append(m.bound[:0], packet...))
	binary.LittleEndian.PutUint64(m.nonce[4:], number)
	return send(using.aead.Seal(packet, m.nonce[:], payload, bound))
}

func appendNumber(b []byte, number uint64) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(number))
	return binary.LittleEndian.AppendUint16(b, uint16(number>>32))
}

func readNumber(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
}

// opener opens the datagrams that come to one process. It is owned by one goroutine.
type opener struct {
	ring    *Keyring
	senders map[senderKey]*list.Element // of *sender
	order   *list.List                  // the latest heard first
	scratch scratch
	planted planted
}

// senderKey is all of a header that decides its key.
type senderKey struct {
	kind byte
	key  uint8
	who  Identity
}

type sender struct {
	senderKey
	key    *clusterKey
	aead   cipher.AEAD
	window window
}

// planted are bugs that tests switch on, to see that they are found.
type planted struct{ noWindow, unbound, oneNumber bool }

func newOpener(ring *Keyring) *opener {
	return &opener{ring: ring, senders: map[senderKey]*list.Element{}, order: list.New()}
}

// open opens a packet in place: payload is a part of it. What has no valid tag leaves nothing behind.
func (o *opener) open(packet []byte, me binding) (payload []byte, from Identity, err error) {
	if len(packet) < sealOverhead || packet[0]&^(bitChaCha|bitToAddress) != sealedMagic {
		return nil, from, errForged
	}
	if packet[0]&bitToAddress != 0 {
		me.boot = 0
	} else if me.boot == 0 {
		return nil, from, errForged // not started
	}
	is := senderKey{kind: packet[0] & bitChaCha, key: packet[1]}
	copy(is.who.Node[:], packet[2:])
	is.who.Boot = binary.LittleEndian.Uint64(packet[18:])
	number := readNumber(packet[26:])
	from = is.who
	found := o.senders[is]
	s := o.sender(is, found)
	if s == nil {
		return nil, from, errForged // of a key that is not ours
	}
	if !o.planted.noWindow && !s.window.fresh(number) {
		return nil, from, errReplayed
	}
	if o.planted.unbound {
		me = binding{boot: 1}
	}
	bound := me.append(append(o.scratch.bound[:0], packet[:sealedHeader]...))
	binary.LittleEndian.PutUint64(o.scratch.nonce[4:], number)
	payload, err = s.aead.Open(packet[sealedHeader:sealedHeader], o.scratch.nonce[:], packet[sealedHeader:], bound)
	if err != nil {
		return nil, from, errForged
	}
	s.window.mark(number)
	o.keep(s, found)
	return payload, from, nil
}

// sender is what is known of a sender, or a new one that is not kept yet; nil when its key is not in the ring.
func (o *opener) sender(is senderKey, found *list.Element) *sender {
	key := o.ring.current.Load().find(is.key)
	if key == nil {
		return nil
	}
	if found != nil {
		if s := found.Value.(*sender); s.key == key {
			return s
		}
	}
	return &sender{senderKey: is, key: key, aead: subkey(key, is.who.append(nil), keyDatagram, suite(is.kind))}
}

// keep notes that a sender was heard; found is what was kept of it before.
func (o *opener) keep(s *sender, found *list.Element) {
	if found != nil {
		found.Value = s
		o.order.MoveToFront(found)
		return
	}
	if o.order.Len() >= MaxSenders {
		oldest := o.order.Back()
		delete(o.senders, oldest.Value.(*sender).senderKey)
		o.order.Remove(oldest)
	}
	o.senders[s.senderKey] = o.order.PushFront(s)
}
