package engine

import (
	"context"
	"slices"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// debt is a session that is over, or is being closed: all that is pending for it goes back.
type debt struct {
	session *lease.Session
	by      int64 // when to close the session though a read may still deliver to it; 0: never. With the ender's mutex
}

// owe takes on handing back all that is pending for a session that is over. by is when to close it though a read with an
// unknown outcome may still deliver to it, which others would recover; 0: not before that read cannot.
func (d *ender) owe(s *lease.Session, by int64) {
	d.mu.Lock()
	if !d.mu.closed {
		d.mu.debts[s.Partition()] = append(d.mu.debts[s.Partition()], &debt{session: s, by: by})
	}
	d.mu.Unlock()
	d.crew.wake(s.Partition())
}

// hasten has the debts that there are paid by then, as owe does.
func (d *ender) hasten(by int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, debts := range d.mu.debts {
		for _, x := range debts {
			x.by = by
		}
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

// payDebts hands back page by page what is pending for sessions that are over, and closes them.
func (d *ender) payDebts(ctx context.Context, partition int) time.Duration {
	for {
		d.mu.Lock()
		if len(d.mu.debts[partition]) == 0 {
			d.mu.Unlock()
			return nothingMore
		}
		s, by := d.mu.debts[partition][0].session, d.mu.debts[partition][0].by
		d.mu.Unlock()
		paid, err := d.pay(ctx, partition, s, by)
		if err != nil {
			return d.failing(ctx, partition, err)
		}
		if !paid {
			return min(d.e.cfg.retry, unblockTime)
		}
		d.mu.Lock()
		d.mu.debts[partition] = d.mu.debts[partition][1:]
		d.mu.failed[partition] = 0
		d.mu.Unlock()
		d.idle.broadcast()
	}
}

// pay hands back what is pending for a session, and closes it. It reports false while more may come.
func (d *ender) pay(ctx context.Context, partition int, s *lease.Session, by int64) (bool, error) {
	consumer := s.Consumer()
	for ctx.Err() == nil {
		page, err := d.e.store.Pending(ctx, partition, consumer, "", d.e.cfg.pipeline.MaxMoves(), 0)
		if code, _ := lease.Refusal(err); code == "NOGROUP" {
			break
		}
		if err != nil {
			return false, err
		}
		if len(page) == 0 {
			break
		}
		if err := d.handBack(ctx, partition, consumer, page); err != nil {
			return false, err
		}
	}
	now := d.e.clock.Now()
	if !d.e.partitions[partition].quiet(consumer, now) && (by == 0 || now < by) {
		return false, nil
	}
	if d.e.partitions[partition].leave(s) {
		// A beat that arrives after the session was closed would make it again.
		d.e.renewer.crew.rest(ctx, partition)
	}
	left, err := d.e.store.Close(ctx, partition, consumer)
	return left == 0, err
}

func (d *ender) handBack(ctx context.Context, partition int, consumer string, page []lease.PendingEntry) error {
	items := make([]lease.Return, len(page))
	for i := range page {
		x, err := lease.ParseEntry(d.e.layout, partition, page[i].ID, page[i].Body)
		key := x.Key
		if err != nil {
			key = d.e.layout.Keys(partition).Lease("")
		}
		dest, at := notBefore(&x, lease.ToInput, 0)
		items[i] = lease.Return{Key: key, Entry: page[i].ID, Token: lease.AnyToken, Dest: dest, At: at,
			Retries: lease.KeepCount, Crashes: lease.KeepCount}
	}
	outcomes, err := d.e.store.Requeue(ctx, partition, consumer, items)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		switch o.Verdict {
		case lease.Refused:
			return o.Err()
		case lease.TooWide:
			items[i].Dest, items[i].Reason = lease.ToDeadLetters, reason(deadTooWide, "more fields than can be copied")
			if _, err := d.e.store.Requeue(ctx, partition, consumer, items[i:i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}
