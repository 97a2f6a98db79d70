package measure

import (
	"context"
	"time"
)

// Pause waits for d, or until ctx ends, which is its error.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pollEvery is how often Poll asks.
const pollEvery = 5 * time.Millisecond

// Poll asks at once, and then every 5 ms, until done reports true or fails, or until the time is up or ctx ends; the error is that of
// the context then.
func Poll(ctx context.Context, within time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
