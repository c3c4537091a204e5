package gossip

import (
	"fmt"

	"github.com/egalcluster/egal/internal/wire"
)

// What monitors say to each other. Probes and their answers are in packet.go.

const (
	kindHelp   uint8 = 0x40
	kindHelped uint8 = 0x42
	kindAlerts uint8 = 0x44
)

// maxAlerts is how many members one node has something to say about: all that it probes.
const maxAlerts = maxWatched

// help asks a member to probe another one.
type help struct {
	sequence uint64
	subject  NodeID
}

// helped answers: the subject answered the helper in time, or did not.
type helped struct {
	sequence uint64
	subject  NodeID
	answered bool
}

// evidence is what a monitor finds of a process.
type evidence uint8

// evidenceNone is no finding that differs from what everybody knows.
const (
	evidenceNone evidence = iota
	evidenceLook          // refused a connection just now: look for yourselves
	evidenceSilent
	evidenceRefused
	evidenceAnswers // answers, although it is called unreachable
)

func (e evidence) String() string {
	return [...]string{"none", "look", "silent", "refused", "answers"}[min(e, evidenceAnswers)]
}

// accuses reports whether the finding is a vote for calling the process unreachable.
func (e evidence) accuses() bool { return e == evidenceSilent || e == evidenceRefused }

// alert is one finding, about one process of a member.
//
//	| bytes | meaning                          |
//	|-------|----------------------------------|
//	| 8     | the member's point on the ring   |
//	| 8     | its boot                         |
//	| 1     | evidence                         |
type alert struct {
	point uint64
	boot  BootID
	found evidence
}

const alertBytes = 8 + 8 + 1

// alerts are all the findings of the sender that differ from what is known, at most maxAlerts, sorted by point. They
// take the place of those it sent before.
type alerts struct{ list []alert }

func (help) kind() uint8   { return kindHelp }
func (helped) kind() uint8 { return kindHelped }
func (alerts) kind() uint8 { return kindAlerts }

func (help) String() string     { return "help" }
func (h helped) String() string { return fmt.Sprintf("helped: %v", h.answered) }
func (a alerts) String() string { return fmt.Sprintf("alerts: %d", len(a.list)) }

func (h help) append(b []byte) []byte {
	return append(wire.AppendUint64(b, h.sequence), h.subject[:]...)
}
func (h help) size() int { return 8 + len(h.subject) }

func (h helped) append(b []byte) []byte {
	return wire.AppendBool(help{h.sequence, h.subject}.append(b), h.answered)
}
func (h helped) size() int { return 8 + len(h.subject) + 1 }

func (a alerts) append(b []byte) []byte {
	b = wire.AppendUvarint(b, uint64(len(a.list)))
	for _, one := range a.list {
		b = wire.AppendUint64(b, one.point)
		b = wire.AppendUint64(b, uint64(one.boot))
		b = append(b, byte(one.found))
	}
	return b
}
func (a alerts) size() int { return varintSize(len(a.list)) + len(a.list)*alertBytes }

// readDetector reads the value of a body; nil: its kind is unknown.
func readDetector(kind uint8, r *wire.Reader) body {
	switch kind {
	case kindHelp:
		return help{sequence: r.Uint64(), subject: readNodeID(r)}
	case kindHelped:
		return helped{sequence: r.Uint64(), subject: readNodeID(r), answered: r.Bool()}
	case kindAlerts:
		return readAlerts(r)
	default:
		return nil
	}
}

// readAlerts refuses what no monitor sends: points out of order, findings that are none.
func readAlerts(r *wire.Reader) alerts {
	var a alerts
	for i := range r.Count(maxAlerts, alertBytes) {
		one := alert{point: r.Uint64(), boot: BootID(r.Uint64()), found: evidence(r.Uint8())}
		if r.Err() == nil && (one.found == evidenceNone || one.found > evidenceAnswers || i > 0 && one.point <= a.list[i-1].point) {
			r.Fail(fmt.Errorf("%w: alert", wire.ErrMalformed))
		}
		a.list = append(a.list, one)
	}
	return a
}
