package engine

import (
	"context"
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
)

// checkLegacy refuses to start beside living consumers of the library that this one follows: they share the input
// stream and the group, and neither respects the other's leases. Where a server does not answer it is looked at later: see
// awaitNoLegacy.
func (e *Engine) checkLegacy(ctx context.Context) error {
	if e.cfg.legacy {
		return nil
	}
	for _, p := range e.partitions {
		alive, err := e.lookForLegacy(ctx, p)
		switch {
		case alive != "":
			return fmt.Errorf("%w: %s holds the lock of an entry in partition %d: stop the old consumers first, or start with WithForeignConsumers",
				api.ErrForeignConsumers, alive, p.number)
		case ctx.Err() != nil:
			return errStopped
		case lease.Permanent(err):
			return fmt.Errorf("looking for consumers of another library: %w", lease.Explain(err))
		}
	}
	return nil
}

// lookForLegacy names a living consumer of the other library, if there is one in this partition.
func (e *Engine) lookForLegacy(ctx context.Context, p *partition) (alive string, err error) {
	alive, err = e.store.Legacy(ctx, p.number)
	p.mu.Lock()
	p.mu.strange = alive != "" || err != nil
	if err == nil {
		p.mu.foreign = alive
	}
	p.mu.Unlock()
	return alive, err
}

// awaitNoLegacy returns when there is no living consumer of the other library, or ctx ends. Reading a partition waits for
// that where its server did not answer at the start.
func (e *Engine) awaitNoLegacy(ctx context.Context, p *partition) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		p.mu.Lock()
		strange := p.mu.strange
		p.mu.Unlock()
		if !strange || e.cfg.legacy {
			return
		}
		alive, err := e.lookForLegacy(ctx, p)
		switch {
		case ctx.Err() != nil:
		case alive != "":
			e.log.Error("consumers of another library are alive on a partition; nothing is read there", "partition", p.number,
				"consumer", alive)
		case err != nil:
			e.log.Warn("looking for consumers of another library fails", 1, "partition", p.number, "err", lease.Explain(err))
		}
		if alive != "" || err != nil {
			backoff.Sleep(ctx, e.backoff(attempt))
		}
	}
}
