package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
)

// Requeue queues the announcement of a stream again, now, whose owner is dead, or closed, or owns nothing and has no
// session: for those who know better than to wait for recovery, which does it by itself, and for those who come from a
// library where streams are claimed. Who gets the stream then is open; nil means that it was queued again. It has some
// work to do where no lease names the announcement: all that dead consumers left in the partition is looked through.
//
// A crash of the owner counts, its delay is left out. Errors match api.ErrHeldElsewhere when the owner lives (it may be
// this process), api.ErrNotAnnounced when no dead consumer left an announcement of it, scan.ErrRequeued (which matches
// api.ErrNotAnnounced) when somebody else was faster, scan.ErrUndecided when it cannot be told now whether the owner lives,
// scan.ErrDeadLetter when the stream has cost too many owners their lives, api.ErrInvalidStream, and api.ErrNotReady when the
// engine does not run or has no session. There is one attempt; after an error of the connection it may be repeated.
func (e *Engine) Requeue(ctx context.Context, stream string) error {
	if err := cluster.ValidateStream(stream); err != nil {
		return err
	}
	if !e.life.isRunning() {
		return fmt.Errorf("%w: the engine is not running", api.ErrNotReady)
	}
	if e.table.Get(stream) != nil {
		return fmt.Errorf("%w: this very process owns stream %.64q", api.ErrHeldElsewhere, stream)
	}
	home := e.layout.Of(stream)
	err := e.requeueIn(ctx, home, stream)
	if home != 0 && errors.Is(err, api.ErrNotAnnounced) && !errors.Is(err, scan.ErrRequeued) {
		// Producers that know nothing of partitions announce there, and its reader may have died before forwarding it.
		return e.requeueIn(ctx, 0, stream)
	}
	return err
}

func (e *Engine) requeueIn(ctx context.Context, partition int, stream string) error {
	s, _ := e.partitions[partition].view()
	if s == nil || s.Remaining() == 0 {
		return fmt.Errorf("%w: no session in partition %d", api.ErrNotReady, partition)
	}
	err := e.scan.Requeue(ctx, partition, s.Consumer(), stream, func(consumer string) bool {
		return e.completer.IsRetiring(partition, consumer)
	})
	switch {
	case err == nil:
		e.metrics.Recovered(scan.Recovered{Entries: 1})
	case errors.Is(err, scan.ErrDeadLetter):
		e.metrics.Recovered(scan.Recovered{Entries: 1, DeadLetters: 1})
	}
	return err
}
