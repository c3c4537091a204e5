package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// MaxPeers is how many peers a transport keeps an outgoing queue for.
	MaxPeers = 16384
	// MaxInbound is how many incoming streams are open at once.
	MaxInbound = 4096
	// MaxUnprovenInbound is how many incoming streams may not yet have said who they are; a sealed one has with its
	// first record.
	MaxUnprovenInbound = 1024
	// MaxUnprovenPerAddress is the part of them that one address may have.
	MaxUnprovenPerAddress = 64
	// MaxInboundPerAddress is how many incoming streams one address may have.
	MaxInboundPerAddress = 1024

	helloTimeout  = 5 * time.Second
	dialTimeout   = 5 * time.Second
	recordTimeout = 10 * time.Second // to write a record, and to receive one that has begun
	idleTimeout   = time.Minute
	// inboundIdle is how long an incoming stream may say nothing while nothing is served: longer than idleTimeout, so
	// that its dialler ends it.
	inboundIdle    = 2 * time.Minute
	firstBackoff   = 5 * time.Millisecond
	longestBackoff = time.Second

	// Port 0 is chosen from below the ports that systems give to outgoing connections (from 32768 on Linux), so that
	// a node that restarts on its port finds it free, and nobody dials into itself.
	firstChosenPort, lastChosenPort = 15000, 32000
	portAttempts                    = 64
)

// NetConfig describes a transport over UDP and TCP.
type NetConfig struct {
	// Addr is host:port to listen on, for both protocols; port 0 picks one that is free for both.
	Addr string
	// Advertise is what peers use to reach this transport; zero is the bound address.
	Advertise netip.AddrPort
	// ListenConfig makes the listeners; nil is the zero one.
	ListenConfig *net.ListenConfig
	// Keys seal everything, and only what is sealed by them is taken. nil: everything is plain text.
	Keys *Keyring
	// Certificates make streams mutual TLS, beside the keys, which they need. nil: streams stand on the keys alone.
	Certificates *Certificates
	// AllowPlain allows plain text beyond loopback. With Keys it has no meaning.
	AllowPlain bool
	// Logger takes structured logs; nil logs nothing.
	Logger *slog.Logger
}

// netTransport is a Transport over one UDP socket, one TCP listener and an outgoing connection to each peer that
// something is sent to in order.
type netTransport struct {
	exchange
	advertise    netip.AddrPort
	ring         *Keyring      // nil: plain
	certificates *Certificates // nil: no TLS
	suite        suite
	udp          *net.UDPConn
	tcp          net.Listener
	logger       *slog.Logger
	refusals     chan struct{} // wakes the goroutine that reads what the system says of refused datagrams
	started      chan struct{} // closed by Start
	stop         chan struct{}
	running      sync.WaitGroup
	sealer       atomic.Pointer[sealer]    // nil before Start, and when plain
	heard        atomic.Pointer[ClusterID] // the last one that a peer has proven to be in
	self         atomic.Pointer[Identity]  // set before started is closed

	mu       sync.Mutex // guards what follows
	handler  Handler
	closed   bool
	peers    map[netip.AddrPort]*peer
	inbound  map[*inbound]struct{}
	from     map[netip.Addr]*tally
	unproven int       // sum over from
	said     time.Time // when a refused stream was last logged
}

// tally counts the incoming streams of one address.
type tally struct{ open, unproven int }

// Listen opens a transport over UDP and TCP on one port. ctx bounds the opening only. Beyond loopback it gives
// ErrNotLoopback unless plain text is allowed; ErrInUse when somebody else has the port.
func Listen(ctx context.Context, config NetConfig) (Transport, error) {
	t, err := listen(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("transport: listen on %s: %w", config.Addr, err)
	}
	return t, nil
}

func listen(ctx context.Context, config NetConfig) (*netTransport, error) {
	if config.ListenConfig == nil {
		config.ListenConfig = &net.ListenConfig{}
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	addr, err := resolveListen(ctx, config.Addr)
	if err != nil {
		return nil, err
	}
	if config.Certificates != nil && config.Keys == nil {
		return nil, fmt.Errorf("%w: certificates protect streams only\nhint: give all nodes one cluster key, too", ErrNoKey)
	}
	if config.Keys == nil && !addr.Addr().IsLoopback() && !config.AllowPlain {
		return nil, fmt.Errorf("%w\nhint: give all nodes one cluster key, listen on 127.0.0.1, or allow plain text on a network you trust", ErrNotLoopback)
	}
	if addr.Addr().IsUnspecified() && !config.Advertise.IsValid() {
		return nil, fmt.Errorf("%w: %s is every address of this machine\nhint: say which one peers should use", ErrAddress, addr.Addr())
	}
	tcp, udp, err := listenBoth(ctx, config.ListenConfig, addr)
	if err != nil {
		return nil, err
	}
	bound := netip.AddrPortFrom(addr.Addr(), tcp.Addr().(*net.TCPAddr).AddrPort().Port())
	if !config.Advertise.IsValid() {
		config.Advertise = bound
	} else if config.Advertise.Port() == 0 {
		config.Advertise = netip.AddrPortFrom(config.Advertise.Addr(), bound.Port())
	}
	_ = udp.SetReadBuffer(4 << 20) // best effort: the system's own bound holds
	askForRefusals(udp)
	return &netTransport{
		advertise:    config.Advertise,
		ring:         config.Keys,
		certificates: config.Certificates,
		suite:        bestSuite(),
		udp:          udp,
		tcp:          tcp,
		logger:       config.Logger,
		refusals:     make(chan struct{}, 1),
		started:      make(chan struct{}),
		stop:         make(chan struct{}),
		peers:        map[netip.AddrPort]*peer{},
		inbound:      map[*inbound]struct{}{},
		from:         map[netip.Addr]*tally{},
	}, nil
}

func resolveListen(ctx context.Context, hostPort string) (netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(hostPort)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: port %q", ErrAddress, portText)
	}
	if host == "" {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)), nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip.Unmap(), uint16(port)), nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ip := ips[0].Unmap()
	for _, candidate := range ips {
		if candidate.Unmap().Is4() { // what most peers can reach
			ip = candidate.Unmap()
			break
		}
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

// listenBoth opens both sockets on one port.
func listenBoth(ctx context.Context, config *net.ListenConfig, addr netip.AddrPort) (net.Listener, *net.UDPConn, error) {
	if addr.Port() != 0 {
		return listenOn(ctx, config, addr)
	}
	for attempt := 0; ; attempt++ {
		port := uint16(firstChosenPort + rand.IntN(lastChosenPort-firstChosenPort))
		tcp, udp, err := listenOn(ctx, config, netip.AddrPortFrom(addr.Addr(), port))
		if err == nil || attempt == portAttempts || !errors.Is(err, ErrInUse) {
			return tcp, udp, err
		}
	}
}

func listenOn(ctx context.Context, config *net.ListenConfig, addr netip.AddrPort) (net.Listener, *net.UDPConn, error) {
	family := "6"
	if addr.Addr().Is4() {
		family = "4"
	}
	tcp, err := config.Listen(ctx, "tcp"+family, addr.String())
	if err != nil {
		return nil, nil, inUse(err)
	}
	udp, err := config.ListenPacket(ctx, "udp"+family, addr.String())
	if err != nil {
		return nil, nil, errors.Join(inUse(err), tcp.Close())
	}
	conn, ok := udp.(*net.UDPConn)
	if _, isTCP := tcp.(*net.TCPListener); !ok || !isTCP {
		return nil, nil, errors.Join(fmt.Errorf("%w: %s gives no UDP and TCP sockets", ErrAddress, addr), tcp.Close(), udp.Close())
	}
	return tcp, conn, nil
}

func inUse(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: %w\nhint: stop what uses it, or choose another port", ErrInUse, err)
	}
	return err
}

func (t *netTransport) Addr() netip.AddrPort { return t.advertise }

func (t *netTransport) Start(self Identity, h Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.handler != nil {
		return
	}
	t.handler = h
	t.become(self)
	if t.certificates != nil && t.certificates.Node() != self.Node {
		t.logger.Error("the certificate of this node names another one: peers will not take its streams", "event", "transport_wrong_certificate",
			"certificate", fmt.Sprintf("%x", t.certificates.Node()), "node", fmt.Sprintf("%x", self.Node))
	}
	close(t.started)
	t.running.Go(func() { t.readDatagrams(h) })
	t.running.Go(func() { t.accept(h) })
	t.running.Go(func() { t.reportRefusals(h) })
}

func (t *netTransport) Rise(boot uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if self := t.self.Load(); self != nil && self.Boot != boot {
		t.become(Identity{self.Node, boot})
	}
}

// become takes an identity. Its datagrams are numbered from 1 again, under keys of their own.
func (t *netTransport) become(self Identity) {
	t.self.Store(&self)
	if t.ring != nil {
		t.sealer.Store(newSealer(t.ring, self, t.suite))
	}
}

func (t *netTransport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		t.running.Wait()
		t.serving.Wait()
		return nil
	}
	t.closed = true
	close(t.stop)
	err := errors.Join(t.tcp.Close(), t.udp.Close())
	for in := range t.inbound {
		in.end(ErrClosed)
	}
	for _, p := range t.peers {
		p.interrupt()
	}
	t.mu.Unlock()
	t.running.Wait()
	t.serving.Wait()
	return err
}

func (t *netTransport) SendDatagram(to netip.AddrPort, receiver uint64, b []byte) error {
	if err := checkSend(to, len(b), MaxDatagram); err != nil {
		return err
	}
	if t.ring == nil {
		return t.send(to, b)
	}
	s := t.sealer.Load()
	if s == nil { // not started: there is nobody to have sent it
		t.counters.datagramsLost.Add(1)
		return nil
	}
	return s.seal(binding{receiver, to, t.in()}, b, func(packet []byte) error { return t.send(to, packet) })
}

// send puts a datagram on the wire.
func (t *netTransport) send(to netip.AddrPort, packet []byte) error {
	_, err := t.udp.WriteToUDPAddrPort(packet, to)
	if errors.Is(err, syscall.ECONNREFUSED) {
		// The system reports an earlier refusal, of any peer, instead of sending.
		t.wakeRefusals()
		_, err = t.udp.WriteToUDPAddrPort(packet, to)
	}
	switch {
	case err == nil:
		t.counters.datagramsSent.Add(1)
		return nil
	case errors.Is(err, net.ErrClosed):
		return ErrClosed
	default: // no route, no buffers: the network's loss, which the caller expects
		t.counters.datagramsLost.Add(1)
		return nil
	}
}

func (t *netTransport) wakeRefusals() {
	select {
	case t.refusals <- struct{}{}:
	default:
	}
}

func (t *netTransport) readDatagrams(h Handler) {
	buffer := make([]byte, MaxPacket+1)
	limit, opener := MaxDatagram, (*opener)(nil)
	if t.ring != nil {
		limit, opener = MaxPacket, newOpener(t.ring)
	}
	for {
		n, from, err := t.udp.ReadFromUDPAddrPort(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // a refusal of something sent earlier; each is reported once
			t.wakeRefusals()
			continue
		case n > limit:
			t.counters.datagramsRejected.Add(1)
			continue
		}
		payload := buffer[:n]
		if opener != nil {
			payload, _, err = opener.open(payload, t.binding())
		}
		switch {
		case err == nil:
			t.counters.datagramsReceived.Add(1)
			h.Datagram(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), payload)
		case errors.Is(err, errReplayed):
			t.counters.datagramsReplayed.Add(1)
		default: // no answer, nothing kept, nothing logged
			t.counters.datagramsForged.Add(1)
		}
	}
}

// binding is what datagrams to this process are bound to. In no cluster yet, it takes those of the cluster that a peer
// told of: they may overtake the answer to the request to join.
func (t *netTransport) binding() binding {
	cluster := t.in()
	if heard := t.heard.Load(); heard != nil && cluster == (ClusterID{}) {
		cluster = *heard
	}
	return binding{t.self.Load().Boot, t.advertise, cluster}
}

func (t *netTransport) handshake() handshake {
	return handshake{ring: t.ring, self: *t.self.Load(), addr: t.advertise, cluster: t.in(), suite: t.suite}
}

// meet takes note of a peer that has said, and with keys proven, who it is.
func (t *netTransport) meet(s *session, peer *hello) {
	s.meet(peer.who, peer.addr)
	if peer.cluster != (ClusterID{}) {
		t.heard.Store(&peer.cluster)
	}
}

// reportRefusals tells the handler which peers' machines refused a datagram.
func (t *netTransport) reportRefusals(h Handler) {
	for {
		select {
		case <-t.stop:
			return
		case <-t.refusals:
			readRefusals(t.udp, func(peer netip.AddrPort) {
				t.counters.refused.Add(1)
				h.Refused(peer)
			})
		}
	}
}
