package reading

// Stats is what a reader does at one moment.
type Stats struct {
	Streams int // that it reads
	Resting int // armed, nothing to read
	Queued  int // waiting for their turn
	Reading int // being read or looked at
	Held    int // waiting for Wake
	Waiting int // waiting for some time, after an error, for instance
	Lanes   int // masters
	// Polling: tracking was refused, or is not wanted. Connected: there is a client to read with.
	Polling, Connected bool
	// Held in the budget, in bytes, and its size. It may be more for a moment.
	UsedBytes, MaxBytes int64
	// Counts of what happened, by Counter.
	Counts [counters]int64
}

// Count returns one of the counts.
func (s Stats) Count(c Counter) int64 { return s.Counts[c] }

// Stats looks at every stream: a millisecond or so for 100,000.
func (r *Reader) Stats() Stats {
	s := Stats{UsedBytes: r.budget.used(), MaxBytes: r.cfg.MaxBytes}
	for c := range s.Counts {
		s.Counts[c] = r.counts[c].Load()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Streams, s.Lanes = len(r.roster.all), len(r.roster.lanes)
	s.Polling, s.Connected = r.roster.polling, r.client != nil
	for _, h := range r.roster.all {
		switch h.state {
		case resting:
			s.Resting++
		case queued:
			s.Queued++
		case reading:
			s.Reading++
		case held:
			s.Held++
		case waiting:
			s.Waiting++
		case gone:
		}
	}
	return s
}
