package balance

import "time"

// Meter turns a [Pace] into numbers of streams, called as often as one likes. The zero value is ready. It is not safe for concurrent
// use.
type Meter struct {
	started bool
	last    time.Duration
	credit  float64 // streams that may go, a fraction of one included
}

// Next returns how many streams to release now. leaving is how many were told to within [AskAgain] and are still held. At most [Unanswered]
// may be leaving, and without them no fewer than p.Stop are held. What could not be given is not made up for: after a pause
// there is no burst.
func (m *Meter) Next(now time.Duration, p Pace, held, leaving int) int {
	elapsed := now - m.last
	if !m.started || elapsed < 0 {
		elapsed = 0
	}
	m.started, m.last = true, now
	if p.Rate <= 0 {
		m.credit = 0
		return 0
	}
	// At most a second's worth, so that a late call loses nothing and a very late one does no harm.
	m.credit = min(m.credit+p.Rate*elapsed.Seconds(), max(1, p.Rate))
	n := max(0, min(int(m.credit), Unanswered-leaving, held-leaving-p.Stop))
	m.credit = min(m.credit-float64(n), 1)
	return n
}
