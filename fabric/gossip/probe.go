package gossip

const (
	// watched is how many successors on the hash ring a node probes in a cluster too large to probe everybody.
	watched = 8
	// maxWatched is how many it probes at most, passing over unreachable ones.
	maxWatched = 64
)
