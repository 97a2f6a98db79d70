package engine

import (
	"context"
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// checkForeign refuses to start beside living consumers of the library that this one follows: they share the input
// stream and the group, and neither respects the other's leases.
func (e *Engine) checkForeign(ctx context.Context) error {
	if e.cfg.foreign {
		return nil
	}
	for _, p := range e.partitions {
		for attempt := 1; ; attempt++ {
			alive, err := e.store.Foreign(ctx, p.number)
			if err == nil && alive != "" {
				return fmt.Errorf("%w: %s holds the lock of an entry in partition %d: stop the old consumers first, or start with WithForeignConsumers",
					api.ErrForeignConsumers, alive, p.number)
			}
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return errStopped
			}
			if lease.Permanent(err) {
				return fmt.Errorf("looking for consumers of another library: %w", lease.Explain(err))
			}
			pause(ctx, e.backoff(attempt))
		}
	}
	return nil
}
