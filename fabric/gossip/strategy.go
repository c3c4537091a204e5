package gossip

import (
	"fmt"
)

// Strategy is how a node spreads its rumors. All nodes of a cluster should have the same one; nodes with different
// ones understand each other, and anti-entropy delivers what a mixture does not.
type Strategy uint8

// The strategies.
const (
	// StrategyINR hands over disjoint intervals with receipts and repair: see inr.go.
	StrategyINR Strategy = iota
	// StrategyLiteral keeps, for each rumor, a local list of whom this node has sent it to; every Config.Tick it
	// picks Config.Fanout random members among the others, until all members are in its list.
	StrategyLiteral
	// StrategyPush sends each rumor to Config.Fanout random members every Config.Tick for a bounded number of
	// ticks, while it is hot: 2·ceil(log_{k+1} n) + 2 of them, beginning when the node first hears of it.
	StrategyPush
)

// String is the strategy's name: inr, literal, push.
func (s Strategy) String() string {
	switch s {
	case StrategyINR:
		return "inr"
	case StrategyLiteral:
		return "literal"
	case StrategyPush:
		return "push"
	default:
		return fmt.Sprintf("strategy(%d)", uint8(s))
	}
}

// ParseStrategy reads what String prints.
func ParseStrategy(s string) (Strategy, error) {
	for strategy := StrategyINR; strategy <= StrategyPush; strategy++ {
		if s == strategy.String() {
			return strategy, nil
		}
	}
	return 0, fmt.Errorf("gossip: parse strategy: %q is none of inr, literal, push", s)
}

// spreadPlainly does one round of a strategy without intervals and receipts. What gets lost is left to anti-entropy.
func (c *Core) spreadPlainly(w *walk) {
	if c.cfg.Strategy == StrategyINR || w.payload == nil {
		return
	}
	if w.unsent == nil {
		w.unsent = make([]int32, 0, len(w.order.members))
		for i := range w.order.members {
			if i != w.self {
				w.unsent = append(w.unsent, int32(i))
			}
		}
	}
	w.release = 0
	choice := w.unsent
	for range min(c.cfg.Fanout, len(choice)) {
		i := c.random.IntN(len(choice))
		c.sendPlain(w, &w.roster.members[w.order.members[choice[i]]])
		last := len(choice) - 1
		choice[i], choice[last] = choice[last], choice[i]
		choice = choice[:last]
	}
	w.round++
	rounds, _ := rounds(len(w.order.members), c.cfg.Fanout)
	switch {
	case c.cfg.Strategy == StrategyLiteral:
		w.unsent = choice
	case w.round >= 2*rounds+2:
		w.unsent = w.unsent[:0]
	}
	if len(w.unsent) > 0 {
		w.release = c.at.add(c.cfg.Tick)
	}
}

func (c *Core) sendPlain(w *walk, m *Member) {
	c.metrics.PayloadsSent++
	c.send(m.Addr, m.Boot, rumor{id: w.id, slot: w.slot, span: wholeSpan, flags: flagPlain, payload: w.payload})
}
