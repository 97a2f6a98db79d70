package timing

import "math"

// horizon is the year 10000, in milliseconds. Ticks are between 1970 and then. It keeps sums far from an overflow, whatever a row says.
const horizon = 253_402_300_800_000

// Timing is when a schedule has ticks. It is small, immutable and safe for concurrent use. The zero Timing has none.
type Timing struct {
	every, phase int64 // milliseconds; every 0: see cron
	start, end   int64 // none is before start, or at or after end; start 0: no bound, end 0: no bound
	cron         *cron // shared between schedules
}

// NewEvery returns the timing whose ticks are phase + k·every milliseconds since 1970, from start (0: no bound) and before end (0: no
// bound). Without a positive interval there are none.
func NewEvery(every, phase, start, end int64) Timing {
	every = min(max(every, 0), horizon)
	if every > 0 {
		phase = mod(phase, every)
	}
	return Timing{every: every, phase: phase, start: max(start, 0), end: end}
}

// NewCron returns the timing of a cron expression on the wall clock of an IANA zone ("": UTC), from start (0: no bound) and before end (0: no
// bound). The error says what is wrong, where, and what to write instead. An expression that never fires is an error, too.
//
// What was parsed is shared between schedules.
func NewCron(expression, zone string, start, end int64) (Timing, error) {
	c, err := known.cron(expression, zone)
	if err != nil {
		return Timing{}, err
	}
	return Timing{cron: c, start: max(start, 0), end: end}, nil
}

// Every returns the interval, in milliseconds; 0 for a cron expression.
func (t Timing) Every() int64 { return t.every }

// Next returns the first tick after a time. It reports false if there is none.
func (t Timing) Next(after int64) (at int64, ok bool) {
	after = max(after, t.start-1)
	if after >= horizon {
		return 0, false
	}
	switch {
	case t.every > 0:
		at, ok = after+t.every-mod(after-t.phase, t.every), true
	case t.cron != nil:
		at, ok = t.cron.next(after)
	}
	if !ok || !t.bounds(at) {
		return 0, false
	}
	return at, true
}

// Last returns the last tick after from and not after to, and how many there are: 0, 0 if there is none. They are not enumerated: it takes about
// as long for a year as for a day.
func (t Timing) Last(from, to int64) (at int64, n int) {
	from, to = max(from, t.start-1), min(to, horizon-1)
	if t.end != 0 {
		to = min(to, t.end-1)
	}
	switch {
	case to <= from:
		return 0, 0
	case t.cron != nil:
		return t.cron.last(from, to)
	case t.every > 0:
		if at = to - mod(to-t.phase, t.every); at > from {
			return at, int(min((at-from-1)/t.every+1, math.MaxInt))
		}
	}
	return 0, 0
}

// bounds reports whether a tick may be at that time.
func (t Timing) bounds(at int64) bool {
	return at >= t.start && at < horizon && (t.end == 0 || at < t.end)
}

// Phase returns where on the grid of an interval a name has its ticks: its FNV-64a hash, modulo every.
func Phase(name string, every int64) int64 { return Spread(name, every) }

// Spread returns a delay below within, which depends on the name alone: its FNV-64a hash, modulo within. 0 if within is not positive.
func Spread(name string, within int64) int64 {
	if within <= 0 {
		return 0
	}
	hash := uint64(14695981039346656037)
	for i := range len(name) {
		hash = (hash ^ uint64(name[i])) * 1099511628211
	}
	return int64(hash % uint64(within))
}

// div and mod round towards minus infinity.
func div(a, b int64) int64 { return (a - mod(a, b)) / b }

func mod(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}
