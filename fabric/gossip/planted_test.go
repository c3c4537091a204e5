package gossip

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The checkers are tested by planted bugs: each must turn one of them red.

type complaint string

// recorder is a complainer for code that is expected to be found wrong.
type recorder struct{}

func (recorder) Helper()                           {}
func (recorder) Fatal(args ...any)                 { panic(complaint(fmt.Sprint(args...))) }
func (recorder) Fatalf(format string, args ...any) { panic(complaint(fmt.Sprintf(format, args...))) }

// complaintOf is the complaint of f; "" when there is none.
func complaintOf(f func()) (text string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case complaint:
			text = string(r)
		default:
			panic(r)
		}
	}()
	f()
	return ""
}

// alterRumors makes a planted bug out of a change to every rumor that arrives.
func alterRumors(change func(*rumor)) func(Message) Message {
	return func(m Message) Message {
		p, ok := m.(Packet)
		if !ok {
			return m
		}
		return alterBodies(p, func(b body) body {
			if r, ok := b.(rumor); ok && r.payload != nil {
				copied := *r.payload
				copied.own = slices.Clone(copied.own)
				r.payload = &copied
				change(&r)
				return r
			}
			return b
		})
	}
}

func alterBodies(p Packet, change func(body) body) Packet {
	p.bodies = slices.Clone(p.bodies)
	for i := range p.bodies {
		p.bodies[i] = change(p.bodies[i])
	}
	return p
}

// alterAll changes every body of a packet.
func alterAll(m Message, change func(body) body) Message {
	if p, ok := m.(Packet); ok {
		return alterBodies(p, change)
	}
	return m
}

// alterRecords makes a planted bug out of a change to every record of a member on its way.
func alterRecords(change func(*admission)) func(Message) Message {
	altered := func(list []*shared) []*shared {
		list = slices.Clone(list)
		for i, s := range list {
			if s.admission != nil {
				record := *s.admission
				change(&record)
				list[i] = newShared(string(s.key), record.encode(), false, s.stamp, s.node)
			}
		}
		return list
	}
	return func(m Message) Message {
		return alterAll(m, func(b body) body {
			switch b := b.(type) {
			case rumor:
				if b.payload != nil {
					b.payload = &payload{own: b.payload.own, shared: altered(b.payload.shared)}
					b.payload.measure()
				}
				return b
			case stateChunk:
				b.shared = altered(b.shared)
				return b
			case fill:
				b.shared = altered(b.shared)
				return b
			}
			return b
		})
	}
}

// alterFills makes a planted bug out of a change to everything that comparisons bring.
func alterFills(change func(*fill)) func(Message) Message {
	return func(m Message) Message {
		return alterAll(m, func(b body) body {
			if f, ok := b.(fill); ok {
				f.deltas = slices.Clone(f.deltas)
				change(&f)
				return f
			}
			return b
		})
	}
}

// onlyByComparing lets a cluster agree without the help of rumors.
func onlyByComparing(t complainer, alter func(Message) Message) {
	c := newCluster(t, 1, calm)
	c.form(3)
	c.converge(time.Second)
	c.alter = func(m Message) Message { return alter(withoutPayload(m)) }
	c.tell(c.nodes[1], SetOwn{"k", []byte("v")})
	c.run(5 * time.Millisecond)
	c.converge(5 * time.Second)
	c.checkAgreement()
}

// comeBack lets a node be away for so long that what was deleted meanwhile is forgotten.
func comeBack(t complainer, alter func(Message) Message) {
	c := newCluster(t, 1, calm)
	c.alter = alter
	c.config = Config{ProbeInterval: 30 * time.Second, ExchangeInterval: 30 * time.Second}
	c.form(3)
	c.converge(time.Second)
	c.tell(c.nodes[0], SetOwn{"gone", []byte("v")})
	c.run(time.Second)
	c.partition(2)
	c.tell(c.nodes[0], DeleteOwn{"gone"})
	c.run(TombstoneLife + 2*time.Minute)
	c.world.Heal()
	c.converge(10 * time.Minute)
	c.checkAgreement()
	if resets := c.nodes[2].core.metrics.Resets; resets != 1 {
		t.Fatalf("%d resets", resets)
	}
}

// The same stories end well without a bug.
func TestWhatPlantedBugsSpoil(t *testing.T) {
	onlyByComparing(t, func(m Message) Message { return m })
	comeBack(t, nil)
}

func TestPlantedBugsAreFound(t *testing.T) {
	simulate := func(alter func(Message) Message) func() {
		return func() {
			for seed := range uint64(40) {
				play(recorder{}, seed, alter)
			}
		}
	}
	walk := func(change func(answer) answer) func() {
		return func() {
			for seed := range uint64(20) {
				walkAround(recorder{}, seed, func(m Message) Message {
					return alterBodies(m.(Packet), func(b body) body {
						if a, ok := b.(answer); ok {
							return change(a)
						}
						return b
					})
				})
			}
		}
	}
	for _, tc := range []struct {
		name string
		run  func()
	}{
		{"parts that are not disjoint", func() {
			spreadOnce(recorder{}, 100, 4, alterRumors(func(r *rumor) { r.span = wholeSpan }))
		}},
		{"parts that are not passed on", func() {
			spreadOnce(recorder{}, 100, 4, alterRumors(func(r *rumor) { r.span = span{} }))
		}},
		{"receipts that get lost for good", func() {
			spreadOnce(recorder{}, 100, 4, func(m Message) Message {
				p, ok := m.(Packet)
				if ok {
					p.bodies = slices.DeleteFunc(slices.Clone(p.bodies), func(b body) bool { return b.kind() == kindAnswer })
				}
				return p
			})
		}},
		{"a result that hides who is missing", walk(func(a answer) answer {
			for _, id := range a.result.missing {
				a.result.count++
				a.result.xor ^= id.point()
			}
			a.result.missing = nil
			return a
		})},
		{"a receipt taken for a result", walk(func(a answer) answer {
			a.done = true
			return a
		})},
		{"a result that counts a member twice", walk(func(a answer) answer {
			if a.done {
				a.result.count++
			}
			return a
		})},
		{"a delta taken for the whole state", simulate(alterRumors(func(r *rumor) {
			for i := range r.payload.own {
				r.payload.own[i].since = 0
			}
		}))},
		{"an older generation taken for a newer one", simulate(func(m Message) Message {
			p, ok := m.(Packet)
			if !ok {
				return m
			}
			return alterBodies(p, func(b body) body {
				if chunk, ok := b.(stateChunk); ok {
					for i := range chunk.owners {
						if chunk.owners[i].owner != p.Sender {
							chunk.owners[i].generation += 10
						}
					}
				}
				return b
			})
		})},
		{"a value changed on its way", simulate(alterRumors(func(r *rumor) {
			for i := range r.payload.own {
				own := &r.payload.own[i]
				own.entries = slices.Clone(own.entries)
				for i := range own.entries {
					if own.entries[i].key != keyNode && own.entries[i].key != keyReport {
						own.entries[i].value = []byte("other")
					}
				}
			}
		}))},
		{"shared writes that get lost for good", simulate(func(m Message) Message {
			p, ok := m.(Packet)
			if !ok {
				return m
			}
			return alterBodies(p, func(b body) body {
				switch b := b.(type) {
				case rumor:
					if b.payload != nil {
						b.payload = &payload{own: b.payload.own}
					}
					return b
				case stateChunk:
					b.shared = nil
					return b
				case fill:
					b.shared = nil
					return b
				}
				return b
			})
		})},
		{"deltas cut in the order of keys", simulate(alterFills(func(f *fill) {
			for i := range f.deltas {
				if d := &f.deltas[i]; len(d.entries) > 1 {
					d.entries = d.entries[:1]
				}
			}
		}))},
		{"tombstones that are gone without anybody knowing", func() {
			comeBack(recorder{}, alterFills(func(f *fill) {
				for i := range f.deltas {
					f.deltas[i].collected = 0
				}
			}))
		}},
		{"deletions that do not travel", simulate(alterFills(func(f *fill) {
			for i := range f.deltas {
				f.deltas[i].entries = slices.DeleteFunc(f.deltas[i].entries, func(e entry) bool { return e.deleted })
			}
		}))},
		{"a bucket that is never compared", func() {
			bucket := nodeID(2).bucket()
			onlyByComparing(recorder{}, func(m Message) Message {
				return alterAll(m, func(b body) body {
					if d, ok := b.(digests); ok && d.section == sectionOwners {
						d.covered[bucket/64] &^= 1 << (bucket % 64)
						d.owners = slices.DeleteFunc(slices.Clone(d.owners), func(d ownerDigest) bool { return d.id.bucket() == bucket })
						return d
					}
					return b
				})
			})
		}},
		{"wishes that are not granted", func() {
			onlyByComparing(recorder{}, alterFills(func(f *fill) { f.deltas, f.owners = nil, nil }))
		}},
		{"a no taken for a yes, before a leader acts", simulate(func(m Message) Message {
			return alterAll(m, func(b body) body {
				if a, ok := b.(answer); ok && a.done {
					for _, id := range a.result.missing {
						a.result.count++
						a.result.xor ^= id.point()
					}
					a.result.missing = nil
					return a
				}
				return b
			})
		})},
		{"a removal taken for an admission", simulate(alterRecords(func(a *admission) {
			if a.status == StatusRemoved {
				a.status, a.generation = StatusUp, a.generation+1
			}
		}))},
		{"a record that goes back", simulate(alterRecords(func(a *admission) {
			if a.status == StatusDown || a.status == StatusExiting {
				a.status = StatusUp
			}
		}))},
		{"nobody is ever let in weakly", func() {
			joinBesideTheLost(recorder{}, 1, func(cfg *Config) { cfg.WeakAfter = time.Hour })
		}},
		{"the removed come back when a partition heals", func() {
			for seed := range uint64(5) {
				partitionAndHeal(recorder{}, seed, alterRecords(func(a *admission) {
					if a.status == StatusRemoved {
						a.status, a.generation = StatusUp, a.generation+1
					}
				}))
			}
		}},
		{"a foreign cluster's nodes taken for our own", func() {
			strangers(recorder{}, 1, func(m Message) Message {
				if p, ok := m.(Packet); ok && slices.ContainsFunc(p.bodies, func(b body) bool { return b.kind() == kindJoinRequest }) {
					p.Cluster = ClusterID{}
					return p
				}
				return m
			})
		}},
		{"a merge without tie-break", func() {
			checkMergeLaws(recorder{}, func(a, b *shared) bool { return a.stamp > b.stamp })
		}},
		{"a merge where the first wins", func() {
			checkMergeLaws(recorder{}, func(_, _ *shared) bool { return false })
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found := complaintOf(tc.run)
			if found == "" {
				t.Fatal("went unnoticed")
			}
			t.Log(found)
		})
	}
}
