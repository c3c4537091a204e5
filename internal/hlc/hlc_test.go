package hlc

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.UnixMilli(1_700_000_000_000)

func TestNowIncreasesWhileTheWallClockStandsStill(t *testing.T) {
	var c Clock
	previous := c.Now(start)
	for range 100_000 { // more than the 16-bit counter holds
		next := c.Now(start)
		if next <= previous {
			t.Fatalf("%v after %v", next, previous)
		}
		previous = next
	}
	if ahead := previous.Wall().Sub(start); ahead > 2*time.Millisecond {
		t.Fatalf("the clock ran %v ahead of the wall clock", ahead)
	}
}

func TestObserveIsFollowedUpToTheBound(t *testing.T) {
	for _, tc := range []struct {
		name   string
		ahead  time.Duration
		follow bool
	}{
		{"behind", -time.Hour, true},
		{"at the bound", MaxAhead, true},
		{"one past the bound", MaxAhead + time.Millisecond, false},
		{"an hour ahead", time.Hour, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c Clock
			remote := New(start.Add(tc.ahead), 7)
			if got := c.Observe(start, remote); got != tc.follow {
				t.Fatalf("followed = %v, want %v", got, tc.follow)
			}
			if now := c.Now(start); tc.follow && now <= remote {
				t.Fatalf("%v is not after the observed %v", now, remote)
			} else if now.Wall().Sub(start) > MaxAhead+time.Millisecond {
				t.Fatalf("dragged to %v", now.Wall())
			}
		})
	}
}

func TestTimestampsNeverDecrease(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Clock
		var last Timestamp
		wall := start
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			wall = wall.Add(time.Duration(rapid.IntRange(-2000, 2000).Draw(t, "jump")) * time.Millisecond)
			if rapid.Bool().Draw(t, "observe") {
				c.Observe(wall, Timestamp(rapid.Uint64().Draw(t, "remote")))
				continue
			}
			now := c.Now(wall)
			if now <= last {
				t.Fatalf("%v after %v", now, last)
			}
			last = now
		}
	})
}

func TestStringAndParts(t *testing.T) {
	stamp := New(start, 3)
	if stamp.String() != "1700000000000.3" || stamp.Counter() != 3 || !stamp.Wall().Equal(start) {
		t.Fatalf("%v", stamp)
	}
	if New(time.Unix(-5, 0), 0) != 0 {
		t.Fatal("times before 1970 must give zero")
	}
}
