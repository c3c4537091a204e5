package gossip

import "time"

// instant is a moment of one core's time, in nanoseconds; zero is none. A third of a time.Time, and without a pointer:
// rumors have many deadlines. It is far from zero within seventy years of the core's start, wherever clocks jump.
type instant int64

const firstInstant instant = 1 << 61

// instantOf is the moment t of a core that was made at born.
func instantOf(t, born time.Time) instant { return firstInstant + instant(t.Sub(born)) }

func (i instant) time(born time.Time) time.Time { return born.Add(time.Duration(i - firstInstant)) }

func (i instant) add(d time.Duration) instant { return i + instant(d) }

func (i instant) since(earlier instant) time.Duration { return time.Duration(i - earlier) }
