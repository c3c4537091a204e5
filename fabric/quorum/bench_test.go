package quorum

import (
	"fmt"
	"testing"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
)

// BenchmarkCore measures events — messages and requests received — of three nodes that vote in many groups, without a
// network. Every node proposes; ballots are kept, so a change takes one round.
func BenchmarkCore(b *testing.B) {
	for _, groups := range []int{1, 10_000} {
		b.Run(fmt.Sprint("groups=", groups), func(b *testing.B) {
			m := newMesh(b, groups)
			b.ReportAllocs()
			b.ResetTimer()
			begin := m.events
			for m.events-begin < b.N {
				group := m.changes % groups
				m.changes++
				m.versions[group]++
				m.post(group%3, Change{Group: m.names[group], Expected: m.versions[group], Value: m.value})
				m.deliver()
			}
			b.ReportMetric(float64(m.changes)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}

// BenchmarkLease measures events of leases that are renewed.
func BenchmarkLease(b *testing.B) {
	m := newMesh(b, 1000)
	for i, group := range m.names {
		m.post(i%3, Hold{Group: group})
	}
	m.deliver()
	b.ReportAllocs()
	b.ResetTimer()
	for begin := m.events; m.events-begin < b.N; {
		m.now = m.now.Add(100 * time.Millisecond)
		for i, c := range m.cores {
			c.Tick(m.now)
			m.events++
			m.carryOut(i)
		}
		m.deliver()
	}
}

// mesh is three cores that hand each other their messages at once.
type mesh struct {
	now      time.Time
	cores    [3]*Core
	inbox    []envelope
	events   int
	names    []GroupID
	versions []uint64
	changes  int
	value    []byte
}

type envelope struct {
	from, to int
	message  Message
}

func newMesh(b *testing.B, groups int) *mesh {
	b.Helper()
	m := &mesh{now: simStart, value: make([]byte, 100), versions: make([]uint64, groups)}
	var ids []gossip.NodeID
	for i := range m.cores {
		ids = append(ids, benchID(i))
		c, err := New(Config{ID: ids[i], Boot: 1, Fresh: true, Seed: uint64(i)}, nil, m.now)
		if err != nil {
			b.Fatal(err)
		}
		m.cores[i] = c
	}
	for i := range groups {
		m.names = append(m.names, GroupID(fmt.Sprint("slots/", i)))
		m.post(i%3, Create{Group: m.names[i], Voters: ids, Lease: 400 * time.Millisecond, Value: m.value})
		m.deliver()
		m.versions[i] = 0
	}
	return m
}

func benchID(i int) gossip.NodeID { return gossip.NodeID{15: byte(i + 1)} }

func (m *mesh) post(to int, message Message) {
	m.inbox = append(m.inbox, envelope{to, to, message})
}

func (m *mesh) deliver() {
	for i := 0; i < len(m.inbox); i++ {
		e := m.inbox[i]
		m.events++
		m.cores[e.to].Receive(m.now, benchID(e.from), e.message)
		m.carryOut(e.to)
	}
	clear(m.inbox)
	m.inbox = m.inbox[:0]
}

func (m *mesh) carryOut(i int) {
	for _, out := range m.cores[i].Ready().Send {
		m.inbox = append(m.inbox, envelope{i, int(out.To[15]) - 1, out.Message})
	}
}
