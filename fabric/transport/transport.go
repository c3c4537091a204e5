package transport

import (
	"errors"
	"net/netip"
)

const (
	// MaxDatagram is the most bytes one datagram carries: it passes every common path unfragmented.
	MaxDatagram = 1200
	// MaxFrame is the most bytes one frame carries.
	MaxFrame = 1 << 20
	// MaxQueuedFrames is how many frames may wait for one peer.
	MaxQueuedFrames = 1024
	// MaxQueuedBytes is how many bytes of frames may wait for one peer.
	MaxQueuedBytes = 8 << 20
)

// Errors of the sending functions; test with errors.Is.
var (
	// ErrClosed says that the transport is closed.
	ErrClosed = errors.New("transport: closed")
	// ErrQueueFull says that too many frames or bytes wait for this peer; the frame was not taken.
	ErrQueueFull = errors.New("transport: queue to peer is full")
	// ErrTooLarge says that the datagram or frame is over its maximum.
	ErrTooLarge = errors.New("transport: message too large")
	// ErrAddress says that nothing can be sent to such an address.
	ErrAddress = errors.New("transport: unusable address")
	// ErrNotLoopback says that a plain-text transport was asked for beyond loopback.
	ErrNotLoopback = errors.New("transport: plain text is for loopback only")
	// ErrInUse says that another transport has the address.
	ErrInUse = errors.New("transport: address in use")
)

// Handler takes what arrives. Its methods are called from several goroutines of the transport at once, must not
// block and must not close the transport. Bytes are valid during the call only.
type Handler interface {
	// Datagram takes one datagram; from is where it came from, which is the sender's Addr when that is not behind a
	// translation.
	Datagram(from netip.AddrPort, b []byte)
	// Frame takes one frame; from is the Addr that the sender advertises.
	Frame(from netip.AddrPort, b []byte)
	// Refused tells that the peer's machine answers and nobody listens at this address: the process is gone.
	Refused(peer netip.AddrPort)
}

// Transport carries datagrams and frames between nodes. All methods are safe from any goroutine.
type Transport interface {
	// Addr is where peers reach this transport.
	Addr() netip.AddrPort
	// Start begins delivering to h. It is called once.
	Start(h Handler)
	// SendDatagram sends b best effort: it may be lost, doubled or overtaken. It never blocks and copies b.
	SendDatagram(to netip.AddrPort, b []byte) error
	// SendFrame queues b, to be delivered in order as long as the stream to the peer lives; when it breaks, what was
	// queued or on its way is lost. It never blocks and copies b; ErrQueueFull when too much waits.
	SendFrame(to netip.AddrPort, b []byte) error
	// Close stops at once, drops what is queued, and waits for every goroutine. Nothing is delivered after it.
	Close() error
}

func checkSend(to netip.AddrPort, size, maximum int) error {
	switch {
	case size > maximum:
		return ErrTooLarge
	case !to.IsValid() || to.Port() == 0:
		return ErrAddress
	}
	return nil
}
