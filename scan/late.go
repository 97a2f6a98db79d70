package scan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/lease"
)

// timedOut reports whether a call had no answer in time.
func timedOut(ctx context.Context, err error) bool {
	return ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded)
}

// How long to wait for a late script, during which the server serves nobody else.
const (
	waitFactor = 10              // times Timeout
	minWait    = 5 * time.Second // at least
)

// latePolls is how long to wait before asking again whether a late script has run.
var latePolls = backoff.Exponential{First: 100 * time.Millisecond, Max: time.Second}

// waitOut waits until a call that was not answered in time has run, by asking for the next pending entry without its body: any
// call made meanwhile queues behind the late one, and would be late as well. A client may give up sooner (ConnWriteTimeout,
// KeepAlive), or close the connection, and after a while the server answers that it is busy. waitOut then asks again.
func (r *recovery) waitOut(ctx context.Context, after string) ([]orphan, error) {
	ctx, cancel := context.WithTimeout(ctx, max(waitFactor*r.timeout(), minWait))
	defer cancel()
	for asked := 1; ; asked++ {
		orphans, err := r.readPageIn(ctx, after, 1, lease.NoBody)
		if err == nil || isAnswer(err) {
			return orphans, err
		}
		if !backoff.Sleep(ctx, latePolls.Delay(asked, 0)) {
			return nil, err
		}
	}
}

// isAnswer reports whether the server has got round to answering, if only with a refusal.
func isAnswer(err error) bool {
	code, refused := lease.Refusal(err)
	return refused && code != "BUSY" || errors.Is(err, ErrNotMine) || errors.Is(err, ErrBusy)
}

// moveInTime is runRecover, but a single entry that was not read, or is heavy, counts as refused where it takes the server too
// long: it would do so with every recovery, and what comes after it would be pending for good.
func (r *recovery) moveInTime(ctx context.Context, items []lease.Disposition) ([]lease.Outcome, error) {
	outcomes, err := r.runRecover(ctx, items)
	outcomes, err = lease.WithoutLetters(items, outcomes, err)
	if len(items) != 1 || !timedOut(ctx, err) || !r.summaries[items[0].Entry].unread && items[0].Size <= lease.MaxCallWeight {
		return outcomes, err
	}
	o, err := r.unanswered(ctx, items[0])
	return []lease.Outcome{o}, err
}

// unanswered finds out what became of an entry when the script that moves it was not answered in time. It may have been moved
// all the same. Otherwise it is to blame if the server answers in time again as soon as the script has run; a server that is
// late with everything proves nothing against it.
func (r *recovery) unanswered(ctx context.Context, item lease.Disposition) (o lease.Outcome, err error) {
	if _, err = r.waitOut(ctx, item.Entry); err != nil {
		return o, err
	}
	next, err := r.readPage(ctx, item.Entry, 1, lease.NoBody)
	switch {
	case err != nil:
		return o, err
	case len(next) == 0 || next[0].ID != item.Entry:
		return lease.Outcome{Verdict: lease.Moved}, nil
	}
	return lease.Outcome{Verdict: lease.Refused, Reason: fmt.Sprintf("looking at it takes the server more than %v", r.timeout())}, nil
}
