package completion

import (
	"context"
	"slices"
	"time"

	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// retirement is that of a session that is over, or is being closed: all that is pending for it is requeued. What Redis refuses to
// move is stepped over and retried at its own time; the rest, and other sessions, go on meanwhile.
type retirement struct {
	session *lease.Session
	closing bool    // the session was alive at first: completions that are under way for it are waited for
	until   Closing // guarded by the completer's mutex

	// Only the work of its partition, one goroutine at a time, uses these.

	refused lease.Setbacks
	size    lease.PageSize
	after   int64 // nothing is left to do before then
	closed  bool
}

// unblockTime is the shortest delay between two looks at a session to which a read may still deliver.
const unblockTime = 200 * time.Millisecond

// Closing is when a session is closed at the latest, on the completer's clock, though something would be worth waiting for that
// others would recover then. The zero value is never.
type Closing struct {
	Reads   int64 // while a read with an unknown outcome may still deliver to it
	Refused int64 // while Redis refuses some of its completions, which count only as long as it lives; not before Reads
}

// Retire has all that is pending for a session requeued, and then closes it.
func (c *Completer) Retire(s *lease.Session, until Closing) {
	c.mu.Lock()
	if !c.mu.closed {
		c.mu.retiring[s.Partition()] = append(c.mu.retiring[s.Partition()],
			&retirement{session: s, closing: until != Closing{}, until: until, size: lease.NewPageSize(c.cfg.MaxMoves)})
	}
	c.mu.Unlock()
	c.work.Add(s.Partition())
}

// RetireBy sets when the sessions that retire are closed, as Retire does.
func (c *Completer) RetireBy(until Closing) {
	c.mu.Lock()
	for _, sessions := range c.mu.retiring {
		for _, x := range sessions {
			x.until = until
		}
	}
	c.mu.Unlock()
	for p := range c.cfg.Layout.Partitions() {
		c.work.Add(p)
	}
}

// Retiring is the number of sessions that retire.
func (c *Completer) Retiring() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sessions := range c.mu.retiring {
		n += len(sessions)
	}
	return n
}

// IsRetiring reports whether the session of a consumer retires.
func (c *Completer) IsRetiring(partition int, consumer string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.mu.retiring[partition], func(x *retirement) bool { return x.session.Consumer() == consumer })
}

// retireAll goes on with every session that retires in a partition, whatever holds one of them up.
func (c *Completer) retireAll(ctx context.Context, partition int) time.Duration {
	c.mu.Lock()
	sessions := slices.Clone(c.mu.retiring[partition])
	c.mu.Unlock()
	next := workqueue.Idle
	var failure error
	for _, x := range sessions {
		c.mu.Lock()
		until := x.until
		c.mu.Unlock()
		at := x.after
		if until.Reads != 0 && !x.closed {
			at = min(at, until.Reads)
		}
		if wait := at - c.cfg.Clock.Now(); wait > 0 {
			next = workqueue.Sooner(next, time.Duration(wait))
			continue
		}
		done, err := c.retire(ctx, partition, x, until)
		switch {
		case err != nil:
			failure = err
		case done:
			c.mu.Lock()
			c.mu.retiring[partition] = slices.DeleteFunc(c.mu.retiring[partition], func(y *retirement) bool { return y == x })
			c.mu.failed[partition] = 0
			c.mu.Unlock()
			c.settled.Broadcast()
		default:
			next = workqueue.Sooner(next, c.nextLook(x, until))
		}
	}
	if failure != nil {
		return workqueue.Sooner(next, c.failing(ctx, partition, failure))
	}
	return next
}

// nextLook is the delay until the next look at a session that something is waited for.
func (c *Completer) nextLook(x *retirement, until Closing) time.Duration {
	now := c.cfg.Clock.Now()
	wait := max(x.after-now, int64(min(c.cfg.Retry, unblockTime)))
	for _, at := range []int64{until.Reads, until.Refused} {
		if at > now {
			wait = min(wait, at-now)
		}
	}
	return time.Duration(wait)
}

// retire requeues page by page what is pending for a session, and closes it. It reports false while more may come, or while some
// of it is refused: others may recover that, once the session is closed.
func (c *Completer) retire(ctx context.Context, partition int, x *retirement, until Closing) (bool, error) {
	consumer := x.session.Consumer()
	again, there := x.refused.Len() > 0, make(map[string]bool)
	for after := ""; ctx.Err() == nil; {
		n := x.size.Size()
		page, err := c.store.Pending(ctx, partition, consumer, after, n, 0)
		if code, _ := lease.Refusal(err); code == "NOGROUP" {
			break
		}
		if err != nil {
			if _, refused := lease.Refusal(err); !refused || lease.Blames(err) {
				x.size.Failed(n)
			}
			return false, err
		}
		x.size.Succeeded()
		if len(page) == 0 {
			break
		}
		for i := 0; again && i < len(page); i++ {
			there[page[i].ID] = true
		}
		if err := c.requeuePage(ctx, partition, x, page); err != nil {
			return false, err
		}
		after = page[len(page)-1].ID
	}
	now := c.cfg.Clock.Now()
	if again { // others may have moved some
		x.refused.Retain(func(id string) bool { return there[id] })
	}
	x.after = 0
	if at, some := x.refused.Next(); some {
		x.after = at
	}
	if c.sessions.Delivering(partition, consumer, now) && (until.Reads == 0 || now < until.Reads) {
		return false, nil
	}
	if x.closing && now < until.Refused && c.waiting(partition, consumer) {
		return false, nil
	}
	c.sessions.Leave(ctx, x.session) // a beat that arrives after the session was closed would make it again
	left, err := c.store.Close(ctx, partition, consumer)
	x.closed = x.closed || err == nil
	return left == 0, err
}

// waiting reports whether completions wait that were made under a session.
func (c *Completer) waiting(partition int, consumer string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for x := range c.mu.queues[partition].all {
		if x.consumer == consumer {
			return true
		}
	}
	return false
}

// requeuePage requeues a page of what is pending, but for what waits for its time.
func (c *Completer) requeuePage(ctx context.Context, partition int, x *retirement, page []lease.PendingEntry) error {
	consumer, now := x.session.Consumer(), c.cfg.Clock.Now()
	unknown := c.cfg.Layout.Keys(partition).Lease("")
	items := make([]lease.Disposition, 0, len(page))
	for i := range page {
		id := page[i].ID
		if x.refused.Waits(id, now) || x.closing && c.Has(partition, id) {
			continue
		}
		entry, err := lease.Parse(c.cfg.Layout, &page[i].Entry)
		r := lease.RequeueEntry(&entry, err, unknown)
		if why, ok := x.refused.Exhausted(id); ok {
			r.DeadLetterByReference(why)
		}
		items = append(items, r)
	}
	return lease.Move(items, &x.size, func(items []lease.Disposition) ([]lease.Outcome, error) {
		outcomes, err := c.store.Requeue(ctx, partition, consumer, items)
		return lease.WithoutLetters(items, outcomes, err)
	}, func(r lease.Disposition, o lease.Outcome) {
		switch o.Verdict {
		case lease.Refused:
			x.refused.Refused(r.Entry, o.Err(), now, c.afterRefusal(o.Err()))
			c.reportRefusal(partition, r.Entry, o.Err(), false)
			return
		case lease.Moved, lease.Referred:
			if r.Dest != lease.ToInput && r.Dest != lease.ToLater {
				c.cfg.Metrics.DeadLetter(r.Reason)
			}
		case lease.Full:
			c.cfg.Metrics.Inc(metrics.DeadLettersFull)
		case lease.Gone:
			c.cfg.Metrics.Inc(metrics.EntriesGone)
		}
		x.refused.Moved(r.Entry)
	})
}
