package scan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// late reports whether a call had no answer in time.
func late(ctx context.Context, err error) bool {
	return ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded)
}

// A script that is late is waited for so many times Timeout, and at least for so long. The server serves nobody else meanwhile.
const (
	outwait      = 10
	leastOutwait = 5 * time.Second
	outwaitAgain = 100 * time.Millisecond // doubling
	outwaitMost  = time.Second
)

// waitOut waits until a call that was not answered in time has run, by asking for what is pending next, unread: what is asked
// meanwhile stands behind it, and would be late as well. A client may wait for less than that (ConnWriteTimeout, KeepAlive), or
// close the connection, and from some time on the server says that it is busy. Then it is asked again.
func (r *recovery) waitOut(ctx context.Context, after string) ([]Orphan, error) {
	ctx, cancel := context.WithTimeout(ctx, max(outwait*r.timeout(), leastOutwait))
	defer cancel()
	for wait := outwaitAgain; ; wait = min(2*wait, outwaitMost) {
		orphans, err := r.readPageIn(ctx, after, 1, lease.NoBody)
		if err == nil || isAnswer(err) {
			return orphans, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// isAnswer reports whether the server has come to answer a recoverer, if only to refuse it.
func isAnswer(err error) bool {
	code, refused := lease.Refusal(err)
	return refused && code != "BUSY" || errors.Is(err, ErrNotMine) || errors.Is(err, ErrBusy)
}

// inTime is recover, but one entry alone that was not read, or is heavy, is refused where it takes the server too long: it
// would with every recovery, and what comes behind it would be pending for good.
func (r *recovery) inTime(ctx context.Context, items []lease.Disposition) ([]lease.Outcome, error) {
	outcomes, err := r.recover(ctx, items)
	outcomes, err = lease.WithoutLetters(items, outcomes, err)
	if len(items) != 1 || !late(ctx, err) || !r.remnants[items[0].Entry].unread && items[0].Size <= lease.MaxCallWeight {
		return outcomes, err
	}
	o, err := r.unanswered(ctx, items[0])
	return []lease.Outcome{o}, err
}

// unanswered tells what became of an entry when the script that moves it was not answered in time. It may have been moved all the
// same. Else it is to blame if the server answers in time again as soon as that has run; a server that is late with everything
// blames nothing.
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
