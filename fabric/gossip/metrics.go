package gossip

// Metrics counts what a core has done since it was made.
type Metrics struct {
	// Packets dropped because they belong to another cluster, to another process at this address, or come from a
	// process that a later one has replaced, and those that make no sense in the core's state.
	DroppedCluster, DroppedBoot, DroppedStale, DroppedUnexpected uint64
	// RumorsStarted is how many batches of own writes were sent, RumorsReceived how many batches came from others,
	// RumorsDuplicate how many of those were known already, RumorsDropped how many were given up to anti-entropy
	// because the buffer was full.
	RumorsStarted, RumorsReceived, RumorsDuplicate, RumorsDropped uint64
	// PayloadsSent is how many rumors were put into packets, ReceiptsSent and DoneSent how many answers to them;
	// Retries is how many of the payloads were sent because an earlier one was not answered in time.
	PayloadsSent, ReceiptsSent, DoneSent, Retries uint64
	// PacketsSent counts all packets, BytesSent their encoded size; PacketsDelayed those that pacing held back, and
	// PacketsDropped those that it dropped.
	PacketsSent, BytesSent, PacketsDelayed, PacketsDropped uint64
	// Gaps is how many deltas came before their predecessors, GapsDropped how many of them were given up.
	Gaps, GapsDropped uint64
	// RefusedOwners and RefusedShared count state from peers that would have gone over a limit.
	RefusedOwners, RefusedShared uint64
	// ProbesSent counts probes, those for others included, AcksReceived answers, ProbesMissed the rounds in which a
	// member did not answer, HelpAsked the requests to probe a member for us; Forgiven is how often a late tick of this
	// node itself made it forget what it had found.
	ProbesSent, AcksReceived, ProbesMissed, HelpAsked, Forgiven uint64
	// Alerts is how many times this node took a member for unreachable, AlertsSent how many packets told other monitors.
	// Verdicts and Withdrawals are those that this node published, VerdictsForged how many named it as a voter falsely.
	Alerts, AlertsSent, Verdicts, Withdrawals, VerdictsForged uint64
	// Isolated is 1 while this node reaches nobody; PhiMilli is the greatest phi of its edges, in thousandths (see Edge).
	Isolated, PhiMilli uint64
	// Comparisons is how many times this node began to compare its state with a member's, Exchanges how many times
	// one that began found it unequal. Fills is how many packets then brought others what they lacked, Resets how
	// many times an owner's state was replaced because its tombstones were gone.
	Comparisons, Exchanges, Fills, Resets uint64
	// StateChunks is how many packets the whole states took that joining nodes asked for. Paced counts answers that
	// were not given because others had taken the bytes of their time.
	StateChunks, Paced uint64
	// Inquiries is how often this node, as the leader, has asked whether all agree, and Denied how often not all did.
	Inquiries, Denied uint64
	// JoinRequests is how many requests to join were received.
	JoinRequests uint64
	// StampsAhead is how many stamps were too far ahead of this node's clock to follow.
	StampsAhead uint64
}
