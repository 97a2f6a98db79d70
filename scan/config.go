package scan

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Defaults of Config.
const (
	// DefaultInterval bounds how long an orphan waits that no heartbeat has reported.
	DefaultInterval = 30 * time.Second
	// DefaultMaxRetries lets work fail four times before a person has to look at it.
	DefaultMaxRetries = 3
	// DefaultMaxCrashes is far above DefaultMaxRetries: a process that dies takes thousands of innocent streams with it.
	DefaultMaxCrashes = 10
	// DefaultStableAfter is longer than the usual crash loop of a process that dies soon after it takes a stream.
	DefaultStableAfter = 5 * time.Minute
	// DefaultRetryDelay and DefaultMaxRetryDelay go from 1 s to 5 min, doubling eight times on the way.
	DefaultRetryDelay    = time.Second
	DefaultMaxRetryDelay = 5 * time.Minute
	// DefaultCrashDelay and DefaultMaxCrashDelay are the same. The longest delay has to be long compared with the time that a
	// stream takes to kill its owner, or a killer cannot be distinguished from what dies with it; with 1 min, streams that took 10 s were
	// not found.
	DefaultCrashDelay    = time.Second
	DefaultMaxCrashDelay = 5 * time.Minute
	// DefaultDLQMaxLen is some 50 MB at 500 bytes an entry.
	DefaultDLQMaxLen = 100_000
	// DefaultDLQFullDelay leaves time for a person to look at a full dead-letter stream.
	DefaultDLQFullDelay = time.Hour
	// DefaultCheckpointTTL lets a stream that is announced again within a week go on where it stopped.
	DefaultCheckpointTTL = 7 * 24 * time.Hour
)

// Values of Config and InspectorConfig that are not quantities. What they mean where is the rule for options in package engine.
const (
	NoRetries = -1 // MaxRetries: the first failure is the last
	NoCrashes = -1 // MaxCrashes: everything that a process owned when it died becomes a dead letter
	NoCount   = -1 // InspectorConfig.CountLimit: nothing is counted
	// NoLimit is no limit, for MaxRetries, MaxCrashes, DLQMaxLen, CheckpointTTL, InspectorConfig.MaxMove and InspectorConfig.CountLimit.
	NoLimit = math.MaxInt
)

// Limits of Config.
const (
	// MinInterval keeps a fleet from doing nothing but scanning.
	MinInterval = 100 * time.Millisecond
	// MaxInterval catches mistakes.
	MaxInterval = 24 * time.Hour
	// MinDelay is the resolution of times in Redis.
	MinDelay = time.Millisecond
	// MaxDelay catches mistakes, for every delay and for StableAfter.
	MaxDelay = 30 * 24 * time.Hour
	// MinCheckpointTTL catches mistakes.
	MinCheckpointTTL = time.Second

	// jitter is the greatest share of a delay by which it is moved to either side: enough to spread out what failed at the same
	// moment, little enough for the delays to grow each time.
	jitter = 0.2
	// crashJitter is the same after a crash. It is greater since it has to separate the stream that kills its owners from those
	// that are with it.
	crashJitter = 0.5
)

// Config configures how often to scan for what was left behind, and what becomes of streams that fail. The zero value means
// the default in every field. Values out of range make Validate fail.
type Config struct {
	// Interval is the time between two scans of a partition by the whole fleet. It is a safety net: a heartbeat reports dead
	// consumers within a second. A shorter one finds entries sooner that were delivered but never arrived, and costs a round
	// trip per partition each time. Every ten intervals each consumer also compares what is pending for it with what it knows,
	// with one script per batch of streams. Default and zero: 30 s. From 100 ms to 24 h.
	Interval time.Duration

	// MaxRetries is the number of retries of a stream that failed (Lease.Fail, or an error from the handler of Added) before its
	// announcement is dead-lettered. Releases, shutdowns and lost leases do not count. Default and zero: 3. NoRetries, or
	// negative: none, the first failure is the last. NoLimit: as many as it takes.
	MaxRetries int

	// MaxCrashes is how often a stream is requeued, whatever else is known, after the process that owned it died without
	// releasing it. Beyond that it becomes a dead letter if it stands out as poison: if it was among the last that its owners
	// got before they died, again and again. With the defaults that usually takes 17 to 45 deaths of its own. What does not stand out is
	// requeued after the longest delay, and an event (api.EventCrashLoop) and a metric report it. A stream that had just been
	// read, and was not owned yet, counts as owned. Default and zero: 10. NoCrashes, or negative: none, and everything that a
	// process owned when it died becomes a dead letter. NoLimit: nothing becomes one.
	MaxCrashes int

	// StableAfter is how long a stream must be held to count as stable: when its owner crashes after that, its crash count
	// restarts at zero. Default and zero: 5 min. From 1 ms to 30 days.
	StableAfter time.Duration

	// RetryDelay is the delay before a stream is retried after its first failure. It doubles with each further one. Delays of 10 s
	// and more are rounded up to a second; see api.Snooze for how exact they are. Default and zero: 1 s. From 1 ms to
	// MaxRetryDelay.
	RetryDelay time.Duration

	// MaxRetryDelay is the longest such delay, before a jitter of up to 20 % to either side. Default and zero: 5 min, or
	// RetryDelay where that is more. From RetryDelay to 30 days.
	MaxRetryDelay time.Duration

	// CrashDelay is the same as RetryDelay, after a crash of the owner; the first crash costs no delay. Default and zero: 1 s.
	// From 1 ms to MaxCrashDelay.
	CrashDelay time.Duration

	// MaxCrashDelay is the longest delay after a crash of the owner, before a jitter of up to 50 % to either side, so that streams
	// that were lost together do not come back together. A stream that takes longer than a quarter of it to kill its owner is
	// not distinguished from the others. Default and zero: 5 min, or CrashDelay where that is more. From CrashDelay to 30 days.
	MaxCrashDelay time.Duration

	// DLQMaxLen is how many entries the dead-letter stream of one partition may hold. What should go there beyond that is
	// delayed by DLQFullDelay, again and again, and a metric reports it: nothing is lost. What cannot be delayed, since it is
	// too large to be copied, stays pending and is tried every 15 s. Default and zero: 100,000. NoLimit: as many as there are.
	// From 1.
	DLQMaxLen int

	// DLQTrim drops the oldest dead letters for good at DLQMaxLen, instead of delaying new ones. Up to a DLQMaxLen of 10,000
	// exactly that many are kept. Beyond it up to a node of the stream more are kept, 100 by the server's default of
	// stream-node-max-entries, since dropping whole nodes costs less. Default and zero: false, nothing is dropped. It has no
	// effect where there is no limit. A letter that refers to an entry (see DeadLetter.Reference) is
	// dropped without that entry, which stays in the input stream with nothing that names it.
	DLQTrim bool

	// DLQFullDelay is how long an entry is delayed that a full dead-letter stream refused. Default and zero: 1 h. From 1 ms to 30
	// days.
	DLQFullDelay time.Duration

	// CheckpointTTL is how long the checkpoint of a stream is kept after Done, or after its dead letter was dropped, in case the stream is
	// announced again. No other checkpoint ages. It is deleted at some time after that: each process goes through 2,000 in an interval
	// in which it has the turn. Default and zero: 7 days. From 1 s. NoLimit: for good.
	CheckpointTTL time.Duration
}

// WithDefaults returns c with every zero replaced by its default. Negative numbers and NoLimit stay as they are.
func (c Config) WithDefaults() Config {
	c.Interval = cmp.Or(c.Interval, DefaultInterval)
	c.MaxRetries = cmp.Or(c.MaxRetries, DefaultMaxRetries)
	c.MaxCrashes = cmp.Or(c.MaxCrashes, DefaultMaxCrashes)
	c.StableAfter = cmp.Or(c.StableAfter, DefaultStableAfter)
	c.RetryDelay = cmp.Or(c.RetryDelay, DefaultRetryDelay)
	c.MaxRetryDelay = cmp.Or(c.MaxRetryDelay, max(DefaultMaxRetryDelay, c.RetryDelay))
	c.CrashDelay = cmp.Or(c.CrashDelay, DefaultCrashDelay)
	c.MaxCrashDelay = cmp.Or(c.MaxCrashDelay, max(DefaultMaxCrashDelay, c.CrashDelay))
	c.DLQMaxLen = cmp.Or(c.DLQMaxLen, DefaultDLQMaxLen)
	c.DLQFullDelay = cmp.Or(c.DLQFullDelay, DefaultDLQFullDelay)
	c.CheckpointTTL = cmp.Or(c.CheckpointTTL, DefaultCheckpointTTL)
	return c
}

// Validate returns an error for the first field that is out of range, or contradicts another one, with the values. Zeros are
// taken as their defaults.
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
	if c.DLQMaxLen < 1 {
		return fmt.Errorf("scan: DLQMaxLen is %d, must be at least 1; leave it out for %d, or use scan.NoLimit", c.DLQMaxLen, DefaultDLQMaxLen)
	}
	if c.CheckpointTTL < MinCheckpointTTL {
		return fmt.Errorf("scan: CheckpointTTL is %v, must be at least %v; leave it out for %v, or use scan.NoLimit",
			c.CheckpointTTL, MinCheckpointTTL, DefaultCheckpointTTL)
	}
	if c.MaxRetryDelay < c.RetryDelay {
		return fmt.Errorf("scan: MaxRetryDelay is %v, must be at least RetryDelay, which is %v", c.MaxRetryDelay, c.RetryDelay)
	}
	if c.MaxCrashDelay < c.CrashDelay {
		return fmt.Errorf("scan: MaxCrashDelay is %v, must be at least CrashDelay, which is %v", c.MaxCrashDelay, c.CrashDelay)
	}
	return nil
}

// DeadLimit returns DLQMaxLen as scripts take it: 0 where there is no limit. Lua counts exactly up to 2^53, which no stream reaches.
func (c Config) DeadLimit() int {
	if limit := c.WithDefaults().DLQMaxLen; int64(limit) < 1<<53 {
		return max(limit, 0)
	}
	return 0
}

// Delay returns the delay of a stream that has failed retries times, including the last failure. rnd is a random number in
// [0, 1) for the jitter: 0.5 means none.
func (c Config) Delay(retries int, rnd float64) time.Duration {
	c = c.WithDefaults()
	return delay(c.RetryDelay, c.MaxRetryDelay, retries, jitter, rnd)
}

// DelayAfterCrash returns the delay of a stream whose owners have crashed crashes times, including the last crash. rnd is as in
// Delay.
func (c Config) DelayAfterCrash(crashes int, rnd float64) time.Duration {
	c = c.WithDefaults()
	return delay(c.CrashDelay, c.MaxCrashDelay, crashes, crashJitter, rnd)
}

// delay doubles first from the second time on, up to most, and moves the result by up to share of itself.
func delay(first, most time.Duration, times int, share, rnd float64) time.Duration {
	// Beyond 64 doublings even MinDelay is past MaxDelay.
	d := math.Ldexp(float64(first), min(max(times, 1), 65)-1)
	d = min(d, float64(most))
	return time.Duration(math.Round(d * (1 - share + 2*share*rnd)))
}
