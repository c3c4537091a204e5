package lab

import (
	"math"
	"math/rand/v2"

	"github.com/egalcluster/egal/internal/wire"
)

// Sizes of what comparison schemes send, in bytes: those of our own packets. lab_test.go holds them to it.
const (
	headerBytes = 51 // of a packet
	updateBytes = 80 // an update in it: its id, a short key, a value of eight bytes, the writer and the stamp
	digestBytes = 24 // one member's clock in a digest: it names only those whose clocks have moved
)

// field is what the comparison schemes play on: members that are numbers, rounds, and a network that loses messages.
// A message of a round reaches its receiver in the middle of it, so that an answer is back at its end; an update that
// came in one round is passed on in the next.
type field struct {
	e       Experiment
	targets *rand.Rand // whom members choose
	losses  *rand.Rand // what the network loses
	views   uint64     // seeds which members a view lacks
	alive   []bool
	live    int

	round    int // the present one, from 1 on
	rumors   []*spread
	open     []*spread // those that somebody may still send
	packets  uint64
	payloads uint64
	bytes    uint64
	window   uint64 // packets in the second half of a stream
	chosen   []int32
}

// spread is how far one update has come.
type spread struct {
	index   int     // among the updates of the experiment
	origin  int32   // who wrote it
	born    int     // the round before which it was written
	got     []int32 // by member: the first round in which it can send the update, 0: has it not
	reached int     // live members that have it
	whole   int     // the round in which the last live member got it; 0: not yet
	at      tally   // what had been sent by then
}

// tally is what has been sent.
type tally struct{ packets, payloads, bytes uint64 }

// scheme is a protocol that plays on a field.
type scheme interface {
	// born prepares for an update.
	born(f *field, s *spread)
	// play plays a round: everybody sends, everybody receives.
	play(f *field)
	// silent reports whether nobody will ever send the update again.
	silent(f *field, s *spread) bool
}

func newField(e Experiment, seed uint64) *field {
	generator := func(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, purpose)) }
	f := &field{
		e: e, targets: generator(1), losses: generator(2), views: wire.Mix64(seed + 3), alive: make([]bool, e.N),
		live: e.N - deadMembers(e), chosen: make([]int32, 0, e.K),
	}
	for i := range f.alive {
		f.alive[i] = true
	}
	for _, i := range generator(4).Perm(e.N)[:e.N-f.live] {
		f.alive[i] = false
	}
	return f
}

// deadMembers is how many members are dead; one is always alive to write.
func deadMembers(e Experiment) int {
	return min(int(math.Round(float64(e.N)*e.Dead/100)), e.N-1)
}

// write makes an update at a random live member, before the present round.
func (f *field) write(by scheme, writers *rand.Rand) {
	origin := writers.IntN(f.e.N)
	for !f.alive[origin] {
		origin = writers.IntN(f.e.N)
	}
	s := &spread{index: len(f.rumors), origin: int32(origin), born: f.round, got: make([]int32, f.e.N), reached: 1}
	s.got[origin] = int32(f.round)
	f.rumors, f.open = append(f.rumors, s), append(f.open, s)
	by.born(f, s)
}

// has reports whether a member can send the update in this round.
func (f *field) has(s *spread, member int32) bool {
	at := s.got[member]
	return at != 0 && int(at) <= f.round
}

// deliver gives the update to a live member, who may have it.
func (f *field) deliver(s *spread, to int32) {
	if s.got[to] == 0 {
		s.got[to] = int32(f.round + 1)
		s.reached++
	}
}

// send counts a packet, with so many copies of updates in so many bytes, and reports whether it arrives.
func (f *field) send(to int32, payloads, bytes int) bool {
	f.packets++
	f.payloads += uint64(payloads)
	f.bytes += uint64(headerBytes + bytes)
	lost := f.e.Loss > 0 && f.losses.Float64()*100 < f.e.Loss
	return !lost && f.alive[to]
}

// knows reports whether a member is in another one's view.
func (f *field) knows(member, other int32) bool {
	if member == other {
		return false
	}
	if f.e.Missing == 0 {
		return true
	}
	return viewHas(f.views, int(member), int(other), f.e.Missing)
}

// viewHas draws, the same way every time, whether a view has a member.
func viewHas(seed uint64, view, member int, missing float64) bool {
	draw := wire.Mix64(seed ^ wire.Mix64(uint64(view)<<32|uint64(member)))
	return float64(draw>>11)/(1<<53)*100 >= missing
}

// choose picks up to K different members of a view at random. The slice is the field's.
func (f *field) choose(member int32) []int32 {
	f.chosen = f.chosen[:0]
	for range f.e.K {
		if other, ok := f.another(member); ok {
			f.chosen = append(f.chosen, other)
		}
	}
	return f.chosen
}

// another picks a member that is not among the chosen; it gives up when there seems to be none.
func (f *field) another(member int32) (int32, bool) {
	if len(f.chosen) >= f.e.N-1 {
		return 0, false
	}
search:
	for range 64 + 4*len(f.chosen) {
		other := int32(f.targets.IntN(f.e.N))
		if !f.knows(member, other) {
			continue
		}
		for _, c := range f.chosen {
			if c == other {
				continue search
			}
		}
		return other, true
	}
	return 0, false
}

// now is what has been sent up to here.
func (f *field) now() tally { return tally{f.packets, f.payloads, f.bytes} }

// maxSilence is how many rounds after the last live member got it, or without anybody getting it, a scheme may go on
// before it counts as one that never falls silent.
const maxSilence = 100

// runRounds plays a comparison scheme.
func runRounds(e Experiment, seed uint64, watch Watch) (Outcome, bool) {
	f := newField(e, seed)
	by := newScheme(e)
	writers := rand.New(rand.NewPCG(seed, 5))
	quiet := 0 // rounds in which nobody got anything
	if watch.Began != nil {
		watch.Began()
	}
	for f.round = 1; ; f.round++ {
		if watch.interrupted() {
			return Outcome{}, false
		}
		if f.round == 1 || f.round <= StreamRounds && e.Updates > 1 {
			for range e.Updates {
				f.write(by, writers)
			}
			quiet = 0
		}
		news := f.play(by)
		if quiet++; news {
			quiet = 0
		}
		if len(f.open) == 0 && (e.Updates == 1 || f.round >= StreamRounds) || quiet > maxSilence {
			return f.outcome(by), true
		}
	}
}

// play plays a round and closes what is over; it reports whether anybody got anything.
func (f *field) play(by scheme) (news bool) {
	reached := 0
	for _, s := range f.open {
		reached += s.reached
	}
	before := f.packets
	by.play(f)
	if f.round > StreamRounds/2 && f.round <= StreamRounds {
		f.window += f.packets - before
	}
	for _, s := range f.open {
		reached -= s.reached
		if s.reached == f.live && s.whole == 0 {
			s.whole, s.at = f.round, f.now()
		}
	}
	kept := f.open[:0]
	for _, s := range f.open {
		if !by.silent(f, s) {
			kept = append(kept, s)
		}
	}
	f.open = kept
	return reached != 0
}
