package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
)

// Requeue requeues the announcement of a stream now, if its owner is dead or closed, or owns nothing and has no session. Recovery
// does that by itself: Requeue is for callers that know better than to wait for it, and for those who come from a library where
// streams are claimed. Who gets the stream then is open; nil means that it was requeued. It costs more where no lease names the
// announcement: all that dead consumers left in the partition is searched.
//
// A crash of the owner counts, but the delay after it is left out. Errors match api.ErrHeldElsewhere when the owner lives (it
// may be this process), api.ErrNotAnnounced when no dead consumer left an announcement of the stream, scan.ErrRequeued (which
// matches api.ErrNotAnnounced) when another call was faster, scan.ErrUndecided when it cannot be known now whether the owner
// lives, scan.ErrDeadLetter when the stream has cost too many owners their lives, api.ErrInvalidStream, and api.ErrNotReady when
// the engine does not run or has no session. There is one attempt; after an error of the connection it may be repeated.
func (e *Engine) Requeue(ctx context.Context, stream string) error {
	if err := cluster.ValidateStream(stream); err != nil {
		return err
	}
	if !e.life.isRunning() {
		return fmt.Errorf("%w: the engine is not running", api.ErrNotReady)
	}
	if e.table.Get(stream) != nil {
		return fmt.Errorf("%w: this process owns stream %.64q", api.ErrHeldElsewhere, stream)
	}
	home := e.layout.Of(stream)
	err := e.recoverer.requeue(ctx, home, stream)
	if home != 0 && errors.Is(err, api.ErrNotAnnounced) && !errors.Is(err, scan.ErrRequeued) {
		// Producers that know nothing of partitions announce there, and the reader may have died before it forwarded the entry.
		return e.recoverer.requeue(ctx, 0, stream)
	}
	return err
}
