package slots

import (
	"fmt"
	"testing"
	"time"

	"github.com/egalcluster/egal/slots/internal/keyspace"
)

// quiet is a service without a listener and without goroutines, whose housekeeping the test does.
func quiet(t *testing.T, now func() time.Time) *Service {
	t.Helper()
	s := &Service{config: (Config{Now: now, Databases: 1}).withDefaults(), closing: make(chan struct{})}
	s.prepare()
	t.Cleanup(s.release)
	return s
}

// write stores a key that expires.
func (s *Service) write(name string, now, expireAt int64) {
	key := s.store.Key([]byte(name))
	shard := s.store.ShardOf(key.Slot)
	shard.Lock()
	shard.Database(0).Set(now, key, keyspace.TypeString, nil, expireAt)
	shard.Unlock()
}

func TestExpiryKeepsUpWithWriters(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	s := quiet(t, func() time.Time { return now })
	const perInterval, intervals = 4 * expiryBudget, 12
	for i := range intervals {
		for j := range perInterval {
			s.write(fmt.Sprint(i, ":", j), now.UnixMilli(), now.Add(housekeepingInterval/2).UnixMilli())
		}
		now = now.Add(housekeepingInterval)
		s.expire()
		// Up to a tenth of what a look sees may be left for the next.
		if left := s.store.Len(0); left > perInterval/5 {
			t.Fatalf("%d of %d expired keys are left after interval %d", left, (i+1)*perInterval, i)
		}
	}
}

func TestExpiryIsBoundedInTime(t *testing.T) {
	now, looks := time.UnixMilli(1_700_000_000_000), 0
	s := quiet(t, func() time.Time {
		looks++
		now = now.Add(expiryTime / 4)
		return now
	})
	const keys = 8 * expiryBudget
	for i := range keys {
		s.write(fmt.Sprint(i), 0, 1)
	}
	s.expire()
	if left := s.store.Len(0); left < keys-5*expiryBudget || left >= keys-expiryBudget {
		t.Errorf("%d of %d keys are left when the time is up", left, keys)
	}
	if looks > 6 {
		t.Errorf("%d looks at the clock", looks)
	}
}

func TestExpiryStopsWhenItIsNotWorthIt(t *testing.T) {
	now, looks := time.UnixMilli(1_700_000_000_000), 0
	s := quiet(t, func() time.Time {
		looks++
		return now
	})
	for i := range 4 * expiryBudget {
		expireAt := now.Add(time.Hour)
		if i%20 == 0 {
			expireAt = now.Add(-1)
		}
		s.write(fmt.Sprint(i), 0, expireAt.UnixMilli())
	}
	looks = 0
	if s.expire(); looks != 1 {
		t.Errorf("%d looks when one in twenty has expired", looks)
	}
	close(s.closing)
	now = now.Add(2 * time.Hour)
	if s.expire(); s.store.Len(0) < expiryBudget {
		t.Errorf("%d keys left: the looks went on when the service closed", s.store.Len(0))
	}
}
