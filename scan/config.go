package scan

import (
	"fmt"
	"math"
	"time"
)

// Defaults of Config.
const (
	// DefaultInterval bounds how long an orphan waits that no heartbeat told of.
	DefaultInterval = 30 * time.Second
	// DefaultMaxRetries lets work fail four times before somebody has to look at it.
	DefaultMaxRetries = 3
	// DefaultMaxCrashes is far above DefaultMaxRetries: a process that dies takes thousands of innocent streams along.
	DefaultMaxCrashes = 10
	// DefaultStableAfter is longer than the usual loop of a process that crashes soon after it takes a stream.
	DefaultStableAfter = 5 * time.Minute
	// DefaultRetryDelay and DefaultMaxRetryDelay are from 1 s to 5 min, doubling eight times on the way.
	DefaultRetryDelay    = time.Second
	DefaultMaxRetryDelay = 5 * time.Minute
	// DefaultCrashDelay and DefaultMaxCrashDelay are the same. The longest has to be long against the time that a stream takes
	// to kill, or its killing cannot be told from dying with others; with a minute, streams that take 10 s were not found.
	DefaultCrashDelay    = time.Second
	DefaultMaxCrashDelay = 5 * time.Minute
	// DefaultDLQMaxLen is some 50 MB at 500 bytes an entry.
	DefaultDLQMaxLen = 100_000
	// DefaultDLQFullDelay leaves people time to look at a full dead-letter stream.
	DefaultDLQFullDelay = time.Hour
)

// Limits of Config.
const (
	// MinInterval keeps a fleet from doing nothing but looking.
	MinInterval = 100 * time.Millisecond
	// MaxInterval is a bound on mistakes.
	MaxInterval = 24 * time.Hour
	// MinDelay is the resolution of what is kept in Redis.
	MinDelay = time.Millisecond
	// MaxDelay is a bound on mistakes, for every delay and for StableAfter.
	MaxDelay = 30 * 24 * time.Hour

	// jitter is the share of a delay by which it is moved, at most, to either side: enough to spread out what failed at
	// the same moment, little enough for the delays to grow each time.
	jitter = 0.2
	// crashJitter is the same after a crash: it has to tell the stream that kills its owners from those that are with it.
	crashJitter = 0.5
)

// Config says how often to look for what was left behind, and what becomes of streams that fail. The zero value means
// the default in every field.
type Config struct {
	// Interval is the time between two looks at a partition by the whole fleet. It is a safety net: a heartbeat tells of
	// dead consumers within a second. Shorter finds entries that were delivered but never arrived sooner, and costs a
	// round trip a partition each time. Every ten intervals each consumer also compares what is pending for it with what
	// it knows, at a script a batch of streams. Default and zero: 30 s. From 100 ms to 24 h.
	Interval time.Duration

	// MaxRetries is how often a stream that failed (Lease.Fail, or an error from the handler of Added) is handed out
	// again. The failure after that makes its announcement a dead letter. Hand-backs, shutdowns and lost leases count
	// nothing. Default and zero: 3. Negative: none, the first failure is the last.
	MaxRetries int

	// MaxCrashes is how often a stream is handed out again, whatever else is known, after the process that owned it died
	// without handing it back. Beyond that it becomes a dead letter if it stands out: if it was among the last that its
	// owners got before they died, again and again. What does not stand out is handed out again after the longest delay, and
	// an event (api.EventCrashLoop) and a metric say so. See Convict for how that is found out, and after how many deaths.
	// A stream that had just been read, and was not owned yet, counts as one that was owned.
	// Default and zero: 10. Negative: none, and all that a process owned when it died become dead letters; for no limit use
	// math.MaxInt.
	MaxCrashes int

	// StableAfter is how long a stream must have been held for a crash of its owner not to be held against it: its count
	// of crashes starts from zero then. Default and zero: 5 min. From 1 ms to 30 days.
	StableAfter time.Duration

	// RetryDelay is how long a stream waits before it is handed out again after its first failure. It doubles with each
	// further one. Default and zero: 1 s. From 1 ms to MaxRetryDelay.
	RetryDelay time.Duration

	// MaxRetryDelay is the longest such wait, before it is moved by up to 20 % to either side. Default and zero: 5 min,
	// or RetryDelay where that is more. From RetryDelay to 30 days.
	MaxRetryDelay time.Duration

	// CrashDelay is what RetryDelay is, after a crash of the owner. Default and zero: 1 s. From 1 ms to MaxCrashDelay.
	CrashDelay time.Duration

	// MaxCrashDelay is the longest wait after a crash of the owner, before it is moved by up to 50 % to either side, so that
	// streams which were lost together do not come back together. A stream that takes longer than a quarter of it to kill its
	// owner is not told from the others. Default and zero: 5 min, or CrashDelay where that is more. From CrashDelay to 30
	// days.
	MaxCrashDelay time.Duration

	// DLQMaxLen is how many entries the dead-letter stream of one partition may hold. What should go there beyond that
	// is put off by DLQFullDelay, again and again, and a metric says so: nothing is lost. What cannot be put off, since it
	// is too large to be copied, stays pending and is tried every 15 s. Default and zero: 100,000.
	// Negative: no limit.
	DLQMaxLen int

	// DLQTrim drops the oldest dead letters at DLQMaxLen, for good, instead of putting new ones off. Default and zero:
	// false, nothing is dropped. It does nothing where there is no limit. A letter that refers to an entry (see
	// DeadLetter.Reference) is dropped without that entry, which stays in the input stream, and nothing names it any more.
	DLQTrim bool

	// DLQFullDelay is how long an entry is put off that a full dead-letter stream refused. Default and zero: 1 h. From
	// 1 ms to 30 days.
	DLQFullDelay time.Duration
}

// WithDefaults returns c with the default in the place of every zero. Negative numbers stay as they are.
func (c Config) WithDefaults() Config {
	orDefault(&c.Interval, DefaultInterval)
	orDefault(&c.MaxRetries, DefaultMaxRetries)
	orDefault(&c.MaxCrashes, DefaultMaxCrashes)
	orDefault(&c.StableAfter, DefaultStableAfter)
	orDefault(&c.RetryDelay, DefaultRetryDelay)
	orDefault(&c.MaxRetryDelay, max(DefaultMaxRetryDelay, c.RetryDelay))
	orDefault(&c.CrashDelay, DefaultCrashDelay)
	orDefault(&c.MaxCrashDelay, max(DefaultMaxCrashDelay, c.CrashDelay))
	orDefault(&c.DLQMaxLen, DefaultDLQMaxLen)
	orDefault(&c.DLQFullDelay, DefaultDLQFullDelay)
	return c
}

func orDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate reports the first field that is out of its limits, or that does not go with another one, with the values.
// Zeros are taken as their defaults.
func (c Config) Validate() error {
	c = c.WithDefaults()
	for _, f := range []struct {
		name       string
		value      time.Duration
		from, upTo time.Duration
	}{
		{"Interval", c.Interval, MinInterval, MaxInterval},
		{"StableAfter", c.StableAfter, MinDelay, MaxDelay},
		{"RetryDelay", c.RetryDelay, MinDelay, MaxDelay},
		{"MaxRetryDelay", c.MaxRetryDelay, MinDelay, MaxDelay},
		{"CrashDelay", c.CrashDelay, MinDelay, MaxDelay},
		{"MaxCrashDelay", c.MaxCrashDelay, MinDelay, MaxDelay},
		{"DLQFullDelay", c.DLQFullDelay, MinDelay, MaxDelay},
	} {
		if f.value < f.from || f.value > f.upTo {
			return fmt.Errorf("scan: %s is %v, must be from %v to %v", f.name, f.value, f.from, f.upTo)
		}
	}
	if c.MaxRetryDelay < c.RetryDelay {
		return fmt.Errorf("scan: MaxRetryDelay is %v, must be at least RetryDelay, which is %v", c.MaxRetryDelay, c.RetryDelay)
	}
	if c.MaxCrashDelay < c.CrashDelay {
		return fmt.Errorf("scan: MaxCrashDelay is %v, must be at least CrashDelay, which is %v", c.MaxCrashDelay, c.CrashDelay)
	}
	return nil
}

// DeadLimit is DLQMaxLen as the scripts take it: 0 where there is no limit.
func (c Config) DeadLimit() int {
	return max(c.WithDefaults().DLQMaxLen, 0)
}

// Delay is how long a stream waits that has failed retries times, the last failure included. rnd is a random number in
// [0, 1) that decides about the jitter: 0.5 moves nothing.
func (c Config) Delay(retries int, rnd float64) time.Duration {
	c = c.WithDefaults()
	return delay(c.RetryDelay, c.MaxRetryDelay, retries, jitter, rnd)
}

// DelayAfterCrash is how long a stream waits whose owners have crashed crashes times, the last crash included. rnd is
// as in Delay.
func (c Config) DelayAfterCrash(crashes int, rnd float64) time.Duration {
	c = c.WithDefaults()
	return delay(c.CrashDelay, c.MaxCrashDelay, crashes, crashJitter, rnd)
}

// delay doubles first from the second time on, up to most, and moves the result by up to share of it.
func delay(first, most time.Duration, times int, share, rnd float64) time.Duration {
	// Beyond 64 doublings even MinDelay is past MaxDelay.
	d := math.Ldexp(float64(first), min(max(times, 1), 65)-1)
	d = min(d, float64(most))
	return time.Duration(math.Round(d * (1 - share + 2*share*rnd)))
}
