package waitlist

import (
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
)

// How often the first entry of a stream is asked for.
const (
	FirstDelay      = 100 * time.Millisecond
	MaxDelay        = 30 * time.Second // while the holder stays the same
	MaxDelayChanged = 2 * time.Second  // once the holder has changed
)

// The delays between questions, by how often the stream was asked for.
var (
	sameHolder    = backoff.Exponential{First: FirstDelay, Max: MaxDelay, Jitter: 0.25}
	changedHolder = backoff.Exponential{First: FirstDelay, Max: MaxDelayChanged, Jitter: 0.25}
	unansweredOne = backoff.Exponential{First: FirstDelay, Max: MaxDelayChanged} // its stream may be ours by now
)

// answered notes who holds the stream.
func (r *parked) answered(take lease.Take) {
	if r.holder != "" && take.Holder != "" && take.Holder != r.holder {
		r.changed = true
	}
	if take.Holder != "" {
		r.holder = take.Holder
	}
	r.asked++
}

// startOver is for a stream that is held here, or has been freed here.
func (r *parked) startOver(now int64) {
	r.asked, r.holder, r.since = 0, "", now
}

// wait returns how long to wait before asking again: the delay, but no longer than the holder's lease.
func (l *List) wait(r *parked, take lease.Take, random float64) time.Duration {
	if take.Verdict == 0 {
		return min(MaxDelay, l.cfg.LeaseTTL) // this process will say when
	}
	delays := &sameHolder
	if r.changed {
		delays = &changedHolder
	}
	d := delays.Delay(r.asked, random)
	if take.Verdict == lease.HeldByOne && take.Left > 0 && take.Left < d {
		d = max(take.Left, FirstDelay/4)
	}
	return d
}
