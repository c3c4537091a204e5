package transport

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
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

// Listen opens a transport over UDP and TCP on one port. ctx bounds the opening only.
func Listen(ctx context.Context, config NetConfig) (Transport, error) {
	return nil, ErrAddress
}
