package jobs

// Metrics counts the jobs that are remembered, as this node knows them now.
type Metrics struct {
	// By state.
	Pending, Running, Pausing, Paused, Cancelling, Cancelled, Done, Failed uint64
	// ProgressDone of ProgressTotal units are done of the jobs that are not finished and know their total.
	ProgressDone, ProgressTotal uint64
	// Here counts the runs of this node.
	Here uint64
}

// Metrics counts.
func (s *Service) Metrics() (m Metrics) {
	m.Here = uint64(len(s.running()))
	t, err := s.table()
	if t == nil || err != nil {
		return m
	}
	by := [...]*uint64{
		Pending: &m.Pending, Running: &m.Running, Pausing: &m.Pausing, Paused: &m.Paused,
		Cancelling: &m.Cancelling, Cancelled: &m.Cancelled, Done: &m.Done, Failed: &m.Failed,
	}
	for i := range t.jobs {
		j := &t.jobs[i]
		*by[j.State]++
		if !j.State.Final() && j.Total > 0 {
			m.ProgressDone += min(j.Done, j.Total)
			m.ProgressTotal += j.Total
		}
	}
	return m
}
