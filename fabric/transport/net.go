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
	"syscall"
	"time"
)

const (
	// MaxPeers is how many peers a transport keeps an outgoing queue for.
	MaxPeers = 16384
	// MaxInbound is how many incoming streams are open at once.
	MaxInbound = 4096
	// MaxUnprovenInbound is how many incoming streams may not yet have sent a preamble.
	MaxUnprovenInbound = 1024
	// MaxUnprovenPerAddress is the part of them that one address may have.
	MaxUnprovenPerAddress = 64

	preambleTimeout = 5 * time.Second
	dialTimeout     = 5 * time.Second
	writeTimeout    = 10 * time.Second
	idleTimeout     = time.Minute
	firstBackoff    = 5 * time.Millisecond
	longestBackoff  = time.Second

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
	// AllowPlain allows plain text beyond loopback.
	AllowPlain bool
	// Logger takes structured logs; nil logs nothing.
	Logger *slog.Logger
}

// netTransport is a Transport over one UDP socket, one TCP listener and an outgoing connection to each peer that
// frames are sent to.
type netTransport struct {
	advertise netip.AddrPort
	preamble  []byte
	udp       *net.UDPConn
	tcp       net.Listener
	logger    *slog.Logger
	refusals  chan struct{} // wakes the goroutine that reads what the system says of refused datagrams
	stop      chan struct{}
	running   sync.WaitGroup
	counters  counters

	mu       sync.Mutex // guards what follows
	handler  Handler
	closed   bool
	peers    map[netip.AddrPort]*peer
	inbound  map[*inbound]struct{}
	unproven map[netip.Addr]int
	waiting  int // sum of unproven
}

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
	if !addr.Addr().IsLoopback() && !config.AllowPlain {
		return nil, fmt.Errorf("%w\nhint: listen on 127.0.0.1, or allow plain text on a network you trust", ErrNotLoopback)
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
		advertise: config.Advertise,
		preamble:  newPreamble(config.Advertise),
		udp:       udp,
		tcp:       tcp,
		logger:    config.Logger,
		refusals:  make(chan struct{}, 1),
		stop:      make(chan struct{}),
		peers:     map[netip.AddrPort]*peer{},
		inbound:   map[*inbound]struct{}{},
		unproven:  map[netip.Addr]int{},
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

func (t *netTransport) Start(h Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.handler != nil {
		return
	}
	t.handler = h
	t.running.Go(func() { t.readDatagrams(h) })
	t.running.Go(func() { t.accept(h) })
	t.running.Go(func() { t.reportRefusals(h) })
}

func (t *netTransport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		t.running.Wait()
		return nil
	}
	t.closed = true
	close(t.stop)
	err := errors.Join(t.tcp.Close(), t.udp.Close())
	for in := range t.inbound {
		_ = in.conn.Close() // the stream is over either way
	}
	for _, p := range t.peers {
		p.interrupt()
	}
	t.mu.Unlock()
	t.running.Wait()
	return err
}

func (t *netTransport) SendDatagram(to netip.AddrPort, b []byte) error {
	if err := checkSend(to, len(b), MaxDatagram); err != nil {
		return err
	}
	_, err := t.udp.WriteToUDPAddrPort(b, to)
	if errors.Is(err, syscall.ECONNREFUSED) {
		// The system reports an earlier refusal, of any peer, instead of sending.
		t.wakeRefusals()
		_, err = t.udp.WriteToUDPAddrPort(b, to)
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
	buffer := make([]byte, MaxDatagram+1)
	for {
		n, from, err := t.udp.ReadFromUDPAddrPort(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // a refusal of something sent earlier; each is reported once
			t.wakeRefusals()
		case n > MaxDatagram:
			t.counters.datagramsRejected.Add(1)
		default:
			t.counters.datagramsReceived.Add(1)
			h.Datagram(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), buffer[:n])
		}
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
