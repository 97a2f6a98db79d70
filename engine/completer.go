package engine

import (
	"context"

	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/lease"
)

// backlogReads is how many full reads of completions may be under way before the next read is taken in, and how many that were
// refused before there is no next read.
const backlogReads = 4

// newCompleter makes the completer of an engine.
func newCompleter(ctx context.Context, e *Engine) *completion.Completer {
	return completion.New(ctx, completion.Config{
		Layout:      e.layout,
		Clock:       e.clock,
		Log:         e.log,
		Metrics:     e.metrics,
		Random:      e.random,
		Policy:      e.cfg.recovery,
		Retry:       e.cfg.retry,
		Backoff:     e.backoff,
		Draining:    e.draining,
		Lane:        e.lanes.of,
		MaxInFlight: e.cfg.pipeline.MaxInFlight,
		MaxMoves:    e.cfg.pipeline.MaxMoves(),
		Backlog:     backlogReads * e.cfg.readBatch,
	}, e.store, e.sessions, completion.Hooks{
		Ended: func(l *lease.Lease) {
			if e.table.Remove(l) {
				e.freed(l.Stream())
			}
		},
		Hold:     e.reading.Add,
		Progress: e.room.Broadcast,
		Tampered: func(partition int) { e.partitions[partition].compareSoon(e.clock.Now()) },
	})
}
