package fabric

import (
	"context"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// This file decides whether this node founds, and gets it into a cluster. seeds.go resolves the seeds.
//
//	| this node                                   | the other seeds                                | founds                |
//	|---------------------------------------------|------------------------------------------------|-----------------------|
//	| in a cluster by its directory               | any                                            | never                 |
//	| names no other seed                         |                                                | at once (1)           |
//	| is the first seed                           | all refuse, or say that they are in no cluster | then                  |
//	| is the first seed                           | some are silent                                | after 5 s, loudly (2) |
//	| has the lowest address of a name of several | as many as initial members, all as above       | then (3)              |
//	| is another                                  | any                                            | never                 |
//
// (1) unless more than one initial member is configured and it is not the first seed.
// (2) only with an empty directory, and unless more than one initial member is configured.
// (3) only where the first seed is such a name, and the count of initial members is configured.
//
// The first seed is the node whose address the first of the seeds resolves to, by itself: a name that stands for
// several nodes has no first. The founder writes the cluster's id into its directory before it founds: if it dies in
// between, or before it has saved who has joined, it comes back into the same cluster.

// answerLife is how long a seed's answer counts: the core asks each seed more often.
const answerLife = 2 * time.Second

// founding is what is known on the way into a cluster.
type founding struct {
	self netip.AddrPort
	may  bool          // the node may found at all; set before it runs
	wake chan struct{} // an answer came, or the node got in

	mu      sync.Mutex // guards what follows
	seeds   []seed
	answers map[netip.AddrPort]answer
	cluster gossip.ClusterID // zero: not in one
}

type answer struct {
	reason string
	at     time.Time
}

func newFounding(names []string, self netip.AddrPort) *founding {
	s := &founding{self: self, wake: make(chan struct{}, 1), answers: map[netip.AddrPort]answer{}}
	for _, name := range names {
		if next, err := parseSeed(name); err == nil { // Validate has refused the others
			s.seeds = append(s.seeds, next)
		}
	}
	return s
}

func (s *founding) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
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

// refusal is one that a person should hear of; empty: there is none.
func (s *founding) refusal() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.seeds {
		for _, address := range s.seeds[i].addresses {
			if a, ok := s.answers[address]; ok && a.reason != gossip.ReasonNoCluster && a.reason != gossip.ReasonRefused {
				return a.reason
			}
		}
	}
	return ""
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
	for i := range s.seeds {
		if len(s.seeds[i].addresses) == 0 {
			v = verdictSilent
		}
		for _, address := range s.seeds[i].others(s.self) {
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

// mayFound reports whether this node may ever found, by what its directory held.
func (f *Fabric) mayFound() bool {
	return f.home.snapshot == nil && f.config.Gossip.View == nil && (!f.home.wasIn || f.home.identity.founding)
}

// isFirst reports whether this node is the first seed.
func (f *Fabric) isFirst() bool { return f.config.Found || f.founding.first() }

// foundsAtOnce reports whether this node has nobody to ask.
func (f *Fabric) foundsAtOnce() bool {
	others, complete := f.founding.others()
	return f.founding.may && len(others) == 0 && complete && (f.isFirst() || f.config.InitialMembers == 1 ||
		f.config.InitialMembers == 0 && !f.founding.several())
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
	silent, told, hinted := false, false, false
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
			if err := f.home.setFounding(cluster); err != nil {
				f.logger.Error("cluster not founded: its id could not be saved", "event", "fabric_not_founded", "error", err)
				return
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
			if s.in().IsZero() && !hinted && s.several() && f.config.InitialMembers < 1 && s.may {
				hinted = true
				f.logger.Warn("the first seed's name stands for several nodes: none of them founds a cluster unless the count of initial members is set",
					"event", "fabric_waiting", "hint", "--initial-members N on all nodes, or the address of one node as the first seed")
			}
		case <-lookup.C:
			if s.names() {
				s.resolve(ctx, f.config.Resolve, f.logger)
				lookup.Reset(s.lookupInterval())
			}
		}
	}
}

// decide reports whether this node founds now; see the table at the top.
func (f *Fabric) decide(silent bool) bool {
	s := f.founding
	switch {
	case !f.founding.may:
		return false
	case f.foundsAtOnce():
		return true
	case f.isFirst():
		verdict := s.verdict(f.config.Now())
		return verdict == verdictEmpty || verdict == verdictSilent && silent && f.home.fresh && f.config.InitialMembers <= 1
	case f.config.InitialMembers > 1 && s.several():
		return s.lowestOf(f.config.InitialMembers) && s.verdict(f.config.Now()) == verdictEmpty
	default:
		return false
	}
}
