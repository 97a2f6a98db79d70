package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
)

// Requeue requeues the announcement of a stream now, if its owner is dead or closed, or if it has no lease and its consumer has no
// session. Recovery does that by itself: Requeue is for callers that know that they need not wait for it, and for those who come
// from a library where streams are claimed. Any process may get the stream then; nil means that it was requeued. The call costs
// more if no lease names the announcement: everything that dead consumers left in the partition is searched, and everything that
// is delayed there.
//
// A crash of the owner is counted, but the delay after it is skipped. Errors match api.ErrHeldElsewhere if the owner is alive (it
// may be this process), api.ErrNotAnnounced if no dead consumer left an announcement of the stream, scan.ErrRequeued (which
// matches api.ErrNotAnnounced) if another call was faster, *scan.DelayedError (which matches it, too) if the stream is announced and
// delayed: it says until when, and Inspector.BringForward hands the stream out now; scan.ErrUndecided if it cannot be decided now whether the owner is
// alive, scan.ErrDeadLetter if the announcement became a dead letter instead, mostly since too many owners died, api.ErrInvalidStream,
// and api.ErrNotReady if the engine is not running or has no session. There is one attempt; after an error of the connection the
// call may be repeated.
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
	if home == 0 || !errors.Is(err, api.ErrNotAnnounced) || errors.Is(err, scan.ErrRequeued) {
		return err
	}
	// Producers that do not know of partitions announce there, and the reader may have died before it forwarded the entry.
	first := e.recoverer.requeue(ctx, 0, stream)
	var delayed *scan.DelayedError
	if errors.As(err, &delayed) && errors.Is(first, api.ErrNotAnnounced) {
		return err
	}
	return first
}
