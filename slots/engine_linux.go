package slots

// newEngine makes the engine the configuration asks for.
func newEngine(s *Service) (engine, string, error) {
	if s.config.Engine == EngineNet {
		return newNetEngine(s), EngineNet, nil
	}
	return &epollEngine{service: s}, EngineEpoll, nil
}
