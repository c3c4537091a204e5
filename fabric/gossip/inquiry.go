package gossip

import (
	"math/bits"
	"slices"
	"time"
)

// What a leader must know before it acts: that every member that counts, and that it reaches, agrees with it. It
// finds out by a Gather of its own.

const (
	// firstRepeat and lastRepeat are the times after which a question that was not answered by yes is put again; it
	// doubles in between.
	firstRepeat = 2 * time.Millisecond
	lastRepeat  = 250 * time.Millisecond
	// inquiryPatience is how long an answer is waited for.
	inquiryPatience = 3 * time.Second
)

// What a question without an owner is about; it stands in the place of the owner's generation.
const (
	aboutHash   uint64 = iota // View.Hash
	aboutAgreed               // View.Agreed
	aboutLosses               // View.Agreed, and who cannot be reached: the place of the version
)

// proof says that a set of members agrees about something.
type proof struct {
	agreed, lost uint64
	set          uint64 // the points of those who have to agree
}

// inquiry asks for a proof, until it has it.
type inquiry struct {
	at      time.Time // when to look again; zero: when something changes
	ask     bool      // the question goes out with the next Ready
	asked   time.Time // when the question under way went out; zero: none is
	walk    RumorID   // which one that is: an earlier one may be answered after it
	backoff time.Duration
	want    proof
	proven  proof
	missing []NodeID // who did not say yes, when last asked
}

// required are the other members that have to agree, blockers those of them that cannot be asked.
func (c *Core) required() (required, blockers []NodeID) {
	for i := range c.view.members {
		switch m := &c.view.members[i]; {
		case m.ID == c.cfg.ID || !m.counts():
		case m.Reachable:
			required = append(required, m.ID)
		default:
			blockers = append(blockers, m.ID)
		}
	}
	return required, blockers
}

// counts reports whether the member has a say: it is fully admitted, and has not been let go.
func (m *Member) counts() bool {
	return m.Status == StatusUp && !m.Weak || m.Status == StatusLeaving && m.UpNumber > 0
}

func setOf(ids []NodeID) (set uint64) {
	for _, id := range ids {
		set ^= bits.RotateLeft64(id.point(), 1)
	}
	return set
}

// proves reports whether the proof is there, and asks for it if it is not.
func (c *Core) proves(q *inquiry, want proof) bool {
	if want.set == 0 || q.proven == want {
		return true
	}
	busy := q.ask || !q.asked.IsZero() && c.now.Sub(q.asked) < inquiryPatience
	if !busy && (q.want != want || !q.at.After(c.now)) {
		q.ask, q.want = true, want
		q.at = c.now.Add(inquiryPatience)
	}
	return false
}

// inquire puts the questions that are due. Ready calls it after the writes have gone out: what is asked for must not
// overtake what it is about.
func (c *Core) inquire() {
	for _, q := range []*inquiry{&c.leading.inquiry, &c.losses.inquiry} {
		if !q.ask || !c.writes.at.IsZero() || c.gathers == maxGathers {
			continue
		}
		q.ask, q.asked = false, c.now
		c.metrics.Inquiries++
		about := &question{view: q.want.agreed, generation: aboutAgreed}
		if q == &c.losses.inquiry {
			about.generation, about.version = aboutLosses, q.want.lost
		}
		c.gathers++
		w := c.begin(rumor{id: c.nextRumor(), slot: c.slot(), about: about})
		w.inquiry, q.walk = q, w.id
		c.cover(w, wholeSpan)
		c.step(w)
	}
	c.settle()
}

// inquired takes the answer to one of this node's own questions.
func (c *Core) inquired(w *walk, total result) {
	q := w.inquiry
	if w.id != q.walk {
		return
	}
	q.asked, q.missing = time.Time{}, nil
	required, _ := c.required()
	said := saidYes(w.roster, total)
	if said == nil {
		said = saidYes(c.view.roster, total) // somebody whom we did not know yet may have answered
	}
	for _, id := range required {
		if _, yes := slices.BinarySearchFunc(said, id, NodeID.Compare); !yes {
			q.missing = append(q.missing, id)
		}
	}
	if len(q.missing) > 0 {
		c.metrics.Denied++
	}
	now := proof{agreed: q.want.agreed, lost: q.want.lost, set: setOf(required)}
	switch {
	case len(q.missing) == 0:
		q.proven, q.backoff, q.at = now, 0, time.Time{}
	case c.view.agreed != q.want.agreed:
		q.backoff, q.at = 0, time.Time{} // it is out of date: put the next one
	default:
		q.backoff = min(max(2*q.backoff, firstRepeat), lastRepeat)
		q.at = c.now.Add(q.backoff)
	}
	if q == &c.losses.inquiry {
		c.judgeLosses()
		return
	}
	c.lead()
}

// agreesOn answers a question without an owner.
func (c *Core) agreesOn(q *question) bool {
	switch q.generation {
	case aboutHash:
		return c.view.Hash() == q.view
	case aboutAgreed:
		return c.view.agreed == q.view
	case aboutLosses:
		return c.view.agreed == q.view && setOf(lostOf(c.view.members)) == q.version
	default:
		return false
	}
}

// saidYes are the members of a roster that answered by yes, if the answer is about exactly these; else nil.
func saidYes(r *roster, total result) []NodeID {
	said := make([]NodeID, 0, len(r.members))
	seen := uint64(0)
	for i := range r.members {
		if id := r.members[i].ID; !slices.Contains(total.missing, id) {
			said = append(said, id)
			seen ^= id.point()
		}
	}
	if len(said) != total.count || seen != total.xor {
		return nil
	}
	return said
}
