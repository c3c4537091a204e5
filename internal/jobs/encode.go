package jobs

import (
	"fmt"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/internal/wire"
)

// tableVersion is the first byte of the register's value; then the last id, and the jobs by ascending id.
const tableVersion = 1

// leastJob is the least encoded size of a job, for wire.Reader.Count.
const leastJob = 1 + 2 + 1 + 16 + 8 + 3 + 3 + 4*8 + 1 + 8

func (t *table) encode() []byte {
	b := wire.AppendUvarint([]byte{tableVersion}, t.last)
	b = wire.AppendUvarint(b, uint64(len(t.jobs)))
	for i := range t.jobs {
		b = t.jobs[i].append(b)
	}
	return b
}

func (j *Job) append(b []byte) []byte {
	b = wire.AppendUvarint(b, j.ID)
	b = wire.AppendBytes(wire.AppendBytes(b, j.Kind), j.Arguments)
	b = append(append(b, byte(j.State)), j.Owner[:]...)
	b = wire.AppendUint64(b, uint64(j.Boot))
	for _, n := range []uint64{j.Epoch, j.Done, j.Total} {
		b = wire.AppendUvarint(b, n)
	}
	b = wire.AppendBytes(wire.AppendBytes(b, j.Unit), j.Note)
	b = wire.AppendBytes(b, j.Checkpoint)
	for _, at := range []time.Time{j.Created, j.Started, j.Updated, j.Ended} {
		b = appendTime(b, at)
	}
	return wire.AppendUint64(wire.AppendBytes(b, j.Error), j.request)
}

// decode takes what encode has made, and nothing else. It aliases b.
func decode(b []byte) (*table, error) {
	r := wire.NewReader(b)
	if version := r.Uint8(); r.Err() == nil && version != tableVersion {
		r.Fail(fmt.Errorf("%w: %d", wire.ErrVersion, version))
	}
	t := &table{last: r.Uvarint()}
	before := uint64(0)
	for range r.Count(MaxLive+MaxFinished, leastJob) {
		j := readJob(r)
		if r.Err() == nil && (j.ID <= before || j.ID > t.last) {
			r.Fail(fmt.Errorf("%w: job %d after %d, last %d", wire.ErrMalformed, j.ID, before, t.last))
		}
		before = j.ID
		t.jobs = append(t.jobs, j)
	}
	if live := t.live(); live > MaxLive || len(t.jobs)-live > MaxFinished {
		r.Fail(fmt.Errorf("%w: %d jobs, %d not finished", wire.ErrTooLong, len(t.jobs), live))
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("jobs: decode: %w", err)
	}
	return t, nil
}

func readJob(r *wire.Reader) Job {
	j := Job{ID: r.Uvarint(), Kind: r.String(MaxKindBytes), Arguments: readBytes(r, MaxArguments), State: State(r.Uint8())}
	if r.Err() == nil && (j.State < Pending || j.State > Failed) {
		r.Fail(fmt.Errorf("%w: %v", wire.ErrMalformed, j.State))
	}
	copy(j.Owner[:], r.Raw(len(j.Owner)))
	j.Boot = gossip.BootID(r.Uint64())
	j.Epoch, j.Done, j.Total = r.Uvarint(), r.Uvarint(), r.Uvarint()
	j.Unit, j.Note = r.String(MaxUnit), r.String(MaxNote)
	j.Checkpoint = readBytes(r, MaxCheckpoint)
	j.Created, j.Started, j.Updated, j.Ended = readTime(r), readTime(r), readTime(r), readTime(r)
	j.Error, j.request = r.String(MaxError), r.Uint64()
	return j
}

// readBytes gives nil for none.
func readBytes(r *wire.Reader, maximum int) []byte {
	if b := r.Bytes(maximum); len(b) > 0 {
		return b
	}
	return nil
}

// appendTime writes microseconds since 1970; the zero time, which is long before, is 0.
func appendTime(b []byte, at time.Time) []byte {
	if at.IsZero() {
		return wire.AppendUint64(b, 0)
	}
	return wire.AppendUint64(b, uint64(at.UnixMicro()))
}

func readTime(r *wire.Reader) time.Time {
	if micros := r.Uint64(); micros != 0 {
		return time.UnixMicro(int64(micros)).UTC()
	}
	return time.Time{}
}

// encodeKinds is what a node says of itself: the kinds it can run.
func encodeKinds(names []string) []byte {
	b := wire.AppendUvarint([]byte{1}, uint64(len(names)))
	for _, name := range names {
		b = wire.AppendBytes(b, name)
	}
	return b
}

// decodeKinds gives nothing for what is malformed: such a node is not asked.
func decodeKinds(b []byte) (names []string) {
	r := wire.NewReader(b)
	r.Uint8() // versions above 1 append fields
	for range r.Count(MaxKinds, 1) {
		names = append(names, r.String(MaxKindBytes))
	}
	if r.Err() != nil {
		return nil
	}
	return names
}
