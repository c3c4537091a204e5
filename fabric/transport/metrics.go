package transport

import "sync/atomic"

// Metrics counts what a transport did since it was opened.
type Metrics struct {
	// DatagramsSent and DatagramsReceived passed; DatagramsLost could not be sent; DatagramsRejected were too large.
	DatagramsSent, DatagramsReceived, DatagramsLost, DatagramsRejected uint64
	// FramesSent were written to a stream, FramesReceived delivered, FramesLost queued for a stream that broke.
	FramesSent, FramesReceived, FramesLost uint64
	// Refused counts refusals told to the handler, Dialled the streams opened, Accepted those taken from peers, and
	// Rejected those that were over a bound or no fabric stream.
	Refused, Dialled, Accepted, Rejected uint64
}

// Measured is a Transport that counts; all of this package do.
type Measured interface{ Metrics() Metrics }

type counters struct {
	datagramsSent, datagramsReceived, datagramsLost, datagramsRejected atomic.Uint64
	framesSent, framesReceived, framesLost                             atomic.Uint64
	refused, dialled, accepted, rejected                               atomic.Uint64
}

func (c *counters) metrics() Metrics {
	return Metrics{
		DatagramsSent:     c.datagramsSent.Load(),
		DatagramsReceived: c.datagramsReceived.Load(),
		DatagramsLost:     c.datagramsLost.Load(),
		DatagramsRejected: c.datagramsRejected.Load(),
		FramesSent:        c.framesSent.Load(),
		FramesReceived:    c.framesReceived.Load(),
		FramesLost:        c.framesLost.Load(),
		Refused:           c.refused.Load(),
		Dialled:           c.dialled.Load(),
		Accepted:          c.accepted.Load(),
		Rejected:          c.rejected.Load(),
	}
}
