package quorum

import (
	"fmt"
	"os"
)

func (k *checker) debug(format string, args ...any) {
	if os.Getenv("QDEBUG") != "" {
		fmt.Printf("%v "+format+"\n", append([]any{k.cluster.now.Sub(simStart)}, args...)...)
	}
}

func cfgString(s *State) string {
	if s == nil {
		return "nil"
	}
	return fmt.Sprintf("v%d %q %v", s.Version, s.Value, s.Configuration.String())
}
