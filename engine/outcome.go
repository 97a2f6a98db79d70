package engine

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// carryOut asks Redis once for a batch. What it leaves open goes back to the queue; an error says that all of it did. An
// errand that is refused by itself, as one for dead letters of another type, holds up no other.
func (d *ender) carryOut(ctx context.Context, partition int, batch []errand) error {
	items := make([]lease.Return, len(batch))
	for i := range batch {
		items[i] = batch[i].Return
	}
	ask := d.e.store.Requeue
	switch {
	case batch[0].finish:
		ask = d.e.store.Done
	case batch[0].stray.found:
		ask = restoring(d.e.store, batch)
	}
	outcomes, err := ask(ctx, partition, batch[0].consumer, items)
	if err != nil {
		if _, refused := lease.Refusal(err); !refused {
			for i := range batch {
				batch[i].tried = true
			}
		}
		d.again(partition, batch)
		return err
	}
	d.mu.Lock()
	if n := len(batch) + len(d.mu.queues[partition]); n > 1 {
		d.mu.expect[partition] = min(n, d.e.cfg.pipeline.MaxMoves())
	}
	d.mu.Unlock()
	var open, refused []errand
	for i, x := range batch {
		switch o := outcomes[i]; o.Verdict {
		case lease.Refused:
			refused = append(refused, d.refuse(partition, x, o.Err()))
		case lease.TooWide:
			x.Dest, x.Reason = lease.ToDeadLetters, reason(deadTooWide, "more fields than can be copied")
			open = append(open, x)
			d.crew.wake(partition)
		default:
			if d.goesAstray(partition, &x, o.Verdict) {
				open = append(open, x)
				d.crew.wake(partition)
				continue
			}
			d.outcome(partition, x, o.Verdict)
		}
	}
	d.again(partition, open)
	d.mu.Lock()
	d.mu.queues[partition] = append(d.mu.queues[partition], refused...)
	d.mu.Unlock()
	return nil
}

// refuse puts one errand off.
func (d *ender) refuse(partition int, x errand, why error) errand {
	if code, _ := lease.Refusal(why); code == "NOGROUP" {
		// The reader, which would notice, may have no room to read.
		d.e.partitions[partition].wantOpen()
		d.e.renewer.beatNow(partition)
	}
	if x.refused == 0 {
		d.mu.Lock()
		d.mu.fresh[partition]--
		d.mu.Unlock()
		d.idle.broadcast()
	}
	x.refused++
	x.tried = true // what comes last in the script may be what was refused
	x.after = d.e.clock.Now() + int64(d.e.backoff(x.refused))
	d.e.log.warn("endings are refused", 1, "partition", partition, "entry", x.Entry, "err", lease.Explain(why))
	return x
}

// again puts errands back in front.
func (d *ender) again(partition int, batch []errand) {
	if len(batch) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.queues[partition] = append(batch, d.mu.queues[partition]...)
}

func (d *ender) failing(ctx context.Context, partition int, err error) time.Duration {
	if ctx.Err() != nil {
		return nothingMore
	}
	d.mu.Lock()
	d.mu.failed[partition]++
	wait := d.e.backoff(d.mu.failed[partition])
	d.mu.retryAt[partition] = d.e.clock.Now() + int64(wait)
	d.mu.Unlock()
	d.e.log.warn("endings fail", 1, "partition", partition, "err", lease.Explain(err))
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
	case lease.Finished, lease.Moved:
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
	if x.Dest == lease.ToDeadLetters && v == lease.Moved {
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
	d.mu.Lock()
	delete(d.mu.entries, entryKey{partition, x.Entry})
	if x.refused == 0 {
		d.mu.fresh[partition]--
	}
	d.mu.Unlock()
	d.idle.broadcast()
}
