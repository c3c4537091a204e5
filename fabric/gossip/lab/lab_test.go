package lab

import (
	"fmt"
	"testing"
	"time"
)

func show(t *testing.T, n int, ks []int, schemes ...Scheme) {
	never := func() bool { return false }
	for _, s := range schemes {
		for _, k := range ks {
			line := fmt.Sprintf("%-10s k=%d", s, k)
			begin := time.Now()
			var events uint64
			for _, c := range [][2]float64{{0, 0}, {5, 0}, {20, 0}, {0, 10}} {
				e := Experiment{Scheme: s, N: n, K: k, Loss: c[0], Dead: c[1], Updates: 1}
				if err := e.Validate(); err != nil {
					t.Fatal(err)
				}
				var os []Outcome
				for seed := range uint64(5) {
					o, _ := Run(e, seed, never)
					os = append(os, o)
					events += o.Events
				}
				r := Summarize(e, os)
				line += fmt.Sprintf(" | %4.1f/%2d %5.3f p%5.2f m%6.2f %s %s", r.RoundsMedian, r.RoundsMax, r.Reached, r.Payloads, r.Messages, r.Stop, r.Done)
			}
			fmt.Println(line, time.Since(begin).Round(time.Millisecond), events)
		}
	}
}

func TestShow(t *testing.T) {
	show(t, 1000, []int{1, 3, 4, 8}, SchemeSeen, SchemePushPull)
}
