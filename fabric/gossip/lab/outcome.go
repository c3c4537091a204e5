package lab

import "slices"

// Outcome is what one run of an experiment has shown.
type Outcome struct {
	// Rounds are, for every update that came to every live member, the rounds that took.
	Rounds []int
	// Updates is how many updates there were, Live how many members were alive.
	Updates, Live int
	// Reached is how many of the Updates×Live copies there should be there were in the end.
	Reached int
	// Packets, Payloads and Bytes are what was sent until nobody had anything to send any more, or, if Silent is false,
	// until every live member had every update. Probes do not count.
	Packets, Payloads, Bytes uint64
	Silent                   bool
	// Window packets were sent in WindowRounds rounds: until every live member had the update or, in a stream, in the
	// second half of it.
	Window       uint64
	WindowRounds int
	// Done says whether the writer was told rightly who has the update and who has not.
	Done Verdict
	// Events is how many events of cores were simulated.
	Events uint64
}

// Verdict is an answer of a scheme, judged.
type Verdict uint8

// Verdicts, from none to the worst.
const (
	VerdictNone  Verdict = iota // the scheme gives no answer
	VerdictYes                  // all who are alive have the update, and the writer was told so
	VerdictNamed                // all it was not told to lack the update have it; it was told so of one who is alive, too
	VerdictNo                   // it was told nothing, or that one has the update who has not
)

// String is "-", "yes", "named" or "no".
func (v Verdict) String() string { return [...]string{"-", "yes", "named", "no"}[v] }

// outcome sums the field up.
func (f *field) outcome(by scheme) Outcome {
	o := Outcome{Updates: len(f.rumors), Live: f.live, Silent: len(f.open) == 0, Window: f.window, WindowRounds: f.round}
	switch first := f.rumors[0]; {
	case f.e.Updates > 1:
		o.WindowRounds = StreamRounds / 2
	case first.whole > 0:
		o.Window, o.WindowRounds = first.at.packets, first.whole
	default:
		o.Window = f.packets
	}
	sent := f.now()
	if !o.Silent {
		sent = tally{}
	}
	for _, s := range f.rumors {
		o.Reached += s.reached
		if s.whole > 0 {
			o.Rounds = append(o.Rounds, s.whole-s.born+1)
		}
		if !o.Silent && s.at.packets > sent.packets {
			sent = s.at
		}
	}
	o.Packets, o.Payloads, o.Bytes = sent.packets, sent.payloads, sent.bytes
	if _, ok := by.(*seen); ok {
		o.Done = VerdictNo
		if o.Silent && o.Reached == o.Updates*o.Live {
			o.Done = VerdictYes
		}
	}
	return o
}

// Row is one line of the lab's table: an experiment and what came of it, over all seeds.
type Row struct {
	Scheme string `json:"scheme"`
	N      int    `json:"n"`
	K      int    `json:"k"`
	// Loss, Dead and Missing are percentages.
	Loss    float64 `json:"loss"`
	Dead    float64 `json:"dead"`
	Missing float64 `json:"missing"`
	// Updates are written per round; 1: a single one.
	Updates int `json:"updates"`
	Seeds   int `json:"seeds"`
	// RoundsMedian and RoundsMax are the rounds until every live member had an update, over the updates of all seeds that
	// came that far; 0: none did.
	RoundsMedian float64 `json:"rounds"`
	RoundsMax    int     `json:"rounds_max"`
	// Reached is the share of live members that had an update in the end.
	Reached float64 `json:"reached"`
	// Payloads, Messages and Bytes are per live member and update, until Stop.
	Payloads float64 `json:"payloads"`
	Messages float64 `json:"messages"`
	Bytes    float64 `json:"bytes"`
	// ToAll is the messages per live member until the last of them had the update, for a single update that came so far.
	ToAll float64 `json:"messages_to_all"`
	// Stop is "silent" when nobody had anything more to send, "oracle" when somebody who sees all had to end it.
	Stop string `json:"stop"`
	// Packets are per live member and round, until every live member had the update; in a stream, in its second half.
	Packets float64 `json:"packets_per_round"`
	// Done says whether the writer was told rightly who has the update and who has not: "yes", or "named" when a live
	// member is among those it was told to lack it, "no", or "-" when the scheme does not tell.
	Done string `json:"done"`
}

// Summarize makes a row of the outcomes of all seeds.
func Summarize(e Experiment, outcomes []Outcome) Row {
	row := Row{
		Scheme: e.Scheme.String(), N: e.N, K: e.K, Loss: e.Loss, Dead: e.Dead, Missing: e.Missing, Updates: e.Updates,
		Seeds: len(outcomes), Stop: "silent",
	}
	var rounds []int
	var copies, reached, packets, payloads, bytes, window, windowRounds float64
	done := VerdictNone
	for _, o := range outcomes {
		rounds = append(rounds, o.Rounds...)
		copies += float64(o.Updates * o.Live)
		reached += float64(o.Reached)
		packets, payloads, bytes = packets+float64(o.Packets), payloads+float64(o.Payloads), bytes+float64(o.Bytes)
		window += float64(o.Window)
		windowRounds += float64(o.WindowRounds * o.Live)
		if !o.Silent {
			row.Stop = "oracle"
		}
		done = max(done, o.Done)
	}
	if len(outcomes) == 0 {
		return row
	}
	row.RoundsMedian, row.RoundsMax = middleAndLargest(rounds)
	row.Reached = round(reached / copies)
	row.Payloads, row.Messages, row.Bytes = round(payloads/copies), round(packets/copies), round(bytes/copies)
	row.Packets = round(window / max(windowRounds, 1))
	if e.Updates == 1 && reached == copies {
		row.ToAll = round(window / copies)
	}
	row.Done = done.String()
	return row
}

// middleAndLargest is the middle and the largest of some numbers.
func middleAndLargest(numbers []int) (middle float64, largest int) {
	if len(numbers) == 0 {
		return 0, 0
	}
	slices.Sort(numbers)
	half := len(numbers) / 2
	if len(numbers)%2 == 1 {
		return float64(numbers[half]), numbers[len(numbers)-1]
	}
	return float64(numbers[half-1]+numbers[half]) / 2, numbers[len(numbers)-1]
}

// round keeps four digits behind the point: what a table shows, without the noise of division.
func round(x float64) float64 { return float64(int64(x*10_000+0.5)) / 10_000 }
