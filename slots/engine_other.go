//go:build !linux

package slots

import "errors"

// newEngine makes the engine the configuration asks for.
func newEngine(s *Service) (engine, string, error) {
	if s.config.Engine == EngineEpoll {
		return nil, "", errors.New("slots: engine epoll: this system has none; hint: use auto or net")
	}
	return newNetEngine(s), EngineNet, nil
}
