package transport

import "sync/atomic"

// Metrics counts what a transport did since it was opened.
type Metrics struct {
	// DatagramsSent and DatagramsReceived passed; DatagramsLost could not be sent; DatagramsRejected were too large;
	// DatagramsForged had no valid tag, or not for this process; DatagramsReplayed came again or far too late.
	DatagramsSent, DatagramsReceived, DatagramsLost, DatagramsRejected, DatagramsForged, DatagramsReplayed uint64
	// FramesSent were given to a stream, FramesReceived delivered, FramesLost queued for a stream that broke.
	FramesSent, FramesReceived, FramesLost uint64
	// Requests were asked by this node; Served began here, byte streams among them; Unserved were refused.
	Requests, Served, Unserved uint64
	// Refused counts refusals told to the handler, Dialled the streams opened, Accepted those taken from peers, and
	// Rejected those that were over a bound, no fabric stream, or without proof.
	Refused, Dialled, Accepted, Rejected uint64
}

// Measured is a Transport that counts; all of this package do.
type Measured interface{ Metrics() Metrics }

type counters struct {
	datagramsSent, datagramsReceived, datagramsLost, datagramsRejected atomic.Uint64
	datagramsForged, datagramsReplayed                                 atomic.Uint64
	framesSent, framesReceived, framesLost                             atomic.Uint64
	requests, served, unserved                                         atomic.Uint64
	refused, dialled, accepted, rejected                               atomic.Uint64
}

func (c *counters) metrics() Metrics {
	return Metrics{
		DatagramsSent:     c.datagramsSent.Load(),
		DatagramsReceived: c.datagramsReceived.Load(),
		DatagramsLost:     c.datagramsLost.Load(),
		DatagramsRejected: c.datagramsRejected.Load(),
		DatagramsForged:   c.datagramsForged.Load(),
		DatagramsReplayed: c.datagramsReplayed.Load(),
		Requests:          c.requests.Load(),
		Served:            c.served.Load(),
		Unserved:          c.unserved.Load(),
		FramesSent:        c.framesSent.Load(),
		FramesReceived:    c.framesReceived.Load(),
		FramesLost:        c.framesLost.Load(),
		Refused:           c.refused.Load(),
		Dialled:           c.dialled.Load(),
		Accepted:          c.accepted.Load(),
		Rejected:          c.rejected.Load(),
	}
}
