package completion

import (
	"cmp"
	"context"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/workqueue"
	"github.com/streamlease/streamlease/lease"
)

// send asks Redis once for a batch. What it leaves open goes back to the queue; an error says that all of it did. A
// completion that is refused by itself, such as one for dead letters of another type, holds up no other.
func (c *Completer) send(ctx context.Context, partition int, batch []completion) error {
	items := make([]lease.Disposition, len(batch))
	for i := range batch {
		items[i] = batch[i].Disposition
	}
	ask := c.store.Requeue
	switch {
	case batch[0].finish:
		ask = c.store.Done
	case batch[0].tampered.found:
		ask = restoring(c.store, batch)
	}
	outcomes, err := ask(ctx, partition, batch[0].consumer, items)
	outcomes, err = withoutCheckpoints(batch, outcomes, err, func(items []lease.Disposition) ([]lease.Outcome, error) {
		return ask(ctx, partition, batch[0].consumer, items)
	})
	outcomes, err = lease.WithoutLetters(items, outcomes, err)
	if code, _ := lease.Refusal(err); code == "TRYAGAIN" {
		storeAhead(ctx, c.store, partition, batch)
	}
	if err != nil {
		return c.unanswered(ctx, partition, batch, err)
	}
	c.mu.Lock()
	c.pageLocked(partition, batch).Succeeded()
	if n := len(batch) + c.mu.queues[partition].fresh.len(); n > 1 && batch[0].refused == 0 {
		c.mu.expect[partition] = min(n, c.cfg.MaxMoves)
	}
	c.mu.Unlock()
	var open, refused []completion
	for i, x := range batch {
		x.Disposition = items[i] // where it went may have been decided by what it weighs
		switch o := outcomes[i]; {
		case o.Verdict == lease.Refused:
			refused = append(refused, c.refuse(partition, x, o.Err()))
		case o.Verdict == lease.Left:
			open = append(open, x)
		case x.Redirect(o):
			c.weigh(partition, &x) // it may have part of the entry now
			open = append(open, x)
		default:
			if c.tamperedWith(partition, &x, o.Verdict) {
				open = append(open, x)
				c.work.Add(partition)
				continue
			}
			c.reportLeft(partition, &x, o)
			c.outcome(partition, x, o.Verdict)
			if d := o.Delay(); d > 0 {
				c.hooks.Delayed(partition, d)
			}
		}
	}
	c.putBack(partition, open)
	c.setAside(partition, refused)
	return nil
}

// reportLeft notes, counts and logs what became of the checkpoint of a completion.
func (c *Completer) reportLeft(partition int, x *completion, o lease.Outcome) {
	counts, bytes, refused := x.left(o)
	c.cfg.Metrics.CheckpointsSaved(counts, bytes)
	if refused != nil {
		c.cfg.Log.Warn("a stream was given back without its last checkpoint", 1, "partition", partition, "entry", x.Entry, "err", x.unsaved)
		c.hooks.Unsaved(partition, refused)
	}
}

// unanswered decides what follows when a batch as a whole was refused or not answered: it is retried, in smaller parts
// if what it carries may be the reason. One completion that is to blame alone is set apart.
func (c *Completer) unanswered(ctx context.Context, partition int, batch []completion, err error) error {
	_, refused := lease.Refusal(err)
	blames := lease.Blames(err)
	if !refused {
		for i := range batch {
			batch[i].tried = true
		}
	}
	smaller := true
	if blames || !refused && ctx.Err() == nil {
		c.mu.Lock()
		smaller = c.pageLocked(partition, batch).Failed(len(batch))
		c.mu.Unlock()
	}
	switch {
	case blames && smaller:
		c.putBack(partition, batch)
		return nil
	case blames:
		c.setAside(partition, []completion{c.refuse(partition, batch[0], err)})
		return nil
	case !smaller:
		// No answer to one completion alone: others may get theirs.
		c.setAside(partition, batch)
		return err
	}
	c.putBack(partition, batch)
	return err
}

// refuse sets one completion apart, to be retried at a time of its own. One that is refused again and again for a reason
// that lies in its entry becomes a dead letter that refers to it.
func (c *Completer) refuse(partition int, x completion, why error) completion {
	if code, _ := lease.Refusal(why); code == "NOGROUP" {
		// The reader, which would notice, may have no room to read.
		c.sessions.Reopen(partition)
	}
	c.mu.Lock()
	if x.refused == 0 {
		c.mu.fresh[partition]--
		if x.lease == nil {
			c.mu.unowned[partition]++
		}
	}
	many := x.lease == nil && c.mu.unowned[partition] > c.cfg.MaxMoves
	c.mu.Unlock()
	if x.refused == 0 {
		c.settled.Broadcast()
	}
	x.refused++
	x.tried = true // what comes last in the script may be what was refused
	after := c.afterRefusal(why)
	if many { // and nobody waits: more than one call for each time that they are asked
		after = c.seldom
	}
	wait := after(x.refused)
	if lease.Blames(why) && !x.finish {
		if x.blamed++; x.blamed == lease.MoveTries {
			x.DeadLetterByReference(why)
			c.weigh(partition, &x)
			wait = 0
		}
	}
	x.after = inStep(c.cfg.Clock.Now()+int64(wait), wait)
	c.reportRefusal(partition, x.Entry, why, x.finish)
	return x
}

// reportRefusal counts and logs that Redis refuses to move an entry, or to end it.
func (c *Completer) reportRefusal(partition int, entry string, why error, finish bool) {
	blames := lease.Blames(why)
	c.cfg.Metrics.Refused(blames)
	if code, _ := lease.Refusal(why); code == "DLQFULL" {
		c.cfg.Metrics.Inc(metrics.DeadLettersFull)
	}
	if blames && !finish {
		c.cfg.Log.Warn("entries are refused for what they are; a dead letter will refer to each: look at these", 1,
			"partition", partition, "entry", entry, "err", why)
		return
	}
	c.cfg.Log.Warn("endings are refused", 1, "partition", partition, "entry", entry, "err", lease.Explain(why))
}

// RefusedMost is the longest that an entry waits which Redis refuses to move for what it is, or has no room for.
const RefusedMost = 15 * time.Second

// afterRefusal returns the backoff for an entry that Redis refuses to move. The state of a server may be repaired at any time, and
// then everything that waits for it goes in few calls.
func (c *Completer) afterRefusal(why error) func(refused int) time.Duration {
	if code, _ := lease.Refusal(why); !lease.Blames(why) && code != "DLQFULL" {
		return c.cfg.Backoff
	}
	return c.seldom
}

// seldom is the backoff for what is in no hurry.
func (c *Completer) seldom(refused int) time.Duration {
	return backoff.Exponential{First: c.cfg.Retry, Max: RefusedMost, Jitter: 0.5}.Delay(refused, c.cfg.Random())
}

// setAside puts completions back at the end.
func (c *Completer) setAside(partition int, batch []completion) {
	c.giveBack(partition, batch, (*queue).setAside)
}

// putBack puts completions back in front.
func (c *Completer) putBack(partition int, batch []completion) {
	c.giveBack(partition, batch, (*queue).putBack)
}

// giveBack puts completions back, or ends them if the completer has stopped.
func (c *Completer) giveBack(partition int, batch []completion, put func(q *queue, batch []completion)) {
	c.mu.Lock()
	stopped := c.mu.stopped
	if !stopped {
		put(&c.mu.queues[partition], batch)
	}
	c.mu.Unlock()
	for i := range batch {
		if stopped {
			c.settle(partition, batch[i], errStopped)
		}
	}
}

func (c *Completer) failing(ctx context.Context, partition int, err error) time.Duration {
	if ctx.Err() != nil {
		return workqueue.Idle
	}
	c.mu.Lock()
	c.mu.failed[partition]++
	wait := c.cfg.Backoff(c.mu.failed[partition])
	c.mu.retryAt[partition] = c.cfg.Clock.Now() + int64(wait)
	c.mu.Unlock()
	c.cfg.Log.Warn("endings fail", 1, "partition", partition, "err", lease.Explain(err))
	return wait
}

// outcome decides what Redis' answer means for one completion.
func (c *Completer) outcome(partition int, x completion, v lease.Verdict) {
	if x.tampered.found {
		c.settle(partition, x, c.tamperedOutcome(partition, x, v))
		return
	}
	var err error
	switch v {
	case lease.NotShut:
		c.undo(partition, x)
		return
	case lease.Finished, lease.Moved, lease.Referred:
	case lease.Gone:
		c.cfg.Metrics.Inc(metrics.EntriesGone)
	case lease.Full:
		c.cfg.Metrics.Inc(metrics.DeadLettersFull)
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
		c.cfg.Metrics.DeadLetter(x.Reason)
	}
	c.settle(partition, x, err)
	if v == lease.Owned && x.lease != nil {
		// The stream went to somebody else meanwhile; the entry is still pending here, and nobody attends to it.
		c.RequeueLost(x.lease)
	}
}

// settle ends a completion.
func (c *Completer) settle(partition int, x completion, err error) {
	if l := x.lease; l != nil {
		l.Conclude()
		if x.IfShut != "" {
			kind := l.Ending().Kind
			if err != nil {
				kind = lease.EndLost
			}
			c.cfg.Metrics.OwnershipEnded(kind, time.Duration(c.cfg.Clock.Now()-l.Since()))
		}
		c.cfg.Metrics.Ended(l.Ending().Kind, err)
		if err == nil && l.Ending().Kind != lease.EndDone {
			c.handedBack.Add(1)
		}
		c.hooks.Ended(l)
		l.SettleCheckpoint(cmp.Or(err, x.unsaved))
		l.Ending().Settle(err)
	}
	c.forget(partition, x)
}

// undo is for an ending that was tried and is not one: the lease is held again, unless it was lost, or is to end another way.
func (c *Completer) undo(partition int, x completion) {
	c.forget(partition, x)
	l := x.lease
	l.Undo(func() {
		c.cfg.Metrics.OwnershipEnded(lease.EndLost, time.Duration(c.cfg.Clock.Now()-l.Since()))
		c.hooks.Ended(l)
		l.SettleCheckpoint(api.ErrLeaseLost)
		c.RequeueLost(l)
	})
}

// forget ends the account of a completion.
func (c *Completer) forget(partition int, x completion) {
	c.hooks.Hold(partition, -x.held)
	c.mu.Lock()
	delete(c.mu.entries, entryKey{partition, x.Entry})
	switch {
	case x.refused == 0:
		c.mu.fresh[partition]--
	case x.lease == nil:
		c.mu.unowned[partition]--
	}
	c.mu.Unlock()
	c.settled.Broadcast()
}
