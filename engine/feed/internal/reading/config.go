package reading

import (
	"cmp"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/redis/rueidis"
)

// Mode is how a reader learns that there is something to read.
type Mode uint8

const (
	// Auto tracks, and polls where tracking is refused.
	Auto Mode = iota
	// Tracking tracks; Run returns an error matching ErrRefused where it is refused.
	Tracking
	// Polling asks for each stream at PollEvery.
	Polling
)

func (m Mode) String() string {
	switch m {
	case Auto:
		return "auto"
	case Tracking:
		return "tracking"
	case Polling:
		return "polling"
	}
	return "unknown"
}

// NoSweep turns the sweep off, for tests: what no ring announces is then never found.
const NoSweep time.Duration = -1

// Config says what a reader needs. Client is required, and NewClient unless Mode is Polling.
type Config struct {
	// NewClient connects a client to the servers of Client, with options that tune has changed. The caller closes it.
	NewClient func(tune func(*rueidis.ClientOption)) (rueidis.Client, error)
	// Client looks at streams by a script, and polls. It is not closed.
	Client rueidis.Client
	// SlotMaster returns the address of the master of a slot, "" if it is not known. It must not block. Nil, or a Client that is not one
	// of a cluster: one master has everything.
	SlotMaster func(slot uint16) string
	// Mode defaults to Auto.
	Mode Mode
	// Sweep is how often each stream is read although nothing rang. Default 60 s, or 2 ms for each stream if that is longer; NoSweep: never.
	Sweep time.Duration
	// PollEvery is how often each stream is read when polling. Default 1 s.
	PollEvery time.Duration
	// MaxBytes bounds the memory of messages that were read and not released, and of those on their way as far as it can be foreseen.
	// Default 64 MiB. What is read at a time beyond it: one message of each pipeline in flight.
	MaxBytes int64
	// Timeout is how long a pipeline may take. Default 2 s. It doubles with each failure in a row of a master, up to 16 times.
	Timeout time.Duration
	// MaxStreams is the number of streams that a pipeline reads at most. Default 256, at most 1,000.
	MaxStreams int
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics Metrics
	// Random returns numbers from 0 up to and without 1, from several goroutines. Default rand.Float64.
	Random func() float64
}

// mostStreams keeps pipelines below the 2,000 commands above which the client opens another connection, which would be armed, too.
const mostStreams = 1000

const (
	// sweepLeast is the least time between two reads of a stream by the sweep, unless Config says something else.
	sweepLeast = time.Minute
	// sweepEach bounds what the sweep costs, unless Config says something else: with 100,000 streams at rest, all that
	// reading adds took 0.6 % of a core of a server, and 1.3 % with a round a minute (bench feed -streams 100000 -parts idle).
	sweepEach = 2 * time.Millisecond
)

// sweep returns how long a round of the sweep takes, in all and for each stream, at least; 0: there are none.
func (c *Config) sweep() (least, each time.Duration) {
	if c.Sweep == 0 {
		return sweepLeast, sweepEach
	}
	return max(c.Sweep, 0), 0
}

func (c *Config) fill() error {
	if c.Client == nil {
		return errors.New("reading: no client")
	}
	if c.NewClient == nil && c.Mode != Polling {
		return errors.New("reading: nothing connects a client that tracks")
	}
	if c.Mode > Polling {
		return errors.New("reading: unknown mode")
	}
	c.PollEvery = cmp.Or(c.PollEvery, time.Second)
	c.MaxBytes = cmp.Or(c.MaxBytes, 64<<20)
	c.Timeout = cmp.Or(c.Timeout, 2*time.Second)
	c.MaxStreams = cmp.Or(c.MaxStreams, 256)
	if c.PollEvery < 0 || c.MaxBytes < 0 || c.Timeout < 0 || c.MaxStreams < 0 || c.MaxStreams > mostStreams {
		return errors.New("reading: PollEvery, MaxBytes, Timeout or MaxStreams out of range")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = noMetrics{}
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	return nil
}
