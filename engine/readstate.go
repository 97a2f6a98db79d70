package engine

import "time"

// readState is what a partition knows about the reads that may still deliver to its session, and when its reader's chores are due:
// comparing what is pending, and showing that the consumer is at work. Times are on the clock's axis.
type readState struct {
	running      string // consumer that a read runs for; empty: none
	deliverUntil int64  // from when on no read with an unknown outcome can deliver any more
	last         string // greatest entry ID that was read
	lost         bool   // a read had an unknown outcome: compare what is pending after since
	since        string // last as it was before the first such read; later reads move last past what that one was given
	compareAll   bool   // the server changed and may have forgotten that entries are done: compare all that is pending
	compareAt    int64  // when to compare all that is pending without a reason

	comparedAt int64 // when anything was last compared; 0: never
	attendAt   int64 // when to show again that the consumer is at work
	restUntil  int64 // no chore is done before then, since one failed
}

// beginRead notes that a read for consumer starts. It may deliver until endRead is called.
func (p *partition) beginRead(consumer string) {
	p.mu.Lock()
	p.mu.read.running = consumer
	p.mu.Unlock()
}

// endRead notes how a read ended. last is the greatest ID that it returned, or empty. If its outcome is unknown, it may have
// delivered entries whose answer did not arrive, and may go on to do so until the time given.
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
		p.mu.read.deliverUntil = until
		p.mu.read.lost = true
	}
}

// delivering reports whether a read may still deliver to consumer at now.
func (p *partition) delivering(consumer string, now int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.read.running == consumer || now < p.mu.read.deliverUntil
}

// compareIntervals is how many recovery intervals lie between two comparisons without a reason: with the default, that is five
// minutes. A comparison costs one script per thousand streams.
const compareIntervals = 10

// nextComparison returns when to compare all that is pending without a reason.
func (e *env) nextComparison() int64 {
	every := compareIntervals * float64(e.cfg.recovery.Interval)
	return e.clock.Now() + int64(every*(1-jitterShare*e.random()))
}

// attendEvery is how often a consumer shows that it is at work, so that nobody sees it idle for a minute.
const attendEvery = 30 * time.Second

// nextAttendance returns when to show next that the consumer is at work.
func (e *env) nextAttendance() int64 { return e.clock.Now() + int64(attendEvery) }

// compareSoon makes the next comparison due at once, but not sooner than attendEvery after the last one. It is called when an entry
// turns out to have been moved by hand: it is seldom the only one.
func (p *partition) compareSoon(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	soon := now
	if p.mu.read.comparedAt != 0 {
		soon = max(soon, p.mu.read.comparedAt+int64(attendEvery))
	}
	p.mu.read.compareAt = min(p.mu.read.compareAt, soon)
}
