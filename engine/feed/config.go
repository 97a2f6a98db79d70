package feed

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/api"
)

// Defaults and limits of [Config].
const (
	DefaultMaxBatch        = 100
	DefaultMaxBytes        = 64 << 20
	DefaultWorkers         = 16
	DefaultCheckpointEvery = time.Second
	DefaultSweep           = time.Minute // longer above 30,000 streams
	DefaultPollEvery       = time.Second
	DefaultMaxRetries      = 3
	DefaultRetryDelay      = time.Second
	DefaultMaxRetryDelay   = time.Minute

	// NoRetries, for MaxRetries, is none: OnFailure applies at the first failure of a message.
	NoRetries = -1
	// NoSweep, for Sweep, turns the sweep off, which is for tests: whatever no ring announces is then found by nobody.
	NoSweep time.Duration = -1

	maxBatch      = 10_000
	minBytes      = 64 << 10
	maxWorkers    = 10_000
	maxRetries    = 10_000
	maxEvery      = time.Hour // CheckpointEvery, Sweep, PollEvery
	minEvery      = 10 * time.Millisecond
	maxDelay      = 24 * time.Hour
	minIdleDone   = 100 * time.Millisecond
	maxIdleDone   = 365 * 24 * time.Hour
	maxMiddleware = 1000
)

// Mode is how a feed learns that a stream has messages.
type Mode uint8

const (
	// Auto tracks, and polls where Redis refuses tracking.
	Auto Mode = iota
	// Tracking has Redis say which streams were written to (CLIENT TRACKING). Where it refuses, Run returns an error.
	Tracking
	// Polling asks for each stream every PollEvery. It is for servers behind proxies.
	Polling
)

// Start is where a stream begins that has no checkpoint.
type Start uint8

const (
	// Earliest begins with the first message that the stream has.
	Earliest Start = iota
	// Latest begins with what is added after the stream was first owned. That place is stored before anything is read, so a crash
	// right after it skips nothing.
	Latest
)

// Failure is what becomes of a stream whose message was tried MaxRetries times again and fails still.
type Failure uint8

const (
	// FailStream fails the lease, as api.Lease.Fail does: the stream is handed out again after a growing delay, and its announcement
	// is dead-lettered when the engine's own retries are used up (scan.Config.MaxRetries) or the error is api.Permanent. Its
	// messages stay where they are, and so does its position. Where it is announced once more meanwhile, as Sender does with the next
	// message, it is owned at once, but the message is tried only after the delay of a further retry (RetryDelay, MaxRetryDelay).
	FailStream Failure = iota
	// Skip passes over that one message, and goes on with the next. It is counted, and OnSkip gets it first.
	Skip
)

// Trim is whether the feed deletes messages.
type Trim uint8

const (
	// TrimNever deletes nothing.
	TrimNever Trim = iota
	// TrimHandled deletes the messages that precede the last handled one, some time after the position was stored. The last one stays:
	// where it is gone the stream may be another one, and nothing is deleted. A stream that is read by others needs TrimNever.
	TrimHandled
)

// Config says how messages are read and handled. The zero Config is valid. As with the options of package engine, zero is the
// default, "none" has a name, and what is out of range makes [New] fail with an error that matches api.ErrInvalidConfig and names
// the field, the value and the fix.
type Config struct {
	// Mode is how the feed learns that there are messages. Default: Auto.
	Mode Mode
	// Start is where a stream begins that has no checkpoint. Default: Earliest.
	Start Start

	// MaxBatch is how many messages a batch has at most. Default: 100. From 1 to 10,000.
	MaxBatch int
	// MaxBytes bounds the memory of all messages that were read and not handled, kept batches included. What is read at a time may exceed
	// it by one message for each pipeline in flight, so a message of any size gets through, and by a page of a stream whose messages
	// suddenly become larger. Default: 64 MiB. At least 64 KiB.
	MaxBytes int64
	// Workers is how many handlers run at a time, hooks included. Default: 16. From 1 to 10,000.
	Workers int

	// CheckpointEvery is how often the position of a stream is stored while messages are handled; it is always stored with the end of
	// an ownership. After a crash, what was handled since is handled again. The engine stores positions in batches once a second, so
	// less changes nothing, and more saves work for Redis. Default: 1 s. From 10 ms to 1 h.
	CheckpointEvery time.Duration
	// Sweep is how often each stream is read although nothing rang. Default: 60 s, or 2 ms for each stream if that is longer (200 s for
	// 100,000), so that it costs Redis the same however many there are. From 1 s to 1 h, or NoSweep.
	Sweep time.Duration
	// PollEvery is how often each stream is read when polling. Default: 1 s. From 10 ms to 1 h.
	PollEvery time.Duration

	// MaxRetries is how often a failing message is tried again before OnFailure applies. Failures are kept with the checkpoint, so a
	// crash or another owner does not begin to count again. Default: 3. At most 10,000, or NoRetries.
	MaxRetries int
	// RetryDelay is the wait before the first retry. It doubles with each, up to MaxRetryDelay, less up to a fifth at random. Other
	// streams go on meanwhile. Default: 1 s. From 1 ms to 24 h.
	RetryDelay time.Duration
	// MaxRetryDelay is the longest wait. Default: 1 min, or RetryDelay if that is longer. Up to 24 h.
	MaxRetryDelay time.Duration
	// OnFailure is what happens after the last retry. Default: FailStream.
	OnFailure Failure

	// Trim is whether handled messages are deleted. Default: TrimNever.
	Trim Trim
	// IdleDone ends a stream, as [Finish] does, that had no message for so long. Producers then have to announce it again with its
	// next message, as Sender does, or nobody reads it. Default and zero: never. From 100 ms to a year.
	IdleDone time.Duration

	// OnStart is called before the first message of an ownership, with the state that was saved last. An error fails the stream as one
	// from a handler of api.Added does. Nil: not called.
	OnStart func(ctx context.Context, l api.Lease, state string) error
	// OnStop is called after the last message of an ownership whose OnStart returned nil, when no handler of it runs any more. why is
	// nil for a stream that is done, and otherwise matches api.ErrReleasing or api.ErrLeaseLost, or is the failure. What matches
	// api.ErrReleasing also matches the reason for which the engine hands the stream back, api.ErrDraining or api.ErrRebalanced. The
	// stream is not owned here again before OnStop returns. Nothing is called any more once Run has returned: what outlasts the drain,
	// such as a handler, OnSignal, or a batch that is kept, gets no OnStop. Nil: not called.
	OnStop func(l api.Lease, why error)
	// OnGap is called when messages were lost, or will come again, since the stream is not what it was; before the messages that follow.
	// Nil: only counted and logged.
	OnGap func(ctx context.Context, g Gap)
	// OnSkip is called with a message that is about to be passed over, for those who keep such messages elsewhere. An error counts as one
	// more failure of the message, which is then tried again. Nil: not called.
	OnSkip func(ctx context.Context, l api.Lease, m Message, err error) error
	// OnSignal is called with what was sent to the owner of a stream (engine.Publisher.Signal): for one stream one at a time and in order,
	// but also while its batches are handled. Of more than 16 that wait, the oldest are dropped. OnStop waits until it has returned; what
	// waits then is dropped, and what comes later. Nil: not called.
	OnSignal func(ctx context.Context, l api.Lease, payload []byte)

	// Middleware wraps the handler, the first one outermost.
	Middleware []func(Handler) Handler
}

// checked returns a configuration with its defaults, and the handler with its middleware.
func checked(c Config, h Handler) (Config, Handler, error) {
	if h == nil {
		return c, nil, invalid("the handler is nil")
	}
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return c, nil, err
	}
	for i := len(c.Middleware) - 1; i >= 0; i-- {
		if h = c.Middleware[i](h); h == nil {
			return c, nil, invalid("Middleware %d of %d returned nil; return a handler", i+1, len(c.Middleware))
		}
	}
	return c, h, nil
}

// withDefaults replaces zeros by defaults.
func (c Config) withDefaults() Config {
	c.MaxBatch = cmp.Or(c.MaxBatch, DefaultMaxBatch)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.Workers = cmp.Or(c.Workers, DefaultWorkers)
	c.CheckpointEvery = cmp.Or(c.CheckpointEvery, DefaultCheckpointEvery)
	c.PollEvery = cmp.Or(c.PollEvery, DefaultPollEvery)
	c.MaxRetries = cmp.Or(c.MaxRetries, DefaultMaxRetries)
	c.RetryDelay = cmp.Or(c.RetryDelay, DefaultRetryDelay)
	c.MaxRetryDelay = cmp.Or(c.MaxRetryDelay, max(DefaultMaxRetryDelay, c.RetryDelay))
	return c
}

// validate checks a Config that has its defaults.
func (c Config) validate() error {
	for _, n := range []struct {
		field              string
		value, least, most int64
		none               bool // -1 is allowed
		orElse             string
	}{
		{"Mode", int64(c.Mode), 0, int64(Polling), false, "use Auto, Tracking or Polling"},
		{"Start", int64(c.Start), 0, int64(Latest), false, "use Earliest or Latest"},
		{"OnFailure", int64(c.OnFailure), 0, int64(Skip), false, "use FailStream or Skip"},
		{"Trim", int64(c.Trim), 0, int64(TrimHandled), false, "use TrimNever or TrimHandled"},
		{"MaxBatch", int64(c.MaxBatch), 1, maxBatch, false, "use 1 to 10,000 messages, or 0 for 100"},
		{"MaxBytes", c.MaxBytes, minBytes, 1 << 62, false, "use at least 65,536 bytes, or 0 for 64 MiB"},
		{"Workers", int64(c.Workers), 1, maxWorkers, false, "use 1 to 10,000, or 0 for 16"},
		{"MaxRetries", int64(c.MaxRetries), 1, maxRetries, true, "use 1 to 10,000, 0 for 3, or NoRetries"},
		{"Middleware", int64(len(c.Middleware)), 0, maxMiddleware, false, "use fewer"},
	} {
		if (n.value < n.least || n.value > n.most) && !(n.none && n.value == -1) {
			return invalid("%s is %d; %s", n.field, n.value, n.orElse)
		}
	}
	for _, d := range []struct {
		field              string
		value, least, most time.Duration
		none               bool
		orElse             string
	}{
		{"CheckpointEvery", c.CheckpointEvery, minEvery, maxEvery, false, "use 10 ms to 1 h, or 0 for 1 s"},
		{"Sweep", cmp.Or(c.Sweep, DefaultSweep), time.Second, maxEvery, true, "use 1 s to 1 h, 0 for 60 s, or NoSweep"},
		{"PollEvery", c.PollEvery, minEvery, maxEvery, false, "use 10 ms to 1 h, or 0 for 1 s"},
		{"RetryDelay", c.RetryDelay, time.Millisecond, maxDelay, false, "use 1 ms to 24 h, or 0 for 1 s"},
		{"MaxRetryDelay", c.MaxRetryDelay, c.RetryDelay, maxDelay, false, "use RetryDelay to 24 h, or 0 for 1 min"},
	} {
		if (d.value < d.least || d.value > d.most) && !(d.none && d.value == -1) {
			return invalid("%s is %v; %s", d.field, d.value, d.orElse)
		}
	}
	if c.IdleDone != 0 && (c.IdleDone < minIdleDone || c.IdleDone > maxIdleDone) {
		return invalid("IdleDone is %v; use 100 ms to a year, or 0 for never", c.IdleDone)
	}
	for i, m := range c.Middleware {
		if m == nil {
			return invalid("Middleware %d of %d is nil; leave it out", i+1, len(c.Middleware))
		}
	}
	return nil
}

// retries returns how often a message is tried again.
func (c *Config) retries() int { return max(c.MaxRetries, 0) }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: feed: "+format, append([]any{api.ErrInvalidConfig}, args...)...)
}
