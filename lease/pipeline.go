package lease

import (
	"fmt"
	"time"
)

// Defaults and limits of Pipeline.
const (
	// DefaultMaxBatch keeps a renewal script near 1 ms of the server's time: a lease was measured to cost 1.1 to 1.6 µs when
	// such scripts follow each other (BenchmarkRenew), and about 3 µs when they are rare (bench pipeline).
	DefaultMaxBatch = 512
	// MaxMaxBatch keeps a renewal script near 2 ms, at most 3 at these costs, and its keys far below Lua's stack of 8,000.
	MaxMaxBatch = 1000
	// DefaultMaxInFlight is how many partitions of one master are renewed at once.
	DefaultMaxInFlight = 8
	// MaxMaxInFlight bounds the goroutines that renew, and the calls that wait in one connection for a master that hangs.
	MaxMaxInFlight = 64
)

// Pipeline tunes how calls are sent to Redis. The zero value of each field means its default.
type Pipeline struct {
	// MaxBatch is the most leases that one script renews; leases that are due together are spread evenly over batches. Larger
	// batches mean fewer commands, each of which blocks the server's other clients longer. Scripts that take, end or move
	// entries handle half as many, since an entry costs the server at least four times as much as a renewal: see MaxMoves. Default and zero: 512. From
	// 1 to 1,000.
	MaxBatch int

	// MaxInFlight is how many partitions may have a renewal in flight to one master at the same time, and likewise for endings
	// and for acquisitions of parked entries. The client sends everything in flight to a master in one pipeline, as it does the
	// batches of one partition. Each master has its own limit: one that hangs does not delay the others.
	// Default and zero: 8, and never more than there are partitions. From 1 to 64.
	MaxInFlight int

	// Timeout is how long to wait for the answer of a script before the call is retried. Default and zero: 1 s, less with a
	// session TTL below some 2.9 s, so that two attempts fit between a beat and the session's deadline. From
	// 10 ms.
	Timeout time.Duration
}

// WithDefaults returns p with every zero replaced by its default, except Timeout, which depends on the TTLs.
func (p Pipeline) WithDefaults() Pipeline {
	if p.MaxBatch == 0 {
		p.MaxBatch = DefaultMaxBatch
	}
	if p.MaxInFlight == 0 {
		p.MaxInFlight = DefaultMaxInFlight
	}
	return p
}

// MaxMoves returns the most entries that one script takes, ends or moves: half of MaxBatch, and at least one.
func (p Pipeline) MaxMoves() int { return max(1, p.MaxBatch/2) }

// Validate returns an error that names the first field that is out of range, with its value. Zeros count as their defaults.
func (p Pipeline) Validate() error {
	p = p.WithDefaults()
	if p.MaxBatch < 1 || p.MaxBatch > MaxMaxBatch {
		return fmt.Errorf("Pipeline.MaxBatch is %d, must be from 1 to %d", p.MaxBatch, MaxMaxBatch)
	}
	if p.MaxInFlight < 1 || p.MaxInFlight > MaxMaxInFlight {
		return fmt.Errorf("Pipeline.MaxInFlight is %d, must be from 1 to %d", p.MaxInFlight, MaxMaxInFlight)
	}
	if p.Timeout < 0 {
		return fmt.Errorf("Pipeline.Timeout is %v, must not be negative", p.Timeout)
	}
	return nil
}
