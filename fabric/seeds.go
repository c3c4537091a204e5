package fabric

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Seeds are addresses of nodes to join by, or names that are looked up again and again: host:port stands for one node,
// unless the name turns out to have several addresses of one kind; dns://host:port for as many as the name has.

const (
	// resolveInterval is the time between two look-ups of the seeds' names in a cluster, eagerInterval on the way there.
	resolveInterval = 5 * time.Second
	eagerInterval   = time.Second
	resolveTimeout  = 3 * time.Second
	// maxSeedAddresses is how many addresses of one name are used.
	maxSeedAddresses = 16
	dnsScheme        = "dns://"
)

// Resolver looks up the addresses of a name.
type Resolver func(ctx context.Context, host string) ([]netip.Addr, error)

// systemResolver is that of the machine.
func systemResolver(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// seed is one configured seed with the addresses it resolved to; a literal one has its address from the start.
type seed struct {
	host      string
	port      uint16
	literal   bool
	many      bool // stands for several nodes by its form
	addresses []netip.AddrPort
}

// parseSeed reads host:port, or dns://host:port.
func parseSeed(text string) (seed, error) {
	rest, many := strings.CutPrefix(text, dnsScheme)
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return seed{}, fmt.Errorf("fabric: config: seed %q: %w", text, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || host == "" {
		return seed{}, fmt.Errorf("fabric: config: seed %q: want host:port or dns://host:port", text)
	}
	s := seed{host: host, port: uint16(number), many: many}
	if ip, err := netip.ParseAddr(host); err == nil {
		s.literal = true
		s.addresses = []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), s.port)}
	}
	return s, nil
}

// several reports whether the seed stands for several nodes. One node may have an address of each kind.
func (s *seed) several() bool {
	four, six := 0, 0
	for _, address := range s.addresses {
		if address.Addr().Is4() {
			four++
		} else {
			six++
		}
	}
	return s.many || four > 1 || six > 1
}

// is reports whether the seed is the one node with the address.
func (s *seed) is(self netip.AddrPort) bool {
	return !s.several() && slices.Contains(s.addresses, self)
}

// others are the seed's addresses but those of the node itself.
func (s *seed) others(self netip.AddrPort) []netip.AddrPort {
	if s.is(self) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.addresses), func(a netip.AddrPort) bool { return a == self })
}

// first reports whether this node is the first seed.
func (s *founding) first() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seeds) > 0 && s.seeds[0].is(s.self)
}

// several reports whether the first seed stands for several nodes.
func (s *founding) several() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seeds) > 0 && s.seeds[0].several()
}

// lowestOf reports whether the first seed has at least so many addresses, this node's the lowest of them.
func (s *founding) lowestOf(count int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	addresses := s.seeds[0].addresses
	return len(addresses) >= count && slices.MinFunc(addresses, netip.AddrPort.Compare) == s.self
}

// others are the addresses of the other seeds; complete is false while a name has not been resolved.
func (s *founding) others() (addresses []netip.AddrPort, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	complete = true
	for i := range s.seeds {
		complete = complete && len(s.seeds[i].addresses) > 0
		addresses = append(addresses, s.seeds[i].others(s.self)...)
	}
	slices.SortFunc(addresses, netip.AddrPort.Compare)
	return slices.Compact(addresses), complete
}

// names reports whether a seed has to be looked up.
func (s *founding) names() bool {
	return slices.ContainsFunc(s.seeds, func(seed seed) bool { return !seed.literal })
}

func (s *founding) lookupInterval() time.Duration {
	if s.in().IsZero() {
		return eagerInterval
	}
	return resolveInterval
}

// resolve looks up all names at once. A name that cannot be looked up keeps what it had.
func (s *founding) resolve(ctx context.Context, resolver Resolver, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	var lookups sync.WaitGroup
	for i := range s.seeds {
		host, port := s.seeds[i].host, s.seeds[i].port
		if s.seeds[i].literal {
			continue
		}
		lookups.Go(func() {
			ips, err := resolver(ctx, host)
			if err != nil {
				logger.Warn("a seed's name was not resolved", slog.String("event", "seed_unresolved"), slog.String("seed", host), slog.Any("error", err))
				return
			}
			var addresses []netip.AddrPort
			for _, ip := range ips[:min(len(ips), maxSeedAddresses)] {
				addresses = append(addresses, netip.AddrPortFrom(ip.Unmap(), port))
			}
			s.mu.Lock()
			s.seeds[i].addresses = addresses
			s.mu.Unlock()
		})
	}
	lookups.Wait()
}
