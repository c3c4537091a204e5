package lab

import (
	"slices"
	"time"
)

// FailureRow is one line of the table of failures: an experiment and what came of it, over all seeds.
type FailureRow struct {
	Fault string  `json:"fault"`
	N     int     `json:"n"`
	Loss  float64 `json:"loss"`
	Seeds int     `json:"seeds"`
	// Detected is the mean time in seconds from a crash, or from when a member became deaf, to the first verdict, Known
	// that until 99 % of the others know it; DetectedMax and KnownMax are the longest. 0: nobody crashed.
	Detected    float64 `json:"detected"`
	DetectedMax float64 `json:"detected_max"`
	Known       float64 `json:"known"`
	KnownMax    float64 `json:"known_max"`
	// Missed is how many crashed or deaf members were never found.
	Missed int `json:"missed"`
	// Alerts, Wrong, Slow and Pauses are per hour, of the whole cluster: monitors that take a member for unreachable,
	// rightly or not, verdicts on healthy members, verdicts on members that pause, and pauses.
	Alerts float64 `json:"alerts_per_hour"`
	Wrong  float64 `json:"wrong_per_hour"`
	Slow   float64 `json:"slow_per_hour"`
	Pauses float64 `json:"pauses_per_hour"`
	// Packets and Bytes are those of the failure detector, per member and second.
	Packets float64 `json:"packets_per_second"`
	Bytes   float64 `json:"bytes_per_second"`
	// Isolated says whether the deaf member knew that it hears nobody, and no other thought so: "yes", "no" or "-".
	Isolated string `json:"isolated"`
}

// SummarizeFailures makes a row of the outcomes of all seeds.
func SummarizeFailures(f Failure, outcomes []FailureOutcome) FailureRow {
	row := FailureRow{Fault: f.String(), N: f.N, Loss: f.Loss, Seeds: len(outcomes)}
	var detected, known []time.Duration
	var hours, alerts, wrong, slow, pauses, packets, bytes float64
	isolated := VerdictNone
	for _, o := range outcomes {
		detected, known = append(detected, o.Detected...), append(known, o.Known...)
		hours += o.Length.Hours()
		alerts, wrong, slow, pauses = alerts+float64(o.Alerts), wrong+float64(o.Wrong), slow+float64(o.Slow), pauses+float64(o.Pause)
		packets, bytes = packets+float64(o.Packets), bytes+float64(o.Bytes)
		isolated = max(isolated, o.Isolated)
		row.Missed += o.Struck - len(o.Detected)
	}
	if hours == 0 {
		return row
	}
	row.Detected, row.DetectedMax = meanAndLargest(detected)
	row.Known, row.KnownMax = meanAndLargest(known)
	row.Alerts, row.Wrong, row.Slow, row.Pauses = round(alerts/hours), round(wrong/hours), round(slow/hours), round(pauses/hours)
	row.Packets, row.Bytes = round(packets/hours/3600/float64(f.N)), round(bytes/hours/3600/float64(f.N))
	row.Isolated = isolated.String()
	return row
}

// meanAndLargest are the mean and the largest of some times, in seconds.
func meanAndLargest(times []time.Duration) (mean, largest float64) {
	if len(times) == 0 {
		return 0, 0
	}
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	return round(sum.Seconds() / float64(len(times))), round(slices.Max(times).Seconds())
}
