package engine

import "time"

// readState is what is known of the reads that may still deliver to a session.
type readState struct {
	running string // consumer that a read runs for; empty: none
	until   int64  // when the last read with an unknown outcome can deliver nothing any more
	last    string // greatest entry ID that was read
	lost    bool   // a read had an unknown outcome: look at what is pending after since
	since   string // what last was before the first such read; later reads move last past what that one was given
	all     bool   // the server changed and may have forgotten that entries are done: look at all that is pending
	compare int64  // when to look at all that is pending without a reason

	compared int64 // when that was done last; 0: never
	attend   int64 // when to show again that the consumer is at work
	rest     int64 // no comparison and no showing before then: one failed
}

// beginRead notes that a read for consumer starts, which may deliver until then.
func (p *partition) beginRead(consumer string) {
	p.mu.Lock()
	p.mu.read.running = consumer
	p.mu.Unlock()
}

// endRead notes how a read ended; last is the greatest ID it gave, or empty. Unknown is one that may have delivered what
// did not arrive, and may go on to do so until then.
func (p *partition) endRead(last string, unknown bool, until int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.read.running = ""
	if unknown && !p.mu.read.lost {
		p.mu.read.since = p.mu.read.last
	}
	if last != "" {
		p.mu.read.last = last
	}
	if unknown {
		p.mu.read.until = until
		p.mu.read.lost = true
	}
}

// quiet says whether no read can deliver to consumer any more at now.
func (p *partition) quiet(consumer string, now int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.read.running != consumer && now >= p.mu.read.until
}

// compareIntervals is how many intervals of recovery lie between two comparisons without a reason: with the default, five
// minutes. It costs one script for a thousand streams.
const compareIntervals = 10

// nextComparison is when all that is pending is compared without a reason.
func (e *env) nextComparison() int64 {
	every := compareIntervals * float64(e.cfg.recovery.Interval)
	return e.clock.Now() + int64(every*(1-jitterShare*e.random()))
}

// attendEvery is how often a consumer shows that it is at work, so that it looks idle to nobody for a minute.
const attendEvery = 30 * time.Second

// nextAttendance is when the consumer shows next that it is at work.
func (e *env) nextAttendance() int64 { return e.clock.Now() + int64(attendEvery) }

// compareSoon has the next comparison come at once, but not sooner after the last one than attendEvery: something was found
// to have been moved by hand, and is seldom alone.
func (p *partition) compareSoon(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	soon := now
	if p.mu.read.compared != 0 {
		soon = max(soon, p.mu.read.compared+int64(attendEvery))
	}
	p.mu.read.compare = min(p.mu.read.compare, soon)
}
