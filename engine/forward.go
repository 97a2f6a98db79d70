package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/completion"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/lease"
)

// forwardTries is how many attempts are made to copy entries before they are requeued with a delay: their partition may be on a
// master that is down, and the reader here must not be held up by that.
const forwardTries = 3

// forwardDelays are the delays of entries that could not be copied, by failures in a row to copy anything to their partition.
var forwardDelays = backoff.Exponential{First: 5 * time.Second, Max: 5 * time.Minute}

var (
	// errUnreachable means that nothing was sent, because the master of the other partition answers no other calls either.
	errUnreachable = errors.New("its master does not answer")
	// errIncomplete means that an entry could not be read completely here. It says nothing about the other partition.
	errIncomplete = errors.New("reading the complete entry")
)

// forwardStore is what a forwarder asks of Redis.
type forwardStore interface {
	Forward(ctx context.Context, consumer string, entries []*lease.Entry, again bool) ([]lease.Outcome, error)
	Whole(ctx context.Context, e *lease.Entry) (whole lease.Entry, ok bool, err error)
}

// forwarder moves misrouted entries to the partitions that their streams belong to. All its fields are set before it is used.
type forwarder struct {
	*env
	store      forwardStore
	partitions []*partition
	lane       func(partition int) int // partitions with the same lane share a master
	breakers   *breakers
	completer  *completion.Completer
}

// forward copies entries to the partitions that their streams belong to, then acknowledges them here. If the answer to a copy was
// lost, the copy is retried, which does not copy twice. What is requeued with a delay after that comes back as another entry, so
// then a duplicate is possible, one each time, and less and less often as the delays grow. A loss is not possible.
func (f *forwarder) forward(ctx context.Context, s *lease.Session, misrouted []*lease.Entry) {
	homes := make(map[int][]*lease.Entry)
	for _, x := range misrouted {
		homes[x.Home] = append(homes[x.Home], x)
	}
	unreachable := make(map[int]time.Duration) // by lane: the delay of what belongs to a master that does not answer
	for n, entries := range homes {
		home, lane := f.partitions[n], f.lane(n)
		for _, batch := range lease.Batches(entries, f.cfg.pipeline.MaxMoves(), entryWeight) {
			if ctx.Err() != nil || s.Remaining() == 0 {
				return
			}
			if delay := unreachable[lane]; delay > 0 {
				f.requeueLater(s, batch, delay)
				continue
			}
			unreachable[lane] = f.forwardBatch(ctx, s, home, batch)
		}
	}
}

func entryWeight(x **lease.Entry) int { return (*x).Size }

// forwardBatch copies a batch to one partition, and requeues with a delay what it could not copy. If that is because the
// partition's master does not answer, it returns the delay, otherwise 0.
func (f *forwarder) forwardBatch(ctx context.Context, s *lease.Session, home *partition, batch []*lease.Entry) (unreachable time.Duration) {
	size := lease.NewPageSize(len(batch))
	again := false // some of this batch may have been copied
	tries := forwardTries
	if home.forwardFailures.Load() > 0 {
		size.Failed(2) // nothing could be copied there a moment ago
		tries = 1
	}
	for failed := 0; len(batch) > 0 && ctx.Err() == nil && s.Remaining() > 0; {
		n := min(size.Size(), len(batch))
		err := f.copyEntries(ctx, s, home, batch[:n], again)
		if err == nil {
			batch, failed = batch[n:], 0
			size.Succeeded()
			home.forwardFailures.Store(0)
			continue
		}
		if ctx.Err() != nil {
			return 0
		}
		f.log.Warn("forwarding failed", n, "partition", s.Partition(), "err", lease.Explain(err))
		if failed++; failed >= tries || errors.Is(err, errUnreachable) {
			delay := home.nextForwardDelay()
			f.requeueLater(s, batch, delay)
			if isAnswer(err) || errors.Is(err, errIncomplete) {
				return 0
			}
			return delay
		}
		again = true
		size.Failed(2) // one at a time from now on
		backoff.Sleep(ctx, f.backoff(failed))
	}
	return 0
}

// nextForwardDelay notes that nothing could be copied to the partition, and returns the delay before the next attempt.
func (p *partition) nextForwardDelay() time.Duration {
	return forwardDelays.Delay(int(p.forwardFailures.Add(1)), 0)
}

// copyEntries copies some entries with one call. After an error, nothing is known of any of them. An entry that is
// refused individually is requeued with a delay.
func (f *forwarder) copyEntries(ctx context.Context, s *lease.Session, home *partition, entries []*lease.Entry, again bool) error {
	whole := make([]*lease.Entry, 0, len(entries))
	for _, x := range entries {
		if !x.Cut() {
			whole = append(whole, x)
			continue
		}
		full, there, err := f.store.Whole(ctx, x)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", errIncomplete, err)
		case there:
			whole = append(whole, &full)
		default:
			f.requeueLater(s, []*lease.Entry{x}, 0) // finds out that it is gone
		}
	}
	if len(whole) == 0 {
		return nil
	}
	if !f.breakers.allow(home.number) {
		return errUnreachable
	}
	outcomes, err := f.store.Forward(ctx, s.Consumer(), whole, again)
	f.breakers.asked(home.number, err)
	if err != nil {
		return err
	}
	copied := 0
	for i, o := range outcomes {
		if o.Verdict == lease.Moved {
			f.completer.Forwarded(s.Consumer(), whole[i])
			copied++
			continue
		}
		f.log.Warn("forwarding was refused", 1, "partition", s.Partition(), "entry", whole[i].ID, "err", lease.Explain(o.Err()))
		f.requeueLater(s, whole[i:i+1], forwardDelays.First)
	}
	f.metrics.Add(metrics.Forwarded, copied)
	return nil
}

// requeueLater requeues entries that belong to another partition to later, in this one.
func (f *forwarder) requeueLater(s *lease.Session, entries []*lease.Entry, delay time.Duration) {
	for _, x := range entries {
		here := *x
		here.Key = "" // the lease's key is in another slot
		f.completer.Requeue(s.Consumer(), &here, completion.Target{Dest: lease.ToLater, Delay: delay})
	}
}
