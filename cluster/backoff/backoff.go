package backoff

import (
	"context"
	"time"
)

// Exponential is a delay that doubles with each failure. The zero value is no delay at all.
type Exponential struct {
	First  time.Duration // after the first failure; not negative
	Max    time.Duration // of all delays, the first included; not negative
	Jitter float64       // the largest share of a delay that is taken off at random, from 0 (none) to 1
}

// Delay returns the delay after that many failures in a row, counted from 1; a lower count is taken as 1, and none
// overflows. random is at least 0 and below 1; 0 takes nothing off.
func (b Exponential) Delay(failures int, random float64) time.Duration {
	d := b.Max
	if doublings := max(failures, 1) - 1; b.First <= b.Max>>doublings {
		d = b.First << doublings
	}
	return d - min(d, time.Duration(float64(d)*b.Jitter*random)) // rounding never makes it negative
}

// Sleep waits for d and returns true, or returns false as soon as ctx ends.
func Sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
