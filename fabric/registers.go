package fabric

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/quorum"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/internal/durable"
	"github.com/egalcluster/egal/internal/loop"
)

// This file connects the quorum core with the disk, the transport and the rest of the node.

const (
	votesFile = "votes"
	// maxVotesBytes is how large the log of votes may be when it is opened: twice what all registers that the root group
	// lists can take, since it is condensed when it has doubled, and some appends.
	maxVotesBytes = 1 << 30
	// condenseBytes is from which size on the log of votes is condensed, once it has doubled since the last time.
	condenseBytes = 1 << 20
	// maxChangeTries is how often Change begins anew because somebody else was faster.
	maxChangeTries = 64
	// defaultRequestTime is for requests whose context has no deadline.
	defaultRequestTime = 5 * time.Second
)

// Errors of registers; test with errors.Is.
var (
	// ErrUnavailable says that too few voters answered: nothing was changed, and nothing will be.
	ErrUnavailable = errors.New("too few voters answer")
	// ErrNoRegister says that nobody has made the register.
	ErrNoRegister = errors.New("no such register")
	// ErrUnknown says that the change may have been made, or may be made later.
	ErrUnknown = errors.New("it is not known whether the change was made")
	// ErrBusy says that too many requests wait, or that one is not valid.
	ErrBusy = errors.New("refused: too many requests wait, or this one is over a limit")
	// ErrContended says that others changed the register again and again.
	ErrContended = errors.New("others are faster again and again")
	// ErrVotesLost says that this node has voted and has no record of it.
	ErrVotesLost = errors.New("fabric: the record of this node's votes is lost\nhint: start this node with an empty directory; it joins as a new one")
)

// Register is the confirmed content of a register.
type Register struct {
	// Version counts the changes of the value, from 1 on.
	Version uint64
	// Value is not to be changed.
	Value []byte
	// Voters decide about it, sorted; Epoch counts the changes of them and is odd while they do not change.
	Voters []gossip.NodeID
	Epoch  uint64
}

// Registers are the values that any node may change and no two nodes change against each other: each is decided by a
// majority of its voters (fabric/quorum). All methods are safe from any goroutine.
type Registers struct {
	fabric  *Fabric
	loop    *loop.Loop[gossip.NodeID, quorum.Message, quorum.Event]
	core    *quorum.Core // owned by the loop's goroutine
	votes   *durable.Log // so is this
	whole   int64        // size of votes when it was condensed
	encoded []byte
	numbers atomic.Uint64
	// last is never nil once the registers are open; misdirected counts packets that were for others, or of others.
	last        atomic.Pointer[quorum.Metrics]
	misdirected atomic.Uint64

	mu      sync.Mutex // guards what follows
	waiting map[uint64]chan quorum.Result
	latest  map[quorum.GroupID]Register // a hint: where a change begins
	leases  map[quorum.GroupID]*Lease
}

// openRegisters restores what this node has promised. That a fresh node has promised nothing is on disk when it returns,
// and only then is its identity: a node with an identity and no log has lost its votes.
func (f *Fabric) openRegisters(boot gossip.BootID, seed uint64) (*Registers, error) {
	r := &Registers{
		fabric: f, waiting: map[uint64]chan quorum.Result{}, latest: map[quorum.GroupID]Register{}, leases: map[quorum.GroupID]*Lease{},
	}
	path := f.home.fs.PathJoin(f.home.dir, fabricDir, votesFile)
	if f.home.fresh { // a log is that of a node whose start was cut off
		if err := f.home.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove %s: %w", path, err)
		}
	}
	votes, records, err := durable.OpenLog(f.home.fs, path, maxVotesBytes)
	if err != nil {
		return nil, err
	}
	r.votes, r.whole = votes, votes.Size()
	r.core, err = quorum.New(quorum.Config{ID: f.home.identity.node, Boot: boot, Fresh: f.home.fresh, Seed: seed}, records, f.bootNow())
	if err == nil {
		r.remember()
		if first := r.core.Ready().Save; first != nil {
			err = votes.Append(quorum.Records(first)...)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), votes.Close())
	}
	return r, nil
}

// start brings the core to life; from now on its goroutine owns it and the log.
func (r *Registers) start() {
	r.loop = loop.Start(r.core, loop.Config[gossip.NodeID, quorum.Message, quorum.Event]{
		Now: r.fabric.bootNow, Send: r.send, Save: r.save, Notify: r.notify, Failed: r.fabric.mustStop,
	})
}

func (r *Registers) close() error {
	_ = r.loop.Inspect(context.Background(), r.remember) // after a failure there is nothing to remember
	r.loop.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for number, answer := range r.waiting {
		answer <- quorum.Result{Number: number, Outcome: quorum.Unknown}
		delete(r.waiting, number)
	}
	for _, lease := range r.leases {
		lease.lost()
	}
	return r.votes.Close()
}

// remember keeps the core's counters; on the loop's goroutine. Who asks for them must not wait for a disk.
func (r *Registers) remember() {
	m := r.core.Metrics()
	r.last.Store(&m)
}

// save makes what the core has promised durable; on the loop's goroutine, whose messages wait for it.
func (r *Registers) save(record []byte) error {
	r.remember()
	if size := r.votes.Size(); size < condenseBytes || size < 2*r.whole {
		return r.votes.Append(quorum.Records(record)...)
	}
	err := r.votes.Replace(r.core.Log()) // the record is in it
	r.whole = r.votes.Size()
	return err
}

// A packet of registers is
//
//	| bytes | meaning                            |
//	|-------|------------------------------------|
//	| 1     | registersTag, which no gossip has  |
//	| 16    | cluster                            |
//	| 16    | sender                             |
//	| 16    | receiver                           |
//	| n     | message (fabric/quorum)            |
const (
	registersTag         = 'q'
	registersHeaderBytes = 1 + 3*16
)

// send puts one message on the wire; on the loop's goroutine. What cannot be sent is taken for lost.
func (r *Registers) send(to gossip.NodeID, m quorum.Message) {
	view := r.fabric.View()
	member, known := view.Member(to)
	if !known {
		r.fabric.counters.unsent.Add(1)
		return
	}
	cluster, self := view.Cluster(), r.fabric.ID()
	b := append(r.encoded[:0], registersTag)
	b = append(append(append(b, cluster[:]...), self[:]...), to[:]...)
	b = quorum.Encode(b, m)
	r.encoded = b
	var err error
	if len(b) <= transport.MaxDatagram {
		err = r.fabric.transport.SendDatagram(member.Addr, uint64(member.Boot), b)
	} else {
		err = r.fabric.transport.SendFrame(member.Addr, b)
	}
	if err != nil {
		r.fabric.counters.unsent.Add(1)
	}
}

// packet takes one off the wire.
func (r *Registers) packet(b []byte) {
	if len(b) < registersHeaderBytes {
		r.fabric.counters.undecodable.Add(1)
		return
	}
	cluster, sender, receiver := gossip.ClusterID(b[1:17]), gossip.NodeID(b[17:33]), gossip.NodeID(b[33:49])
	if cluster.IsZero() || cluster != r.fabric.View().Cluster() || receiver != r.fabric.ID() || sender == receiver {
		r.misdirected.Add(1)
		return
	}
	m, err := quorum.Decode(b[registersHeaderBytes:])
	if err != nil {
		r.fabric.counters.undecodable.Add(1)
		return
	}
	r.loop.Post(sender, m)
}

// notify takes one event of the core; on the loop's goroutine.
func (r *Registers) notify(event quorum.Event) {
	r.remember()
	switch e := event.(type) {
	case quorum.Result:
		r.answer(e)
	case quorum.LeaseHeld:
		r.lease(e.Group, func(l *Lease) { l.held(e.Until) })
	case quorum.LeaseLost:
		r.lease(e.Group, (*Lease).lost)
	case quorum.LeaseDenied:
	case quorum.StateLost:
		r.fabric.mustStop(fmt.Errorf("%w (register %q)", ErrVotesLost, e.Group))
	}
}

func (r *Registers) answer(result quorum.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if result.State != nil {
		r.latest[result.Group] = registerOf(result.State)
	}
	if answer, ok := r.waiting[result.Number]; ok {
		delete(r.waiting, result.Number)
		answer <- result // has room for it
	}
}

func registerOf(s *quorum.State) Register {
	return Register{Version: s.Version, Value: s.Value, Voters: s.VoterIDs(), Epoch: s.Epoch}
}

// request hands a request to the core and waits for its result.
func (r *Registers) request(ctx context.Context, ask func(number uint64, timeout time.Duration) quorum.Message) (quorum.Result, error) {
	timeout := defaultRequestTime
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(max(time.Until(deadline), time.Millisecond), quorum.MaxTimeout)
	}
	number, answer := r.numbers.Add(1), make(chan quorum.Result, 1)
	r.mu.Lock()
	r.waiting[number] = answer
	r.mu.Unlock()
	err := r.loop.Submit(ctx, r.fabric.ID(), ask(number, timeout))
	if err == nil {
		select {
		case result := <-answer:
			return result, outcomeError(result.Outcome)
		case <-r.fabric.failed: // the core may have ended, and there is nobody else to answer
			err = fmt.Errorf("%w: %w", ErrUnknown, r.fabric.failure)
		case <-ctx.Done():
			err = fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
		}
	}
	r.mu.Lock()
	delete(r.waiting, number)
	r.mu.Unlock()
	return quorum.Result{}, err
}

// outcomeError is nil for what has a confirmed state.
func outcomeError(o quorum.Outcome) error {
	switch o {
	case quorum.Done, quorum.Conflict:
		return nil
	case quorum.Unavailable:
		return ErrUnavailable
	case quorum.Unknown:
		return ErrUnknown
	default:
		return ErrBusy
	}
}

// Read gives the content at some moment between the call and its return. One that the root group does not list is
// answered by ErrNoRegister at once; one that is listed, and whose maker has ended before it was made, by none.
func (r *Registers) Read(ctx context.Context, group string) (Register, error) {
	if _, known := r.guess(group); !known && group != RootGroup {
		listed, err := r.listed(ctx)
		if err != nil {
			return Register{}, err
		}
		if _, known := listed.find(group); !known {
			return Register{}, fmt.Errorf("fabric: read register %q: %w", group, ErrNoRegister)
		}
	}
	return r.read(ctx, group)
}

// read is Read of a register that the root group lists, or of that itself.
func (r *Registers) read(ctx context.Context, group string) (Register, error) {
	result, err := r.request(ctx, func(number uint64, timeout time.Duration) quorum.Message {
		return quorum.Read{Number: number, Group: quorum.GroupID(group), Voters: r.voters(group), Timeout: timeout}
	})
	if err != nil {
		return Register{}, fmt.Errorf("fabric: read register %q: %w", group, err)
	}
	return registerOf(result.State), nil
}

// Change replaces the content by what change makes of it. It is called again, with the newer content, when somebody else
// was faster; an error of it ends the call, and nothing is changed. It must not keep or change what it is given. The
// content that is returned is confirmed, and others may have gone on from the change.
func (r *Registers) Change(ctx context.Context, group string, change func(value []byte) ([]byte, error)) (Register, error) {
	wrong := func(err error) (Register, error) {
		return Register{}, fmt.Errorf("fabric: change register %q: %w", group, err)
	}
	now, known := r.guess(group)
	if !known {
		var err error
		if now, err = r.Read(ctx, group); err != nil {
			return Register{}, err
		}
	}
	for range maxChangeTries {
		value, err := change(now.Value)
		if err != nil && known { // the guess may be out of date
			known = false
			if now, err = r.Read(ctx, group); err != nil {
				return Register{}, err
			}
			continue
		}
		if err != nil {
			return wrong(err)
		}
		if bytes.Equal(value, now.Value) && !known {
			return now, nil
		}
		result, err := r.request(ctx, func(number uint64, timeout time.Duration) quorum.Message {
			return quorum.Change{
				Number: number, Group: quorum.GroupID(group), Voters: r.voters(group), Expected: now.Version, Value: value, Timeout: timeout,
			}
		})
		switch {
		case err != nil:
			return wrong(err)
		case result.Outcome == quorum.Done:
			return registerOf(result.State), nil
		}
		now, known = registerOf(result.State), false
	}
	return wrong(ErrContended)
}

// guess is the latest content that was confirmed to this node.
func (r *Registers) guess(group string) (Register, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	latest, ok := r.latest[quorum.GroupID(group)]
	return latest, ok
}

// Create makes a register with the given voters, or gives the one that is there. Every caller must name the same voters.
func (r *Registers) create(ctx context.Context, group string, lease time.Duration, voters []gossip.NodeID, value []byte) (Register, error) {
	result, err := r.request(ctx, func(number uint64, timeout time.Duration) quorum.Message {
		return quorum.Create{Number: number, Group: quorum.GroupID(group), Voters: voters, Lease: lease, Value: value, Timeout: timeout}
	})
	if err != nil {
		return Register{}, fmt.Errorf("fabric: create register %q: %w", group, err)
	}
	return registerOf(result.State), nil
}

// reconfigure replaces the voters of a register, unless somebody else has replaced them since the epoch.
func (r *Registers) reconfigure(ctx context.Context, group string, epoch uint64, target []gossip.NodeID) (Register, error) {
	result, err := r.request(ctx, func(number uint64, timeout time.Duration) quorum.Message {
		return quorum.Reconfigure{
			Number: number, Group: quorum.GroupID(group), Voters: r.voters(group), Expected: epoch, Target: target, Timeout: timeout,
		}
	})
	if err != nil {
		return Register{}, fmt.Errorf("fabric: voters of register %q: %w", group, err)
	}
	return registerOf(result.State), nil
}

// voters is where to begin to ask: whoever decided last as far as this node knows, else the voters of the root group.
func (r *Registers) voters(group string) []gossip.NodeID {
	if latest, ok := r.guess(group); ok {
		return latest.Voters
	}
	return rootVoters(r.fabric.View())
}
