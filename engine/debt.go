package engine

import (
	"context"
	"slices"
	"time"

	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// debt is a session that is over, or is being closed: all that is pending for it goes back. What Redis refuses to move is
// stepped over and tried again at its own time; the rest, and other debts, are paid meanwhile.
type debt struct {
	session *lease.Session
	closing bool  // the session was alive when it was owed: endings that are under way for it are waited for
	by      int64 // when to close the session though a read may still deliver to it; 0: never. With the ender's mutex

	// Only whoever pays, one goroutine at a time, uses these.

	refused lease.Setbacks
	size    lease.PageSize
	after   int64 // nothing is left to do before then
	closed  bool
}

// owe takes on handing back all that is pending for a session that is over. by is when to close it though a read with an
// unknown outcome may still deliver to it, which others would recover; 0: not before that read cannot.
func (d *ender) owe(s *lease.Session, by int64) {
	d.mu.Lock()
	if !d.mu.closed {
		d.mu.debts[s.Partition()] = append(d.mu.debts[s.Partition()],
			&debt{session: s, closing: by != 0, by: by, size: lease.NewPageSize(d.e.cfg.pipeline.MaxMoves())})
	}
	d.mu.Unlock()
	d.work.Add(s.Partition())
}

// hasten has the debts that there are paid by then, as owe does.
func (d *ender) hasten(by int64) {
	d.mu.Lock()
	for _, debts := range d.mu.debts {
		for _, x := range debts {
			x.by = by
		}
	}
	d.mu.Unlock()
	for _, p := range d.e.partitions {
		d.work.Add(p.number)
	}
}

// owing is the number of debts.
func (d *ender) owing() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, debts := range d.mu.debts {
		n += len(debts)
	}
	return n
}

// owes says whether a session is still to be handed back.
func (d *ender) owes(partition int, consumer string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.mu.debts[partition], func(x *debt) bool { return x.session.Consumer() == consumer })
}

// payDebts hands back page by page what is pending for sessions that are over, and closes them. It goes through all of
// them, whatever one of them is held up by.
func (d *ender) payDebts(ctx context.Context, partition int) time.Duration {
	d.mu.Lock()
	debts := slices.Clone(d.mu.debts[partition])
	d.mu.Unlock()
	next := workqueue.Idle
	var failure error
	for _, x := range debts {
		d.mu.Lock()
		by := x.by
		d.mu.Unlock()
		at := x.after
		if by != 0 && !x.closed {
			at = min(at, by)
		}
		if wait := at - d.e.clock.Now(); wait > 0 {
			next = workqueue.Sooner(next, time.Duration(wait))
			continue
		}
		paid, err := d.pay(ctx, partition, x, by)
		switch {
		case err != nil:
			failure = err
		case paid:
			d.mu.Lock()
			d.mu.debts[partition] = slices.DeleteFunc(d.mu.debts[partition], func(y *debt) bool { return y == x })
			d.mu.failed[partition] = 0
			d.mu.Unlock()
			d.idle.Broadcast()
		default:
			next = workqueue.Sooner(next, max(time.Duration(x.after-d.e.clock.Now()), min(d.e.cfg.retry, unblockTime)))
		}
	}
	if failure != nil {
		return workqueue.Sooner(next, d.failing(ctx, partition, failure))
	}
	return next
}

// pay hands back what is pending for a session, and closes it. It reports false while more may come, or while some of it is
// refused: others may recover that, once the session is closed.
func (d *ender) pay(ctx context.Context, partition int, x *debt, by int64) (bool, error) {
	consumer := x.session.Consumer()
	again, there := x.refused.Len() > 0, make(map[string]bool)
	for after := ""; ctx.Err() == nil; {
		n := x.size.Size()
		page, err := d.e.store.Pending(ctx, partition, consumer, after, n, 0)
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
		if err := d.handBack(ctx, partition, x, page); err != nil {
			return false, err
		}
		after = page[len(page)-1].ID
	}
	now := d.e.clock.Now()
	if again { // others may have moved some
		x.refused.Retain(func(id string) bool { return there[id] })
	}
	x.after = 0
	if at, some := x.refused.Next(); some {
		x.after = at
	}
	if !d.e.partitions[partition].quiet(consumer, now) && (by == 0 || now < by) {
		return false, nil
	}
	if x.closing && now < by+int64(refusedTime) && d.waiting(partition, consumer) {
		return false, nil
	}
	if d.e.partitions[partition].leave(x.session) {
		// A beat that arrives after the session was closed would make it again.
		d.e.renewer.work.WaitIdle(ctx, partition)
	}
	left, err := d.e.store.Close(ctx, partition, consumer)
	x.closed = x.closed || err == nil
	return left == 0, err
}

// refusedTime is how much longer a session is kept that is being closed while Redis refuses some of its endings: they count
// only while it lives. The rest has been handed back by then.
const refusedTime = 2 * time.Second

// waiting reports whether endings wait that were made under a session.
func (d *ender) waiting(partition int, consumer string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for x := range d.mu.queues[partition].all {
		if x.consumer == consumer {
			return true
		}
	}
	return false
}

// handBack moves a page of what is pending, but for what waits for its time.
func (d *ender) handBack(ctx context.Context, partition int, x *debt, page []lease.PendingEntry) error {
	consumer, now := x.session.Consumer(), d.e.clock.Now()
	unknown := d.e.layout.Keys(partition).Lease("")
	items := make([]lease.Disposition, 0, len(page))
	for i := range page {
		id := page[i].ID
		if x.refused.Waits(id, now) || x.closing && d.ending(partition, id) {
			continue
		}
		entry, err := lease.Parse(d.e.layout, &page[i].Entry)
		r := lease.RequeueEntry(&entry, err, unknown)
		if why, ok := x.refused.Exhausted(id); ok {
			r.DeadLetterByReference(why)
		}
		items = append(items, r)
	}
	return lease.Move(items, &x.size, func(items []lease.Disposition) ([]lease.Outcome, error) {
		outcomes, err := d.e.store.Requeue(ctx, partition, consumer, items)
		return lease.WithoutLetters(items, outcomes, err)
	}, func(r lease.Disposition, o lease.Outcome) {
		switch o.Verdict {
		case lease.Refused:
			x.refused.Refused(r.Entry, o.Err(), now, d.e.afterRefusal(o.Err()))
			d.e.refused(partition, r.Entry, o.Err(), false)
			return
		case lease.Moved, lease.Referred:
			if r.Dest != lease.ToInput && r.Dest != lease.ToLater {
				d.e.metrics.deadLetter(r.Reason)
			}
		case lease.Full:
			d.e.metrics.deadLettersFull()
		case lease.Gone:
			d.e.metrics.gone(1)
		}
		x.refused.Moved(r.Entry)
	})
}
