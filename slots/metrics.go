package slots

import (
	"sync/atomic"
	"time"
)

// Metrics counts what the service has done since its start, or since CONFIG RESETSTAT.
type Metrics struct {
	// Engine is the network engine that runs: EngineEpoll or EngineNet.
	Engine string
	// Clients is the number of connected clients; MaxClients their bound.
	Clients, MaxClients int
	// Accepted and Refused count connections: served, and turned away because of MaxClients.
	Accepted, Refused uint64
	// ProtocolErrors and OverflowClosed count connections closed for what they sent, or for what they left unread.
	ProtocolErrors, OverflowClosed uint64
	// Commands counts executed commands, Errors the error replies.
	Commands, Errors uint64
	// InputBytes and OutputBytes count what went over the wire.
	InputBytes, OutputBytes uint64
	// Keys is the number of keys in all databases, UsedMemory what they take in bytes.
	Keys, UsedMemory int64
	// Hits, Misses and Expired count lookups of keys, and keys removed at the end of their time.
	Hits, Misses, Expired uint64
}

// Metrics reads the counters. It locks one shard after another to count the keys.
func (s *Service) Metrics() Metrics {
	counters, stats := s.statistics, s.store.Stats()
	m := Metrics{
		Engine: s.engineName, Clients: s.clients.count(), MaxClients: int(s.clients.maximum.Load()),
		Accepted: counters.accepted.Load(), Refused: counters.refused.Load(),
		ProtocolErrors: counters.protocolErrors.Load(), OverflowClosed: counters.overflowClosed.Load(),
		Commands: counters.commands.Load(), Errors: counters.errors.Load(),
		InputBytes: counters.inputBytes.Load(), OutputBytes: counters.outputBytes.Load(),
		UsedMemory: s.store.UsedMemory(),
		Hits:       stats.Hits, Misses: stats.Misses, Expired: stats.Expired,
	}
	for db := range s.store.Databases() {
		m.Keys += int64(s.store.Len(db))
	}
	return m
}

// rates turns counters into what happened within the last second or so, for INFO.
type rates struct {
	commands, input, output rate
}

// rate is the growth of one counter per second, smoothed over its last samples. sample is called by one goroutine;
// perSecond by any.
type rate struct {
	at        time.Time
	total     uint64
	perSecond atomic.Uint64
}

// rateWeight is how many samples a rate looks back.
const rateWeight = 16

func (r *rates) sample(now time.Time, s *statistics) {
	r.commands.sample(now, s.commands.Load())
	r.input.sample(now, s.inputBytes.Load())
	r.output.sample(now, s.outputBytes.Load())
}

func (r *rate) sample(now time.Time, total uint64) {
	elapsed := now.Sub(r.at).Seconds()
	if !r.at.IsZero() && elapsed > 0 && total >= r.total {
		current := float64(total-r.total) / elapsed
		r.perSecond.Store(uint64((float64(r.perSecond.Load())*(rateWeight-1) + current) / rateWeight))
	}
	r.at, r.total = now, total
}
