package lease

import (
	"fmt"
	"time"
)

// Defaults and limits of Pipeline.
const (
	// DefaultMaxBatch keeps a script that renews near 1 ms of the server's time: a lease was measured to cost 1.1 to 1.6 µs
	// where such scripts follow each other (BenchmarkRenew), and some 3 µs where they come now and then (bench pipeline).
	DefaultMaxBatch = 512
	// MaxMaxBatch keeps a script that renews near 2 ms, 3 at most at these costs, and its keys far below Lua's stack of 8,000.
	MaxMaxBatch = 1000
	// DefaultMaxInFlight is how many partitions of one master are renewed at once.
	DefaultMaxInFlight = 8
	// MaxMaxInFlight bounds the goroutines that renew, and what waits in one connection for a master that hangs.
	MaxMaxInFlight = 64
)

// Pipeline tunes how calls travel to Redis. The zero value means the default in every field.
type Pipeline struct {
	// MaxBatch is the most leases that one script renews; what is due together is spread over batches evenly. Larger ones
	// are fewer commands and hold up the server's other clients longer. Scripts that take, end or move entries, each of
	// which costs the server some four times a renewal or more, handle half as many: see MaxMoves. Default and zero: 512. From
	// 1 to 1,000.
	MaxBatch int

	// MaxInFlight is how many partitions may have a renewal on its way to one master at the same time, and likewise for
	// endings and for acquisitions of parked entries; the client sends what is on its way to a master in one pipeline, as
	// batches within one partition are. Masters do not share it: one that hangs uses up its own and holds up no other.
	// Default and zero: 8, and never more than there are partitions. From 1 to 64.
	MaxInFlight int

	// Timeout is how long to wait for the answer of a script before asking again. Default and zero: 1 s, less with a
	// session TTL below 4 s, so that two attempts fit between a beat and the session's deadline.
	Timeout time.Duration
}

// WithDefaults returns p with the default in the place of every zero, but for Timeout, which depends on the TTLs.
func (p Pipeline) WithDefaults() Pipeline {
	if p.MaxBatch == 0 {
		p.MaxBatch = DefaultMaxBatch
	}
	if p.MaxInFlight == 0 {
		p.MaxInFlight = DefaultMaxInFlight
	}
	return p
}

// MaxMoves is the most entries that one script takes, ends or moves: half of MaxBatch, and at least one.
func (p Pipeline) MaxMoves() int { return max(1, p.MaxBatch/2) }

// Validate reports the first field that is out of its limits, with the value. Zeros are taken as their defaults.
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
