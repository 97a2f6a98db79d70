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

const (
	// forwardTries is how often copying entries is tried before they are put off: their partition may be on a master that is
	// away, which is no reason to hold up this one's reader.
	forwardTries = 3
	// forwardAgain is for how long they are put off at first; it doubles while nothing can be copied there.
	forwardAgain = 5 * time.Second
	forwardMost  = 5 * time.Minute
)

var (
	// errAway is why nothing is copied to a master that does not answer other work either.
	errAway = errors.New("its master does not answer")
	// errNotRead is that what is to be copied could not be read here, which says nothing of where it goes.
	errNotRead = errors.New("reading it whole")
)

// forwardStore is what a forwarder asks of Redis.
type forwardStore interface {
	Forward(ctx context.Context, consumer string, entries []*lease.Entry, again bool) ([]lease.Outcome, error)
	Whole(ctx context.Context, e *lease.Entry) (whole lease.Entry, ok bool, err error)
}

// forwarder moves misrouted entries to the partitions that their streams belong to.
type forwarder struct {
	*env
	store      forwardStore
	partitions []*partition
	lane       func(partition int) int // which partitions share a master
	breakers   *breakers
	completer  *completion.Completer
}

// forward copies entries to the partitions that their streams belong to, then acknowledges them here. A copy whose answer
// was lost is asked for again, which does not copy twice. What is put off after that comes back as another entry: then a
// duplicate is possible, one each time, and ever more seldom. A loss is not.
func (f *forwarder) forward(ctx context.Context, s *lease.Session, misrouted []*lease.Entry) {
	homes := make(map[int][]*lease.Entry)
	for _, x := range misrouted {
		homes[x.Home] = append(homes[x.Home], x)
	}
	away := make(map[int]time.Duration) // by lane: for how long to leave a master alone that does not answer
	for n, entries := range homes {
		home, lane := f.partitions[n], f.lane(n)
		for _, batch := range lease.Batches(entries, f.cfg.pipeline.MaxMoves(), entryWeight) {
			if ctx.Err() != nil || s.Remaining() == 0 {
				return
			}
			if delay := away[lane]; delay > 0 {
				f.delay(s, batch, delay)
				continue
			}
			away[lane] = f.forwardTo(ctx, s, home, batch)
		}
	}
}

func entryWeight(x **lease.Entry) int { return (*x).Size }

// forwardTo copies a batch to one partition, or puts off what is left of it. It returns for how long, if that is because the
// master of that one does not answer; else 0.
func (f *forwarder) forwardTo(ctx context.Context, s *lease.Session, home *partition, batch []*lease.Entry) (away time.Duration) {
	size := lease.NewPageSize(len(batch))
	again := false // something of this batch may have been copied
	tries := forwardTries
	if home.unforwarded.Load() > 0 {
		size.Failed(2) // nothing could be copied there a moment ago
		tries = 1
	}
	for failed := 0; len(batch) > 0 && ctx.Err() == nil && s.Remaining() > 0; {
		n := min(size.Size(), len(batch))
		err := f.forwardSome(ctx, s, home, batch[:n], again)
		if err == nil {
			batch, failed = batch[n:], 0
			size.Succeeded()
			home.unforwarded.Store(0)
			continue
		}
		if ctx.Err() != nil {
			return 0
		}
		f.log.Warn("forwarding fails", n, "partition", s.Partition(), "err", lease.Explain(err))
		if failed++; failed >= tries || errors.Is(err, errAway) {
			delay := home.unforwardedAgain()
			f.delay(s, batch, delay)
			if isAnswer(err) || errors.Is(err, errNotRead) {
				return 0
			}
			return delay
		}
		again = true
		size.Failed(2) // one by one from now on
		backoff.Sleep(ctx, f.backoff(failed))
	}
	return 0
}

// unforwardedAgain notes that nothing could be copied to the partition, and returns for how long to put that off.
func (p *partition) unforwardedAgain() time.Duration {
	return min(forwardAgain<<min(p.unforwarded.Add(1)-1, 10), forwardMost)
}

// forwardSome copies a few entries in one call; an error says that nothing is known of them. What is refused by itself is put
// off.
func (f *forwarder) forwardSome(ctx context.Context, s *lease.Session, home *partition, entries []*lease.Entry, again bool) error {
	whole := make([]*lease.Entry, 0, len(entries))
	for _, x := range entries {
		if !x.Cut() {
			whole = append(whole, x)
			continue
		}
		full, there, err := f.store.Whole(ctx, x)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", errNotRead, err)
		case there:
			whole = append(whole, &full)
		default:
			f.delay(s, []*lease.Entry{x}, 0) // which finds out that it is gone
		}
	}
	if len(whole) == 0 {
		return nil
	}
	if !f.breakers.allow(home.number) {
		return errAway
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
		f.log.Warn("forwarding is refused", 1, "partition", s.Partition(), "entry", whole[i].ID, "err", lease.Explain(o.Err()))
		f.delay(s, whole[i:i+1], forwardAgain)
	}
	f.metrics.Add(metrics.Forwarded, copied)
	return nil
}

// delay has entries that belong elsewhere come back later.
func (f *forwarder) delay(s *lease.Session, entries []*lease.Entry, delay time.Duration) {
	for _, x := range entries {
		here := *x
		here.Key = "" // that of its lease is in another slot
		f.completer.Requeue(s.Consumer(), &here, completion.Target{Dest: lease.ToLater, Delay: delay})
	}
}
