package gossip

import "fmt"

// Strategy is how a node spreads its rumors. All nodes of a cluster should have the same one; nodes with different
// ones understand each other, and anti-entropy delivers what a mixture does not.
type Strategy uint8

// The strategies.
const (
	// StrategyINR hands over disjoint intervals with receipts and repair: see inr.go.
	StrategyINR Strategy = iota
	// StrategyLiteral keeps, for each rumor, a local list of whom this node has sent it to or received it from;
	// every Config.Tick it picks Config.Fanout random members among the others, until all members are in its list.
	StrategyLiteral
	// StrategyPush sends each rumor to Config.Fanout random members every Config.Tick for a bounded number of
	// ticks: 2·ceil(log_{k+1} n) + 2 after it was first heard of.
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
