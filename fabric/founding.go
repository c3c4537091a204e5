package fabric

import (
	"context"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// This file gets the node into a cluster: it resolves the seeds, and decides whether this node founds.
//
//	| this node                    | the other seeds                                | founds               |
//	|------------------------------|------------------------------------------------|----------------------|
//	| in a cluster by its snapshot | any                                            | never                |
//	| names no other seed          |                                                | at once (1)          |
//	| is the first seed            | all refuse, or say that they are in no cluster | then                 |
//	| is the first seed            | some are silent                                | after 5 s, loudly (2) |
//	| is another                   | any                                            | never                |
//
// (1) unless more than one initial member is configured and it is not the first seed.
// (2) only with an empty directory, and unless more than one initial member is configured.

const (
	// resolveInterval is the time between two look-ups of the seeds' names.
	resolveInterval = 5 * time.Second
	resolveTimeout  = 3 * time.Second
	// answerLife is how long a seed's answer counts: the core asks each seed more often.
	answerLife = 2 * time.Second
	// maxSeedAddresses is how many addresses of one name are used.
	maxSeedAddresses = 16
)

// splitSeed reads host:port.
func splitSeed(seed string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(seed)
	if err != nil {
		return "", 0, fmt.Errorf("fabric: config: seed %q: %w", seed, err)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 || host == "" {
		return "", 0, fmt.Errorf("fabric: config: seed %q: want host:port", seed)
	}
	return host, uint16(number), nil
}

// founding is what is known on the way into a cluster.
type founding struct {
	self netip.AddrPort
	wake chan struct{} // an answer came, or the node got in

	mu      sync.Mutex // guards what follows
	seeds   []seed
	answers map[netip.AddrPort]answer
	cluster gossip.ClusterID // zero: not in one
}

// seed is one configured seed with the addresses it resolved to; a literal one has its address from the start.
type seed struct {
	name      string
	host      string
	port      uint16
	literal   bool
	addresses []netip.AddrPort
}

type answer struct {
	reason string
	at     time.Time
}

func newFounding(names []string, self netip.AddrPort) *founding {
	s := &founding{self: self, wake: make(chan struct{}, 1), answers: map[netip.AddrPort]answer{}}
	for _, name := range names {
		host, port, err := splitSeed(name)
		if err != nil {
			continue // Validate has refused it
		}
		next := seed{name: name, host: host, port: port}
		if ip, err := netip.ParseAddr(host); err == nil {
			next.literal = true
			next.addresses = []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}
		}
		s.seeds = append(s.seeds, next)
	}
	return s
}

func (s *founding) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// isSelf reports whether a seed is this node itself.
func (s *founding) isSelf(of seed) bool {
	return len(of.addresses) > 0 && slices.Contains(of.addresses, s.self)
}

// others are the addresses of the other seeds; complete is false while a name has not been resolved.
func (s *founding) others() (addresses []netip.AddrPort, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	complete = true
	for _, seed := range s.seeds {
		if s.isSelf(seed) {
			continue
		}
		complete = complete && len(seed.addresses) > 0
		addresses = append(addresses, seed.addresses...)
	}
	slices.SortFunc(addresses, netip.AddrPort.Compare)
	return slices.Compact(addresses), complete
}

// answered takes note of what a seed said.
func (s *founding) answered(from netip.AddrPort, reason string, at time.Time) {
	s.mu.Lock()
	known := false
	for _, seed := range s.seeds {
		known = known || slices.Contains(seed.addresses, from)
	}
	if known {
		s.answers[from] = answer{reason, at}
	}
	s.mu.Unlock()
	if known {
		s.poke()
	}
}

// refusals are the answers that a person must hear of and that are not in reported yet, where they are put.
func (s *founding) refusals(reported map[netip.AddrPort]string) map[netip.AddrPort]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var news map[netip.AddrPort]string
	for from, a := range s.answers {
		if a.reason == reported[from] || a.reason == gossip.ReasonNoCluster || a.reason == gossip.ReasonRefused {
			continue
		}
		if news == nil {
			news = map[netip.AddrPort]string{}
		}
		news[from], reported[from] = a.reason, a.reason
	}
	return news
}

// joined takes note that the node is in a cluster.
func (s *founding) joined(cluster gossip.ClusterID) {
	s.mu.Lock()
	s.cluster = cluster
	s.mu.Unlock()
	s.poke()
}

func (s *founding) in() gossip.ClusterID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cluster
}

// names reports whether a seed has to be looked up.
func (s *founding) names() bool {
	return slices.ContainsFunc(s.seeds, func(seed seed) bool { return !seed.literal })
}

// resolve looks up all names at once. A name that cannot be looked up keeps what it had.
func (s *founding) resolve(ctx context.Context, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	var lookups sync.WaitGroup
	for i := range s.seeds {
		host, port := s.seeds[i].host, s.seeds[i].port
		if s.seeds[i].literal {
			continue
		}
		lookups.Go(func() {
			ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
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

// verdict is what the other seeds together say.
type verdict int

const (
	verdictWait   verdict = iota // some have not answered, or are in a cluster
	verdictEmpty                 // all refuse or are in no cluster
	verdictSilent                // as verdictEmpty, but for some that are silent
)

func (s *founding) verdict(now time.Time) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := verdictEmpty
	for _, seed := range s.seeds {
		if s.isSelf(seed) {
			continue
		}
		if len(seed.addresses) == 0 {
			v = verdictSilent
		}
		for _, address := range seed.addresses {
			a, ok := s.answers[address]
			switch {
			case !ok || now.Sub(a.at) > answerLife:
				v = verdictSilent
			case a.reason != gossip.ReasonNoCluster && a.reason != gossip.ReasonRefused:
				return verdictWait
			}
		}
	}
	return v
}

// mayFound reports whether this node may ever found.
func (f *Fabric) mayFound() bool { return f.home.snapshot == nil && f.config.Gossip.View == nil }

// foundsAtOnce reports whether this node has nobody to ask.
func (f *Fabric) foundsAtOnce() bool {
	others, complete := f.founding.others()
	return f.mayFound() && len(others) == 0 && complete && (f.config.Found || f.config.InitialMembers <= 1)
}

// found makes a cluster of this node, unless it has got into one meanwhile.
func (f *Fabric) found(ctx context.Context, cluster gossip.ClusterID) {
	_ = f.loop.Submit(ctx, f.Addr(), gossip.Found{Cluster: cluster}) // an error means that the fabric is closing
}

// settle gets the node into a cluster. Afterwards it keeps looking up the seeds' names, by which a node finds its
// cluster again when all addresses have changed.
func (f *Fabric) settle(ctx context.Context, alone bool, cluster gossip.ClusterID, random *mathrand.Rand) {
	s := f.founding
	begun := f.config.Now()
	silence := time.NewTimer(FoundAfterSilence)
	defer silence.Stop()
	lookup := time.NewTimer(0)
	defer lookup.Stop()
	var asked []netip.AddrPort
	silent, told := false, false
	reported := map[netip.AddrPort]string{}
	if alone {
		f.logger.Info("cluster founded: no other seed", "event", "fabric_founded", "cluster", cluster.String())
		f.found(ctx, cluster)
		told = true
	}
	for {
		for from, reason := range s.refusals(reported) {
			f.logger.Error("a seed does not let this node in", "event", "fabric_join_refused", "seed", from.String(), "reason", reason)
		}
		if others, _ := s.others(); !slices.Equal(others, asked) {
			asked = others
			_ = f.loop.Submit(ctx, f.Addr(), gossip.Join{Seeds: others[:min(len(others), gossip.MaxSeeds)]}) // as in found
		}
		if in := s.in(); !in.IsZero() && !told {
			told = true
			f.logger.Info("cluster joined", "event", "fabric_joined", "cluster", in.String())
		} else if in.IsZero() && !told && f.decide(silent) {
			told = true
			if cluster.IsZero() {
				cluster = newClusterID(random)
			}
			if s.verdict(f.config.Now()) == verdictSilent {
				f.logger.Warn("cluster founded although other seeds are silent: if they are in a cluster, there are two now",
					"event", "fabric_founded", "cluster", cluster.String(), "waited", f.config.Now().Sub(begun))
			} else {
				f.logger.Info("cluster founded: no other seed is in one", "event", "fabric_founded", "cluster", cluster.String())
			}
			f.found(ctx, cluster)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-silence.C:
			silent = true
		case <-lookup.C:
			if s.names() {
				s.resolve(ctx, f.logger)
				lookup.Reset(resolveInterval)
			}
		}
	}
}

// decide reports whether this node founds now; see the table at the top.
func (f *Fabric) decide(silent bool) bool {
	if !f.mayFound() || f.home.wasIn {
		return false
	}
	if !f.config.Found {
		return f.foundsAtOnce()
	}
	switch f.founding.verdict(f.config.Now()) {
	case verdictEmpty:
		return true
	case verdictSilent:
		return silent && f.home.fresh && f.config.InitialMembers <= 1
	case verdictWait:
	}
	return false
}
