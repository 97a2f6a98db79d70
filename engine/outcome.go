package engine

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// carryOut asks Redis once for a batch. What it leaves open goes back to the queue; an error says that all of it did. An
// errand that is refused by itself, as one for dead letters of another type, holds up no other.
func (d *ender) carryOut(ctx context.Context, partition int, batch []errand) error {
	items := make([]lease.Disposition, len(batch))
	for i := range batch {
		items[i] = batch[i].Disposition
	}
	ask := d.e.store.Requeue
	switch {
	case batch[0].finish:
		ask = d.e.store.Done
	case batch[0].stray.found:
		ask = restoring(d.e.store, batch)
	}
	outcomes, err := ask(ctx, partition, batch[0].consumer, items)
	outcomes, err = lease.WithoutLetters(items, outcomes, err)
	if err != nil {
		return d.unanswered(ctx, partition, batch, err)
	}
	d.mu.Lock()
	d.pageLocked(partition, batch).Succeeded()
	if n := len(batch) + d.mu.queues[partition].fresh.len(); n > 1 && batch[0].refused == 0 {
		d.mu.expect[partition] = min(n, d.e.cfg.pipeline.MaxMoves())
	}
	d.mu.Unlock()
	var open, refused []errand
	for i, x := range batch {
		x.Disposition = items[i] // where it went may have been decided by what it weighs
		switch o := outcomes[i]; {
		case o.Verdict == lease.Refused:
			refused = append(refused, d.refuse(partition, x, o.Err()))
		case o.Verdict == lease.Left:
			open = append(open, x)
		case x.Redirect(o):
			d.weigh(partition, &x) // it may have part of the entry now
			open = append(open, x)
		default:
			if d.goesAstray(partition, &x, o.Verdict) {
				open = append(open, x)
				d.work.Add(partition)
				continue
			}
			d.outcome(partition, x, o.Verdict)
		}
	}
	d.again(partition, open)
	d.aside(partition, refused)
	return nil
}

// unanswered decides what follows when a batch as a whole was refused or not answered: it is asked again, in smaller parts
// if what it carries may be the reason. One errand that is to blame alone is set apart.
func (d *ender) unanswered(ctx context.Context, partition int, batch []errand, err error) error {
	_, refused := lease.Refusal(err)
	blames := lease.Blames(err)
	if !refused {
		for i := range batch {
			batch[i].tried = true
		}
	}
	smaller := true
	if blames || !refused && ctx.Err() == nil {
		d.mu.Lock()
		smaller = d.pageLocked(partition, batch).Failed(len(batch))
		d.mu.Unlock()
	}
	switch {
	case blames && smaller:
		d.again(partition, batch)
		return nil
	case blames:
		d.aside(partition, []errand{d.refuse(partition, batch[0], err)})
		return nil
	case !smaller:
		// No answer to one errand alone: others may get theirs.
		d.aside(partition, batch)
		return err
	}
	d.again(partition, batch)
	return err
}

// refuse sets one errand apart, to be asked for again at a time of its own. One that is refused again and again for a reason
// that lies in its entry becomes a dead letter that refers to it.
func (d *ender) refuse(partition int, x errand, why error) errand {
	if code, _ := lease.Refusal(why); code == "NOGROUP" {
		// The reader, which would notice, may have no room to read.
		d.e.partitions[partition].wantOpen()
		d.e.renewer.beatNow(partition)
	}
	d.mu.Lock()
	if x.refused == 0 {
		d.mu.fresh[partition]--
		if x.lease == nil {
			d.mu.strays[partition]++
		}
	}
	many := x.lease == nil && d.mu.strays[partition] > d.e.cfg.pipeline.MaxMoves()
	d.mu.Unlock()
	if x.refused == 0 {
		d.idle.Broadcast()
	}
	x.refused++
	x.tried = true // what comes last in the script may be what was refused
	after := d.e.afterRefusal(why)
	if many { // and nobody waits: more than one call for each time that they are asked
		after = d.e.seldom
	}
	wait := after(x.refused)
	if lease.Blames(why) && !x.finish {
		if x.blamed++; x.blamed == lease.MoveTries {
			x.DeadLetterByReference(why)
			d.weigh(partition, &x)
			wait = 0
		}
	}
	x.after = inStep(d.e.clock.Now()+int64(wait), wait)
	d.e.refused(partition, x.Entry, why, x.finish)
	return x
}

// refused tells of an entry that Redis refuses to move, or to end.
func (e *Engine) refused(partition int, entry string, why error, finish bool) {
	blames := lease.Blames(why)
	e.metrics.refused(blames)
	if code, _ := lease.Refusal(why); code == "DLQFULL" {
		e.metrics.deadLettersFull()
	}
	if blames && !finish {
		e.log.Warn("entries are refused for what they are; a dead letter will refer to each: look at these", 1,
			"partition", partition, "entry", entry, "err", why)
		return
	}
	e.log.Warn("endings are refused", 1, "partition", partition, "entry", entry, "err", lease.Explain(why))
}

// aside puts errands back at the end.
func (d *ender) aside(partition int, batch []errand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.queues[partition].put(batch...)
}

// again puts errands back in front.
func (d *ender) again(partition int, batch []errand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.queues[partition].putBack(batch)
}

func (d *ender) failing(ctx context.Context, partition int, err error) time.Duration {
	if ctx.Err() != nil {
		return workqueue.Idle
	}
	d.mu.Lock()
	d.mu.failed[partition]++
	wait := d.e.backoff(d.mu.failed[partition])
	d.mu.retryAt[partition] = d.e.clock.Now() + int64(wait)
	d.mu.Unlock()
	d.e.log.Warn("endings fail", 1, "partition", partition, "err", lease.Explain(err))
	return wait
}

// outcome judges what Redis said of one errand.
func (d *ender) outcome(partition int, x errand, v lease.Verdict) {
	if x.stray.found {
		d.settle(partition, x, d.strayOutcome(partition, x, v))
		return
	}
	var err error
	switch v {
	case lease.Finished, lease.Moved, lease.Referred:
	case lease.Gone:
		d.e.metrics.gone(1)
	case lease.Full:
		d.e.metrics.deadLettersFull()
	case lease.NotPending:
		// Asked again after a lost answer, this is our own success, if nobody can have had the stream in between.
		sure := x.lease != nil && x.lease.Believed() > 0
		switch {
		case x.tried && sure:
		case x.tried:
			err = api.ErrOutcomeUnknown
		default:
			err = api.ErrLeaseLost
		}
	default:
		err = api.ErrLeaseLost
	}
	if x.Dest == lease.ToDeadLetters && v == lease.Moved || v == lease.Referred {
		d.e.metrics.deadLetter(x.Reason)
	}
	d.settle(partition, x, err)
	if v == lease.Owned && x.lease != nil {
		// The stream went to somebody else meanwhile; the entry is pending here still, and not the business of anybody.
		d.giveUp(x.lease)
	}
}

// settle ends an errand.
func (d *ender) settle(partition int, x errand, err error) {
	if l := x.lease; l != nil {
		d.e.metrics.ended(l.Ending().Kind, err)
		if d.e.table.Remove(l) {
			d.e.freed(l.Stream())
		}
		l.Ending().Settle(err)
	}
	d.e.reading.release(partition, x.held)
	d.mu.Lock()
	delete(d.mu.entries, entryKey{partition, x.Entry})
	switch {
	case x.refused == 0:
		d.mu.fresh[partition]--
	case x.lease == nil:
		d.mu.strays[partition]--
	}
	d.mu.Unlock()
	d.idle.Broadcast()
}
