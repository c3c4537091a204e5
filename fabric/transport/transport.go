package transport

import (
	"context"
	"errors"
	"net/netip"
)

const (
	// MaxPacket is the most bytes of one UDP datagram as it travels: it passes every common path unfragmented.
	MaxPacket = 1200
	// MaxDatagram is the most bytes that a caller puts into one datagram: MaxPacket less what sealing takes.
	MaxDatagram = MaxPacket - sealOverhead
	// MaxFrame is the most bytes of a frame, and of the body of a request or response.
	MaxFrame = 1 << 20
	// MaxQueuedFrames is how many frames may wait for one peer.
	MaxQueuedFrames = 1024
	// MaxQueuedBytes is how many bytes of frames may wait for one peer, and how many of requests.
	MaxQueuedBytes = 8 << 20
)

// Errors of the sending functions; test with errors.Is.
var (
	// ErrClosed says that the transport is closed.
	ErrClosed = errors.New("transport: closed")
	// ErrQueueFull says that too much waits for this peer; nothing was taken.
	ErrQueueFull = errors.New("transport: queue to peer is full")
	// ErrTooLarge says that the message is over its maximum.
	ErrTooLarge = errors.New("transport: message too large")
	// ErrAddress says that nothing can be sent to such an address.
	ErrAddress = errors.New("transport: unusable address")
	// ErrNotLoopback says that a plain-text transport was asked for beyond loopback.
	ErrNotLoopback = errors.New("transport: plain text is for loopback only")
	// ErrNoKey says that something needs a cluster key.
	ErrNoKey = errors.New("transport: no cluster key")
	// ErrInUse says that another transport has the address.
	ErrInUse = errors.New("transport: address in use")
	// ErrUnreachable says that no stream to the peer could be opened: the peer has seen nothing.
	ErrUnreachable = errors.New("transport: peer unreachable")
	// ErrBroken says that the stream broke: whether the peer has acted is not known.
	ErrBroken = errors.New("transport: stream broken")
	// ErrNoHandler says that the peer does not serve this kind.
	ErrNoHandler = errors.New("transport: peer does not serve this kind")
	// ErrBusy says that the peer has too much to do and did not begin.
	ErrBusy = errors.New("transport: peer is busy")
	// ErrForeignCluster says that the peer is in another cluster, or in none, and did not begin.
	ErrForeignCluster = errors.New("transport: peer is not in this cluster")
)

// Identity names one process: the node's id and the id of this start. Packet numbers count from zero with each
// process, so a process must never start with the boot of an earlier one.
type Identity struct {
	Node [16]byte
	Boot uint64
}

// ClusterID names a cluster; the zero one means "in none".
type ClusterID [16]byte

// From says who asks. With keys it is proven that the asker holds the cluster's key, with certificates the node, too.
type From struct {
	Addr netip.AddrPort // as the peer advertises it
	Identity
}

// Kind names what a request or byte stream is about. Its two highest bits are its [Lane].
type Kind uint16

// Lane is the rank of a kind among all that waits for one peer.
type Lane uint8

// Lanes. What is in LaneControl goes first, together with frames; of eight chunks of the others one at least is LaneBulk's.
const (
	LaneControl Lane = iota
	LaneOrdinary
	LaneBulk
	laneCount
)

// Kind makes a kind of this lane; number is below 1<<14.
func (l Lane) Kind(number uint16) Kind { return Kind(l)<<14 | Kind(number&(1<<14-1)) }

// Lane is the lane of a kind.
func (k Kind) Lane() Lane { return min(Lane(k>>14), LaneBulk) }

// RequestHandler answers requests of one kind. Each call has its own goroutine. ctx ends with the caller's deadline,
// when the caller gives up or cannot be reached any more, and when the transport closes, which waits for the handler.
// body is the handler's, what it returns the transport's. An error is told to the caller as text of up to MaxErrorText bytes.
type RequestHandler func(ctx context.Context, from From, body []byte) ([]byte, error)

// StreamHandler serves a byte stream of one kind, on its own goroutine, under the same rules. The stream is closed when
// it returns: without CloseWrite before, the other side sees ErrBroken.
type StreamHandler func(ctx context.Context, from From, s Stream)

// Stream is a byte stream in both directions, whose flow is controlled: Write waits until the peer has read. One
// goroutine may read while another writes.
type Stream interface {
	// Read reads what has come; io.EOF after the peer's CloseWrite, ErrBroken or the peer's reason otherwise.
	Read(b []byte) (int, error)
	// Write returns when b is on its way.
	Write(b []byte) (int, error)
	// CloseWrite says that nothing more will be written.
	CloseWrite() error
	// Close ends the stream. What was written before CloseWrite still arrives; otherwise the peer sees ErrBroken.
	Close() error
}

// RemoteError is what a peer's handler answered instead of a response.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return "transport: peer: " + e.Text }

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

// Transport carries datagrams, frames, requests and byte streams between nodes. All methods are safe from any goroutine.
type Transport interface {
	// Addr is where peers reach this transport.
	Addr() netip.AddrPort
	// Start begins delivering to h, as the process self. It is called once.
	Start(self Identity, h Handler)
	// Enter says which cluster this node is in; zero is none, as at the start. Requests are between nodes of one
	// cluster only, and sealed datagrams are bound to it.
	Enter(cluster ClusterID)
	// Rise says that this process goes on under another boot, one that no process of the node has ever had: from now on
	// datagrams are sealed by it, and only those for it open. Streams that are open keep the one they began with.
	Rise(boot uint64)
	// SendDatagram sends b best effort: it may be lost, doubled or overtaken. receiver is the boot of the process it
	// is meant for; a sealed datagram opens there only. 0 means whoever has the address to. It never blocks and copies b.
	SendDatagram(to netip.AddrPort, receiver uint64, b []byte) error
	// SendFrame queues b, to be delivered in order as long as the stream to the peer lives; when it breaks, what was
	// queued or on its way may be lost. It never blocks and copies b; ErrQueueFull when too much waits.
	SendFrame(to netip.AddrPort, b []byte) error
	// Request asks a peer and waits for its answer, for ctx to end, or for the stream to break. It sends b once.
	// Errors: those above, *RemoteError, and ctx's; after ErrBroken and ctx's it is not known what the peer did.
	Request(ctx context.Context, to netip.AddrPort, kind Kind, b []byte) ([]byte, error)
	// Handle sets who answers requests of a kind; nil: nobody.
	Handle(kind Kind, h RequestHandler)
	// OpenStream opens a byte stream. It does not wait for the peer: what is wrong shows at Read and Write. When ctx
	// ends, so does the stream.
	OpenStream(ctx context.Context, to netip.AddrPort, kind Kind) (Stream, error)
	// HandleStream sets who serves streams of a kind; nil: nobody.
	HandleStream(kind Kind, h StreamHandler)
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
